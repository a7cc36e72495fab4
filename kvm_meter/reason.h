/* SPDX-License-Identifier: GPL-2.0 */
/* Exit codes, their names and their places in a record. */
#ifndef _KVM_METER_REASON_H
#define _KVM_METER_REASON_H

#include <linux/compiler.h>
#include <linux/types.h>

#include <kvm_meter/abi.h>

/* Codes below this are looked up, which covers all but SVM's error codes. */
#define REASON_CODES	0x408

/* Those of the vendor that mean HLT and PAUSE. */
extern u32 meter_code_hlt, meter_code_pause;

/* Offset of a code's struct kvm_meter_reason in struct kvm_meter_vcpu. */
extern u16 meter_reason_offset[REASON_CODES];

/* For a code below REASON_CODES. */
static __always_inline struct kvm_meter_reason *meter_reason(struct kvm_meter_vcpu *rec, u64 code)
{
	return (void *)rec + meter_reason_offset[code];
}

/* Slots of the reasons that stand for an interrupt of the host. */
#define METER_IRQ_REASONS	2
extern unsigned int meter_irq_slot[METER_IRQ_REASONS];

static inline bool meter_reason_is_irq(const struct kvm_meter_vcpu *rec,
				       const struct kvm_meter_reason *reason)
{
	return reason == &rec->reasons[meter_irq_slot[0]] ||
	       reason == &rec->reasons[meter_irq_slot[1]];
}

struct kvm_meter_reason *kvm_meter_reason_any(struct kvm_meter_vcpu *rec, u64 code);
int kvm_meter_reason_set_vendor(enum kvm_meter_vendor vendor);
const char *kvm_meter_reason_name(unsigned int slot);

#endif /* _KVM_METER_REASON_H */
