// SPDX-License-Identifier: GPL-2.0
/*
 * The entry and exit path. See Documentation/design.rst, "The two paths": as
 * long as a vCPU's thread keeps its CPU, meter_cpu says which record is its,
 * and a hook needs neither a look-up nor a lock. Everything else, first of all
 * the first entry after the thread was switched in, takes the slow path.
 */
#include "hooks.h"

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/math64.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <asm/svm.h>

#include "account.h"
#include "clock.h"
#include "health.h"
#include "reason.h"
#include "registry.h"
#include "retire.h"

/* Defined by kvm.ko; its trace.h is not among the kernel headers. */
extern struct tracepoint __tracepoint_kvm_entry;
extern struct tracepoint __tracepoint_kvm_exit;

/* VM_EXIT_REASON of the current VMCS; SDM volume 3, appendix B.3.1. */
#define VMCS_EXIT_REASON	0x4402

/*
 * Kernels before 6.7 fire SVM's exit event with interrupts on again, long after
 * the exit. The exit time is then the one that KVM stamped.
 */
enum { EXIT_UNKNOWN, EXIT_EARLY, EXIT_LATE };
static int exit_style;
static bool fast_path_ready;
static DEFINE_STATIC_KEY_FALSE(exit_is_late);

static enum kvm_meter_vendor hooked;

static __always_inline u64 vmx_exit_code(void)
{
	unsigned long value;

	asm volatile("vmread %1, %0" : "=rm" (value) : "r" ((unsigned long)VMCS_EXIT_REASON) : "cc");
	return value & 0xffff;
}

/* The member after vcpu in struct vcpu_svm; vendor.c has checked it. */
static __always_inline u64 svm_exit_code(const struct kvm_vcpu *vcpu)
{
	const struct vmcb *vmcb = *(struct vmcb **)(vcpu + 1);

	return vmcb->control.exit_code;
}

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
	u64 tsc, scaled, ns;

	if (exit_style == EXIT_EARLY)
		return now;
	if (ratio != 1ull << 32) {
		tsc = rdtsc();
		scaled = mul_u64_u64_shr(tsc, ratio, 32);
		stamp = tsc - mul_u64_u64_div_u64(scaled - stamp, 1ull << 32, ratio ?: 1);
	}
	ns = meter_clock_from_tsc(stamp);
	return ns > now ? now : ns;
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

	if (!c->key || c->key == vcpu)
		return;
	raw_spin_lock(&v->lock);
	if (c->key == v->vcpu)
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
		account_move(other->rec, meter_clock(), KVM_METER_IDLE);
	}
	raw_spin_unlock(&other->lock);
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

static noinline void entry_slow(struct kvm_vcpu *vcpu)
{
	struct meter_cpu *c = this_cpu_ptr(&meter_cpu);
	struct kvm_meter_vcpu *rec;
	struct meter_vcpu *v;
	u64 now;

	cpu_make_room(c, vcpu);
	v = meet(vcpu);
	task_leave_other(v);
	if (!v)
		return;

	raw_spin_lock(&v->lock);
	rec = v->rec;
	now = meter_clock();
	kvm_meter_cpu_release(v);
	if (v->task != current) {
		kvm_meter_task_unmap(v);
		kvm_meter_task_map(v, current);
		rec->tid = current->pid;
	}
	if (now < rec->since_ns)
		health_count(HEALTH_clock_backwards);
	/* An entry that failed: KVM counts it as an exit, and so does refresh. */
	if (rec->state == KVM_METER_GUEST)
		rec->state = KVM_METER_HOST;
	if (rec->cpu != smp_processor_id()) {
		rec->cpu = smp_processor_id();
		if (v->entered)
			rec->migrations++;
	}
	if (!v->entered) {
		v->kvm_exits_base = vcpu->stat.exits - rec->exits;
		v->entered = true;
	} else {
		kvm_meter_vcpu_refresh(v);
	}

	rec->entries++;
	barrier();
	kvm_meter_charge(account_head(rec), now);
	rec->state = KVM_METER_GUEST;
	if (v->exit_ns)
		account_reason_time(v->reason, now > v->exit_ns ? now - v->exit_ns : 0);
	v->exit_ns = 0;
	v->late_exit = false;
	account_end(rec);

	/* The fast path does not check for a clock that stands before since_ns. */
	if (rec->since_ns <= now && READ_ONCE(fast_path_ready) && !exit_code_hidden(vcpu)) {
		v->key_cpu = smp_processor_id();
		c->v = v;
		c->rec = rec;
		c->reason = NULL;
		WRITE_ONCE(c->key, vcpu);
	}
	raw_spin_unlock(&v->lock);
}

static noinline void exit_slow(struct kvm_vcpu *vcpu, u64 code)
{
	struct kvm_meter_reason *reason;
	struct kvm_meter_vcpu *rec;
	struct meter_vcpu *v;
	unsigned long flags;
	u64 now, exit_ns;

	if (unlikely(exit_style == EXIT_UNKNOWN)) {
		/* SVM only: does this kernel fire the event early or late? */
		WRITE_ONCE(exit_style, irqs_disabled() ? EXIT_EARLY : EXIT_LATE);
		kvm_meter_retire_kick();
	}
	if (unlikely(exit_code_hidden(vcpu)))
		code = REASON_CODES;

	v = kvm_meter_find_vcpu(vcpu);
	if (!v)
		return;
	raw_spin_lock_irqsave(&v->lock, flags);
	rec = v->rec;
	if (v->vcpu != vcpu || !v->entered)
		goto unlock;

	kvm_meter_cpu_release(v);
	now = meter_clock();
	exit_ns = kvm_meter_late_exit_ns(vcpu, now);
	reason = kvm_meter_reason_any(rec, code);
	if (v->late_exit) {
		/* Switched out between exit and event: the time is charged. */
		exit_ns = v->exit_ns;
		v->late_exit = false;
	} else if (rec->state != KVM_METER_GUEST) {
		health_count(HEALTH_unmatched);
	}
	rec->exits++;
	barrier();
	if (rec->state == KVM_METER_GUEST) {
		kvm_meter_charge(account_head(rec), exit_ns);
		rec->state = KVM_METER_HOST;
	}
	reason->count++;
	account_end(rec);
	v->reason = reason;
	v->exit_ns = exit_ns ?: 1;
unlock:
	raw_spin_unlock_irqrestore(&v->lock, flags);
}

/*
 * The probes of the fast path. notrace, and everything else a tail call, so
 * that they need no stack: each instruction here is paid at every exit.
 */
static __always_inline bool on_fast_path(const struct kvm_vcpu *vcpu)
{
	return likely(this_cpu_read(meter_cpu.key) == vcpu);
}

static notrace void probe_entry(void *data, struct kvm_vcpu *vcpu, bool immediate_exit)
{
	struct kvm_meter_vcpu *rec;

	if (!on_fast_path(vcpu)) {
		entry_slow(vcpu);
		return;
	}
	rec = this_cpu_read(meter_cpu.rec);
	if (unlikely(rec->state != KVM_METER_HOST)) {
		entry_slow(vcpu);
		return;
	}
	account_entry_fast(rec, this_cpu_read(meter_cpu.reason), meter_clock());
}

static __always_inline void exit_fast(u64 code, u64 now)
{
	struct kvm_meter_vcpu *rec = this_cpu_read(meter_cpu.rec);
	struct kvm_meter_reason *reason = meter_reason(rec, code);

	this_cpu_write(meter_cpu.reason, reason);
	account_exit_fast(rec, reason, now);
}

static notrace void probe_exit_vmx(void *data, struct kvm_vcpu *vcpu, u32 isa)
{
	u64 code = vmx_exit_code();

	if (on_fast_path(vcpu) && likely(code < REASON_CODES))
		exit_fast(code, meter_clock());
	else
		exit_slow(vcpu, code);
}

static __always_inline bool is_scaled(const struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.l1_tsc_scaling_ratio != 1ull << 32);
}

static notrace void probe_exit_svm(void *data, struct kvm_vcpu *vcpu, u32 isa)
{
	u64 code = svm_exit_code(vcpu);

	if (!on_fast_path(vcpu))
		goto slow;
	if (unlikely(code >= REASON_CODES))
		goto slow;
	if (static_branch_unlikely(&exit_is_late)) {
		if (is_scaled(vcpu))
			goto slow;
		exit_fast(code, meter_clock_from_tsc(vcpu->arch.last_guest_tsc -
						     vcpu->arch.l1_tsc_offset));
	} else {
		exit_fast(code, meter_clock());
	}
	return;

slow:
	exit_slow(vcpu, code);
}

/**
 * kvm_meter_hook_exit_settle() - Make the fast path follow what was found out
 *
 * Context: process. Until it is done every vCPU stays on the slow path.
 */
void kvm_meter_hook_exit_settle(void)
{
	if (exit_style == EXIT_LATE)
		static_branch_enable(&exit_is_late);
	if (exit_style != EXIT_UNKNOWN)
		WRITE_ONCE(fast_path_ready, true);
}

static void *exit_probe(enum kvm_meter_vendor vendor)
{
	return vendor == KVM_METER_VENDOR_INTEL ? (void *)probe_exit_vmx : (void *)probe_exit_svm;
}

/**
 * kvm_meter_hook_exit_add() - Start to record entries and exits
 * @vendor: whose KVM it is
 *
 * Context: process.
 */
int kvm_meter_hook_exit_add(enum kvm_meter_vendor vendor)
{
	int ret;

	if (vendor == KVM_METER_VENDOR_INTEL) {
		exit_style = EXIT_EARLY;
		fast_path_ready = true;
	}
	hooked = vendor;
	ret = tracepoint_probe_register(&__tracepoint_kvm_exit, exit_probe(vendor), NULL);
	if (ret)
		return ret;
	ret = tracepoint_probe_register(&__tracepoint_kvm_entry, probe_entry, NULL);
	if (ret)
		tracepoint_probe_unregister(&__tracepoint_kvm_exit, exit_probe(vendor), NULL);
	return ret;
}

void kvm_meter_hook_exit_del(void)
{
	tracepoint_probe_unregister(&__tracepoint_kvm_entry, probe_entry, NULL);
	tracepoint_probe_unregister(&__tracepoint_kvm_exit, exit_probe(hooked), NULL);
	tracepoint_synchronize_unregister();
}
