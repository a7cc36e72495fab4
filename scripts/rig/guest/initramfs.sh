#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# First user space of a rig host: mount the suite's root from the first disk,
# unpack the payload (a tar on the second) to /run/rig, go there.

busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
while read -r module; do
	$busybox insmod "/mod/$module" || echo "rig: cannot load $module"
done </mod/order

$busybox mount -t ext4 -o noatime,noinit_itable /dev/vda /newroot
$busybox mount -t tmpfs -o mode=755,size=80% run /newroot/run
$busybox mkdir /newroot/run/rig
$busybox tar -x -C /newroot/run/rig -f /dev/vdb
for dir in proc sys dev; do
	$busybox mount --move /$dir /newroot/$dir
done
exec $busybox switch_root /newroot /bin/sh /run/rig/init.sh
echo "rig: cannot switch to the root"
