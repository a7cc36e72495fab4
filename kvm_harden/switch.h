/* SPDX-License-Identifier: GPL-2.0 */
/* The decision at each VM-entry off the fast path: the guard of kvm_meter. */
#ifndef _KVM_HARDEN_SWITCH_H
#define _KVM_HARDEN_SWITCH_H

#include <linux/types.h>

#include "core.h"

struct kvm;
struct kvm_meter_vcpu;
struct kvm_vcpu;

void kvm_harden_enter(struct kvm_vcpu *vcpu, u32 slot, struct kvm_meter_vcpu *rec);
bool kvm_harden_entered(struct kvm_vcpu *vcpu, u64 now);
void kvm_harden_exited(struct kvm_vcpu *vcpu, int cpu, u64 at);
void kvm_harden_make_foreign(struct harden_core *core, u32 policy);
void kvm_harden_forget(harden_token token);

/* Whether what is decided is done, or only counted. */
extern bool harden_dry_run;

#endif /* _KVM_HARDEN_SWITCH_H */
