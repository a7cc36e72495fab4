/* SPDX-License-Identifier: GPL-2.0 */
/*
 * On which CPUs a vCPU's thread spent its time, until somebody collects it. All
 * that a vCPU runs is in guest_ns and host_ns of its record already; what is done
 * here is to note them when the thread comes to another CPU. Nothing is done on
 * the entry and exit path, nor while a thread stays where it is.
 */
#ifndef _KVM_METER_RAN_H
#define _KVM_METER_RAN_H

#include <linux/types.h>

struct meter_vcpu;

struct meter_ran {
	u64 *ns;		/* by CPU; NULL: nobody collects it */
	unsigned long *touched;	/* CPUs whose ns is not 0 */
	u64 seen_ns;		/* guest_ns + host_ns that are in ns, or were collected */
	int cpu;		/* where the thread has been since then */
};

typedef bool (*ran_fn)(int cpu, u64 ns, void *arg);

int kvm_meter_ran_init(void);
void kvm_meter_ran_exit(void);

/* Under vcpu->lock. */
void kvm_meter_ran_begin(struct meter_vcpu *v, int cpu);
void kvm_meter_ran_move(struct meter_vcpu *v, int cpu);

void kvm_meter_ran_collect(struct meter_vcpu *v, ran_fn fn, void *arg);
void kvm_meter_ran_forget(struct meter_vcpu *v);

#endif /* _KVM_METER_RAN_H */
