/* SPDX-License-Identifier: GPL-2.0 */
/* The primitives: how this CPU's branch predictors and L1D are emptied. */
#ifndef _KVM_HARDEN_FLUSH_H
#define _KVM_HARDEN_FLUSH_H

#include <linux/linkage.h>
#include <linux/types.h>

#include <kvm_harden/abi.h>

#define HARDEN_PRIMITIVES	(KVM_HARDEN_IBPB | KVM_HARDEN_L1D)

enum harden_primitive {
	HARDEN_IBPB,
	HARDEN_L1D,
	HARDEN_PRIMITIVE_COUNT
};

int kvm_harden_flush_init(const char *assume);
void kvm_harden_flush_exit(void);

/* Interrupts off; @what is a set of KVM_HARDEN_IBPB and KVM_HARDEN_L1D. */
void kvm_harden_flush(u32 what);

/* Which of them there are; how one is done, "" if it is not there. */
u32 kvm_harden_flush_available(void);
const char *kvm_harden_flush_how(enum harden_primitive primitive);
u64 kvm_harden_flush_cost(enum harden_primitive primitive);
u64 kvm_harden_flush_costs(u32 what);
/* Is one of them only assumed to be there? Then nothing is protected. */
bool kvm_harden_flush_assumed(void);

/* rsb.S */
asmlinkage void kvm_harden_rsb_fill(void);

#endif /* _KVM_HARDEN_FLUSH_H */
