#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Install the few Debian packages that the rig needs on the host, and say so.
# Not root, or not Debian 12 or newer: print the line to run, and stop.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"

# package:proof, where the proof is a command or a file
# (QEMU is not among them: the rig runs that of a root)
needs="mmdebstrap:mmdebstrap cpio:cpio xorriso:xorriso e2fsprogs:mke2fs xz-utils:xz kmod:modprobe
rsync:rsync git:git make:make gcc:gcc libc6-dev:/usr/include/stdio.h util-linux:flock
debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg
ca-certificates:/etc/ssl/certs"

PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in $needs; do
	proof=${need#*:}
	[ -e "$proof" ] || command -v "$proof" >/dev/null ||
		missing+=("${need%%:*}")
done

line="apt-get install --no-install-recommends ${missing[*]}"
debian=0
if [ -r /etc/os-release ]; then
	# shellcheck disable=SC1091
	. /etc/os-release
	[ "${ID:-}" = debian ] && [ "${VERSION_ID:-13}" -ge 12 ] && debian=1
fi
if [ "$(id -u)" != 0 ]; then
	say "the rig makes root file systems, so it runs as root:"
	[ ${#missing[@]} = 0 ] || say "    sudo $line"
	say "    sudo make ${RIG_GOAL:-check}"
	exit 1
fi
[ ${#missing[@]} != 0 ] || exit 0
if [ $debian = 0 ]; then
	say "this is not Debian 12 or newer; what is missing comes with"
	say "    $line"
	say "or with its like here"
	exit 1
fi
say "installing what the host lacks: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -q update && apt-get -qy install --no-install-recommends \
	"${missing[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	die "could not install them; run: $line"
fi
