#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# First user space of a rig host: mount the suite's root from the first disk,
# unpack the payload (a tar on the second) to /run/rig, go there.  The disks are
# virtio's under QEMU and ATA's under Bochs; rig.disks= says which.

busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
kind=virtio root=/dev/vda payload=/dev/vdb
case $($busybox cat /proc/cmdline) in
*rig.disks=ata*)	kind=ata root=/dev/ata1.0 payload=/dev/ata1.1 ;;
esac
while read -r module; do
	args=
	case $kind:$module in
	ata:virtio* | virtio:*ata* | virtio:s[cd]*_mod* | virtio:scsi*) continue ;;
	virtio:kvm* | virtio:irqbypass*) continue ;;
	# Bochs does not take the posted-interrupt descriptor.
	ata:kvm?intel*)	args=enable_apicv=0 ;;
	esac
	# shellcheck disable=SC2086	# none or one word
	$busybox insmod "/mod/$module" $args || echo "rig: cannot load $module"
done </mod/order
# SCSI looks for its disks in the background, and names them as they come.
# disk CHANNEL UNIT: ata2.1 is the second one on the second channel
disk()
{
	local n=0 path=/sys/class/scsi_device/$(($1 - 1)):0:$2:0/device/block
	while [ $n -lt 200 ]; do
		for name in "$path"/*; do
			[ -b "/dev/${name##*/}" ] || continue
			$busybox ln -s "${name##*/}" "/dev/ata$1.$2"
			return
		done
		$busybox usleep 50000
		n=$((n + 1))
	done
	echo "rig: no disk $2 on channel $1"
}
if [ $kind = ata ]; then
	disk 1 0
	disk 1 1
	disk 2 1
fi

$busybox mount -t ext4 -o noatime,noinit_itable $root /newroot
# Up to here all boots are the same: Bochs saves its state, and the others go on
# from here, with the payload that is theirs.
if [ $kind = ata ]; then
	echo "rig: ready for a payload"
	$busybox printf x | $busybox dd of=/dev/port bs=1 seek=232 2>/dev/null
fi

$busybox mount -t tmpfs -o mode=755,size=80% run /newroot/run
$busybox mkdir /newroot/run/rig
for dir in proc sys dev; do
	$busybox mount --move /$dir /newroot/$dir
done
# Not busybox's tar: it reads the disk to its end.
$busybox chroot /newroot tar -x -C /run/rig -f $payload
exec $busybox switch_root /newroot /bin/sh /run/rig/init.sh
echo "rig: cannot switch to the root"
