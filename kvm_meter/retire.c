// SPDX-License-Identifier: GPL-2.0
#include "retire.h"

#include <linux/irq_work.h>
#include <linux/workqueue.h>

#include "account.h"
#include "fold.h"
#include "guard_calls.h"
#include "hooks.h"
#include "owner.h"
#include "registry.h"
#include "sysfs_vm.h"

static struct workqueue_struct *queue;

static void publish(struct meter_vm *vm)
{
	struct kvm_meter_vm *rec = vm->rec;

	if (rec->vm_id)
		return;
	rec->seq++;
	barrier();
	kvm_meter_ident_publish(&vm->ident, rec);
	rec->flags = vm->flags;
	rec->vm_id = vm->id;
	barrier();
	rec->seq++;
}

/* The VM has ended: settle its account and give its slots back. */
static void retire(struct meter_vm *vm)
{
	static struct kvm_meter_vm final;	/* under vm_mutex */
	struct meter_vcpu *v;
	u64 seq;

	kvm_meter_guard_hide(vm);
	kvm_meter_sysfs_vm_remove(vm);
	kvm_meter_fold_vm(vm, &final);
	final.ended_ns = vm->ended_ns;
	kvm_meter_owner_keep(&final, vm->ident.payer);

	list_for_each_entry(v, &vm->vcpus, link)
		account_clear(v->rec);
	seq = vm->rec->seq;
	vm->rec->seq = seq + 1;
	barrier();
	memset((void *)vm->rec + sizeof(seq), 0, sizeof(*vm->rec) - sizeof(seq));
	barrier();
	vm->rec->seq = seq + 2;
	kvm_meter_vm_free(vm);
}

/**
 * kvm_meter_retire_all() - Do now what the hooks have left to do
 *
 * Context: process.
 */
void kvm_meter_retire_all(void)
{
	struct meter_vm *vm;

	mutex_lock(&vm_mutex);
	while ((vm = kvm_meter_vm_todo())) {
		publish(vm);
		if (kvm_meter_vm_ended(vm)) {
			retire(vm);
		} else {
			kvm_meter_sysfs_vm_update(vm);
			kvm_meter_guard_show(vm);
		}
		cond_resched();
	}
	mutex_unlock(&vm_mutex);
}

static void retire_fn(struct work_struct *work)
{
	kvm_meter_hook_exit_settle();
	kvm_meter_retire_all();
}

static DECLARE_WORK(retire_work, retire_fn);

static void kick_fn(struct irq_work *work)
{
	queue_work(queue, &retire_work);
}

static DEFINE_IRQ_WORK(kick, kick_fn);

/*
 * From the entry path and under locks that a wake-up must not be under. The
 * interrupt it raises also brings the CPU out of the guest it may be about to
 * enter, so that the worker is not kept waiting for the guest's next exit.
 */
void kvm_meter_retire_kick(void)
{
	irq_work_queue(&kick);
}

int kvm_meter_retire_init(void)
{
	queue = alloc_workqueue("kvm_meter", WQ_UNBOUND, 1);
	return queue ? 0 : -ENOMEM;
}

void kvm_meter_retire_exit(void)
{
	irq_work_sync(&kick);
	destroy_workqueue(queue);
}
