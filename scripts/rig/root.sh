#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# root.sh NAME: make, or find in the cache, the root file system of that kernel:
# its Debian suite with its kernel, headers, compiler, QEMU and bpftool.  It is
# made anew when the list, the packages, or the suite's kernel change.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/rig/suite.sh
. "$RIG_DIR/suite.sh"

[ $# = 1 ] || die "usage: root.sh NAME"
name=$1
! own_kernel "$name" || exec "$RIG_DIR/debug/root.sh" "$name"
line=$(kernel_line "$name")
read -r _ suite image headers <<<"$line"
root=$ROOTS/$name

packages=(bpftool gcc make libc6-dev clang sparse qemu-system-x86 libbpf-dev
	kmod iproute2 procps busybox-static xz-utils e2fsprogs)
case $suite in
*-backports)	packages+=("$image/$suite" "$headers/$suite") ;;
*)		packages+=("$image" "$headers") ;;
esac

# Raise the number when the recipe below makes another root out of the same.
recipe=1
key=$(printf '%s\n' "$recipe" "$line" "${packages[@]}" | sha256sum | cut -c1-16)

fresh()
{
	[ -d "$root" ] && [ "$(cat "$root.key" 2>/dev/null)" = "$key" ] &&
		! suite_moved "$name" "$suite" "$image" "$root"
}

# A shared look first, so that concurrent runs do not queue for a warm cache.
fresh && exit 0
take_lock 9 "$root.lock"
fresh && exit 0

tmp=$ROOTS/.$name.$$ pid=
# shellcheck disable=SC2317	# run by the trap
cleanup()
{
	if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
		wait "$pid" || :
	fi
	rm -rf --one-file-system "$tmp" "$tmp.old"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# What runs that were killed left; the lock says that no other is at it.
rm -rf --one-file-system "$ROOTS/.$name".[0-9]*
say "$name: making a root of $suite (about 2 minutes, 1.3 GB in $ROOTS)"
mkdir -p "$ROOTS"
SECONDS=0
suite_sources "$suite" | mmdebstrap --mode=root --variant=minbase \
	--aptopt='APT::Install-Recommends "false"' \
	--aptopt='Acquire::Retries "3"' \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--include="$(IFS=,; echo "${packages[*]}")" \
	"${suite%-backports}" "$tmp" - >"$root.log" 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null; do
	sleep 1
	[ $((SECONDS % 15)) != 0 ] || say "$name: ${SECONDS} s," \
		"$(du -sm "$tmp" 2>/dev/null | cut -f1) MB," \
		"$(tail -n 1 "$root.log" | cut -c1-60)"
done
if ! wait $pid; then
	tail -n 20 "$root.log" >&2
	die "$name: mmdebstrap failed; the log is $root.log"
fi
pid=
rm -f "$root.key"
[ ! -d "$root" ] || mv "$root" "$tmp.old"
mv "$tmp" "$root"
echo "$key" >"$root.key"
touch "$root.checked"
say "$name: root of $suite with $(root_version "$name") made in $SECONDS s"
