#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# initramfs.sh DIR: make DIR/initramfs for a guest with this host's kernel: its
# init is attack, its modules are those of virtio and attacker.ko.
set -e
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
rm -rf "$dir/root"
mkdir -p "$dir/root/dev"
"$here/modules.sh" "$dir/root/mod" virtio_pci virtio_blk virtio_net
cp "$here/attacker.ko" "$dir/root/mod/"
echo attacker.ko >>"$dir/root/mod/order"
cp "$here/../out/guest/attack" "$dir/root/init"
cd "$dir/root"
find . | busybox cpio -o -H newc 2>/dev/null >"$dir/initramfs"
