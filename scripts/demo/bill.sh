# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# bill.sh: the act of the demo about the whole bill of a tenant: what it used beside
# its vCPUs, of memory, disks and networks, and what became of its vCPUs' waits. To be
# sourced; uses headline() and shown() of host.sh.

# bill_act NAME: of the tenant of that name.
bill_act()
{
	local dir what
	dir=$(dirname "$(grep -lx "$1" /sys/kernel/kvm_meter/vms/*/comm)")
	headline "The whole bill of $1: CPU time for it anywhere, I/O, memory, waits."
	what='{guest,host,vmm,vhost,irq,cost}_ns disk_*_bytes net_*_bytes'
	shown "cd $dir; grep . $what"
	(cd "$dir" && eval "grep . $what")
	what='active{,_error}_bytes active_window_ms {memory,huge,rss}_bytes'
	shown "grep . $what"
	if [ -e "$dir/active_bytes" ]; then
		(cd "$dir" && eval "grep . $what")
	else
		echo "(known after the first window, of $(
			cat /sys/module/kvm_meter/parameters/active_window_ms) ms)"
	fi
	what='waits starved_ns steal_idle_ns wait_hist topology_honest'
	shown "grep . $what"
	(cd "$dir" && eval "grep . $what")
	[ -e "$dir/energy_uj" ] ||
		echo "(There is no energy_uj: this host does not count its energy.)"
}
