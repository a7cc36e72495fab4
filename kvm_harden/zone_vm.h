/* SPDX-License-Identifier: GPL-2.0 */
/* VMs that have zones, and what the hooks need to know of them. */
#ifndef _KVM_HARDEN_ZONE_VM_H
#define _KVM_HARDEN_ZONE_VM_H

#include "zone.h"

/* What a VM's zones deny together, by frame. */
struct zone_map {
	struct rcu_head rcu;
	unsigned int count;
	struct zone_seg seg[];
};

/*
 * The hooks' first look, in assembler: a bit for each 2 MiB of guest memory
 * with a zone in it, in a table that all VMs share.
 */
#define ZONE_FILTER_BITS	32768
#define ZONE_FILTER_SHIFT	9	/* frames in a huge page, as a power of 2 */

extern unsigned long kvm_harden_zone_filter[];

/* zone_mutex held */
struct zone_vm *kvm_harden_zone_vm_get(struct kvm *kvm, u64 id);
void kvm_harden_zone_vm_drop(struct zone_vm *vm);
int kvm_harden_zone_vm_publish(struct zone_vm *vm);
int kvm_harden_zone_vm_shield(struct zone_vm *vm, bool lenient);

extern struct list_head kvm_harden_zone_vms;

#endif /* _KVM_HARDEN_ZONE_VM_H */
