/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which vCPUs a guest takes for siblings of one core, by its CPUID. Pure: no kernel
 * interfaces; selftests/unit/ compiles it on the host.
 */
#ifndef _KVM_METER_PROMISE_H
#define _KVM_METER_PROMISE_H

#include <linux/kvm.h>
#include <linux/types.h>

#ifndef __KERNEL__
#include <stdbool.h>
#endif

unsigned int promise_shift(const struct kvm_cpuid_entry2 *entries, int nr);

/* APIC ids, which are KVM's ids of the vCPUs. A shift of 0: no core has siblings. */
static inline bool promise_siblings(unsigned int shift, __u32 a, __u32 b)
{
	return shift && a >> shift == b >> shift;
}

#endif /* _KVM_METER_PROMISE_H */
