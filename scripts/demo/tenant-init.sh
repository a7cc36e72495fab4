#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Init of a tenant: its life is a word of the kernel's command line.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/mod/$module"
done </mod/order

# Computes on one CPU without end; reads and writes its disk now and then.
busy()
{
	sha256sum </dev/zero &
	while :; do
		sleep 1
		dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null
		dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=notrunc oflag=direct 2>/dev/null
	done
}

# Asleep; wakes every two seconds and writes a few blocks.
sleepy()
{
	while :; do
		sleep 2
		dd if=/dev/zero of=/dev/vda bs=4k count=4 conv=notrunc oflag=direct 2>/dev/null
	done
}

echo "tenant is up"
case $(cat /proc/cmdline) in
*life=busy*)	busy ;;
*)		sleepy ;;
esac
