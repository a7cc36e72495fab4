#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [--json] [--limit N]: instructions per exit: no module, kvm_meter, and
# BPF programs that do the same. Runs as root inside a host that counts
# instructions: scripts/rig/run.sh --icount, or QEMU -icount shift=0,sleep=off.
set -u
cd "$(dirname "$0")" || exit 1
module=${KVM_METER_KO:-../../kvm_meter/kvm_meter.ko}
json=0 limit=80 others=1000 failed=0 test=0

while [ $# -gt 0 ]; do
	case $1 in
	--json)		json=1 ;;
	--limit)	limit=$2; shift ;;
	*)		sed -n '3,5s/^# //p' "$0"; exit 2 ;;
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

measure()	# PREFIX RUNNER...: into PREFIX_port, PREFIX_cpuid, PREFIX_switch
{
	local prefix=$1 what
	shift
	for what in port cpuid switch; do
		printf -v "${prefix}_$what" '%s' "$("$@" ./bench $what)"
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
[ ! -d /sys/kernel/kvm_meter ] || bail "kvm_meter is loaded: rmmod it first"
unit=instructions
if [ "${RIG_ICOUNT:-0}" != 1 ]; then
	unit='TSC ticks'
	echo "# not under -icount: these are TSC ticks, and they vary" >&2
fi

say "TAP version 13"
say "1..4"
bare_port='' bare_cpuid='' bare_switch='' meter_port='' meter_cpuid='' meter_switch=''
bpf_port='' bpf_cpuid='' bpf_switch=''
measure bare
bare_many=$(./bench others $others ./bench port)
insmod "$module" max_vcpus=1200 || bail "insmod $module failed: $(dmesg | tail -n 1)"
armed=$(cat /sys/kernel/kvm_meter/armed)
[ "$armed" = 1 ] || bail "kvm_meter is not armed: $(cat /sys/kernel/kvm_meter/status)"
measure meter
meter_many=$(./bench others $others ./bench port)
armed=$(cat /sys/kernel/kvm_meter/armed)
status=$(cat /sys/kernel/kvm_meter/status)
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
many=$(delta "$bare_many" "$meter_many") switch=$(delta "$bare_switch" "$meter_switch")
bpf_d_port=$(delta "$bare_port" "$bpf_port") bpf_d_cpuid=$(delta "$bare_cpuid" "$bpf_cpuid")
bpf_d_switch=$(delta "$bare_switch" "$bpf_switch")

row()	# LABEL BARE METER DELTA BPF DELTA
{
	say "$(printf '# %-34s %8s  %8s (%s)  %8s %s' "$1" "$(num "$2")" "$(num "$3")" "$4" \
		"$(num "$5")" "${6:+($6)}")"
}

say "#"
say "# $(uname -r): $unit"
say "$(printf '# %-34s %8s  %8s %-7s  %8s' '' 'bare' 'kvm_meter' '' 'BPF')"
row "exit to user space (port I/O)" "$bare_port" "$meter_port" "$port" "$bpf_port" "$bpf_d_port"
row "exit handled in KVM (CPUID)" "$bare_cpuid" "$meter_cpuid" "$cpuid" "$bpf_cpuid" "$bpf_d_cpuid"
row "port I/O, $others other vCPUs alive" "$bare_many" "$meter_many" "$many" ""  ""
row "context switch, no vCPU concerned" "$bare_switch" "$meter_switch" "$switch" "$bpf_switch" \
	"$bpf_d_switch"
say "# bare again at the end: $(num "$again")${peer_error:+; BPF: $peer_error}"
say "#"
check "kvm_meter, port I/O" "$port" "$limit"
check "kvm_meter, CPUID" "$cpuid" "$limit"
check "kvm_meter, port I/O beside $others vCPUs" "$many" "$limit"
test=$((test + 1))
if [ "$armed" = 1 ] && [ -z "$peer_error" ]; then
	say "ok $test meter and peer were at work"
else
	say "not ok $test meter and peer were at work: armed $armed ($status), BPF: $peer_error"
	failed=1
fi
if [ $json = 1 ]; then
	printf '{"kernel":"%s","unit":"%s","limit":%s,"passed":%s,"others":%s' "$(uname -r)" \
		"$unit" "$limit" "$([ $failed = 0 ] && echo true || echo false)" "$others"
	for prefix in bare meter bpf; do
		for what in port cpuid switch many; do
			name=${prefix}_$what
			printf ',"%s":%s' "$name" "${!name:-null}"
		done
	done
	printf '}\n'
fi
exit $failed
