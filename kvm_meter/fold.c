// SPDX-License-Identifier: GPL-2.0
#include "fold.h"

#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "account.h"
#include "active.h"
#include "bill.h"
#include "clock.h"
#include "control.h"
#include "energy.h"
#include "kworker.h"
#include "guard_calls.h"
#include "health.h"
#include "hooks.h"
#include "maps.h"
#include "numa.h"
#include "owner.h"
#include "process.h"
#include "sysfs_vm.h"

/* The fast path does not look whether a code has a name. */
static void count_unknown(struct meter_vcpu *v)
{
	u64 count = READ_ONCE(v->rec->reasons[KVM_METER_REASON_UNKNOWN].count);

	atomic64_add(count - v->unknown_seen, &meter_health[HEALTH_unknown_reasons]);
	v->unknown_seen = count;
}

/**
 * kvm_meter_fold_vm() - Work out a VM's record as of now
 * @vm: VM
 * @sum: filled in
 *
 * Its process has been settled by the caller.
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_fold_vm(struct meter_vm *vm, struct kvm_meter_vm *sum)
{
	static struct kvm_meter_vm_reason reasons[KVM_METER_REASONS]; /* under vm_mutex */
	struct kvm_meter_vcpu_head head;
	struct kvm_meter_memory memory;
	struct meter_vcpu *v;

	lockdep_assert_held(&vm_mutex);
	memcpy(sum, vm->rec, sizeof(*sum));
#define ZERO(name, desc) sum->name = 0;
	KVM_METER_COUNTERS(ZERO)
#undef ZERO
	memset(sum->reasons, 0, sizeof(sum->reasons));
#define ZERO(name, desc) memset(sum->name, 0, sizeof(sum->name));
	KVM_METER_HISTS(ZERO)
	KVM_METER_VCPU_NODES(ZERO)
#undef ZERO
	memcpy(sum->node_memory_bytes, vm->node_memory_bytes, sizeof(sum->node_memory_bytes));
	sum->memory_node = vm->hint.memory_node;
	sum->preferred_node = vm->hint.preferred_node;
	sum->preferred_gain_permille = vm->hint.gain_permille;
	sum->vcpus = 0;
	sum->flags = READ_ONCE(vm->flags);
	sum->as_of_ns = ktime_get_real_ns();
	rcu_read_lock();
	list_for_each_entry_rcu(v, &vm->vcpus, link) {
		kvm_meter_vcpu_show_all(v, &head, reasons, sum);
		count_unknown(v);
		account_sum_head(sum, &head);
		account_sum_reasons(sum->reasons, reasons);
		sum->vcpus++;
	}
	rcu_read_unlock();
	kvm_meter_energy_fold(vm, sum);
	kvm_meter_active_read(vm, &memory);
#define COPY(type, name, desc) sum->name = memory.name;
	KVM_METER_VM_MEMORY(COPY)
	KVM_METER_VM_MEMORY_SLOW(COPY)
#undef COPY
	kvm_meter_bill_fold(vm, sum);
}

static void fold_publish(struct kvm_meter_vm *rec, const struct kvm_meter_vm *sum)
{
	u64 seq = rec->seq;

	rec->seq = seq + 1;
	barrier();
	memcpy((void *)rec + sizeof(seq), (const void *)sum + sizeof(seq),
	       sizeof(*rec) - sizeof(seq));
	barrier();
	rec->seq = seq + 2;
}

/* Each process once, however many VMs it has. */
static void scan_processes(void)
{
	static unsigned int pass;	/* under vm_mutex */
	struct meter_vm *vm;

	lockdep_assert_held(&vm_mutex);
	pass++;
	kvm_meter_kworkers_pass();
	for_each_meter_vm(vm) {
		if (!vm->process || vm->process->pass == pass)
			continue;
		vm->process->pass = pass;
		kvm_meter_process_scan(vm->process);
		cond_resched();
	}
}

static void fold_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(fold_work, fold_fn);

static void fold_fn(struct work_struct *work)
{
	static struct kvm_meter_vm sum;	/* under vm_mutex */
	const char *trouble = kvm_meter_clock_trouble();
	struct kvm_meter_info *info = kvm_meter_map_info();
	struct meter_vm *vm;

	mutex_lock(&vm_mutex);
	scan_processes();
	for_each_meter_vm(vm) {
		if (READ_ONCE(vm->state) != METER_VM_LIVE)
			continue;
		kvm_meter_numa_scan(vm);
		kvm_meter_fold_vm(vm, &sum);
		fold_publish(vm->rec, &sum);
		/* What could not be made when the VM or a vCPU was met. */
		if (vm->rec->vm_id) {
			kvm_meter_sysfs_vm_update(vm);
			kvm_meter_active_show(vm);
			kvm_meter_guard_show(vm);
		}
		cond_resched();
	}
	kvm_meter_usage(&info->vcpus_used, &info->vms_used);
	mutex_unlock(&vm_mutex);

	if (!trouble && !kvm_meter_hook_destroy_live())
		trouble = "hooks: the hook on the end of VMs was switched off";
	if (trouble)
		kvm_meter_trouble(trouble);
	else
		queue_delayed_work(system_unbound_wq, &fold_work, HZ);
}

void kvm_meter_fold_start(void)
{
	queue_delayed_work(system_unbound_wq, &fold_work, HZ);
}

void kvm_meter_fold_stop(void)
{
	cancel_delayed_work_sync(&fold_work);
}
