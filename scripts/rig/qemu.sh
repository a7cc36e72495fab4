# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How the host machine is emulated: by which QEMU, which accelerator, which CPU.
# Sourced.

# qemu_root NAME: the kernel whose root has the QEMU to use, so that the same one
# runs wherever the rig runs.  Before 8.1, TCG translates a page without locking
# it, and code that the guest kernel patches meanwhile (jump labels: "Oops: int3")
# may stay stale: bookworm's 7.2 will not do, take that of the newest suite then.
qemu_root()
{
	local version
	version=$(dpkg-query --admindir="$ROOTS/$1/var/lib/dpkg" \
		-W -f '${Version}' qemu-system-x86)
	if dpkg --compare-versions "$version" ge 1:8.1; then
		echo "$1"
	else
		kernel_names | tail -n 1
	fi
}

# qemu_command NAME: how to run the QEMU of that root, a word a line.
qemu_command()
{
	local root=$ROOTS/$1
	printf '%s\n' env "QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu" \
		"$root/lib64/ld-linux-x86-64.so.2" \
		--library-path "$root/usr/lib/x86_64-linux-gnu" \
		"$root/usr/bin/qemu-system-x86_64" \
		-L "$root/usr/share/qemu" -L "$root/usr/share/seabios"
}

# Hardware KVM serves only if it nests.
accel_pick()
{
	local vendor
	if [ -n "${RIG_ACCEL:-}" ]; then
		echo "$RIG_ACCEL"
		return
	fi
	for vendor in amd intel; do
		case $(cat /sys/module/kvm_$vendor/parameters/nested 2>/dev/null) in
		1 | Y)
			if [ -w /dev/kvm ] &&
				grep -qwE 'svm|vmx' /proc/cpuinfo; then
				echo kvm
				return
			fi
			;;
		esac
	done
	echo tcg
}

# accel_args ACCEL ICOUNT: QEMU's options for it, one a line.  TCG has no
# invariant TSC bit of its own, though its TSC is one: the host's, or under
# icount the instruction counter.
accel_args()
{
	if [ "$2" = 1 ]; then
		printf '%s\n' -accel tcg -icount shift=0,sleep=off
		printf '%s\n' -cpu max,+invtsc,x-force-features=on
	elif [ "$1" = kvm ]; then
		printf '%s\n' -accel kvm -cpu host,migratable=off,+invtsc
	else
		printf '%s\n' -accel "tcg,thread=${RIG_TCG_THREAD:-multi}"
		printf '%s\n' -cpu max,+invtsc,x-force-features=on
	fi
}
