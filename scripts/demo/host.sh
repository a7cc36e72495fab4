#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# host.sh: the demo, on a KVM host of its own. Loads kvm_meter, starts two
# tenants with different lives, shows what each does with its time, and the whole
# bill of one; lets kvm_harden keep them apart on a core, and keep one of them off a
# page of its own; and shows what is on record after they have gone. `make demo`
# boots a disposable host for it; as root on a real one with QEMU, busybox-static
# and bpftool it shows the same.
#
# DEMO_SECONDS   length of the live part (20)
# DEMO_TTY=1     redraw the live table in place, in colour
# DEMO_SMALL=1   tenants of a few instructions each, not Linux in QEMU
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/demo/tenant.sh
. "$tree/scripts/demo/tenant.sh"
# shellcheck source=scripts/demo/bill.sh
. "$tree/scripts/demo/bill.sh"
# shellcheck source=scripts/demo/harden.sh
. "$tree/scripts/demo/harden.sh"
# shellcheck source=scripts/demo/zone.sh
. "$tree/scripts/demo/zone.sh"

seconds=${DEMO_SECONDS:-20}
kvmmeter=$tree/scripts/tools/kvmmeter
module=$tree/kvm_meter/kvm_meter.ko
harden_module=$tree/kvm_harden/kvm_harden.ko
work=$(mktemp -d)
loaded=0

headline() { printf '\n==> %s\n' "$*"; }
shown() { printf '\n# %s\n' "$*"; }

cleanup()
{
	tenants_stop
	harden_unload 2>/dev/null || :
	[ $loaded = 0 ] || rmmod kvm_meter 2>/dev/null || :
	rm -rf "$work"
}
trap cleanup EXIT

for need in "$kvmmeter" "$module" "$harden_module" /dev/kvm; do
	[ -e "$need" ] && continue
	echo "demo: $need is missing: build with 'make', load kvm_amd or kvm_intel" >&2
	exit 1
done

headline "A KVM host: Linux $(uname -r), $(nproc) CPUs. The meter goes in."
shown "insmod kvm_meter.ko"
insmod "$module"
loaded=1
printf 'kvm_meter %s is %s\n' "$(cat /sys/kernel/kvm_meter/version)" \
	"$(cat /sys/kernel/kvm_meter/status)"
# To look at a page takes an emulated CPU a thousand times as long as a real one.
if [ "${RIG_ACCEL:-kvm}" != kvm ]; then
	echo 50000 >/sys/module/kvm_meter/parameters/active_budget_ppm
fi

if [ "${DEMO_SMALL:-}" = 1 ]; then
	headline "Two tenants move in: guests of a few instructions, as a Linux boots too long here."
else
	headline "Two tenants move in: QEMU/KVM, each with a Linux and a disk of its own."
	tenant_image "$work"
fi
tenant_start "$work" tenant-busy 2 busy 7c1f0e5a-5d0c-4f7e-9a51-0b5e00000001
tenant_start "$work" tenant-sleepy 1 sleepy 7c1f0e5a-5d0c-4f7e-9a51-0b5e00000002
tenants_wait "$work" 180

headline "What they do with their time, live for $seconds seconds."
shown "kvmmeter top -d 4"
if [ "${DEMO_TTY:-0}" = 1 ]; then
	"$kvmmeter" top -d 1 -n "$seconds" --tty
else
	"$kvmmeter" top -d 4 -n $(((seconds + 3) / 4))
fi

headline "The records are BPF maps: any BPF tool reads them, field by field."
slot=$("$kvmmeter" slot tenant-busy)
# shellcheck disable=SC2086	# four bytes, four words
key=$(printf '%d %d 0 0' $((slot & 255)) $((slot >> 8)))
shown "bpftool map lookup name kvm_meter_vcpu key $key"
# shellcheck disable=SC2086
bpftool map lookup name kvm_meter_vcpu key $key >"$work/record"
bpftool map lookup name kvm_meter_info key 0 0 0 0 >"$work/names"
awk -f "$tree/scripts/demo/record.awk" "$work/names" "$work/record"

bill_act tenant-busy

harden_act "$harden_module" "$kvmmeter" 8 "${tenants[@]}"

if [ "${DEMO_SMALL:-}" != 1 ]; then
	zone_act "$harden_module" "$work/tenant-sleepy.console" "${tenants[1]}"
fi

headline "The tenants move out. Their final records stay, to send bills by."
tenants_stop
sleep 1
shown "kvmmeter ended"
"$kvmmeter" ended
headline "In plain words"
shown "kvmmeter explain"
"$kvmmeter" explain
shown "kvmmeter status | head -n 4"
"$kvmmeter" status | head -n 4 || :

headline "The meter goes, the host is as before."
shown "rmmod kvm_meter"
rmmod kvm_meter
loaded=0
cat <<END

On a host of yours: make && insmod kvm_meter/kvm_meter.ko, then
scripts/tools/kvmmeter top. VMs that run already are found; none is disturbed.
END
