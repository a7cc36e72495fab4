/* SPDX-License-Identifier: GPL-2.0 */
/* What the meter knows of its own faults. One line per counter. */
#ifndef _KVM_METER_HEALTH_H
#define _KVM_METER_HEALTH_H

#include <linux/atomic.h>
#include <linux/types.h>

#define METER_HEALTH(H)							\
	H(missed_hooks, "vCPUs whose end was found out late")		\
	H(unmatched, "exits without an entry, or entries without an exit") \
	H(vcpu_overflows, "vCPUs that found no slot")			\
	H(vm_overflows, "VMs that found no slot")			\
	H(owner_overflows, "owners that share the last line of kvm_meter_owner") \
	H(clock_backwards, "time stamps before the last one")		\
	H(unknown_reasons, "exits whose code has no name")		\
	H(unseen_devices, "network devices of VMs that cannot be counted") \
	H(unseen_workers, "kernel threads of VMs that cannot be counted") \
	H(cut_walks, "descriptor tables that were not looked at to their end") \
	H(torn_reads, "sysfs reads that had to show the last value")	\
	H(stat_resets, "times KVM's own exit statistic was set back")	\
	H(energy_gaps, "readings of energy that came too late, or could not be true")

enum meter_health {
#define H(name, desc) HEALTH_##name,
	METER_HEALTH(H)
#undef H
	METER_HEALTH_COUNT
};

extern atomic64_t meter_health[METER_HEALTH_COUNT];

static inline void health_count(enum meter_health what)
{
	atomic64_inc(&meter_health[what]);
}

#endif /* _KVM_METER_HEALTH_H */
