// SPDX-License-Identifier: GPL-2.0
#include "retire.h"

#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "account.h"
#include "active.h"
#include "energy.h"
#include "fold.h"
#include "guard_calls.h"
#include "hooks.h"
#include "numa.h"
#include "owner.h"
#include "process.h"
#include "registry.h"
#include "sysfs_vm.h"

/* How long a VM waits for its process's last threads, and how often it looks. */
#define WAITS_MS	1000
#define WAIT_MS		5
/* How often it looks for its last energy when the meter is disarmed. */
#define SETTLE_MS	10

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
	kvm_meter_energy_fold(vm, rec);
	rec->memory_node = vm->hint.memory_node;
	rec->preferred_node = vm->hint.preferred_node;
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
	kvm_meter_active_hide(vm);
	kvm_meter_sysfs_vm_remove(vm);
	kvm_meter_process_settle(vm->process);
	/* What others settle from now on is not in the record: it is not this VM's. */
	kvm_meter_process_leave(vm);
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
	kvm_meter_energy_forget(vm);
	kvm_meter_vm_free(vm);
}

static void retire_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(retire_work, retire_fn);

/*
 * Would something be missing in the final record? What its process's last threads
 * use: where @wait is set; its last energy: always.
 */
static bool too_early(struct meter_vm *vm, bool wait)
{
	if (wait && kvm_meter_process_dying(vm->process)) {
		if (!vm->wait_end)
			vm->wait_end = (jiffies + msecs_to_jiffies(WAITS_MS)) ?: 1;
		if (time_before(jiffies, vm->wait_end))
			return true;
	}
	return !kvm_meter_energy_settle(vm);
}

/* Returns false if there are VMs left that have to wait. */
static bool retire_pass(bool wait)
{
	struct meter_vm *vm;
	LIST_HEAD(waiting);
	bool done;

	mutex_lock(&vm_mutex);
	while ((vm = kvm_meter_vm_todo())) {
		bool new = !vm->rec->vm_id;

		publish(vm);
		if (kvm_meter_vm_ended(vm)) {
			if (too_early(vm, wait))
				list_add_tail(&vm->todo, &waiting);
			else
				retire(vm);
		} else {
			if (new) {
				/* At once, however many files there are. */
				vm->process->scan_in = 0;
				kvm_meter_process_scan(vm->process);
			}
			kvm_meter_numa_scan(vm);
			kvm_meter_sysfs_vm_update(vm);
			kvm_meter_active_show(vm);
			kvm_meter_guard_show(vm);
		}
		cond_resched();
	}
	done = list_empty(&waiting);
	kvm_meter_vm_todo_again(&waiting);
	mutex_unlock(&vm_mutex);
	return done;
}

/**
 * kvm_meter_retire_all() - Do now what the hooks have left to do
 *
 * Context: process.
 */
void kvm_meter_retire_all(void)
{
	while (!retire_pass(false))
		msleep(SETTLE_MS);
}

static void retire_fn(struct work_struct *work)
{
	kvm_meter_hook_exit_settle();
	if (!retire_pass(true))
		queue_delayed_work(queue, &retire_work, msecs_to_jiffies(WAIT_MS));
}

static void kick_fn(struct irq_work *work)
{
	mod_delayed_work(queue, &retire_work, 0);
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
	cancel_delayed_work_sync(&retire_work);
	destroy_workqueue(queue);
}
