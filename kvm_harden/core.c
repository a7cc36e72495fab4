// SPDX-License-Identifier: GPL-2.0
#include "core.h"

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/topology.h>

#include "switch.h"

DEFINE_PER_CPU_ALIGNED(struct harden_cpu, harden_cpu);

/* The core of a CPU is that of its first sibling that came, for good. */
DEFINE_PER_CPU(struct harden_core, harden_cores);
static int hotplug_state;

/*
 * Before the scheduler puts anything on the CPU. Siblings come one at a time.
 */
static int on_cpu_online(unsigned int cpu)
{
	struct harden_cpu *c = per_cpu_ptr(&harden_cpu, cpu), *other = NULL;
	struct harden_core *core = per_cpu_ptr(&harden_cores, cpu);
	unsigned long flags;
	int sibling;

	if (c->core)
		return 0;
	for_each_cpu(sibling, topology_sibling_cpumask(cpu)) {
		if (sibling != cpu && per_cpu_ptr(&harden_cpu, sibling)->core)
			other = per_cpu_ptr(&harden_cpu, sibling);
	}
	if (other)
		core = other->core;
	raw_spin_lock_irqsave(&core->lock, flags);
	c->next = c;
	if (other) {
		c->next = other->next;
		other->next = c;
	}
	core->cpus++;
	kvm_harden_make_foreign(core, 0);
	raw_spin_unlock_irqrestore(&core->lock, flags);
	smp_store_release(&c->core, core); /* complete before an entry here sees it */
	return 0;
}

/**
 * kvm_harden_core_reset() - Nothing is known of what any core holds, and nothing runs
 *
 * Context: process; the guard is not told of entries meanwhile.
 */
void kvm_harden_core_reset(void)
{
	unsigned long flags;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct harden_cpu *c = per_cpu_ptr(&harden_cpu, cpu);

		if (!c->core)
			continue;
		raw_spin_lock_irqsave(&c->core->lock, flags);
		c->vcpu = NULL;
		c->token = TOKEN_FOREIGN;
		c->in_guest = false;
		c->fast = false;
		c->check_l1d = false;
		c->stale = false;
		c->left = 0;
		c->missing = 0;
		c->core->last = TOKEN_FOREIGN;
		c->core->last_cpu = -1;
		c->core->owed = 0;
		c->core->last_policy = 0;
		c->core->earlier_policy = 0;
		raw_spin_unlock_irqrestore(&c->core->lock, flags);
	}
}

int kvm_harden_core_init(void)
{
	int cpu, ret;

	for_each_possible_cpu(cpu) {
		raw_spin_lock_init(&per_cpu_ptr(&harden_cores, cpu)->lock);
		per_cpu_ptr(&harden_cpu, cpu)->cpu = cpu;
	}
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "kvm_harden:online", on_cpu_online, NULL);
	if (ret < 0)
		return ret;
	hotplug_state = ret;
	return 0;
}

void kvm_harden_core_exit(void)
{
	cpuhp_remove_state(hotplug_state);
}
