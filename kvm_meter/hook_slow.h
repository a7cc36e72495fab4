/* SPDX-License-Identifier: GPL-2.0 */
/* What the entry/exit path does where it cannot be fast. */
#ifndef _KVM_METER_HOOK_SLOW_H
#define _KVM_METER_HOOK_SLOW_H

#include <linux/types.h>

struct kvm_vcpu;

/*
 * Kernels before 6.7 fire SVM's exit event with interrupts on again, long after
 * the exit. The exit time is then the one that KVM stamped. Found out at the
 * first exit; until then there is no fast path.
 */
enum meter_exit_style {
	METER_EXIT_UNKNOWN,
	METER_EXIT_EARLY,
	METER_EXIT_LATE,
};

extern enum meter_exit_style meter_exit_style;
extern bool meter_fast_path_ready;
extern bool meter_closing;		/* the probes are being removed */
extern bool meter_probes_settled;	/* each exit is seen by one probe */

/* The probes' own arguments come first, which makes for cheap tail calls. */
void kvm_meter_entry_slow(void *data, struct kvm_vcpu *vcpu);
void kvm_meter_exit_spin(u64 code, u64 now);
void kvm_meter_exit_slow(void *data, struct kvm_vcpu *vcpu, u64 code);

#endif /* _KVM_METER_HOOK_SLOW_H */
