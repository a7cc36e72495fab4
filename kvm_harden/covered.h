/* SPDX-License-Identifier: GPL-2.0 */
/* What KVM flushes by itself on the way into a guest. */
#ifndef _KVM_HARDEN_COVERED_H
#define _KVM_HARDEN_COVERED_H

#include <linux/types.h>

struct kvm_vcpu;

/* Context: process. Look again at what KVM has been told to do. */
void kvm_harden_covered_refresh(void);

/*
 * Interrupts off, at the entry event. Which of the primitives KVM does or has
 * done; @loaded: this vCPU was loaded onto this CPU after the other domain's
 * vCPU, and no other CPU of the core has run it.
 */
u32 kvm_harden_covered(const struct kvm_vcpu *vcpu, bool loaded);

/* KVM was taken to flush the L1D, and did not. Any context but NMI. */
void kvm_harden_covered_wrong(void);

void kvm_harden_covered_exit(void);

/* For status: a word. */
const char *kvm_harden_covered_ibpb(void);
const char *kvm_harden_covered_l1d(void);

#endif /* _KVM_HARDEN_COVERED_H */
