// SPDX-License-Identifier: GPL-2.0
#include "guard_calls.h"

#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/tracepoint.h>

#include "clock.h"
#include "control.h"

/* Written under vm_mutex; stays set until nobody can be calling it. */
const struct kvm_meter_guard *meter_guard;
DEFINE_STATIC_KEY_FALSE(meter_guard_key);

u32 kvm_meter_guard_slot_of(const struct kvm_vcpu *vcpu)
{
	const struct meter_vm *vm = kvm_meter_find_vm(vcpu->kvm);

	return vm ? vm - meter_vms : KVM_METER_NO_SLOT;
}

/* The meter is about to see entries again: nothing is known of the time before. */
void kvm_meter_guard_restart(void)
{
	mutex_lock(&vm_mutex);
	if (meter_guard)
		meter_guard->restart();
	mutex_unlock(&vm_mutex);
}

/* Under registry_lock. */
void kvm_meter_guard_born(const struct meter_vm *vm)
{
	const struct kvm_meter_guard *guard = READ_ONCE(meter_guard);

	if (guard)
		guard->born(vm - meter_vms, vm->id);
}

/* @slot, @id: of its record, or KVM_METER_NO_SLOT */
void kvm_meter_guard_ended(const struct kvm *kvm, u32 slot, u64 id)
{
	const struct kvm_meter_guard *guard;

	rcu_read_lock();
	guard = READ_ONCE(meter_guard);
	if (guard)
		guard->ended(kvm, slot, id);
	rcu_read_unlock();
}

void kvm_meter_guard_show(const struct meter_vm *vm)
{
	lockdep_assert_held(&vm_mutex);
	if (meter_guard)
		meter_guard->show(vm - meter_vms, vm->id);
}

void kvm_meter_guard_hide(const struct meter_vm *vm)
{
	lockdep_assert_held(&vm_mutex);
	if (meter_guard)
		meter_guard->hide(vm - meter_vms);
}

bool kvm_meter_guard_enabled(void)
{
	return static_key_enabled(&meter_guard_key);
}

/**
 * kvm_meter_guard_register() - Become the guard of all VMs
 * @guard: what to call
 *
 * VMs that are there already are told by born() and show(). Entries and exits
 * are told from kvm_meter_guard_enable() on.
 *
 * Context: process.
 * Return: 0, or -EBUSY if there is a guard already.
 */
int kvm_meter_guard_register(const struct kvm_meter_guard *guard)
{
	struct meter_vm *vm;
	int ret = 0;

	mutex_lock(&vm_mutex);
	if (meter_guard) {
		ret = -EBUSY;
		goto unlock;
	}
	kvm_meter_registry_set_guard(guard);
	for_each_meter_vm(vm)
		if (READ_ONCE(vm->state) == METER_VM_LIVE)
			guard->show(vm - meter_vms, vm->id);
unlock:
	mutex_unlock(&vm_mutex);
	return ret;
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_register);

/**
 * kvm_meter_guard_unregister() - Stop to be the guard
 * @guard: which has been registered and is not enabled
 *
 * Context: process. No function of @guard is called any more when it returns.
 */
void kvm_meter_guard_unregister(const struct kvm_meter_guard *guard)
{
	struct meter_vm *vm;

	mutex_lock(&vm_mutex);
	for_each_meter_vm(vm)
		guard->hide(vm - meter_vms);
	kvm_meter_registry_set_guard(NULL);
	mutex_unlock(&vm_mutex);
	synchronize_rcu();
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_unregister);

/**
 * kvm_meter_guard_enable() - Let the guard see entries and exits
 *
 * Every vCPU is taken off the fast path, so that the guard sees its next entry.
 * An entry that is under way on another CPU may still have missed the guard.
 *
 * Context: process.
 * Return: 0; -ENODEV if the meter is disarmed, so that it sees no entries.
 */
int kvm_meter_guard_enable(void)
{
	return kvm_meter_control_guard(true);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_enable);

/**
 * kvm_meter_guard_disable() - The guard sees entries and exits no more
 *
 * Context: process. Waits for those that are under way.
 */
void kvm_meter_guard_disable(void)
{
	kvm_meter_control_guard(false);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_disable);

/**
 * kvm_meter_guard_revoke() - Take the vCPU of a CPU off the fast path
 * @cpu: CPU
 *
 * Its next entry or exit there is told to the guard.
 *
 * Context: any. A full barrier.
 */
void kvm_meter_guard_revoke(int cpu)
{
	kvm_meter_cpu_tag(per_cpu_ptr(&meter_cpu, cpu));
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_revoke);

/** kvm_meter_guard_armed() - Does the meter see entries and exits? */
bool kvm_meter_guard_armed(void)
{
	return kvm_meter_armed();
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_armed);

/** kvm_meter_guard_slots() - How many VMs can have a slot */
unsigned int kvm_meter_guard_slots(void)
{
	return meter_vcpu_slots;
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_slots);

/** kvm_meter_guard_clock() - The meter's clock, ns */
u64 kvm_meter_guard_clock(void)
{
	return meter_clock();
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_clock);
