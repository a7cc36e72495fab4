// SPDX-License-Identifier: GPL-2.0
/* What happens when a guest reaches into a zone. */
#include <linux/kvm_host.h>
#include <linux/preempt.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include <kvm_meter/guard.h>

#include "hook_mmu.h"
#include "trace.h"
#include "zone.h"

/* KVM goes on as without us. */
#define GO_ON	(-1)
/* What kvm_mmu_page_fault() returns to have the VMM see the exit, or the guest go on. */
#define TO_VMM	0
#define RESUME	1

/*
 * QEMU pauses the VM on this one whatever the guest was doing; an emulation
 * failure in user mode it would let go on.
 */
#define SUBERROR	KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON

/* One access that is denied. */
struct access {
	struct kvm_vcpu *vcpu;
	u64 gpa, rip;
	u32 kind;			/* ZONE_R, ZONE_W or ZONE_X */
};

static u32 kind_of(u64 error_code)
{
	if (error_code & PFERR_FETCH_MASK)
		return ZONE_X;
	return error_code & PFERR_WRITE_MASK ? ZONE_W : ZONE_R;
}

/* Where the guest is; its VMCS is on this CPU as long as we are. */
static u64 guest_rip(struct kvm_vcpu *vcpu)
{
	u64 rip = 0;

	if (!harden_kvm.ept)
		return (*(struct vmcb **)(vcpu + 1))->save.rip;
	preempt_disable();
	asm volatile("vmread %1, %0" : "=rm" (rip) : "r" ((unsigned long)GUEST_RIP) : "cc");
	preempt_enable();
	return rip;
}

static void record(struct nogo *zone, const struct access *a)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&zone->lock, flags);
	zone->violations++;
	zone->last_gpa = a->gpa;
	zone->last_rip = a->rip;
	zone->last_access = a->kind;
	zone->last_vcpu = a->vcpu->vcpu_id;
	zone->last_ns = kvm_meter_guard_clock();
	raw_spin_unlock_irqrestore(&zone->lock, flags);
	trace_kvm_harden_violation(zone->vm->id, a->vcpu->vcpu_id, a->gpa, a->kind, a->rip,
				   zone->id, zone->spec.action);
}

static bool hit(const struct nogo *zone, const struct access *a)
{
	u64 gfn = a->gpa >> PAGE_SHIFT;

	return gfn >= zone->start && gfn < zone->end && (zone->spec.deny & a->kind) &&
	       READ_ONCE(zone->state) == ZONE_ARMED;
}

/* The gravest wins; in the order of enum zone_action but for the first two. */
static int gravity(enum zone_action action)
{
	static const int order[ZONE_ACTIONS] = {
		[ZONE_LOG] = 1, [ZONE_FAULT] = 2, [ZONE_STOP] = 3, [ZONE_KILL] = 4,
	};

	return order[action];
}

/* What is to be done about it, by all zones that are concerned; -1: none is. */
static int decide(const struct zone_vm *vm, const struct access *a)
{
	struct nogo *zone;
	int action = -1;

	list_for_each_entry_rcu(zone, &vm->zones, link)
		if (hit(zone, a) && (action < 0 || gravity(zone->spec.action) > gravity(action)))
			action = zone->spec.action;
	return action;
}

static void record_all(const struct zone_vm *vm, const struct access *a)
{
	struct nogo *zone;

	list_for_each_entry_rcu(zone, &vm->zones, link)
		if (hit(zone, a))
			record(zone, a);
}

/* All of them are log zones. Who comes while one is being opened is not counted. */
static void open_all(const struct zone_vm *vm, const struct access *a)
{
	struct nogo *zone;

	list_for_each_entry_rcu(zone, &vm->zones, link)
		if (hit(zone, a) && kvm_harden_zone_log(zone))
			record(zone, a);
}

static int stop(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = SUBERROR;
	run->internal.ndata = 0;
	return TO_VMM;
}

/* #GP, unless the CPU was delivering an event, which would be lost. */
static int fault(struct kvm_vcpu *vcpu)
{
	struct kvm_queued_exception *ex = &vcpu->arch.exception;

	if (ex->pending || ex->injected || vcpu->arch.nmi_injected ||
	    vcpu->arch.interrupt.injected)
		return stop(vcpu);
	ex->vector = GP_VECTOR;
	ex->has_error_code = vcpu->arch.cr0 & X86_CR0_PE;
	ex->error_code = 0;
	ex->has_payload = false;
	ex->payload = 0;
	ex->pending = true;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return RESUME;
}

static int act(const struct zone_vm *vm, const struct access *a, int action)
{
	if (action != ZONE_LOG)
		record_all(vm, a);
	switch (action) {
	case ZONE_KILL:
		send_sig(SIGKILL, current, 1);
		return RESUME;
	case ZONE_FAULT:
		return fault(a->vcpu);
	case ZONE_LOG:
		open_all(vm, a);
		return RESUME;
	default:
		return stop(a->vcpu);
	}
}

/*
 * Called in place of kvm_mmu_page_fault(), in the thread of the vCPU. A nested
 * guest's address is not the VM's: what it cannot reach has no mapping in the
 * VMM, and KVM_RUN fails.
 */
int kvm_harden_on_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 error_code)
{
	struct access a = { .vcpu = vcpu, .gpa = gpa, .kind = kind_of(error_code) };
	const struct zone_vm *vm;
	int ret = GO_ON, action;
	bool wait;
	u32 deny;

	if (vcpu->stat.guest_mode)
		return GO_ON;
	rcu_read_lock();
	vm = kvm_harden_zone_vm(vcpu->kvm);
	if (!vm)
		goto unlock;
	deny = kvm_harden_zone_denied(vm, gpa >> PAGE_SHIFT, (gpa >> PAGE_SHIFT) + 1, &wait);
	if (!(deny & a.kind))
		goto unlock;
	/* In the middle of a change the guest tries again. */
	ret = RESUME;
	if (wait)
		goto unlock;
	a.rip = guest_rip(vcpu);
	action = decide(vm, &a);
	if (action >= 0)
		ret = act(vm, &a, action);
unlock:
	rcu_read_unlock();
	return ret;
}

/**
 * kvm_harden_mmio_violation() - An access that KVM's emulator could not do
 * @vcpu: vCPU, run by the current thread
 * @gpa: where
 * @len: bytes
 * @kind: ZONE_R or ZONE_W
 *
 * KVM takes memory that it cannot reach for MMIO, and would have the VMM do it.
 *
 * Context: may not sleep.
 * Return: whether it is in a zone, so that the VMM must not do it.
 */
bool kvm_harden_mmio_violation(struct kvm_vcpu *vcpu, u64 gpa, unsigned int len, u32 kind)
{
	struct access a = { .vcpu = vcpu, .kind = kind };
	u64 first = gpa >> PAGE_SHIFT, last = (gpa + len - 1) >> PAGE_SHIFT;
	const struct zone_vm *vm;
	bool wait, denied = false;

	rcu_read_lock();
	vm = kvm_harden_zone_vm(vcpu->kvm);
	if (vm && (kvm_harden_zone_denied(vm, first, last + 1, &wait) & kind)) {
		bool in_first = kvm_harden_zone_denied(vm, first, first + 1, &wait) & kind;

		a.gpa = in_first ? gpa : last << PAGE_SHIFT;
		a.rip = guest_rip(vcpu);
		record_all(vm, &a);
		if (decide(vm, &a) == ZONE_KILL)
			send_sig(SIGKILL, current, 1);
		denied = true;
	}
	rcu_read_unlock();
	return denied;
}

/* vcpu->mutex held. Return: whether there was an exit to take from the VMM. */
bool kvm_harden_mmio_stop(struct kvm_vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_MMIO || !vcpu->mmio_needed)
		return false;
	vcpu->mmio_needed = 0;
	vcpu->mmio_nr_fragments = 0;
	vcpu->arch.complete_userspace_io = NULL;
	memset(&vcpu->run->mmio, 0, sizeof(vcpu->run->mmio));
	stop(vcpu);
	return true;
}
