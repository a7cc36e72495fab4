/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where vCPUs run: what else is on their core meanwhile, and whether that is what
 * their guest was promised.
 */
#ifndef _KVM_METER_PLACE_H
#define _KVM_METER_PLACE_H

#include <linux/percpu.h>
#include <linux/types.h>

#include "registry.h"

struct kvm_vcpu;

/* Who has a CPU: a VM by its id, or one of these. */
#define LOAD_HOST	0
#define LOAD_IDLE	U64_MAX

/* What a CPU does; written there, with interrupts off. */
struct meter_load {
	u64 who;
	struct meter_vcpu *v;		/* the vCPU whose thread has the CPU */
};

DECLARE_PER_CPU_ALIGNED(struct meter_load, meter_load);

extern bool meter_smt;			/* CPUs of this host have siblings */

int kvm_meter_place_init(void);
void kvm_meter_place_start(void);
void kvm_meter_place_promise(struct meter_vcpu *v, const struct kvm_vcpu *vcpu);
void kvm_meter_place_in(struct meter_vcpu *v);
void kvm_meter_place_out(struct meter_vcpu *v);
void kvm_meter_place_switched(struct meter_vcpu *was, struct meter_vcpu *v, bool idle);
void kvm_meter_place_settle(struct meter_vcpu *v);
void kvm_meter_place_upto(struct meter_vcpu *v, u64 guest_ns);

/* The thread of @v has this CPU, and not for the first time since it got it. */
static inline bool kvm_meter_placed(const struct meter_vcpu *v)
{
	return this_cpu_read(meter_load.v) == v && v->on_cpu == smp_processor_id();
}

#endif /* _KVM_METER_PLACE_H */
