/* SPDX-License-Identifier: GPL-2.0 */
/* Where the meter calls its guard; the public header says what for. */
#ifndef _KVM_METER_GUARD_CALLS_H
#define _KVM_METER_GUARD_CALLS_H

#include <linux/jump_label.h>
#include <linux/smp.h>

#include <kvm_meter/guard.h>

#include "registry.h"

extern const struct kvm_meter_guard *meter_guard;
DECLARE_STATIC_KEY_FALSE(meter_guard_key);

/* A vCPU that found no slot for itself may belong to a VM that has one. */
u32 kvm_meter_guard_slot_of(const struct kvm_vcpu *vcpu);

/* The three on the way into and out of a guest; the first while it is enabled. */
static inline void guard_enter(struct kvm_vcpu *vcpu, const struct meter_vcpu *v)
{
	if (v)
		READ_ONCE(meter_guard)->enter(vcpu, v->vm - meter_vms, v->rec);
	else
		READ_ONCE(meter_guard)->enter(vcpu, kvm_meter_guard_slot_of(vcpu), NULL);
}

static inline bool guard_entered(struct kvm_vcpu *vcpu, u64 now)
{
	if (static_branch_unlikely(&meter_guard_key))
		return READ_ONCE(meter_guard)->entered(vcpu, now);
	return true;
}

static inline void guard_exited(struct kvm_vcpu *vcpu, int cpu, u64 at)
{
	if (static_branch_unlikely(&meter_guard_key))
		READ_ONCE(meter_guard)->exited(vcpu, cpu, at);
}

/* A VM's life. */
void kvm_meter_guard_restart(void);
void kvm_meter_guard_born(const struct meter_vm *vm);
void kvm_meter_guard_ended(const struct kvm *kvm, u32 slot, u64 id);
void kvm_meter_guard_show(const struct meter_vm *vm);
void kvm_meter_guard_hide(const struct meter_vm *vm);
bool kvm_meter_guard_enabled(void);

#endif /* _KVM_METER_GUARD_CALLS_H */
