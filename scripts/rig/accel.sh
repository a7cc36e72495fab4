# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How a host runs: by KVM where the machine has that kind of hardware and it
# nests, else emulated, AMD by QEMU's TCG and Intel by Bochs.  Sourced by run.sh.

# accel_nests VENDOR FLAG: hardware KVM serves only if it nests.
accel_nests()
{
	case $(cat "/sys/module/kvm_$1/parameters/nested" 2>/dev/null) in
	1 | Y)	[ -w /dev/kvm ] && grep -qw "$2" /proc/cpuinfo ;;
	*)	return 1 ;;
	esac
}

# accel_pick HOST ICOUNT: kvm, tcg or bochs.  RIG_ACCEL=kvm asks for KVM,
# anything else there for emulation.
accel_pick()
{
	local flag emulated
	case $1 in
	amd)	flag=svm emulated=tcg ;;
	intel)	flag=vmx emulated=bochs ;;
	*)	die "no host '$1'; there are: amd intel" ;;
	esac
	if [ "$2" = 1 ]; then
		echo $emulated
	elif [ "${RIG_ACCEL:-kvm}" = kvm ] && accel_nests "$1" $flag; then
		echo kvm
	elif [ "${RIG_ACCEL:-}" = kvm ]; then
		die "RIG_ACCEL=kvm: no KVM that nests for an $1 host here"
	else
		echo $emulated
	fi
}

# accel_emulator ACCEL: which of qemu.sh and bochs.sh runs it
accel_emulator()
{
	case $1 in
	bochs)	echo bochs ;;
	*)	echo qemu ;;
	esac
}
