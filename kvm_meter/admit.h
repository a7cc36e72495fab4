/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who gets a slot. Everything but kvm_meter_refused() is called under
 * registry_lock.
 */
#ifndef _KVM_METER_ADMIT_H
#define _KVM_METER_ADMIT_H

#include <linux/types.h>

struct kvm;
struct kvm_vcpu;

bool kvm_meter_refused(const struct kvm_vcpu *vcpu);
bool kvm_meter_admit(const struct kvm_vcpu *vcpu, u32 payer, bool slot_left);
void kvm_meter_admit_taken(u32 payer);
void kvm_meter_admit_given_back(u32 payer);
void kvm_meter_admit_forget(const struct kvm *kvm);
void kvm_meter_admit_forget_all(void);
bool kvm_meter_admit_news(void);
void kvm_meter_admit_say(void);

#endif /* _KVM_METER_ADMIT_H */
