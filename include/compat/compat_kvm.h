/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_KVM_H
#define _COMPAT_KVM_H

#include <linux/kvm_host.h>
#include <linux/pid.h>

/*
 * The thread that ran a vCPU last, with a reference. The pointer is protected
 * by RCU in older kernels and by pid_lock in newer ones.
 */
static inline struct pid *compat_vcpu_pid_get(struct kvm_vcpu *vcpu)
{
	struct pid *pid;

#ifdef COMPAT_VCPU_PID_LOCK
	read_lock(&vcpu->pid_lock);
	pid = get_pid(vcpu->pid);
	read_unlock(&vcpu->pid_lock);
#else
	rcu_read_lock();
	pid = get_pid(rcu_dereference(vcpu->pid));
	rcu_read_unlock();
#endif
	return pid;
}

/* Sets of memory slots that a VM has: SMM may have its own. */
static inline int compat_address_spaces(struct kvm *kvm)
{
#ifdef COMPAT_ADDRESS_SPACES_MAX
	return kvm_arch_nr_memslot_as_ids(kvm);
#else
	return KVM_ADDRESS_SPACE_NUM;
#endif
}

/* What the low six bits of an entry that KVM makes may not be, by its own check. */
static inline u64 *compat_spte_check(struct kvm_mmu *mmu)
{
#ifdef COMPAT_SPTE_CHECK_FORMAT
	return &mmu->fmt.bad_mt_xwr;
#else
	return &mmu->shadow_zero_check.bad_mt_xwr;
#endif
}

#endif /* _COMPAT_KVM_H */
