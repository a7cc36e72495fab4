/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hooks in KVM's MMU. Each is there only as long as there are zones.
 */
#ifndef _KVM_HARDEN_HOOK_MMU_H
#define _KVM_HARDEN_HOOK_MMU_H

#include <linux/types.h>

struct kvm;
struct kvm_memory_slot;
struct kvm_vcpu;

/* What KVM is on this host. */
struct hook_mmu_kvm {
	bool ept;
	bool execute_only;
	long role_offset;	/* in struct kvm_mmu_page */
	long sev_offset;	/* in struct kvm: is it a SEV guest? 0: there is none */
};

extern struct hook_mmu_kvm harden_kvm;

void kvm_harden_hook_mmu_look(void);
const char *kvm_harden_hook_mmu_unfit(u32 deny);
int kvm_harden_hook_mmu_vm_fit(struct kvm *kvm);
int kvm_harden_hook_mmu_available(char *buf);
const char *kvm_harden_hook_mmu_trouble(void);
int kvm_harden_hook_mmu_get(void);
void kvm_harden_hook_mmu_put(void);
void kvm_harden_hook_mmu_exit(void);

/* tramp.S */
void kvm_harden_tramp_fault(void);
void kvm_harden_tramp_make_spte(void);

/* clamp.c and violation.c, called by tramp.S */
int kvm_harden_on_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 error_code);
u32 kvm_harden_on_make_spte(struct kvm_vcpu *vcpu, void *sp,
			    const struct kvm_memory_slot *slot, u32 access, u64 gfn);

/* hook_mmio.c */
int kvm_harden_hook_mmio_add(void);
void kvm_harden_hook_mmio_del(void);

/* violation.c */
bool kvm_harden_mmio_violation(struct kvm_vcpu *vcpu, u64 gpa, unsigned int len, u32 access);
bool kvm_harden_mmio_stop(struct kvm_vcpu *vcpu);

#endif /* _KVM_HARDEN_HOOK_MMU_H */
