/* SPDX-License-Identifier: GPL-2.0 */
/* Active memory: which share of its memory a VM uses, from samples of its pages. */
#ifndef _KVM_METER_ACTIVE_H
#define _KVM_METER_ACTIVE_H

#include <linux/atomic.h>
#include <linux/types.h>

#include <kvm_meter/abi.h>

struct meter_vm;

/* What the sampler knows of itself; files in active/. */
#define METER_ACTIVE(A)							\
	A(time_ns, "CPU time of the sampler")				\
	A(touches, "times it looked at a page")				\
	A(windows, "windows of all VMs that have ended")		\
	A(samples, "pages that were looked at in these")		\
	A(gone, "pages that were no memory any more at the end")	\
	A(waits, "windows that began later for want of budget")

enum meter_active {
#define A(name, desc) ACTIVE_##name,
	METER_ACTIVE(A)
#undef A
	METER_ACTIVE_COUNT
};

extern atomic64_t meter_active[METER_ACTIVE_COUNT];

int kvm_meter_active_init(void);
void kvm_meter_active_exit(void);
void kvm_meter_active_show(struct meter_vm *vm);
void kvm_meter_active_hide(struct meter_vm *vm);
void kvm_meter_active_pause(void);
void kvm_meter_active_resume(void);
void kvm_meter_active_read(struct meter_vm *vm, struct kvm_meter_memory *out);

#endif /* _KVM_METER_ACTIVE_H */
