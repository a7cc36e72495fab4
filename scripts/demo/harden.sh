# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The act with kvm_harden: two tenants share a CPU, and must not find each
# other's traces there. Sourced.

harden=/sys/kernel/kvm_harden
harden_loaded=0
harden_assumed=
harden_vms=()

# harden_load MODULE: what the CPU announces; with assume= where that is too little
harden_load()
{
	local assume=''
	harden_assumed=
	insmod "$1"
	harden_loaded=1
	if ! grep -q '^ibpb' $harden/flush/available; then
		assume=' assume=ibpb,l1d'
		harden_unload
		insmod "$1" assume=ibpb,l1d
		harden_loaded=1
		harden_assumed=1
	fi
	shown "insmod kvm_harden.ko$assume"
	[ -z "$assume" ] || cat <<END
The CPU of this host announces neither an IBPB nor an L1D flush. The module is
told to take them for present: it decides, counts and writes the MSRs as it
would elsewhere, but nothing is flushed, and the status says so.
END
	shown "cat $harden/status $harden/flush/available"
	cat $harden/status $harden/flush/available
	echo "here a flush takes: ibpb $(cat $harden/flush/ibpb_cost_ns) ns, l1d $(cat $harden/flush/l1d_cost_ns) ns"
}

harden_unload()
{
	[ $harden_loaded = 0 ] || rmmod kvm_harden
	harden_loaded=0
}

# harden_find PID...: the VMs of these processes, and no others of this host
harden_find()
{
	local dir pid
	harden_vms=()
	for dir in /sys/kernel/kvm_meter/vms/*/; do
		for pid in "$@"; do
			[ "$(cat "${dir}pid")" != "$pid" ] || harden_vms+=("$(basename "$dir")")
		done
	done
}

# harden_find_one PID: the id of its VM
harden_find_one()
{
	harden_find "$1"
	echo "${harden_vms[0]}"
}

# harden_pin CPUS: all vCPUs of the VMs
harden_pin()
{
	local vm tid
	for vm in "${harden_vms[@]}"; do
		for tid in /sys/kernel/kvm_meter/vms/"$vm"/vcpus/*/tid; do
			taskset -cp "$1" "$(cat "$tid")" >/dev/null
		done
	done
}

# harden_read: a line per VM, ID COUNTER...
harden_read()
{
	local vm name
	for vm in "${harden_vms[@]}"; do
		printf '%s' "$vm"
		for name in switches ibpb l1d covered predicted_ns flush_ns; do
			printf ' %s' "$(cat "$harden/vms/$vm/$name")"
		done
		echo
	done
}

# harden_table SECONDS BEFORE: what has happened since then, per second and VM
harden_table()
{
	local before=$2 after id switches ibpb l1d covered predicted took a b c d e f
	after=$(harden_read)
	printf '%-16s %-6s %10s %7s %7s %9s %13s %11s\n' VM DOMAIN SWITCHES/S IBPB/S L1D/S \
		COVERED/S PREDICTED/S TOOK/S
	while read -r id switches ibpb l1d covered predicted took; do
		read -r _ a b c d e f < <(grep "^$id " <<<"$before")
		awk -v s="$1" -v vm="$id $(cat /sys/kernel/kvm_meter/vms/"$id"/comm)" \
			-v domain="$(cat $harden/vms/"$id"/domain)" -v switches=$((switches - a)) \
			-v ibpb=$((ibpb - b)) -v l1d=$((l1d - c)) -v covered=$((covered - d)) \
			-v predicted=$((predicted - e)) -v took=$((took - f)) 'BEGIN {
			printf "%-16s %-6s %10.1f %7.1f %7.1f %9.1f %10.1f us %8.1f us\n", vm,
				domain ? domain : "own", switches / s, ibpb / s, l1d / s,
				covered / s, predicted / s / 1000, took / s / 1000
		}'
	done <<<"$after"
}

# harden_run MODE SECONDS: counters stand still while the mode is off
harden_run()
{
	local before
	before=$(harden_read)
	shown "echo $1 > $harden/flush/mode; sleep $2; echo off > $harden/flush/mode"
	echo "$1" >$harden/flush/mode
	sleep "$2"
	echo off >$harden/flush/mode
	harden_table "$2" "$before"
}

# harden_act MODULE KVMMETER SECONDS PID...
harden_act()
{
	local cpu=$(($(nproc) - 1)) vm before trace=/sys/kernel/tracing
	harden_find "${@:4}"
	headline "Two tenants, one core: kvm_harden flushes it between them."
	harden_load "$1"
	headline "A dry run: all vCPUs on CPU $cpu for $3 seconds. What would flushing cost?"
	harden_pin "$cpu"
	harden_run dry-run "$3"

	headline "The same for real."
	[ -e $trace/events ] || mount -t tracefs tracefs $trace 2>/dev/null || :
	echo 1 2>/dev/null >$trace/events/kvm_harden/enable || :
	harden_run on "$3"
	if [ -n "$harden_assumed" ]; then
		echo "(Predicted from flushes in a row. Here each comes alone, which an emulator exaggerates.)"
	fi
	echo 0 2>/dev/null >$trace/events/kvm_harden/enable || :
	shown "tail -n 2 $trace/trace      # kvm_harden:kvm_harden_switch"
	tail -n 2 $trace/trace 2>/dev/null | sed 's/^ *//' || :

	headline "The two are of one customer: one trust domain, nothing to flush."
	echo on >$harden/flush/mode
	for vm in "${harden_vms[@]}"; do
		echo 7 >"$harden/vms/$vm/domain"
	done
	shown "for vm in ${harden_vms[*]}; do echo 7 > $harden/vms/\$vm/domain; done; sleep $3"
	sleep 1
	before=$(harden_read)
	sleep "$3"
	harden_table "$3" "$before"
	shown "kvmmeter harden"
	"$2" harden
	harden_unload
	harden_pin "0-$cpu"
}
