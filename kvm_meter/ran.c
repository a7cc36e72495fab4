// SPDX-License-Identifier: GPL-2.0
#include "ran.h"

#include <linux/bitmap.h>
#include <linux/slab.h>

#include "registry.h"

static u64 *all_ns;
static unsigned long *all_touched;

/* Those of the vCPU that come after what was seen last, to where it was. */
static void note(struct meter_vcpu *v, u64 ran_ns)
{
	struct meter_ran *ran = &v->ran;

	lockdep_assert_held(&v->lock);
	/* Less: a reader was shown more than was so, and the record catches up. */
	if (ran_ns <= ran->seen_ns)
		return;
	ran->ns[ran->cpu] += ran_ns - ran->seen_ns;
	__set_bit(ran->cpu, ran->touched);
	ran->seen_ns = ran_ns;
}

/**
 * kvm_meter_ran_begin() - A vCPU gets a slot, with times of 0
 * @v: vCPU
 * @cpu: where its thread is
 *
 * Context: before others find the vCPU.
 */
void kvm_meter_ran_begin(struct meter_vcpu *v, int cpu)
{
	v->ran.seen_ns = 0;
	v->ran.cpu = cpu;
}

/**
 * kvm_meter_ran_move() - The thread that runs a vCPU got this CPU
 * @v: vCPU, whose record has all of the time on other CPUs
 * @cpu: this CPU
 *
 * Context: vcpu->lock held.
 */
void kvm_meter_ran_move(struct meter_vcpu *v, int cpu)
{
	if (v->ran.cpu == cpu)
		return;
	if (v->ran.ns)
		note(v, v->rec->guest_ns + v->rec->host_ns);
	v->ran.cpu = cpu;
}

/**
 * kvm_meter_ran_collect() - Take what a vCPU has run, up to now
 * @v: vCPU
 * @fn: is called for each CPU; false: it does not take this one yet
 * @arg: for @fn
 *
 * Context: process, vm_mutex held. @fn is called with interrupts off.
 */
void kvm_meter_ran_collect(struct meter_vcpu *v, ran_fn fn, void *arg)
{
	struct kvm_meter_vcpu_head head;
	struct meter_ran *ran = &v->ran;
	unsigned long flags;
	int cpu;

	kvm_meter_vcpu_show(v, &head, NULL);
	raw_spin_lock_irqsave(&v->lock, flags);
	note(v, head.guest_ns + head.host_ns);
	for_each_set_bit(cpu, ran->touched, nr_cpu_ids) {
		if (!fn(cpu, ran->ns[cpu], arg))
			continue;
		ran->ns[cpu] = 0;
		__clear_bit(cpu, ran->touched);
	}
	raw_spin_unlock_irqrestore(&v->lock, flags);
}

/**
 * kvm_meter_ran_forget() - Drop what nobody has collected
 * @v: vCPU whose VM has ended
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_ran_forget(struct meter_vcpu *v)
{
	int cpu;

	if (!v->ran.ns)
		return;
	for_each_set_bit(cpu, v->ran.touched, nr_cpu_ids)
		v->ran.ns[cpu] = 0;
	bitmap_zero(v->ran.touched, nr_cpu_ids);
}

/* For all slots. */
int kvm_meter_ran_init(void)
{
	size_t longs = BITS_TO_LONGS(nr_cpu_ids);
	unsigned int i;

	all_ns = kvcalloc(meter_vcpu_slots, nr_cpu_ids * sizeof(*all_ns), GFP_KERNEL);
	all_touched = kvcalloc(meter_vcpu_slots, longs * sizeof(*all_touched), GFP_KERNEL);
	if (!all_ns || !all_touched) {
		kvm_meter_ran_exit();
		return -ENOMEM;
	}
	for (i = 0; i < meter_vcpu_slots; i++) {
		meter_vcpus[i].ran.ns = all_ns + (size_t)i * nr_cpu_ids;
		meter_vcpus[i].ran.touched = all_touched + i * longs;
	}
	return 0;
}

void kvm_meter_ran_exit(void)
{
	kvfree(all_ns);
	kvfree(all_touched);
	all_ns = NULL;
	all_touched = NULL;
}
