// SPDX-License-Identifier: GPL-2.0
/*
 * The entry and exit path. See Documentation/design.rst, "The two paths": as
 * long as a vCPU's thread keeps its CPU, meter_cpu says which record is its,
 * and a hook needs neither a look-up nor a lock. Everything else, first of all
 * the first entry after the thread was switched in, takes hook_slow.c's path.
 */
#include "hooks.h"

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/tracepoint.h>
#include <asm/svm.h>

#include "account.h"
#include "clock.h"
#include "compat_percpu.h"
#include "hook_slow.h"
#include "reason.h"
#include "registry.h"

/* Defined by kvm.ko; its trace.h is not among the kernel headers. */
extern struct tracepoint __tracepoint_kvm_entry;
extern struct tracepoint __tracepoint_kvm_exit;

/* VM_EXIT_REASON of the current VMCS; SDM volume 3, appendix B.3.1. */
#define VMCS_EXIT_REASON	0x4402

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
	exit_fast(code, meter_clock());
	return;

slow:
	kvm_meter_exit_slow(data, vcpu, code);
}

static __always_inline bool is_scaled(const struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.l1_tsc_scaling_ratio != 1ull << 32);
}

/* The time of the exit is the one that KVM stamped, in the guest's TSC. */
notrace void kvm_meter_exit_svm_late(void *data, struct kvm_vcpu *vcpu, u64 code)
{
	if (is_scaled(vcpu))
		kvm_meter_exit_slow(data, vcpu, code);
	else
		exit_fast(code, meter_clock_from_tsc(vcpu->arch.last_guest_tsc -
						     vcpu->arch.l1_tsc_offset));
}

static notrace void probe_exit_svm(void *data, struct kvm_vcpu *vcpu, u32 isa)
{
	u64 code = svm_exit_code(vcpu);

	if (!on_fast_path(vcpu))
		goto slow;
	if (unlikely(code >= REASON_CODES))
		goto slow;
	if (static_branch_unlikely(&exit_is_late))
		kvm_meter_exit_svm_late(data, vcpu, code);
	else
		exit_fast(code, meter_clock());
	return;

slow:
	kvm_meter_exit_slow(data, vcpu, code);
}

/**
 * kvm_meter_hook_exit_settle() - Make the fast path follow what was found out
 *
 * Context: process. Until it is done every vCPU stays on the slow path.
 */
void kvm_meter_hook_exit_settle(void)
{
	if (meter_exit_style == METER_EXIT_LATE)
		static_branch_enable(&exit_is_late);
	if (meter_exit_style != METER_EXIT_UNKNOWN)
		WRITE_ONCE(meter_fast_path_ready, true);
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
		meter_exit_style = METER_EXIT_EARLY;
		meter_fast_path_ready = true;
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
