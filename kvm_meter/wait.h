/* SPDX-License-Identifier: GPL-2.0 */
/* Changes of a vCPU's state, and its waits for a CPU; all under vcpu->lock. */
#ifndef _KVM_METER_WAIT_H
#define _KVM_METER_WAIT_H

#include <linux/atomic.h>

#include "account.h"
#include "registry.h"

void kvm_meter_wait(struct meter_vcpu *v, u64 now, u32 state);
void kvm_meter_woken(struct meter_vcpu *v, u64 now, u32 state);

/* The state has changed: does the VM have a vCPU more, or less, that waits? */
static inline void kvm_meter_moved(struct meter_vcpu *v)
{
	bool waits = account_waits(v->rec->state);

	if (likely(waits == v->waits))
		return;
	v->waits = waits;
	atomic_add(waits ? 1 : -1, &v->vm->waiting);
}

/* Does another vCPU of the VM wait for a CPU? @v itself does not, as it runs. */
static inline bool kvm_meter_others_wait(const struct meter_vcpu *v)
{
	return atomic_read(&v->vm->waiting) > 0;
}

/* account_move() to a state that is no wait */
static inline void kvm_meter_move(struct meter_vcpu *v, u64 now, u32 state)
{
	account_move(v->rec, now, state);
	kvm_meter_moved(v);
}

#endif /* _KVM_METER_WAIT_H */
