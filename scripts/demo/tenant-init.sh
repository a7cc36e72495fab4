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

# Where the guest keeps something that nobody is to see; it is beyond mem=, so
# that Linux leaves it alone and /dev/mem gives it to root.
secret=$(sed -n 's/.*secret=\([^ ]*\).*/\1/p' /proc/cmdline)

# What whoever has taken over this kernel does, every two seconds.
steal()
{
	if loot=$(devmem "$secret" 64 2>&1); then
		echo "stolen from $secret: $loot"
	else
		echo "stolen from $secret: nothing, killed by a fault"
	fi
}

# Asleep; wakes every two seconds and writes a few blocks.
sleepy()
{
	[ -z "$secret" ] || devmem "$secret" 64 0x5ec2e75ec2e7 >/dev/null
	while :; do
		sleep 2
		[ -z "$secret" ] || steal
		dd if=/dev/zero of=/dev/vda bs=4k count=4 conv=notrunc oflag=direct 2>/dev/null
	done
}

echo "tenant is up"
case $(cat /proc/cmdline) in
*life=busy*)	busy ;;
*)		sleepy ;;
esac
