#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# root.sh NAME: make, or find in the cache, the root of a kernel that the rig
# builds itself: the root of the supported kernel that it comes from, with this
# kernel, its modules and its build tree in place of Debian's.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/../common.sh"

[ $# = 1 ] || die "usage: root.sh NAME"
name=$1
read -r _ base _ <<<"$(kernel_line "$name")"
root=$ROOTS/$name
kernel=$("$RIG_DIR/debug/kernel.sh" "$name")

key=$({ echo "$kernel"
	cat "$ROOTS/$base.key"
	stat -c %Y "$ROOTS/$base.key"
	grep -v '^#' "$0"; } | sha256sum | cut -c1-16)
fresh()
{
	[ -d "$root" ] && [ "$(cat "$root.key" 2>/dev/null)" = "$key" ]
}

fresh && exit 0
take_lock 9 "$root.lock"
fresh && exit 0

tmp=$ROOTS/.$name.$$
trap 'rm -rf --one-file-system "$tmp" "$tmp.old"' EXIT
trap 'exit 130' INT TERM
rm -rf --one-file-system "$ROOTS/.$name".[0-9]*
SECONDS=0
mkdir -p "$tmp"
take_lock 8 "$ROOTS/$base.lock" -s
cp -a --reflink=auto "$ROOTS/$base/." "$tmp/"
exec 8>&-
# Debian's vmlinuz stays in /boot: it is what a Linux guest boots.
rm -rf "$tmp"/usr/lib/modules/* "$tmp"/usr/src/* "$tmp"/boot/initrd.img-*
cp -a "$kernel/." "$tmp/"
rm -f "$root.key"
[ ! -d "$root" ] || mv "$root" "$tmp.old"
mv "$tmp" "$root"
echo "$key" >"$root.key"
say "$name: root with $(root_version "$name") made in $SECONDS s"
