// SPDX-License-Identifier: GPL-2.0
/*
 * Entries and exits that are not the plain case: the first after the thread
 * was switched in, another thread than last time, an exit whose event comes
 * late, a vCPU that is not known yet.
 */
#include "hook_slow.h"

#include <linux/kvm_host.h>
#include <linux/math64.h>
#include <linux/sched.h>

#include "account.h"
#include "clock.h"
#include "guard_calls.h"
#include "health.h"
#include "hooks.h"
#include "place.h"
#include "reason.h"
#include "registry.h"
#include "retire.h"
#include "wait.h"

enum meter_exit_style meter_exit_style;
bool meter_fast_path_ready;
bool meter_probes_settled;
bool meter_closing;

/**
 * kvm_meter_late_exit_ns() - Time of the exit whose event comes late
 * @vcpu: vCPU that has exited
 * @now: meter clock
 *
 * KVM keeps the exit's time stamp as the guest's TSC. Where that runs at the
 * host's rate the offset is taken off again; otherwise what has passed since
 * is scaled back. AMD's ratio is a fixed-point number with 32 fractional bits
 * (APM volume 2, 15.30.5).
 */
u64 kvm_meter_late_exit_ns(const struct kvm_vcpu *vcpu, u64 now)
{
	u64 ratio = vcpu->arch.l1_tsc_scaling_ratio;
	u64 stamp = vcpu->arch.last_guest_tsc - vcpu->arch.l1_tsc_offset;
	u64 tsc, since, ns;

	if (meter_exit_style == METER_EXIT_EARLY)
		return now;
	if (ratio != 1ull << 32) {
		tsc = rdtsc();
		since = mul_u64_u64_shr(tsc, ratio, 32) - stamp;
		/*
		 * The stamp is of another offset if the guest has set its TSC since.
		 * The division would trap: its result has more than 64 bits.
		 */
		if (since >> 32 >= ratio)
			return now;
		stamp = tsc - mul_u64_u64_div_u64(since, 1ull << 32, ratio);
	}
	ns = meter_clock_from_tsc(stamp);
	return ns > now ? now : ns;
}

/**
 * kvm_meter_exit_spin() - An exit for PAUSE on the fast path
 * @code: exit code
 * @now: meter clock at the exit
 *
 * The guest spins. Does it spin on somebody who cannot go on, for want of a CPU?
 *
 * Context: the exit path, of the vCPU that this CPU's record is for.
 */
void kvm_meter_exit_spin(u64 code, u64 now)
{
	const struct meter_cpu *c = this_cpu_ptr(&meter_cpu);
	struct kvm_meter_reason *reason = meter_reason(c->rec, code);

	this_cpu_write(meter_cpu.reason, reason);
	account_exit_spin(c->rec, reason, now, kvm_meter_others_wait(c->v));
}

/* A trust domain's exit code is not the host's to read. */
static bool exit_code_hidden(const struct kvm_vcpu *vcpu)
{
#ifdef KVM_X86_TDX_VM
	return vcpu->kvm->arch.vm_type == KVM_X86_TDX_VM;
#else
	return false;
#endif
}

/* Forget what this CPU's fast path holds, unless it is @vcpu. */
static void cpu_make_room(struct meter_cpu *c, const struct kvm_vcpu *vcpu)
{
	struct meter_vcpu *v = c->v;

	if (!c->key || kvm_meter_cpu_vcpu(c) == vcpu)
		return;
	raw_spin_lock(&v->lock);
	if (kvm_meter_cpu_vcpu(c) == v->vcpu)
		kvm_meter_cpu_release(v);
	raw_spin_unlock(&v->lock);
	c->key = NULL;
}

/* This thread ran another vCPU before: nobody runs that one now. */
static void task_leave_other(const struct meter_vcpu *v)
{
	struct meter_vcpu *other = kvm_meter_find_task(current);

	if (!other || other == v)
		return;
	raw_spin_lock(&other->lock);
	if (other->task == current) {
		kvm_meter_cpu_release(other);
		kvm_meter_task_unmap(other);
		kvm_meter_place_out(other);
		kvm_meter_move(other, meter_clock(), KVM_METER_IDLE);
	}
	raw_spin_unlock(&other->lock);
}

/*
 * What the guard does is the time of the vCPU that enters, as the host's: not
 * that of the one which this thread ran before, nor a rest that ends only now.
 */
static void ask_guard(struct kvm_vcpu *vcpu, struct meter_vcpu *v)
{
	task_leave_other(v);
	if (v) {
		raw_spin_lock(&v->lock);
		if (v->rec->state != KVM_METER_HOST && v->rec->state != KVM_METER_GUEST)
			kvm_meter_move(v, meter_clock(), KVM_METER_HOST);
		raw_spin_unlock(&v->lock);
	}
	guard_enter(vcpu, v);
}

static struct meter_vcpu *meet(struct kvm_vcpu *vcpu)
{
	struct meter_vcpu *v = kvm_meter_find_vcpu(vcpu);

	/* The hook on the end of a VM was missed, and its memory used again. */
	if (unlikely(v && v->vm->kvm != vcpu->kvm)) {
		health_count(HEALTH_missed_hooks);
		kvm_meter_vm_end(v->vm->kvm);
		v = NULL;
	}
	if (!v)
		v = kvm_meter_vcpu_add(vcpu, current, NULL, KVM_METER_HOST, 0);
	return v;
}

void kvm_meter_entry_slow(void *data, struct kvm_vcpu *vcpu)
{
	struct meter_cpu *c = this_cpu_ptr(&meter_cpu);
	struct kvm_meter_vcpu *rec;
	bool fast, first, placed = false;
	struct meter_vcpu *v;
	u64 now;

	cpu_make_room(c, vcpu);
	v = meet(vcpu);
	if (static_branch_unlikely(&meter_guard_key))
		ask_guard(vcpu, v);
again:
	task_leave_other(v);
	if (!v) {
		guard_entered(vcpu, meter_clock());
		return;
	}

	raw_spin_lock(&v->lock);
	rec = v->rec;
	now = meter_clock();
	kvm_meter_cpu_release(v);
	/* While the probes are removed an entry may be one that no exit followed. */
	if (READ_ONCE(meter_closing))
		goto unlock;
	if (v->task != current) {
		/*
		 * The thread before may still be on its CPU: what it ran there is in the
		 * vCPU's times. It is there, as its last switch takes it off under this lock.
		 */
		if (v->task)
			v->task_ns = max(v->task_ns, READ_ONCE(v->task->se.sum_exec_runtime));
		kvm_meter_task_unmap(v);
		v->woken_ns = 0;
		if (!kvm_meter_task_map(v, current)) {
			raw_spin_unlock(&v->lock);
			goto again;
		}
	}
	if (now < rec->since_ns)
		health_count(HEALTH_clock_backwards);
	/* The last entry failed: KVM counts an exit, which refresh sees. */
	if (rec->state == KVM_METER_GUEST)
		account_failed_entry(rec);
	kvm_meter_ran_move(v, smp_processor_id());
	if (rec->cpu != smp_processor_id()) {
		rec->cpu = smp_processor_id();
		if (v->entered)
			rec->migrations++;
	}
	first = !v->entered;
	if (first) {
		kvm_meter_place_promise(v, vcpu);
		v->kvm_exits_base = vcpu->stat.exits - rec->exits;
		v->kvm_exits_seen = vcpu->stat.exits;
		v->entered = true;
	} else {
		kvm_meter_vcpu_refresh(v);
	}

	/* Its thread may have got the CPU before it was known what its guest was promised. */
	placed = first || !kvm_meter_placed(v);
	if (placed)
		kvm_meter_place_in(v);

	/* The fast path does not check for a clock that stands before since_ns. */
	fast = rec->since_ns <= now && READ_ONCE(meter_fast_path_ready) && !exit_code_hidden(vcpu);
	if (fast) {
		v->key_cpu = smp_processor_id();
		c->v = v;
		c->rec = rec;
		c->reason = NULL;
		WRITE_ONCE(c->key, vcpu);
	}
	/* The key first: who changes the guard's mind from now on tags it. */
	if (static_branch_unlikely(&meter_guard_key)) {
		if (!guard_entered(vcpu, now) && fast)
			kvm_meter_cpu_tag(c);
		now = meter_clock();
	}

	account_begin(rec);
	rec->entries++;
	account_charge(rec, now);
	rec->state = KVM_METER_GUEST;
	if (v->woken_ns)
		rec->wake_hist[kvm_meter_hist_bucket(now > v->woken_ns ? now - v->woken_ns : 0)]++;
	v->woken_ns = 0;
	/* An exit whose event never came has no reason that time could go to. */
	if (v->exit_ns && !v->late_exit) {
		account_reason_time(v->reason, now > v->exit_ns ? now - v->exit_ns : 0);
		/* What came after the loss of its CPU, the interrupt did not take. */
		if (v->out_ns && now > v->out_ns && meter_reason_is_irq(rec, v->reason))
			v->irq_out_ns += now - max(v->out_ns, v->exit_ns);
	}
	v->exit_ns = 0;
	v->out_ns = 0;
	v->late_exit = false;
	account_end(rec);
	kvm_meter_moved(v);
unlock:
	raw_spin_unlock(&v->lock);
	if (placed)
		kvm_meter_place_switched(NULL, v, false);
}

void kvm_meter_exit_slow(void *data, struct kvm_vcpu *vcpu, u64 code)
{
	struct kvm_meter_reason *reason;
	struct kvm_meter_vcpu *rec;
	struct meter_vcpu *v;
	unsigned long flags;
	u64 now, exit_ns;

	if (unlikely(meter_exit_style == METER_EXIT_UNKNOWN)) {
		/* SVM only: does this kernel fire the event early or late? */
		WRITE_ONCE(meter_exit_style,
			   irqs_disabled() ? METER_EXIT_EARLY : METER_EXIT_LATE);
		kvm_meter_retire_kick();
	}
	if (unlikely(exit_code_hidden(vcpu)))
		code = REASON_CODES;

	/* Before anything that takes time: it is not the guest's. */
	now = meter_clock();
	exit_ns = kvm_meter_late_exit_ns(vcpu, now);
	v = kvm_meter_find_vcpu(vcpu);
	/* The event may come late: not on the CPU that the guest ran on. */
	if (static_branch_unlikely(&meter_guard_key))
		guard_exited(vcpu, v ? (int)v->rec->cpu : raw_smp_processor_id(), exit_ns);
	if (!v)
		return;
	raw_spin_lock_irqsave(&v->lock, flags);
	rec = v->rec;
	if (v->vcpu != vcpu || !v->entered)
		goto unlock;

	kvm_meter_cpu_release(v);
	reason = kvm_meter_reason_any(rec, code);
	if (v->late_exit) {
		/* Switched out between exit and event: all but the reason is done. */
		exit_ns = v->exit_ns;
		v->late_exit = false;
		account_begin(rec);
		reason->count++;
		rec->spin_exits += code == meter_code_pause;
		account_end(rec);
	} else if (rec->state == KVM_METER_GUEST) {
		account_begin(rec);
		rec->exits++;
		reason->count++;
		if (code == meter_code_pause) {
			rec->spin_exits++;
			rec->spin_on_preempted += kvm_meter_others_wait(v);
		}
		kvm_meter_charge(account_head(rec), exit_ns);
		rec->state = KVM_METER_HOST;
		account_end(rec);
	} else {
		/* Two probes see each exit while they are being exchanged. */
		if (READ_ONCE(meter_probes_settled))
			health_count(HEALTH_unmatched);
		goto unlock;
	}
	v->reason = reason;
	v->exit_ns = exit_ns ?: 1;
unlock:
	raw_spin_unlock_irqrestore(&v->lock, flags);
}

