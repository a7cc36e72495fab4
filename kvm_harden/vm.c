// SPDX-License-Identifier: GPL-2.0
#include "vm.h"

#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "flush.h"
#include "maps.h"
#include "switch.h"

DEFINE_PER_CPU(struct harden_totals, harden_totals);
struct harden_vm *harden_vms;
u32 harden_default_policy __read_mostly;

/* Under the meter's registry lock: before any vCPU of the VM is told of. */
void kvm_harden_vm_born(u32 slot, u64 id)
{
	struct harden_vm *vm = &harden_vms[slot];

	vm->token = TOKEN_OWN | id;
	vm->policy = KVM_HARDEN_DEFAULT;
	vm->rec->policy = KVM_HARDEN_DEFAULT;
	vm->rec->domain = 0;
	WRITE_ONCE(vm->rec->vm_id, id);
	smp_store_release(&vm->id, id); /* who sees the id sees its token: kvm_harden_vm_ended() */
}

static bool shared(harden_token token)
{
	return token != TOKEN_FOREIGN && !(token & TOKEN_OWN);
}

static bool has_members(harden_token token)
{
	unsigned int i, slots = kvm_meter_guard_slots();

	for (i = 0; i < slots; i++)
		if (READ_ONCE(harden_vms[i].id) && READ_ONCE(harden_vms[i].token) == token)
			return true;
	return false;
}

/*
 * The number of a domain that nobody is left in may be given to others, who are
 * strangers to what cores hold.
 */
static void leave_domain(struct harden_vm *vm, harden_token token)
{
	/* Unless the slot is another's, or it has been given another domain. */
	if (cmpxchg(&vm->token, token, TOKEN_FOREIGN) != token)
		return;
	if (shared(token) && !has_members(token))
		kvm_harden_forget(token);
}

/**
 * kvm_harden_vm_ended() - A VM is destroyed: nothing of it runs any more
 * @slot: its slot, or KVM_METER_NO_SLOT
 * @id: its id; if the slot has another one, it is somebody else's by now
 *
 * Context: any.
 */
void kvm_harden_vm_ended(u32 slot, u64 id)
{
	struct harden_vm *vm = harden_vm(slot);
	harden_token token;

	if (!vm)
		return;
	token = READ_ONCE(vm->token);
	smp_rmb(); /* a slot is given a token, and then an id */
	if (READ_ONCE(vm->id) == id)
		leave_domain(vm, token);
}

/* The slot is free. It may have been given a domain since the VM ended. */
void kvm_harden_vm_clear(struct harden_vm *vm)
{
	leave_domain(vm, READ_ONCE(vm->token));
	WRITE_ONCE(vm->id, 0);
	memset(vm->rec, 0, sizeof(*vm->rec));
}

/* What vCPUs hold on the fast path was decided by the setting before. */
static void revoke_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kvm_meter_guard_revoke(cpu);
}

/**
 * kvm_harden_vm_set_domain() - Say whom a VM trusts
 * @vm: VM
 * @domain: number that it shares with those; 0: nobody
 *
 * From the next entry of each of its vCPUs on. What a core holds of the VM's
 * time in the domain before is foreign to it then, and to those who stay there.
 *
 * Context: process, serialized by sysfs_vm.c.
 */
void kvm_harden_vm_set_domain(struct harden_vm *vm, u32 domain)
{
	harden_token old = vm->token, token = domain ?: TOKEN_OWN | vm->id;

	vm->rec->domain = domain;
	WRITE_ONCE(vm->token, token);
	if (token != old && shared(old))
		kvm_harden_forget(old);
	revoke_all();
}

void kvm_harden_vm_set_policy(struct harden_vm *vm, u32 policy)
{
	vm->rec->policy = policy;
	WRITE_ONCE(vm->policy, policy);
	revoke_all();
}

void kvm_harden_set_default(u32 policy)
{
	WRITE_ONCE(harden_default_policy, policy);
	revoke_all();
}

int kvm_harden_vm_init(void)
{
	unsigned int i, slots = kvm_meter_guard_slots();

	harden_default_policy = kvm_harden_flush_available();
	harden_vms = kvcalloc(slots, sizeof(*harden_vms), GFP_KERNEL);
	if (!harden_vms)
		return -ENOMEM;
	for (i = 0; i < slots; i++)
		harden_vms[i].rec = kvm_harden_map_vm(i);
	return 0;
}

void kvm_harden_vm_exit(void)
{
	kvfree(harden_vms);
	harden_vms = NULL;
}
