// SPDX-License-Identifier: GPL-2.0
/*
 * Guest time is split by what runs beside it at the scheduler's switches, not at
 * entries and exits: when a thread gets a CPU, the vCPUs on the CPU's siblings are
 * settled, that is, what their guests have run since they were settled last goes
 * to what was there until now.
 *
 * Two siblings may switch at once. Each writes what it does before it looks what
 * the other does, with a full barrier between; whoever settles last sees both.
 */
#include "place.h"

#include <linux/cpumask.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/topology.h>

#include "account.h"
#include "clock.h"
#include "hooks.h"
#include "maps.h"
#include "numa.h"
#include "promise.h"

/* A writer is in an update for some ten instructions. */
#define GUEST_TRIES	64

DEFINE_PER_CPU_ALIGNED(struct meter_load, meter_load);
bool meter_smt __read_mostly;

/*
 * guest_ns at this moment, of a vCPU that may be on the fast path of another CPU,
 * within an update of ours: a reader that has brought its copy up to a later moment
 * finds that it has to read again. Where the event of an exit comes late, the guest
 * ran up to the exit that KVM has noted, if that is of this run.
 * If that CPU was taken away in the middle of an update, as it can be where the
 * host is a guest itself: as of the last exit.
 */
static u64 guest_now(const struct meter_vcpu *v)
{
	const struct kvm_meter_vcpu *rec = v->rec;
	int tries;

	for (tries = 0; tries < GUEST_TRIES; tries++) {
		u64 done = kvm_meter_read_begin(rec) + 1; /* our update */
		u64 guest = READ_ONCE(rec->guest_ns);
		u64 since = READ_ONCE(rec->since_ns);
		bool in_guest = READ_ONCE(rec->state) == KVM_METER_GUEST;
		u64 now, out;

		smp_mb(); /* the update is seen, ... */
		rmb(); /* ... and then the clock is read: it waits for what came before */
		now = meter_clock();
		out = now;
		if (in_guest && v->vcpu && v->entered &&
		    /* KVM writes the time of the exit before it says that the guest was left. */
		    smp_load_acquire(&v->vcpu->mode) == OUTSIDE_GUEST_MODE)
			out = kvm_meter_late_exit_ns(v->vcpu, now);
		if (out <= since)
			out = now;
		if (!kvm_meter_read_retry(rec, done))
			return guest + (in_guest && out > since ? out - since : 0);
		cpu_relax();
	}
	return READ_ONCE(rec->guest_ns);
}

/* The line for a pair of vCPUs; NULL if there are too many. Under v->lock. */
static struct meter_pair *pair_of(struct meter_vcpu *v, const struct meter_vcpu *other,
				  bool apart)
{
	u32 id = READ_ONCE(other->rec->vcpu_id);
	struct meter_pair *p;

	for (p = v->pairs; p < v->pairs + v->nr_pairs; p++)
		if (p->other == id && p->apart == apart)
			return p;
	if (v->nr_pairs == METER_PAIRS)
		return NULL;
	v->nr_pairs++;
	p->other = id;
	p->apart = apart;
	p->ns = 0;
	return p;
}

static bool promised(const struct meter_vcpu *v, const struct meter_vcpu *other)
{
	return promise_siblings(v->promise_shift, v->rec->vcpu_id,
				READ_ONCE(other->rec->vcpu_id));
}

/* What the siblings do: the worst of it, and a vCPU that should not be there. */
static u32 beside(struct meter_vcpu *v, int cpu, struct meter_vcpu **crowd)
{
	u32 worst = KVM_METER_BESIDE_IDLE;
	int sibling;

	for_each_cpu(sibling, topology_sibling_cpumask(cpu)) {
		const struct meter_load *l = per_cpu_ptr(&meter_load, sibling);
		struct meter_vcpu *other = READ_ONCE(l->v);
		u64 who = READ_ONCE(l->who);

		if (sibling == cpu || who == LOAD_IDLE)
			continue;
		/* A thread whose vCPU has ended, or that ran another one, is the host's. */
		if (who == LOAD_HOST || (other && READ_ONCE(other->on_cpu) != sibling)) {
			worst = max_t(u32, worst, KVM_METER_BESIDE_HOST);
		} else if (who != v->rec->vm_id) {
			worst = max_t(u32, worst, KVM_METER_BESIDE_OTHER);
		} else {
			worst = max_t(u32, worst, KVM_METER_BESIDE_OWN);
			/* Who and which vCPU are not read as one. */
			if (other && READ_ONCE(other->vm) == v->vm && !promised(v, other))
				*crowd = other;
		}
	}
	return worst;
}

/* Does the vCPU that was promised as its sibling run on another core now? */
static bool torn_apart(const struct meter_vcpu *v, int cpu)
{
	const struct meter_vcpu *mate = READ_ONCE(v->mate);
	int other = mate ? READ_ONCE(mate->on_cpu) : -1;

	return other >= 0 && !cpumask_test_cpu(other, topology_sibling_cpumask(cpu));
}

/* Within an update. */
static void charge(struct meter_vcpu *v, u64 guest_ns, u32 place, u32 node)
{
	u64 ns = account_place(v->rec, guest_ns, place, node);

	if (v->crowded)
		v->crowded->ns += ns;
	if (v->apart)
		v->apart->ns += ns;
}

/**
 * kvm_meter_place_upto() - Charge guest time to the place where the vCPU is
 * @v: vCPU
 * @guest_ns: as far as it has been read
 *
 * Context: vcpu->lock held.
 */
void kvm_meter_place_upto(struct meter_vcpu *v, u64 guest_ns)
{
	lockdep_assert_held(&v->lock);
	account_begin(v->rec);
	charge(v, guest_ns, v->rec->place, v->rec->node);
	account_end(v->rec);
}

/* Settle, and look what is beside it from now on. Under v->lock. */
static void settle(struct meter_vcpu *v)
{
	struct meter_vcpu *crowd = NULL;
	u32 home, place = 0, node = v->rec->node;
	int cpu = v->on_cpu;

	lockdep_assert_held(&v->lock);
	if (cpu >= 0) {
		if (meter_smt)
			place = beside(v, cpu, &crowd);
		if (crowd)
			place |= KVM_METER_PLACE_CROWDED;
		if (torn_apart(v, cpu))
			place |= KVM_METER_PLACE_APART;
		node = kvm_meter_cpu_slot(cpu);
		home = READ_ONCE(v->vm->hint.memory_node);
		if (home != KVM_METER_NODE_NONE && home != node)
			place |= KVM_METER_PLACE_REMOTE;
	}
	account_begin(v->rec);
	charge(v, guest_now(v), place, node);
	account_end(v->rec);
	v->crowded = crowd ? pair_of(v, crowd, false) : NULL;
	v->apart = place & KVM_METER_PLACE_APART ? pair_of(v, v->mate, true) : NULL;
}

/**
 * kvm_meter_place_settle() - Bring up to date what a vCPU's place is counted in
 * @v: vCPU
 *
 * Context: vcpu->lock held.
 */
void kvm_meter_place_settle(struct meter_vcpu *v)
{
	settle(v);
}

static void settle_other(struct meter_vcpu *v, int cpu)
{
	if (!v)
		return;
	raw_spin_lock(&v->lock);
	/* The slot may have been given to somebody else. */
	if (v->task && v->on_cpu >= 0 && (cpu < 0 || v->on_cpu == cpu))
		settle(v);
	raw_spin_unlock(&v->lock);
}

/* True if this CPU did something else before. */
static bool load_set(u64 who, struct meter_vcpu *v)
{
	struct meter_load *l = this_cpu_ptr(&meter_load);

	if (l->who == who && l->v == v)
		return false;
	WRITE_ONCE(l->who, who);
	WRITE_ONCE(l->v, v);
	return true;
}

/**
 * kvm_meter_place_in() - The thread of a vCPU has got this CPU
 * @v: vCPU; its thread is current, or will be in a moment
 *
 * kvm_meter_place_switched() has to follow.
 *
 * Context: vcpu->lock held, interrupts off.
 */
void kvm_meter_place_in(struct meter_vcpu *v)
{
	lockdep_assert_held(&v->lock);
	WRITE_ONCE(v->on_cpu, smp_processor_id());
	load_set(v->rec->vm_id, v);
	smp_mb(); /* what this CPU does is written before others are looked at */
	settle(v);
}

/* The thread of a vCPU has lost its CPU. Under v->lock. */
void kvm_meter_place_out(struct meter_vcpu *v)
{
	lockdep_assert_held(&v->lock);
	WRITE_ONCE(v->on_cpu, -1);
}

/**
 * kvm_meter_place_switched() - This CPU does something else now
 * @was: vCPU whose thread had the CPU, or NULL
 * @v: vCPU whose thread has got it, after kvm_meter_place_in(); or NULL
 * @idle: nobody has it
 *
 * Context: interrupts off, no vcpu->lock held.
 */
void kvm_meter_place_switched(struct meter_vcpu *was, struct meter_vcpu *v, bool idle)
{
	int sibling, cpu = smp_processor_id();

	if (!v) {
		if (!load_set(idle ? LOAD_IDLE : LOAD_HOST, NULL))
			return;
		smp_mb(); /* as in kvm_meter_place_in() */
	}
	if (meter_smt) {
		for_each_cpu(sibling, topology_sibling_cpumask(cpu))
			if (sibling != cpu)
				settle_other(READ_ONCE(per_cpu(meter_load.v, sibling)), sibling);
	}
	if (was && unlikely(was->promise_shift))
		settle_other(READ_ONCE(was->mate), -1);
	if (v && unlikely(v->promise_shift))
		settle_other(READ_ONCE(v->mate), -1);
}

/**
 * kvm_meter_place_promise() - Learn what the guest was told of its cores
 * @v: vCPU that enters for the first time
 * @vcpu: KVM's side of it; this thread runs it, and KVM lets nobody change its
 *	CPUID any more
 *
 * Two vCPUs are each other's mates, so that each is settled when the other gets or
 * loses a CPU.
 *
 * Context: vcpu->lock held, interrupts off.
 */
void kvm_meter_place_promise(struct meter_vcpu *v, const struct kvm_vcpu *vcpu)
{
	struct meter_vcpu *other;

	v->promise_shift = promise_shift(vcpu->arch.cpuid_entries, vcpu->arch.cpuid_nent);
	if (!v->promise_shift)
		return;
	raw_spin_lock(&v->vm->mates_lock);
	list_for_each_entry_rcu(other, &v->vm->vcpus, link) {
		if (v->mate)
			break;
		if (other == v || other->mate || !promised(v, other))
			continue;
		WRITE_ONCE(v->mate, other);
		WRITE_ONCE(other->mate, v);
	}
	raw_spin_unlock(&v->vm->mates_lock);
}

static void look(void *unused)
{
	struct meter_vcpu *v = kvm_meter_find_task(current);

	/* A vCPU that runs already is placed at its next entry. */
	if (!v || !kvm_meter_placed(v))
		load_set(is_idle_task(current) ? LOAD_IDLE : LOAD_HOST, NULL);
}

/* Once there have been siblings, there is something to say about them. */
static void find_siblings(void)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		if (cpumask_weight(topology_sibling_cpumask(cpu)) > 1)
			meter_smt = true;
	cpus_read_unlock();
}

/**
 * kvm_meter_place_start() - Find out what all CPUs do
 *
 * Context: process; the scheduler's hooks are there.
 */
void kvm_meter_place_start(void)
{
	int cpu;

	find_siblings();
	if (meter_smt)
		kvm_meter_map_info()->host |= KVM_METER_HOST_SMT;
	for_each_possible_cpu(cpu)
		if (!cpu_online(cpu))
			*per_cpu_ptr(&meter_load, cpu) = (struct meter_load){ .who = LOAD_IDLE };
	on_each_cpu(look, NULL, 1);
}

/**
 * kvm_meter_place_init() - Find out whether this host has siblings and nodes
 *
 * Context: process.
 */
int kvm_meter_place_init(void)
{
	find_siblings();
	kvm_meter_numa_init();
	return 0;
}
