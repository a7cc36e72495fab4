// SPDX-License-Identifier: GPL-2.0
#include "fold.h"

#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "account.h"
#include "clock.h"
#include "control.h"
#include "guard_calls.h"
#include "health.h"
#include "hooks.h"
#include "maps.h"
#include "owner.h"
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
 * Context: process, vm_mutex held.
 */
void kvm_meter_fold_vm(struct meter_vm *vm, struct kvm_meter_vm *sum)
{
	static struct kvm_meter_vm_reason reasons[KVM_METER_REASONS]; /* under vm_mutex */
	struct kvm_meter_vcpu_head head;
	struct meter_vcpu *v;

	lockdep_assert_held(&vm_mutex);
	memcpy(sum, vm->rec, sizeof(*sum));
#define ZERO(name, desc) sum->name = 0;
	KVM_METER_COUNTERS(ZERO)
#undef ZERO
	memset(sum->reasons, 0, sizeof(sum->reasons));
	sum->vcpus = 0;
	sum->flags = READ_ONCE(vm->flags);
	sum->as_of_ns = ktime_get_real_ns();
	rcu_read_lock();
	list_for_each_entry_rcu(v, &vm->vcpus, link) {
		kvm_meter_vcpu_show(v, &head, reasons);
		count_unknown(v);
		account_sum_head(sum, &head);
		account_sum_reasons(sum->reasons, reasons);
		sum->vcpus++;
	}
	rcu_read_unlock();
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

static void fold_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(fold_work, fold_fn);

static void fold_fn(struct work_struct *work)
{
	static struct kvm_meter_vm sum;	/* under vm_mutex */
	const char *trouble = kvm_meter_clock_trouble();
	struct kvm_meter_info *info = kvm_meter_map_info();
	struct meter_vm *vm;

	mutex_lock(&vm_mutex);
	for_each_meter_vm(vm) {
		if (READ_ONCE(vm->state) != METER_VM_LIVE)
			continue;
		kvm_meter_fold_vm(vm, &sum);
		fold_publish(vm->rec, &sum);
		/* What could not be made when the VM or a vCPU was met. */
		if (vm->rec->vm_id) {
			kvm_meter_sysfs_vm_update(vm);
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
