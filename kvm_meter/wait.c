// SPDX-License-Identifier: GPL-2.0
#include "wait.h"

#include <linux/kvm_host.h>
#include <asm/kvm_para.h>

#include "reason.h"

/*
 * What the guest can make of a wait that begins. It has halted the vCPU if the
 * last exit was for HLT and no entry followed. Its steal clock, once it has
 * given KVM a page for it, says that the vCPU does not run, and afterwards for
 * how long it did not.
 */
static u32 wait_kind(const struct meter_vcpu *v)
{
	u32 kind = 0;

	if (!(READ_ONCE(v->vcpu->arch.st.msr_val) & KVM_MSR_ENABLED))
		kind |= KVM_METER_WAIT_STARVED;
	if (v->exit_ns && !v->late_exit && v->reason == meter_reason(v->rec, meter_code_hlt))
		kind |= KVM_METER_WAIT_IDLE;
	return kind;
}

/**
 * kvm_meter_wait() - The thread has lost its CPU and is runnable
 * @v: vCPU
 * @now: meter clock
 * @state: KVM_METER_STEAL or KVM_METER_THROTTLED
 *
 * Context: vcpu->lock held.
 */
void kvm_meter_wait(struct meter_vcpu *v, u64 now, u32 state)
{
	lockdep_assert_held(&v->lock);
	account_wait(v->rec, now, state, wait_kind(v), false);
	kvm_meter_moved(v);
}

/**
 * kvm_meter_woken() - The thread slept and has been woken
 * @v: vCPU
 * @now: meter clock
 * @state: KVM_METER_STEAL or KVM_METER_THROTTLED
 *
 * Context: vcpu->lock held.
 */
void kvm_meter_woken(struct meter_vcpu *v, u64 now, u32 state)
{
	lockdep_assert_held(&v->lock);
	account_wait(v->rec, now, state, wait_kind(v), true);
	kvm_meter_moved(v);
	v->woken_ns = now;
}
