#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# initramfs.sh DIR: make DIR/initramfs for a guest with this host's kernel: its
# init is attack, its modules are those of virtio and attacker.ko.
set -e
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
rm -rf "$dir/root"
mkdir -p "$dir/root/dev" "$dir/root/mod"
for module in virtio_pci virtio_blk virtio_net; do
	modprobe --show-depends $module
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$dir/paths"
while read -r path; do
	file=${path##*/}
	case $path in
	*.xz)	xz -dc "$path" >"$dir/root/mod/${file%.xz}" ;;
	*.zst)	zstd -qdc "$path" >"$dir/root/mod/${file%.zst}" ;;
	*)	cp "$path" "$dir/root/mod/" ;;
	esac
	file=${file%.xz}
	echo "${file%.zst}"
done <"$dir/paths" >"$dir/root/mod/order"
cp "$here/attacker.ko" "$dir/root/mod/"
echo attacker.ko >>"$dir/root/mod/order"
cp "$here/../out/guest/attack" "$dir/root/init"
cd "$dir/root"
find . | busybox cpio -o -H newc 2>/dev/null >"$dir/initramfs"
