/* SPDX-License-Identifier: GPL-2.0 */
/* A VM's memory slots: what is behind a zone, and how large entries may be. */
#ifndef _KVM_HARDEN_ZONE_SLOTS_H
#define _KVM_HARDEN_ZONE_SLOTS_H

#include <linux/types.h>

struct kvm;
struct kvm_memory_slot;
struct nogo;
struct zone_vm;

/* [start, end): the frames of the slot that are meant */
typedef int (*slot_fn)(struct kvm *kvm, struct kvm_memory_slot *slot, u64 start, u64 end,
		       void *arg);

int kvm_harden_slots_each(struct kvm *kvm, u64 start, u64 end, slot_fn fn, void *arg);
int kvm_harden_slots_behind(struct kvm *kvm, struct nogo *zone, bool all);
void kvm_harden_slots_zap(struct kvm *kvm, u64 start, u64 end);

/* lpage.c */
int kvm_harden_slots_small(struct kvm *kvm, struct zone_vm *vm);
void kvm_harden_slots_gone(struct kvm *kvm, struct zone_vm *vm,
			   const struct kvm_memory_slot *slot);
void kvm_harden_slots_forget(struct zone_vm *vm);

#endif /* _KVM_HARDEN_ZONE_SLOTS_H */
