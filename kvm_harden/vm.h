/* SPDX-License-Identifier: GPL-2.0 */
/* What is known of each VM: its domain, its policy, its counters. */
#ifndef _KVM_HARDEN_VM_H
#define _KVM_HARDEN_VM_H

#include <linux/atomic.h>
#include <linux/kobject.h>
#include <linux/percpu.h>

#include <kvm_harden/abi.h>
#include <kvm_meter/guard.h>

#include "core.h"

struct harden_vm {
	u64 id;				/* 0: the slot is free */
	harden_token token;
	u32 policy;			/* KVM_HARDEN_* */
	struct kvm_harden_vm *rec;	/* element of the map, for good */
	struct kobject *dir;
};

/* Sums over all VMs, by the CPU where things happened. */
struct harden_totals {
#define C(name, desc) u64 name;
	KVM_HARDEN_COUNTERS(C)
#undef C
};

DECLARE_PER_CPU(struct harden_totals, harden_totals);

extern struct harden_vm *harden_vms;
extern u32 harden_default_policy;

static inline struct harden_vm *harden_vm(u32 slot)
{
	return slot == KVM_METER_NO_SLOT ? NULL : &harden_vms[slot];
}

/* The primitives that a VM asks for, and KVM_HARDEN_HOST. NULL: default. */
static inline u32 harden_policy(const struct harden_vm *vm)
{
	u32 policy = vm ? READ_ONCE(vm->policy) : KVM_HARDEN_DEFAULT;

	return policy & KVM_HARDEN_DEFAULT ? READ_ONCE(harden_default_policy) : policy;
}

/* Interrupts off. A VM's vCPUs may count at once; the totals are this CPU's. */
#define harden_count(vm, name, n)					\
do {									\
	u64 n_ = (n);							\
	struct harden_vm *vm_ = (vm);					\
									\
	__this_cpu_add(harden_totals.name, n_);				\
	if (vm_)							\
		atomic64_add(n_, (atomic64_t *)&vm_->rec->name);	\
} while (0)

int kvm_harden_vm_init(void);
void kvm_harden_vm_exit(void);
void kvm_harden_vm_born(u32 slot, u64 id);
void kvm_harden_vm_ended(u32 slot, u64 id);
void kvm_harden_vm_clear(struct harden_vm *vm);
void kvm_harden_vm_set_domain(struct harden_vm *vm, u32 domain);
void kvm_harden_vm_set_policy(struct harden_vm *vm, u32 policy);
void kvm_harden_set_default(u32 policy);

#endif /* _KVM_HARDEN_VM_H */
