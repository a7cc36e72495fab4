#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# image.sh NAME: what a boot of that root needs, cached beside it: an ext4 image
# of the root, and an initramfs just able to mount it and to unpack a payload.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin

[ $# = 1 ] || die "usage: image.sh NAME"
name=$1
root=$ROOTS/$name
modules="virtio_pci virtio_blk virtio_console ext4"

key=$({ cat "$root.key" "$0" "$RIG_DIR/guest/initramfs.sh"
	stat -c %Y "$root"; } | sha256sum | cut -c1-16)
fresh()
{
	[ -f "$root.ext4" ] && [ -f "$root.initramfs" ] && [ -f "$root.vmlinuz" ] &&
		[ "$(cat "$root.image-key" 2>/dev/null)" = "$key" ]
}
fresh && exit 0
take_lock 9 "$root.image-lock"
take_lock 8 "$root.lock" -s
fresh && exit 0

tmp=$ROOTS/.$name.image.$$
trap 'rm -rf "$tmp" "$tmp".*' EXIT
rm -rf "$ROOTS/.$name.image".*
SECONDS=0
say "$name: making its disk image (about 20 s)"
rm -f "$root.image-key"
ver=$(root_version "$name")

if [ ! "$root.ext4" -nt "$root.key" ]; then
	size=$(($(du -sm --one-file-system "$root" | cut -f1) * 5 / 4 + 512))
	mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,root_owner=0:0 \
		-d "$root" "$tmp.ext4" "${size}M" >/dev/null
	mv "$tmp.ext4" "$root.ext4"
fi

mkdir -p "$tmp"/{bin,dev,proc,sys,mod,newroot}
install -m 755 "$RIG_DIR/guest/initramfs.sh" "$tmp/init"
busybox=$root/usr/bin/busybox
[ -f "$busybox" ] || busybox=$root/bin/busybox
cp "$busybox" "$tmp/bin/busybox"
for module in $modules; do
	modprobe -d "$root" -S "$ver" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r path; do
		file=${path##*/}
		case $path in
		*.xz)	xz -dc "$path" >"$tmp/mod/${file%.xz}" ;;
		*.zst)	zstd -qdc "$path" >"$tmp/mod/${file%.zst}" ;;
		*)	cp "$path" "$tmp/mod/$file" ;;
		esac
		file=${file%.xz}
		echo "${file%.zst}" >>"$tmp/mod/order"
	done
(cd "$tmp" && find . | cpio --quiet -o -H newc -R 0:0) >"$tmp.cpio"
mv "$tmp.cpio" "$root.initramfs"
cp "$(root_vmlinuz "$name")" "$tmp.vmlinuz"
mv "$tmp.vmlinuz" "$root.vmlinuz"
echo "$key" >"$root.image-key"
say "$name: disk image of $ver made in $SECONDS s"
