#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Init of a rig host.  Makes the usual mounts, loads KVM, runs the command, and
# sends home its output, its files, and last of all the verdict: under QEMU by
# three virtio ports, under Bochs by the second serial line and the third disk.
# The console is left to the kernel.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM="${TERM:-linux}" LC_ALL=C.UTF-8
# shellcheck disable=SC1091	# made by run.sh
. /run/rig/env

mkdir -p /dev/pts /dev/shm /run/rig/out
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
ip link set lo up
hostname rig
echo "/run/rig/out/core.%e.%p" >/proc/sys/kernel/core_pattern
# shellcheck disable=SC3045	# dash has it
ulimit -n 65536

# A state that Bochs saved has the date of that day.
[ "$RIG_ACCEL" != bochs ] || date -s "@$RIG_DATE" >/dev/null

if [ "$RIG_LOAD_KVM" = 1 ]; then
	if grep -qw svm /proc/cpuinfo; then
		modprobe kvm_amd
	elif grep -qw vmx /proc/cpuinfo; then
		# Under Bochs it is loaded by now.
		[ -d /sys/module/kvm_intel ] || modprobe kvm_intel
	else
		echo "rig: no hardware virtualization here" >/dev/console
	fi
elif [ -d /sys/module/kvm_intel ]; then
	rmmod kvm_intel kvm
fi

cd /run/rig/tree 2>/dev/null || cd /run/rig || exit
if [ "$RIG_ACCEL" = bochs ]; then
	output=/dev/ttyS1 home=/dev/ata2.1
	stty -F "$output" raw -echo
else
	port=$(echo /dev/vport?p1)
	port=${port%1}
	output=${port}1
fi
# A port takes one opener only, so that /dev/stdout would fail: put a pipe in
# front of it.  What the command leaves running may hold the pipe: wait a little.
mkfifo /run/rig/pipe
cat </run/rig/pipe >"$output" &
cat=$!
/bin/bash /run/rig/cmd </dev/null >/run/rig/pipe 2>&1
code=$?
n=0
while kill -0 $cat 2>/dev/null && [ $n -lt 20 ]; do
	sleep 0.1
	n=$((n + 1))
done
if [ "$RIG_ACCEL" = bochs ]; then
	tar -C /run/rig/out -c . | dd of="$home" bs=64k oflag=seek_bytes seek=512 \
		iflag=fullblock conv=notrunc,fsync status=none
	echo "exit $code" | dd of="$home" conv=notrunc,fsync status=none
else
	tar -C /run/rig/out -cf "${port}2" .
	echo "exit $code" >"${port}3"
fi
# A clean poweroff unmounts nothing: the disk is a snapshot that is thrown away.
busybox poweroff -f
