#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# in-root.sh KERNEL gcc | clang | sparse: compile the modules with W=1 inside that
# kernel's root of the rig, against its own headers; print what is wrong.
# Exit code 4: there is no such root here (make check makes it).
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/rig/common.sh
. scripts/rig/common.sh

kernel=$1 tool=$2 root=$ROOTS/$1
[ -f "$root.key" ] || { echo "no root of $kernel yet: make check makes it"; exit 4; }
[ "$(id -u)" = 0 ] || { echo "needs root, for chroot"; exit 4; }
[ -f Kbuild ] || { echo "no modules yet"; exit 4; }

log=$CACHE/lint/$kernel.$tool.log
mkdir -p "$CACHE/lint"
if [ "$tool" = gcc ]; then	# the rig's own build: W=1, and a warning fails it
	scripts/rig/build.sh "$kernel" >"$log" 2>&1 || { cat "$log"; exit 1; }
	exit 0
fi

build=$BUILDS/lint-$tool-$kernel-$(echo "$TREE" | sha256sum | cut -c1-8)
mkdir -p "$build"
take_lock 9 "$build.lock" 2>/dev/null
take_lock 8 "$root.lock" -s 2>/dev/null
[ "$build.stamp" -nt "$root.key" ] || rm -rf "$build"
mkdir -p "$build"
git ls-files -z -co --exclude-standard -- Kbuild Makefile include kvm_meter kvm_harden \
	scripts/lint | while IFS= read -r -d '' file; do
		[ ! -e "$file" ] || printf '%s\0' "$file"
	done >"$build.files"
rsync -a --checksum --delete-missing-args --no-owner --no-group --from0 \
	--files-from="$build.files" ./ "$build/"

code=0
RIG_ROOT=$root RIG_BUILD=$build unshare --mount --pid --fork --kill-child \
	/bin/bash -e -s >"$log" 2>&1 <<-EOS || code=$?
	mount --make-rprivate /
	mount --bind "\$RIG_BUILD" "\$RIG_ROOT/mnt"
	mount -t proc proc "\$RIG_ROOT/proc"
	mount -t tmpfs tmp "\$RIG_ROOT/tmp"
	mount --rbind /dev "\$RIG_ROOT/dev"
	exec chroot "\$RIG_ROOT" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash /mnt/scripts/lint/guest.sh "$tool" "$(root_version "$kernel")" $(nproc)
EOS
# Headers quarrel with other compilers than their own, and objtool with what is
# never linked: only what is said of the modules' own source counts.
own='^(/mnt/|\.\./)*(kvm_[a-z]+/|include/|[a-z_]+\.[ch]:)[^ ]*:[0-9]+:.*(warning|error|note):|^lint:'
if [ $code != 0 ] || grep -qE "$own" "$log"; then
	rm -rf "$build"		# so that it is said again next time
	grep -E "$own" "$log" | sed 's|^/mnt/||' | sort -u || tail -n 10 "$log"
	exit 1
fi
touch "$build.stamp"
