#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# image.sh NAME: what a boot of that root needs, cached beside it: an ext4 image
# of the root, and an initramfs just able to mount it and to unpack a payload.
# Print the directory with initramfs and vmlinuz; another version of the rig has
# one of its own.
set -euo pipefail
# shellcheck source=scripts/rig/common.sh
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin

[ $# = 1 ] || die "usage: image.sh NAME"
name=$1
root=$ROOTS/$name
# QEMU has virtio disks, Bochs ATA ones.  For Bochs KVM is there too: it unpacks
# and checks a large module from the disk for many seconds.
modules="virtio_pci virtio_blk virtio_console ata_piix sd_mod ext4 kvm_intel"

key=$({ cat "$root.key" "$0" "$RIG_DIR/guest/initramfs.sh"
	stat -c %Y "$root"; } | sha256sum | cut -c1-16)
dir=$root.image-$key
fresh()
{
	[ -f "$root.ext4" ] && [ "$root.ext4" -nt "$root.key" ] && [ -d "$dir" ]
}
done_with()
{
	touch "$dir"
	echo "$dir"
	exit
}
! fresh || done_with
take_lock 9 "$root.image-lock"
take_lock 8 "$root.lock" -s
! fresh || done_with

tmp=$ROOTS/.$name.image.$$
trap 'rm -rf "$tmp" "$tmp".*' EXIT
rm -rf "$ROOTS/.$name.image".*
SECONDS=0
say "$name: making its disk image (about 20 s)"
ver=$(root_version "$name")

if [ ! "$root.ext4" -nt "$root.key" ]; then
	size=$(($(du -sm --one-file-system "$root" | cut -f1) * 5 / 4 + 512))
	mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,root_owner=0:0 \
		-d "$root" "$tmp.ext4" "${size}M" >/dev/null
	mv "$tmp.ext4" "$root.ext4"
fi

# unsign FILE: take a module's signature off.  Checking one takes an emulated CPU
# longer than loading the module.  It ends in 12 bytes, the last four of them its
# length, and a line of 28.
unsign()
{
	local size
	[ "$(tail -c 28 "$1" | tr -d "\000")" = "~Module signature appended~" ] || return 0
	size=$(tail -c 32 "$1" | od -An -N4 -tu4 --endian=big)
	truncate -s -$((size + 12 + 28)) "$1"
}

mkdir -p "$tmp"/{bin,dev,proc,sys,mod,newroot}
install -m 755 "$RIG_DIR/guest/initramfs.sh" "$tmp/init"
: >"$tmp/mod/order"	# empty if the kernel has them built in
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
		file=${file%.zst}
		unsign "$tmp/mod/$file"
		# The kernel looks each of a module's functions up among its symbols.
		# Those of KVM are wanted: what hooks a function goes by its name.
		case $file in
		kvm* | irqbypass*)	strip -g "$tmp/mod/$file" ;;
		*)			strip --strip-unneeded "$tmp/mod/$file" ;;
		esac
		echo "$file" >>"$tmp/mod/order"
	done
(cd "$tmp" && find . | cpio --quiet -o -H newc -R 0:0) >"$tmp.cpio"
mkdir "$tmp.new"
mv "$tmp.cpio" "$tmp.new/initramfs"
cp "$(root_vmlinuz "$name")" "$tmp.new/vmlinuz"
# Of those that other versions made, keep a few.
find "$ROOTS" -mindepth 1 -maxdepth 1 -name "$name.image-*" -type d -printf '%T@ %p\n' |
	sort -rn | sed -n '6,$s/^[^ ]* //p' | xargs -r -d '\n' rm -rf
rm -rf "$dir"
mv "$tmp.new" "$dir"
say "$name: disk image of $ver made in $SECONDS s"
done_with
