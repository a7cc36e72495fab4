/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM's second-level page tables, page by page. All of it is called by the
 * sampler's thread, and may find the VM gone at any moment: -ESRCH then.
 */
#ifndef _KVM_METER_ACTIVE_PROBE_H
#define _KVM_METER_ACTIVE_PROBE_H

#include <linux/types.h>

#include <kvm_meter/abi.h>

struct meter_vm;
struct mm_struct;

/* VMs of more memory slots, of any kind, are not sampled. */
#define PROBE_SLOTS	2048

/* What pages can be drawn from: page i of all is in the slot with first <= i. */
struct probe_map {
	u64 pages;
	unsigned int count;
	struct probe_slot {
		u64 first;
		u64 gfn;
		unsigned long hva;
	} slot[PROBE_SLOTS];
};

/* A page of a sample. */
struct probe_page {
	u64 gfn;
	unsigned long hva;
	bool young;		/* has been accessed since it was cleared */
	bool gone;		/* is no memory any more, or another */
};

int kvm_meter_probe_map(struct meter_vm *vm, struct probe_map *map);
void kvm_meter_probe_find(const struct probe_map *map, u64 number, struct probe_page *page);
int kvm_meter_probe_test(struct meter_vm *vm, struct probe_page *page);
int kvm_meter_probe_clear(struct meter_vm *vm, struct probe_page *page);
int kvm_meter_probe_there(struct meter_vm *vm, struct probe_page *page);
int kvm_meter_probe_flush(struct meter_vm *vm);
int kvm_meter_probe_size(struct meter_vm *vm, struct kvm_meter_memory *memory);
struct mm_struct *kvm_meter_probe_mm(struct meter_vm *vm);
void kvm_meter_probe_hand_over(const struct probe_page *page);
void kvm_meter_probe_wait(struct meter_vm *vm);

#endif /* _KVM_METER_ACTIVE_PROBE_H */
