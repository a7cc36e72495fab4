// SPDX-License-Identifier: GPL-2.0
#include "bill.h"

#include "process.h"

/* @own_ns: what its vCPUs have used */
static void bill_fill(const struct meter_vm *vm, u64 own_ns, u64 irq_ns, struct meter_bill *bill)
{
	bill->vmm_ns = READ_ONCE(vm->share[SHARE_VMM_NS]);
	bill->vhost_ns = READ_ONCE(vm->share[SHARE_VHOST_NS]);
	bill->irq_ns = irq_ns;
	/* Not irq_ns, nor what kvm_harden's flushes take: that is in host_ns. */
	bill->cost_ns = own_ns + bill->vmm_ns + bill->vhost_ns;
	bill->disk_read_bytes = READ_ONCE(vm->share[SHARE_DISK_READ]);
	bill->disk_write_bytes = READ_ONCE(vm->share[SHARE_DISK_WRITE]);
	bill->net_rx_bytes = READ_ONCE(vm->share[SHARE_NET_RX]);
	bill->net_tx_bytes = READ_ONCE(vm->share[SHARE_NET_TX]);
}

/**
 * kvm_meter_bill() - What a VM has cost up to this moment
 * @vm: VM
 * @bill: filled in
 *
 * If others read and settle all the time, what the process uses is as of the last
 * time: see kvm_meter_process_look().
 *
 * Context: process; takes no vm_mutex.
 */
void kvm_meter_bill(struct meter_vm *vm, struct meter_bill *bill)
{
	struct kvm_meter_vcpu_head head;
	struct meter_vcpu *v;
	u64 own = 0, irq = 0;

	kvm_meter_process_look(vm->process);
	rcu_read_lock();
	list_for_each_entry_rcu(v, &vm->vcpus, link) {
		kvm_meter_vcpu_show(v, &head, NULL);
		own += head.guest_ns + head.host_ns;
		irq += kvm_meter_vcpu_irq_ns(v);
	}
	rcu_read_unlock();
	bill_fill(vm, own, irq, bill);
}

/**
 * kvm_meter_bill_fold() - Add it to a VM's record
 * @vm: VM, whose process has been settled
 * @sum: has the sums over its vCPUs
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_bill_fold(struct meter_vm *vm, struct kvm_meter_vm *sum)
{
	struct meter_bill bill;
	struct meter_vcpu *v;
	u64 irq = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(v, &vm->vcpus, link)
		irq += kvm_meter_vcpu_irq_ns(v);
	rcu_read_unlock();
	bill_fill(vm, sum->guest_ns + sum->host_ns, irq, &bill);
#define COPY(name, desc) sum->name = bill.name;
	KVM_METER_VM_COUNTERS(COPY)
#undef COPY
}
