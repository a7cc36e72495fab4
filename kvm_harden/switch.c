// SPDX-License-Identifier: GPL-2.0
/*
 * Who must be kept from whom. A core remembers which domain was in a guest on
 * it last; a vCPU of another domain that enters there makes a switch. On a core
 * of several CPUs a domain that is left while another one has entered marks the
 * core as foreign to both: the core holds traces of each then.
 *
 * A switch is made by each CPU of a core for itself: a barrier holds for the CPU
 * that issues it, and a sibling may enter before it is over. What nobody asked for then
 * is missing there, for one of the domain who asks for it when he comes.
 *
 * As long as a vCPU is alone on its core with its domain its entries take the
 * meter's fast path, and nothing here runs.
 */
#include "switch.h"

#include <linux/cpumask.h>
#include <linux/hash.h>
#include <linux/kvm_host.h>

#include <kvm_meter/abi.h>

#include "core.h"
#include "covered.h"
#include "flush.h"
#include "trace.h"
#include "vm.h"

bool harden_dry_run __read_mostly;

struct decision {
	harden_token from;
	u64 from_vm;
	u32 flush;		/* what this entry flushes */
	u32 covered;		/* what KVM does for it */
};

/*
 * A VM without a slot is a domain for itself. Its address may be used again: it is
 * forgotten when the VM ends.
 */
static harden_token token_of(const struct kvm_vcpu *vcpu, const struct harden_vm *vm)
{
	return vm ? READ_ONCE(vm->token) : (unsigned long)vcpu->kvm;
}

/*
 * What the domain that leaves asked for: its last VM, by its policy of today if
 * it lives, and those of the domain that were there before it.
 */
static u32 leaving_policy(const struct harden_core *core)
{
	if (core->last == TOKEN_FOREIGN)
		return READ_ONCE(harden_default_policy) | core->last_policy;
	if (core->last_vm && READ_ONCE(core->last_vm->id) == core->last_vm_id)
		return harden_policy(core->last_vm) | core->earlier_policy;
	return core->last_policy | core->earlier_policy;
}

/* After an entry that failed its VM may be gone, and the slot another's. */
static void count_conflict(const struct harden_cpu *c, u64 ns)
{
	if (!c->vm || READ_ONCE(c->vm->id) == c->vm_id)
		harden_count(c->vm, sibling_conflict_ns, ns);
}

/* Let the time since the last change be that of those who shared the core. */
static void account_conflict(struct harden_core *core, struct harden_cpu *any, u64 now)
{
	struct harden_cpu *c = any, *s;

	lockdep_assert_held(&core->lock);
	if (now > core->stamp) {
		u64 ns = now - core->stamp;

		do {
			if (!c->in_guest || c->fast)
				continue;
			for_each_sibling(s, c) {
				if (s->in_guest && !s->fast && s->token != c->token) {
					count_conflict(c, ns);
					break;
				}
			}
		} while (c = c->next, c != any);
		core->stamp = now;
	}
}

/*
 * The siblings' vCPUs of other domains come off the fast path: their next entry
 * has to see that this one was here. And those that have a switch to make.
 */
static void revoke_siblings(struct harden_cpu *c)
{
	struct harden_cpu *s;

	for_each_sibling(s, c)
		if (s->token != c->token || s->stale)
			kvm_meter_guard_revoke(s->cpu);
}

/* A switch on the core is one for the siblings too, when they enter next. */
static void make_siblings_stale(struct harden_cpu *c, u32 left)
{
	struct harden_cpu *s;

	for_each_sibling(s, c) {
		s->stale = true;
		s->left |= left;
	}
}

/**
 * kvm_harden_make_foreign() - The core holds traces that are foreign to whoever comes next
 * @core: core
 * @policy: what somebody asked for beside those who are known to have been there
 *
 * Context: core->lock held.
 */
void kvm_harden_make_foreign(struct harden_core *core, u32 policy)
{
	lockdep_assert_held(&core->lock);
	if (core->last != TOKEN_FOREIGN)
		core->last_policy = leaving_policy(core);
	core->last_policy |= core->earlier_policy | policy;
	core->earlier_policy = 0;
	core->last = TOKEN_FOREIGN;
	core->last_cpu = -1;
}

/* Its VM has been given another domain since it entered. */
static bool moved(const struct harden_cpu *c)
{
	return c->vm && READ_ONCE(c->vm->token) != c->token;
}

/*
 * The guest that @c is in has been left. If another domain entered on the core
 * meanwhile, the core holds traces of both by now; so it does if this one is not
 * of the domain any more that it entered with.
 */
static void leave(struct harden_core *core, struct harden_cpu *c)
{
	struct harden_cpu *s;

	lockdep_assert_held(&core->lock);
	c->in_guest = false;
	c->fast = false;
	if (core->cpus == 1)
		return;
	if (core->last != c->token || moved(c)) {
		kvm_harden_make_foreign(core, harden_policy(c->vm));
		/* A sibling of the domain that this one entered with, too. */
		for_each_sibling(s, c)
			kvm_meter_guard_revoke(s->cpu);
	} else if (core->last_cpu != c->cpu) {
		/* It ran beside the other one of its domain until now. */
		core->last_cpu = -1;
	}
}

/* A VM without a slot is an address, which is nobody's business outside. */
static u64 shown(harden_token token)
{
	return token >> 63 ? TOKEN_NO_SLOT | hash_64(token, 32) : token;
}

static bool decide(struct harden_core *core, struct harden_cpu *c, struct kvm_vcpu *vcpu,
		   struct harden_vm *vm, struct kvm_meter_vcpu *rec, struct decision *d)
{
	harden_token token = token_of(vcpu, vm);
	u32 policy = harden_policy(vm), wanted = 0;
	u64 id = vm ? vm->id : 0;
	bool change;

	lockdep_assert_held(&core->lock);
	/* An entry that failed, or whose exit event is still to come. */
	if (c->in_guest && !c->fast)
		account_conflict(core, c, kvm_meter_guard_clock());
	if (c->in_guest || c->fast)
		leave(core, c);
	/* KVM was trusted with a flush, and no exit came to tell. */
	if (c->check_l1d)
		core->owed |= KVM_HARDEN_L1D;
	change = core->last != token || token == TOKEN_FOREIGN || (policy & KVM_HARDEN_HOST);

	d->from = change || !c->stale ? core->last : TOKEN_FOREIGN;
	d->from_vm = d->from != TOKEN_FOREIGN && core->last_vm ? core->last_vm_id : 0;
	d->covered = 0;
	if (change || c->stale) {
		u32 left = change ? leaving_policy(core) : 0;
		/* KVM's barrier came before what host code did since the load. */
		bool loaded = core->last_cpu == c->cpu && c->vcpu != vcpu && !c->stale &&
			      !(policy & KVM_HARDEN_HOST);

		wanted = (policy | left | c->left) & HARDEN_PRIMITIVES;
		d->covered = kvm_harden_covered(vcpu, loaded) & wanted & ~core->owed;
		if (change)
			make_siblings_stale(c, left);
		c->left = 0;
		c->missing = HARDEN_PRIMITIVES & ~wanted;
	} else {
		wanted = policy & c->missing;
		c->missing &= ~wanted;
	}
	if (change)
		core->earlier_policy = 0;
	else if (core->last_vm != vm || core->last_vm_id != id)
		core->earlier_policy = leaving_policy(core);
	d->flush = (wanted & ~d->covered) | core->owed;
	core->owed = 0;

	/* With others of the domain beside it no CPU has been alone since. */
	core->last_cpu = change || core->last_cpu == c->cpu ? c->cpu : -1;
	core->last = token;
	core->last_policy = policy;
	core->last_vm = vm;
	core->last_vm_id = id;
	c->vcpu = vcpu;
	c->vm = vm;
	c->vm_id = id;
	c->rec = rec;
	c->token = token;
	c->check_l1d = d->covered & KVM_HARDEN_L1D;
	c->l1d_seen = vcpu->stat.l1d_flush;
	change |= c->stale;
	c->stale = false;
	if (core->cpus > 1)
		revoke_siblings(c);
	return change;
}

static void count(struct harden_vm *vm, const struct decision *d, bool change)
{
	if (change)
		harden_count(vm, switches, 1);
	if (d->flush & KVM_HARDEN_IBPB)
		harden_count(vm, ibpb, 1);
	if (d->flush & KVM_HARDEN_L1D)
		harden_count(vm, l1d, 1);
	if (d->covered)
		harden_count(vm, covered, hweight32(d->covered));
}

/**
 * kvm_harden_enter() - A vCPU is about to enter its guest
 * @vcpu: vCPU
 * @slot: of its VM, or KVM_METER_NO_SLOT
 * @rec: the meter's record of it, or NULL
 *
 * Context: interrupts off, on the CPU that enters.
 */
void kvm_harden_enter(struct kvm_vcpu *vcpu, u32 slot, struct kvm_meter_vcpu *rec)
{
	struct harden_cpu *c = this_cpu_ptr(&harden_cpu);
	struct harden_core *core = c->core;
	struct harden_vm *vm = harden_vm(slot);
	struct decision d;
	bool change;
	u64 ns = 0;

	if (WARN_ON_ONCE(!core)) {
		kvm_harden_flush(kvm_harden_flush_available());
		return;
	}
	raw_spin_lock(&core->lock);
	change = decide(core, c, vcpu, vm, rec, &d);
	raw_spin_unlock(&core->lock);
	if (!change && !d.flush)
		return;

	if (d.flush && !READ_ONCE(harden_dry_run)) {
		ns = kvm_meter_guard_clock();
		kvm_harden_flush(d.flush);
		ns = kvm_meter_guard_clock() - ns;
		harden_count(vm, flush_ns, ns);
	} else if (d.flush) {
		harden_count(vm, predicted_ns, kvm_harden_flush_costs(d.flush));
	}
	count(vm, &d, change);
	trace_kvm_harden_switch(vm ? vm->id : 0, vcpu->vcpu_id, shown(c->token), shown(d.from),
				d.from_vm, d.flush, d.covered, ns);
}

/* The meter's fast path keeps a sibling's state, and nobody this structure's. */
static void catch_up(struct harden_cpu *c)
{
	struct harden_cpu *s;

	for_each_sibling(s, c) {
		if (!s->fast || s->token == c->token)
			continue;
		s->fast = false;
		s->in_guest = READ_ONCE(s->rec->state) == KVM_METER_GUEST &&
			      READ_ONCE(s->rec->cpu) == s->cpu;
	}
}

/**
 * kvm_harden_entered() - The guest's time begins
 * @vcpu: vCPU
 * @now: the meter's clock
 *
 * Return: true if the next entries need no decision until somebody says so.
 * Whoever changes what this depends on does so before he takes the key, which
 * has been set by now, off: either he finds the key or this finds the change.
 *
 * Context: interrupts off.
 */
bool kvm_harden_entered(struct kvm_vcpu *vcpu, u64 now)
{
	struct harden_cpu *c = this_cpu_ptr(&harden_cpu), *s;
	struct harden_core *core = c->core;
	bool fast;

	if (unlikely(!core || c->vcpu != vcpu))
		return false;
	smp_mb(); /* the key before what it depends on */
	fast = !c->check_l1d && c->rec && c->token != TOKEN_FOREIGN &&
	       token_of(vcpu, c->vm) == c->token &&
	       !(harden_policy(c->vm) & KVM_HARDEN_HOST);
	if (core->cpus == 1)
		return fast && READ_ONCE(core->last) == c->token;

	raw_spin_lock(&core->lock);
	catch_up(c);
	account_conflict(core, c, now);
	c->in_guest = true;
	if (core->last != c->token || c->stale)
		fast = false;
	/* In conflict every exit is looked at. */
	for_each_sibling(s, c)
		if (s->in_guest && s->token != c->token)
			fast = false;
	c->fast = fast;
	raw_spin_unlock(&core->lock);
	return fast;
}

/* Did KVM do the L1D flush that it was trusted with? */
static bool l1d_was_covered(struct harden_cpu *c, const struct kvm_vcpu *vcpu)
{
	if (!c->check_l1d)
		return true;
	c->check_l1d = false;
	if (vcpu->stat.l1d_flush != c->l1d_seen)
		return true;
	c->core->owed |= KVM_HARDEN_L1D;
	harden_count(c->vm, uncovered, 1);
	return false;
}

/**
 * kvm_harden_exited() - A guest was left
 * @vcpu: vCPU
 * @cpu: where it had been entered
 * @at: the meter's clock then
 *
 * Context: any but NMI; on kernels whose exit event comes late possibly on
 * another CPU, and after another vCPU has entered on @cpu.
 */
void kvm_harden_exited(struct kvm_vcpu *vcpu, int cpu, u64 at)
{
	struct harden_cpu *c;
	struct harden_core *core;
	unsigned long flags;
	bool covered = true;

	/* It is from a record that BPF programs can write to. */
	if (unlikely((unsigned int)cpu >= nr_cpu_ids || !cpu_possible(cpu)))
		return;
	c = per_cpu_ptr(&harden_cpu, cpu);
	core = READ_ONCE(c->core);
	if (!core || (core->cpus == 1 && !c->check_l1d))
		return;
	raw_spin_lock_irqsave(&core->lock, flags);
	/* Entered before the guard looked: it ran beside who entered since. */
	if (!c->vcpu)
		leave(core, c);
	if (c->vcpu != vcpu)
		goto unlock;
	covered = l1d_was_covered(c, vcpu);
	if (core->cpus > 1) {
		account_conflict(core, c, at);
		leave(core, c);
	}
unlock:
	raw_spin_unlock_irqrestore(&core->lock, flags);
	/* Wakes a worker, and the scheduler's locks are outside the core's. */
	if (!covered)
		kvm_harden_covered_wrong();
}

/**
 * kvm_harden_forget() - A domain ends, or is not what it was
 * @token: its token, which others may have from now on; TOKEN_FOREIGN: all domains
 *
 * The next entry on each core that the domain had last counts as a switch. Each
 * core is locked, as an entry there may have taken the token just now.
 *
 * Context: any.
 */
void kvm_harden_forget(harden_token token)
{
	unsigned long flags;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct harden_core *core = per_cpu_ptr(&harden_cores, cpu);

		raw_spin_lock_irqsave(&core->lock, flags);
		if (token == TOKEN_FOREIGN || core->last == token)
			kvm_harden_make_foreign(core, 0);
		raw_spin_unlock_irqrestore(&core->lock, flags);
	}
}
