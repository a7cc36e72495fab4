#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [--json] [--limit N]: instructions per exit: no module, kvm_meter, with
# kvm_harden off, on and with a no-go zone, and BPF programs that do what the meter
# does. Runs as root inside a host that counts instructions: scripts/rig/run.sh
# --icount, or QEMU -icount shift=0,sleep=off.
set -u
cd "$(dirname "$0")" || exit 1
module=${KVM_METER_KO:-../../kvm_meter/kvm_meter.ko}
harden=${KVM_HARDEN_KO:-../../kvm_harden/kvm_harden.ko}
json=0 limit=85 off_limit=3 on_limit=15 others=1000 failed=0 test=0
fault_limit=30 zone_limit=1

while [ $# -gt 0 ]; do
	case $1 in
	--json)		json=1 ;;
	--limit)	limit=$2; shift ;;
	*)		sed -n '3,6s/^# //p' "$0"; exit 2 ;;
	esac
	shift
done

say() { [ $json = 1 ] || echo "$*"; }
bail() { echo "Bail out! $*"; exit 1; }

# delta A B: B - A, rounded; nothing if one of them is missing
delta() { awk -v a="$1" -v b="$2" 'BEGIN { if (a != "" && b != "") printf "%+.1f", b - a }'; }

# num N: rounded, with separators
num()
{
	[ -n "$1" ] || { echo -; return; }
	printf "%.0f" "$1" | sed ':a;s/\B[0-9]\{3\}\>/,&/;ta'
}

measure()	# PREFIX RUNNER...: into PREFIX_port, PREFIX_cpuid, PREFIX_switch...
{
	local prefix=$1 what
	shift
	for what in port cpuid turns fault switch; do
		printf -v "${prefix}_$what" '%s' "$("$@" ./bench $what)"
	done
}

zones()	# with a zone in another VM, and in the same one
{
	local what
	for what in port cpuid fault; do
		printf -v "zone_$what" '%s' "$(./bench zone ./bench $what)"
		printf -v "own_$what" '%s' "$(./bench own $what)"
	done
}

check()	# NAME DELTA LIMIT
{
	test=$((test + 1))
	if [ -n "$2" ] && awk -v d="$2" -v l="$3" 'BEGIN { exit !(d <= l) }'; then
		say "ok $test $1: $2, at most $3"
	else
		say "not ok $test $1: ${2:-no figure}, at most $3"
		failed=1
	fi
}

[ "$(id -u)" = 0 ] || bail "needs root"
[ -c /dev/kvm ] || bail "no /dev/kvm: modprobe kvm_amd or kvm_intel"
[ -x ./bench ] || bail "bench is not built: make -C selftests/bench"
[ -f "$module" ] || bail "no $module: build it with make"
[ -f "$harden" ] || bail "no $harden: build it with make"
[ ! -d /sys/kernel/kvm_meter ] || bail "kvm_meter is loaded: rmmod it first"
unit=instructions
if [ "${RIG_ICOUNT:-0}" != 1 ]; then
	unit='TSC ticks'
	echo "# not under -icount: these are TSC ticks, and they vary" >&2
fi

say "TAP version 13"
say "1..15"
bare_port='' bare_cpuid='' bare_turns='' bare_fault='' bare_switch=''
meter_port='' meter_cpuid='' meter_turns='' meter_fault='' meter_switch=''
# shellcheck disable=SC2034	# by name, at the end
off_port='' off_cpuid='' off_turns='' off_fault='' off_switch=''
# shellcheck disable=SC2034
on_port='' on_cpuid='' on_turns='' on_switch=''
zone_port='' zone_cpuid='' zone_fault='' own_port='' own_cpuid='' own_fault=''
bpf_port='' bpf_cpuid='' bpf_turns='' bpf_fault='' bpf_switch=''
measure bare
bare_many=$(./bench others $others ./bench port)
insmod "$module" max_vcpus=1200 || bail "insmod $module failed: $(dmesg | tail -n 1)"
armed=$(cat /sys/kernel/kvm_meter/armed)
[ "$armed" = 1 ] || bail "kvm_meter is not armed: $(cat /sys/kernel/kvm_meter/status)"
measure meter
meter_many=$(./bench others $others ./bench port)
armed=$(cat /sys/kernel/kvm_meter/armed)
status=$(cat /sys/kernel/kvm_meter/status)
# The emulator announces neither primitive, but takes the writes.
insmod "$harden" assume=ibpb,l1d || bail "insmod $harden failed: $(dmesg | tail -n 1)"
measure off
zones
echo on >/sys/kernel/kvm_harden/flush/mode || bail "kvm_harden: mode on is refused"
measure on
switches=$(cat /sys/kernel/kvm_harden/flush/switches)
rmmod kvm_harden || bail "rmmod kvm_harden failed"
rmmod kvm_meter || bail "rmmod kvm_meter failed"
peer_error=
if ! ./peer peer.bpf.o /bin/true 2>/tmp/peer.err; then
	peer_error=$(tail -n 1 /tmp/peer.err)
else
	measure bpf ./peer peer.bpf.o 2>/tmp/peer.err
	grep -q 'peer: [1-9][0-9]* exits' /tmp/peer.err || peer_error='saw no exits'
fi
again=$(./bench port)

port=$(delta "$bare_port" "$meter_port") cpuid=$(delta "$bare_cpuid" "$meter_cpuid")
off_d_port=$(delta "$meter_port" "$off_port") off_d_cpuid=$(delta "$meter_cpuid" "$off_cpuid")
on_d_port=$(delta "$meter_port" "$on_port") on_d_cpuid=$(delta "$meter_cpuid" "$on_cpuid")
off_d_turns=$(delta "$meter_turns" "$off_turns") on_d_turns=$(delta "$meter_turns" "$on_turns")
turns=$(delta "$bare_turns" "$meter_turns") bpf_d_turns=$(delta "$bare_turns" "$bpf_turns")
many=$(delta "$bare_many" "$meter_many") switch=$(delta "$bare_switch" "$meter_switch")
bpf_d_port=$(delta "$bare_port" "$bpf_port") bpf_d_cpuid=$(delta "$bare_cpuid" "$bpf_cpuid")
bpf_d_switch=$(delta "$bare_switch" "$bpf_switch") bpf_d_fault=$(delta "$bare_fault" "$bpf_fault")
fault=$(delta "$bare_fault" "$meter_fault") off_d_fault=$(delta "$meter_fault" "$off_fault")
zone_d_fault=$(delta "$meter_fault" "$zone_fault") own_d_fault=$(delta "$meter_fault" "$own_fault")
zone_d_port=$(delta "$off_port" "$zone_port") own_d_port=$(delta "$off_port" "$own_port")
zone_d_cpuid=$(delta "$off_cpuid" "$zone_cpuid") own_d_cpuid=$(delta "$off_cpuid" "$own_cpuid")

row()	# LABEL BARE METER DELTA BPF DELTA
{
	say "$(printf '# %-34s %8s  %8s (%s)  %8s %s' "$1" "$(num "$2")" "$(num "$3")" "$4" \
		"$(num "$5")" "${6:+($6)}")"
}

pair()	# LABEL OFF ON
{
	say "$(printf '# %-40s %8s  %8s' "$@")"
}

say "#"
say "# $(uname -r): $unit"
say "$(printf '# %-34s %8s  %8s %-7s  %8s' '' 'bare' 'kvm_meter' '' 'BPF')"
row "exit to user space (port I/O)" "$bare_port" "$meter_port" "$port" "$bpf_port" "$bpf_d_port"
row "exit handled in KVM (CPUID)" "$bare_cpuid" "$meter_cpuid" "$cpuid" "$bpf_cpuid" "$bpf_d_cpuid"
row "port I/O, $others other vCPUs alive" "$bare_many" "$meter_many" "$many" ""  ""
row "port I/O, two VMs in turn" "$bare_turns" "$meter_turns" "$turns" "$bpf_turns" "$bpf_d_turns"
row "first touch of a page" "$bare_fault" "$meter_fault" "$fault" "$bpf_fault" "$bpf_d_fault"
row "context switch, no vCPU concerned" "$bare_switch" "$meter_switch" "$switch" "$bpf_switch" \
	"$bpf_d_switch"
say "#"
say "# and kvm_harden beside kvm_meter: off, and on (IBPB and L1D flush by MSR)"
pair "exit to user space (port I/O)" "$off_d_port" "$on_d_port"
pair "exit handled in KVM (CPUID)" "$off_d_cpuid" "$on_d_cpuid"
pair "port I/O, two VMs in turn: a flush each" "$off_d_turns" "$on_d_turns"
say "#"
say "# with a no-go zone in another VM, and in this one, elsewhere; without any: $off_d_fault"
pair "exit to user space (port I/O)" "$zone_d_port" "$own_d_port"
pair "exit handled in KVM (CPUID)" "$zone_d_cpuid" "$own_d_cpuid"
pair "first touch of a page, over kvm_meter" "$zone_d_fault" "$own_d_fault"
say "# bare again at the end: $(num "$again")${peer_error:+; BPF: $peer_error}"
say "#"
check "kvm_meter, port I/O" "$port" "$limit"
check "kvm_meter, CPUID" "$cpuid" "$limit"
check "kvm_meter, port I/O beside $others vCPUs" "$many" "$limit"
check "kvm_harden off, port I/O" "$off_d_port" "$off_limit"
check "kvm_harden off, CPUID" "$off_d_cpuid" "$off_limit"
check "kvm_harden on and no switch, port I/O" "$on_d_port" "$on_limit"
check "kvm_harden on and no switch, CPUID" "$on_d_cpuid" "$on_limit"
check "kvm_harden without a zone, first touch" "$off_d_fault" "$fault_limit"
check "a zone in another VM, first touch" "$zone_d_fault" "$fault_limit"
check "a zone in the same VM, first touch elsewhere" "$own_d_fault" "$fault_limit"
check "a zone in another VM, port I/O" "$zone_d_port" "$zone_limit"
check "a zone in the same VM, port I/O" "$own_d_port" "$zone_limit"
check "a zone in another VM, CPUID" "$zone_d_cpuid" "$zone_limit"
check "a zone in the same VM, CPUID" "$own_d_cpuid" "$zone_limit"
test=$((test + 1))
if [ "$armed" = 1 ] && [ "$switches" -gt 10000 ] && [ -z "$peer_error" ]; then
	say "ok $test the meter, kvm_harden and the peer were at work"
else
	say "not ok $test all were at work: armed $armed ($status), $switches switches," \
		"BPF: $peer_error"
	failed=1
fi
if [ $json = 1 ]; then
	printf '{"kernel":"%s","unit":"%s","limit":%s,"passed":%s,"others":%s' "$(uname -r)" \
		"$unit" "$limit" "$([ $failed = 0 ] && echo true || echo false)" "$others"
	for prefix in bare meter off on zone own bpf; do
		for what in port cpuid turns fault switch many; do
			name=${prefix}_$what
			printf ',"%s":%s' "$name" "${!name:-null}"
		done
	done
	printf '}\n'
fi
exit $failed
