// SPDX-License-Identifier: GPL-2.0
/*
 * The entry and exit path. See Documentation/design.rst, "The two paths": as
 * long as a vCPU's thread keeps its CPU, meter_cpu says which record is its,
 * and a hook needs neither a look-up nor a lock. Everything else, first of all
 * the first entry after the thread was switched in, takes hook_slow.c's path.
 */
#include "hooks.h"

#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/tracepoint.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "account.h"
#include "clock.h"
#include "compat_percpu.h"
#include "hook_slow.h"
#include "kvm_trace.h"
#include "reason.h"
#include "registry.h"

/* VM_EXIT_REASON of the current VMCS; SDM volume 3, appendix B.3.1. */
#define VMCS_EXIT_REASON	0x4402

/* The exit probe that is installed; NULL: none. */
static DEFINE_MUTEX(exit_probe_mutex);
static void *exit_probe;

static __always_inline u64 vmx_exit_code(void)
{
	unsigned long value;

	asm volatile("vmread %1, %0"
		     : "=rm" (value)
		     : "r" ((unsigned long)VMCS_EXIT_REASON)
		     : "cc");
	return value & 0xffff;
}

/* The member after vcpu in struct vcpu_svm; vendor.c has checked it. */
static __always_inline u64 svm_exit_code(const struct kvm_vcpu *vcpu)
{
	const struct vmcb *vmcb = *(struct vmcb **)(vcpu + 1);

	return vmcb->control.exit_code;
}

/*
 * The probes of the fast path. notrace, and everything else a tail call, so
 * that they need no stack: each instruction here is paid at every exit.
 */
static __always_inline bool on_fast_path(const struct kvm_vcpu *vcpu)
{
	asm goto("cmpq %[vcpu], " __percpu_arg([key]) "\n\t"
		 "jne %l[no]"
		 : : [vcpu] "r" (vcpu), [key] "m" (__my_cpu_var(meter_cpu.key))
		 : "cc" : no);
	return true;
no:
	return false;
}

static notrace void probe_entry(void *data, struct kvm_vcpu *vcpu, bool immediate_exit)
{
	struct kvm_meter_vcpu *rec;

	if (!on_fast_path(vcpu)) {
		kvm_meter_entry_slow(data, vcpu);
		return;
	}
	rec = this_cpu_read(meter_cpu.rec);
	if (unlikely(rec->state != KVM_METER_HOST)) {
		kvm_meter_entry_slow(data, vcpu);
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

	if (!on_fast_path(vcpu))
		goto slow;
	if (unlikely(code >= REASON_CODES))
		goto slow;
	if (unlikely(code == EXIT_REASON_PAUSE_INSTRUCTION)) {
		kvm_meter_exit_spin(code, meter_clock());
		return;
	}
	exit_fast(code, meter_clock());
	return;

slow:
	kvm_meter_exit_slow(data, vcpu, code);
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
	if (unlikely(code == SVM_EXIT_PAUSE)) {
		kvm_meter_exit_spin(code, meter_clock());
		return;
	}
	exit_fast(code, meter_clock());
	return;

slow:
	kvm_meter_exit_slow(data, vcpu, code);
}

/* The time of the exit is the one that KVM stamped, in the guest's TSC. */
static notrace void probe_exit_svm_late(void *data, struct kvm_vcpu *vcpu, u32 isa)
{
	u64 code = svm_exit_code(vcpu);
	u64 now;

	if (!on_fast_path(vcpu))
		goto slow;
	if (unlikely(code >= REASON_CODES))
		goto slow;
	if (is_scaled(vcpu))
		goto slow;
	now = meter_clock_from_tsc(vcpu->arch.last_guest_tsc - vcpu->arch.l1_tsc_offset);
	if (unlikely(code == SVM_EXIT_PAUSE))
		kvm_meter_exit_spin(code, now);
	else
		exit_fast(code, now);
	return;

slow:
	kvm_meter_exit_slow(data, vcpu, code);
}

/**
 * kvm_meter_hook_exit_settle() - Let the fast path begin
 *
 * Once the first exit has shown when this kernel fires the event. For a late
 * one the probes are exchanged. Both are installed for a moment, so that no
 * exit is lost; the second one to see an exit finds that it is done.
 *
 * Context: process. Until it is done every vCPU stays on the slow path.
 */
void kvm_meter_hook_exit_settle(void)
{
	if (READ_ONCE(meter_probes_settled))
		return;
	mutex_lock(&exit_probe_mutex);
	if (!exit_probe || meter_exit_style == METER_EXIT_UNKNOWN)
		goto unlock;
	if (meter_exit_style == METER_EXIT_LATE && exit_probe == probe_exit_svm) {
		if (tracepoint_probe_register(&__tracepoint_kvm_exit, probe_exit_svm_late, NULL))
			goto unlock;
		tracepoint_probe_unregister(&__tracepoint_kvm_exit, probe_exit_svm, NULL);
		exit_probe = probe_exit_svm_late;
		/*
		 * A CPU that is still in the old probe cannot be on the fast
		 * path: its key is set at an entry, which is yet to come.
		 */
		WRITE_ONCE(meter_fast_path_ready, true);
		tracepoint_synchronize_unregister();
	}
	WRITE_ONCE(meter_fast_path_ready, true);
	WRITE_ONCE(meter_probes_settled, true);
unlock:
	mutex_unlock(&exit_probe_mutex);
}

/**
 * kvm_meter_hook_exit_add() - Start to record entries and exits
 * @vendor: whose KVM it is
 *
 * Context: process.
 */
int kvm_meter_hook_exit_add(enum kvm_meter_vendor vendor)
{
	void *probe = probe_exit_svm;
	int ret;

	if (vendor == KVM_METER_VENDOR_INTEL) {
		meter_exit_style = METER_EXIT_EARLY;
		meter_fast_path_ready = true;
		meter_probes_settled = true;
		probe = probe_exit_vmx;
	} else if (meter_exit_style == METER_EXIT_LATE) {
		probe = probe_exit_svm_late;
	}

	mutex_lock(&exit_probe_mutex);
	WRITE_ONCE(meter_closing, false);
	ret = tracepoint_probe_register(&__tracepoint_kvm_exit, probe, NULL);
	if (ret)
		goto unlock;
	ret = tracepoint_probe_register(&__tracepoint_kvm_entry, probe_entry, NULL);
	if (ret)
		tracepoint_probe_unregister(&__tracepoint_kvm_exit, probe, NULL);
	else
		exit_probe = probe;
unlock:
	mutex_unlock(&exit_probe_mutex);
	return ret;
}

void kvm_meter_hook_exit_del(void)
{
	mutex_lock(&exit_probe_mutex);
	/* Exits first: an entry that no exit follows is noticed, see entry_slow. */
	WRITE_ONCE(meter_closing, true);
	tracepoint_probe_unregister(&__tracepoint_kvm_exit, exit_probe, NULL);
	tracepoint_probe_unregister(&__tracepoint_kvm_entry, probe_entry, NULL);
	exit_probe = NULL;
	mutex_unlock(&exit_probe_mutex);
	tracepoint_synchronize_unregister();
}
