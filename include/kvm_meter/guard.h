/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kvm_meter offers to a module that guards its vCPUs: kvm_harden. Inside
 * the kernel only.
 *
 * A guard is asked wherever a vCPU enters its guest off the fast path, which is
 * always so at the first entry of a vCPU on a CPU after any other thread ran
 * there. As long as the guard lets it, the entries after that take the fast
 * path, which costs nothing more than without a guard. The guard takes a vCPU
 * off the fast path of its CPU with kvm_meter_guard_revoke().
 */
#ifndef _KVM_METER_GUARD_H
#define _KVM_METER_GUARD_H

#include <linux/types.h>

struct btf_blob;
struct btf_build;
struct bpf_map;
struct file;
struct kvm;
struct kvm_vcpu;
struct kvm_meter_vcpu;

/* The VM has no record: no slot was free, or its owner has used up its share. */
#define KVM_METER_NO_SLOT	(~0u)

/**
 * struct kvm_meter_guard - What the guard wants to be told
 * @enter: a vCPU is about to enter its guest. Before the clock is read, so that
 *	what the guard does is charged to the vCPU's host time. Interrupts off.
 * @entered: the same entry, now the guest's time runs from @now. Return: whether
 *	the next entries and exits may take the fast path. Interrupts off.
 * @exited: the guest was left at @at; @cpu is where it was entered. Comes for
 *	exits off the fast path only. Any context but NMI.
 * @restart: VMs have run unseen, as the meter was disarmed. Process context.
 * @born: a VM has been given slot @slot. Interrupts off, under a raw lock.
 * @ended: a VM is destroyed; with a slot, or KVM_METER_NO_SLOT. The slot may be
 *	another's already: then @vm_id is not its id. Any context.
 * @show: VM @slot can be shown now; may come again for the same VM.
 * @hide: VM @slot is gone. Both: process context, one at a time.
 * @owner: THIS_MODULE
 */
struct kvm_meter_guard {
	void (*enter)(struct kvm_vcpu *vcpu, u32 slot, struct kvm_meter_vcpu *rec);
	bool (*entered)(struct kvm_vcpu *vcpu, u64 now);
	void (*exited)(struct kvm_vcpu *vcpu, int cpu, u64 at);
	void (*restart)(void);
	void (*born)(u32 slot, u64 vm_id);
	void (*ended)(const struct kvm *kvm, u32 slot, u64 vm_id);
	void (*show)(u32 slot, u64 vm_id);
	void (*hide)(u32 slot);
	struct module *owner;
};

int kvm_meter_guard_register(const struct kvm_meter_guard *guard);
void kvm_meter_guard_unregister(const struct kvm_meter_guard *guard);
int kvm_meter_guard_enable(void);
void kvm_meter_guard_disable(void);
void kvm_meter_guard_revoke(int cpu);
bool kvm_meter_guard_armed(void);
unsigned int kvm_meter_guard_slots(void);
u64 kvm_meter_guard_clock(void);
struct file *kvm_meter_guard_open(u64 id, struct kvm **kvm);
struct file *kvm_meter_guard_reopen(const struct kvm *kvm);
struct file *kvm_meter_guard_vcpu_file(const struct kvm_vcpu *vcpu);
unsigned long kvm_meter_guard_symbol(const char *name);
struct btf_blob *kvm_meter_guard_btf(void);
void kvm_meter_guard_btf_free(struct btf_blob *vmlinux);
long kvm_meter_guard_offset(const struct btf_blob *vmlinux, const char *module,
			    const char *type, const char *member);
int kvm_meter_guard_args(const struct btf_blob *vmlinux, const char *module,
			 const char *function, const char *args);

#endif /* _KVM_METER_GUARD_H */
