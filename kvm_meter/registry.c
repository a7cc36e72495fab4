// SPDX-License-Identifier: GPL-2.0
#include "registry.h"

#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/irq_work.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "account.h"
#include "active_probe.h"
#include "admit.h"
#include "clock.h"
#include "guard_calls.h"
#include "health.h"
#include "hook_slow.h"
#include "maps.h"
#include "place.h"
#include "reason.h"
#include "retire.h"
#include "threads.h"
#include "wait.h"

#define TABLE_BITS	12

DEFINE_PER_CPU_ALIGNED(struct meter_cpu, meter_cpu);
DEFINE_MUTEX(vm_mutex); /* see registry.h */

struct meter_vm *meter_vms;
struct meter_vcpu *meter_vcpus;
unsigned int meter_vcpu_slots;

static DEFINE_RAW_SPINLOCK(registry_lock);
static DEFINE_RAW_SPINLOCK(task_table_lock);
static struct hlist_nulls_head by_vcpu[1 << TABLE_BITS];
static struct hlist_nulls_head by_task[1 << TABLE_BITS];
static struct hlist_head by_kvm[1 << TABLE_BITS];
static LIST_HEAD(free_vcpus);
static LIST_HEAD(free_vms);
static LIST_HEAD(live_vms);
static LIST_HEAD(todo_vms);
static unsigned int vcpus_used, vms_used;
static u64 last_vm_id;

/*
 * The chains end in their bucket's number: a reader that was carried into
 * another chain, because a slot was given to someone else under it, sees a
 * foreign number at the end and starts again.
 */
struct meter_vcpu *kvm_meter_find_vcpu(const struct kvm_vcpu *vcpu)
{
	unsigned int bucket = hash_ptr(vcpu, TABLE_BITS);
	struct hlist_nulls_node *pos;
	struct meter_vcpu *v;

again:
	hlist_nulls_for_each_entry_rcu(v, pos, &by_vcpu[bucket], by_vcpu)
		if (READ_ONCE(v->vcpu) == vcpu)
			return v;
	if (get_nulls_value(pos) != bucket)
		goto again;
	return NULL;
}

struct meter_vcpu *kvm_meter_find_task(const struct task_struct *task)
{
	unsigned int bucket = hash_ptr(task, TABLE_BITS);
	struct hlist_nulls_node *pos;
	struct meter_vcpu *v;

again:
	hlist_nulls_for_each_entry_rcu(v, pos, &by_task[bucket], by_task)
		if (READ_ONCE(v->task) == task)
			return v;
	if (get_nulls_value(pos) != bucket)
		goto again;
	return NULL;
}

/**
 * kvm_meter_task_map() - Follow a thread on behalf of a vCPU
 * @v: vCPU that no thread is followed for
 * @task: the thread that runs it
 *
 * Context: vcpu->lock held.
 * Return: false if another vCPU has the thread.
 */
bool kvm_meter_task_map(struct meter_vcpu *v, struct task_struct *task)
{
	bool mine;

	lockdep_assert_held(&v->lock);
	raw_spin_lock(&task_table_lock);
	mine = !kvm_meter_find_task(task);
	if (mine) {
		v->task_base_ns = READ_ONCE(task->se.sum_exec_runtime);
		v->task_ns = v->task_base_ns;
		v->signal = task->signal;
		WRITE_ONCE(v->task, task);
		v->rec->tid = task->pid;
		hlist_nulls_add_head_rcu(&v->by_task, &by_task[hash_ptr(task, TABLE_BITS)]);
	}
	raw_spin_unlock(&task_table_lock);
	return mine;
}

/*
 * The thread may be gone, unless it is the current one. What it has used is known
 * from its last switch, or from who takes the vCPU over: since then it has not run it.
 */
void kvm_meter_task_unmap(struct meter_vcpu *v)
{
	u64 ns = v->task_ns;

	lockdep_assert_held(&v->lock);
	if (!v->task)
		return;
	if (v->task == current)
		ns = READ_ONCE(current->se.sum_exec_runtime);
	if (ns > v->task_base_ns)
		kvm_meter_threads_left(v->signal, ns - v->task_base_ns);
	raw_spin_lock(&task_table_lock);
	hlist_nulls_del_rcu(&v->by_task);
	WRITE_ONCE(v->task, NULL);
	raw_spin_unlock(&task_table_lock);
}

/**
 * kvm_meter_task_vcpu_ns() - CPU time of a thread that is its vCPU's
 * @task: thread
 * @ns: what it has used in all
 *
 * Context: RCU read side.
 * Return: what it has used since it was taken for the vCPU that it runs; 0 if it
 * runs none.
 */
u64 kvm_meter_task_vcpu_ns(const struct task_struct *task, u64 ns)
{
	struct meter_vcpu *v = kvm_meter_find_task(task);
	unsigned long flags;
	u64 own = 0;

	if (!v)
		return 0;
	raw_spin_lock_irqsave(&v->lock, flags);
	if (v->task == task) {
		v->task_ns = max(v->task_ns, ns);
		own = ns > v->task_base_ns ? ns - v->task_base_ns : 0;
	}
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return own;
}

/**
 * kvm_meter_vcpu_irq_ns() - Time that a vCPU's exits for host interrupts took
 * @v: vCPU
 *
 * Of the time from such an exit to the next entry, that before the thread lost
 * its CPU.
 */
u64 kvm_meter_vcpu_irq_ns(struct meter_vcpu *v)
{
	const struct kvm_meter_vcpu *rec = v->rec;
	unsigned long flags;
	unsigned int i;
	u64 ns = 0;

	raw_spin_lock_irqsave(&v->lock, flags);
	for (i = 0; i < METER_IRQ_REASONS; i++)
		ns += READ_ONCE(rec->reasons[meter_irq_slot[i]].time_ns);
	ns -= v->irq_out_ns;
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return ns;
}

/**
 * kvm_meter_cpu_release() - Take a vCPU off the fast path
 * @v: vCPU
 *
 * Its CPU forgets it, so that its next entry or exit takes the slow path, and
 * the exit whose time is running is remembered with the vCPU.
 *
 * Context: vcpu->lock held. The vCPU is not on the entry/exit path: either the
 * caller is the thread that runs it, or that thread is being switched out, or
 * another one holds KVM's vcpu->mutex now.
 */
void kvm_meter_cpu_release(struct meter_vcpu *v)
{
	struct kvm_vcpu *key;
	struct meter_cpu *c;

	lockdep_assert_held(&v->lock);
	if (v->key_cpu < 0)
		return;
	c = per_cpu_ptr(&meter_cpu, v->key_cpu);
	v->key_cpu = -1;
	if (kvm_meter_cpu_vcpu(c) != v->vcpu)
		return;
	if (v->rec->state == KVM_METER_HOST) {
		v->reason = READ_ONCE(c->reason);
		v->exit_ns = v->rec->since_ns;
	}
	/* A guard may tag it meanwhile. */
	key = READ_ONCE(c->key);
	while (((unsigned long)key & ~1ul) == (unsigned long)v->vcpu &&
	       !try_cmpxchg(&c->key, &key, NULL))
		;
}

/**
 * kvm_meter_vcpu_refresh() - Fetch what KVM itself counts
 * @v: vCPU
 *
 * Exits that KVM counts without an exit event (an entry that failed, a guest
 * that is emulated) are the difference. KVM counts an exit a little after its
 * event, 6.1 on AMD a little before; both are settled while the vCPU is out of
 * the guest, and what was seen once is never taken back.
 *
 * Context: vcpu->lock held; keeps the vCPU from being destroyed.
 */
void kvm_meter_vcpu_refresh(struct meter_vcpu *v)
{
	struct kvm_meter_vcpu *rec = v->rec;
	struct kvm_vcpu *vcpu = v->vcpu;
	u64 exits, mine, done, poll;

	lockdep_assert_held(&v->lock);
	if (!vcpu)
		return;
	poll = READ_ONCE(vcpu->stat.generic.halt_poll_success_ns) +
	       READ_ONCE(vcpu->stat.generic.halt_poll_fail_ns);
	if (poll - v->halt_poll_base < (1ull << 63) &&
	    poll - v->halt_poll_base > rec->halt_poll_ns)
		rec->halt_poll_ns = poll - v->halt_poll_base;

	done = kvm_meter_read_begin(rec);
	if (!v->entered || READ_ONCE(rec->state) == KVM_METER_GUEST || v->late_exit)
		return;
	exits = READ_ONCE(vcpu->stat.exits);
	mine = READ_ONCE(rec->exits);
	/* It went into the guest and out meanwhile. */
	if (kvm_meter_read_retry(rec, done))
		return;
	if (exits < v->kvm_exits_seen) {
		/* Root may set the statistic to zero. */
		health_count(HEALTH_stat_resets);
		v->kvm_exits_base = exits - mine - rec->synthetic_exits;
	}
	v->kvm_exits_seen = exits;
	exits -= v->kvm_exits_base + mine;
	if (exits < (1ull << 63) && exits > rec->synthetic_exits)
		rec->synthetic_exits = exits;
}

/* Worker: something is to be done for this VM. */
static void vm_todo(struct meter_vm *vm)
{
	lockdep_assert_held(&registry_lock);
	if (list_empty(&vm->todo))
		list_add_tail(&vm->todo, &todo_vms);
}

/*
 * Under registry_lock; or with interrupts off, and then a VM may be missed while
 * others come and go.
 */
static struct meter_vm *vm_find(const struct kvm *kvm)
{
	struct meter_vm *vm;

	hlist_for_each_entry_rcu(vm, &by_kvm[hash_ptr(kvm, TABLE_BITS)], by_kvm,
				 irqs_disabled())
		if (READ_ONCE(vm->kvm) == kvm)
			return vm;
	return NULL;
}

struct meter_vm *kvm_meter_find_vm(const struct kvm *kvm)
{
	return vm_find(kvm);
}

static struct meter_vm *vm_add(struct kvm *kvm, struct task_struct *task, u32 flags)
{
	struct meter_vm *vm = list_first_entry_or_null(&free_vms, struct meter_vm, link);

	if (!vm) {
		health_count(HEALTH_vm_overflows);
		return NULL;
	}
	if (!kvm_meter_process_join(vm, task)) {
		health_count(HEALTH_vm_overflows);
		return NULL;
	}
	list_move(&vm->link, &live_vms);
	vms_used++;
	vm->id = ++last_vm_id;
	WRITE_ONCE(vm->kvm, kvm);
	vm->state = METER_VM_LIVE;
	vm->flags = flags;
	vm->vcpu_count = 0;
	atomic_set(&vm->waiting, 0);
	vm->ended_ns = 0;
	vm->wait_end = 0;
	vm->scanned = false;
	vm->hint.memory_node = KVM_METER_NODE_NONE;
	vm->hint.preferred_node = KVM_METER_NODE_NONE;
	vm->hint.gain_permille = 0;
	memset(vm->node_memory_bytes, 0, sizeof(vm->node_memory_bytes));
	memset(vm->node_guest_base, 0, sizeof(vm->node_guest_base));
	vm->order.count = 0;
	memset(&vm->memory, 0, sizeof(vm->memory));
	kvm_meter_ident_take(&vm->ident, task);
	/* Whoever finds it finds what the guard has for it. */
	kvm_meter_guard_born(vm);
	hlist_add_head_rcu(&vm->by_kvm, &by_kvm[hash_ptr(kvm, TABLE_BITS)]);
	return vm;
}

/*
 * A vCPU that was there before the module: follow the thread that ran it last.
 * Not if that is dying: its last switch, which takes it off again, may be past.
 */
static void map_last_thread(struct meter_vcpu *v, struct task_struct *thread)
{
	if (!thread || !kvm_meter_task_map(v, thread))
		return;
	smp_mb(); /* mapped before exit_state is looked at; the scheduler sees the map */
	if (READ_ONCE(thread->exit_state))
		kvm_meter_task_unmap(v);
}

static struct meter_vcpu *vcpu_add_locked(struct kvm_vcpu *vcpu, struct task_struct *task,
					  struct task_struct *thread, u32 state, u32 flags)
{
	struct kvm_meter_vcpu_head ident = {};
	struct meter_vcpu *v;
	struct meter_vm *vm;

	vm = vm_find(vcpu->kvm);
	v = list_first_entry_or_null(&free_vcpus, struct meter_vcpu, link);
	if (!kvm_meter_admit(vcpu, kvm_meter_ident_payer(task), v)) {
		if (vm)
			vm->flags |= KVM_METER_VM_PARTIAL;
		return NULL;
	}
	if (!vm) {
		vm = vm_add(vcpu->kvm, task, flags);
		if (!vm)
			return NULL;
	}
	WRITE_ONCE(vcpus_used, vcpus_used + 1);
	kvm_meter_admit_taken(vm->ident.payer);
	list_del(&v->link);
	v->vm = vm;
	v->key_cpu = -1;
	v->entered = false;
	v->late_exit = false;
	v->woken_ns = 0;
	v->waits = false;
	v->on_cpu = -1;
	v->promise_shift = 0;
	v->nr_pairs = 0;
	v->apart = NULL;
	v->crowded = NULL;
	v->mate = NULL;
	v->unknown_seen = 0;
	v->reason = NULL;
	v->exit_ns = 0;
	v->out_ns = 0;
	v->irq_out_ns = 0;
	v->halt_poll_base = vcpu->stat.generic.halt_poll_success_ns +
			    vcpu->stat.generic.halt_poll_fail_ns;
	v->order.count = 0;
	kvm_meter_ran_begin(v, raw_smp_processor_id());
	memset(&v->shown, 0, sizeof(v->shown));

	ident.vm_id = vm->id;
	ident.vcpu_id = vcpu->vcpu_id;
	ident.clock_mult = meter_clock_mult;
	ident.cpu = raw_smp_processor_id();
	account_open(v->rec, &ident, meter_clock(), state);

	raw_spin_lock(&v->lock);
	WRITE_ONCE(v->vcpu, vcpu);
	hlist_nulls_add_head_rcu(&v->by_vcpu, &by_vcpu[hash_ptr(vcpu, TABLE_BITS)]);
	map_last_thread(v, thread);
	raw_spin_unlock(&v->lock);
	list_add_tail_rcu(&v->link, &vm->vcpus);
	vm->vcpu_count++;
	vm_todo(vm);
	return v;
}

/**
 * kvm_meter_vcpu_add() - Meet a vCPU for the first time
 * @vcpu: KVM's vCPU
 * @task: a thread of its VMM
 * @thread: the thread that ran it last, where it is not the caller; or NULL
 * @state: what it is doing
 * @flags: KVM_METER_VM_* of its VM, if that is new too
 *
 * Context: interrupts off; @vcpu cannot be destroyed meanwhile.
 * Return: the vCPU, known before or new; NULL if there is no room.
 */
struct meter_vcpu *kvm_meter_vcpu_add(struct kvm_vcpu *vcpu, struct task_struct *task,
				      struct task_struct *thread, u32 state, u32 flags)
{
	struct meter_vcpu *v;

	if (kvm_meter_refused(vcpu))
		return NULL;
	rcu_read_lock();
	raw_spin_lock(&registry_lock);
	v = kvm_meter_find_vcpu(vcpu);
	if (!v)
		v = vcpu_add_locked(vcpu, task, thread, state, flags);
	raw_spin_unlock(&registry_lock);
	rcu_read_unlock();
	/* The interrupt that it raises would keep a refused guest from running. */
	if (v || kvm_meter_admit_news())
		kvm_meter_retire_kick();
	return v;
}

static void vm_end_locked(struct meter_vm *vm, u32 flags)
{
	struct meter_vcpu *v;

	lockdep_assert_held(&registry_lock);
	list_for_each_entry(v, &vm->vcpus, link) {
		raw_spin_lock(&v->lock);
		kvm_meter_vcpu_refresh(v);
		kvm_meter_cpu_release(v);
		kvm_meter_place_settle(v);
		kvm_meter_place_out(v);
		kvm_meter_task_unmap(v);
		kvm_meter_move(v, meter_clock(), KVM_METER_ENDED);
		hlist_nulls_del_rcu(&v->by_vcpu);
		WRITE_ONCE(v->vcpu, NULL);
		raw_spin_unlock(&v->lock);
	}
	vm->state = METER_VM_ENDED;
	hlist_del_rcu(&vm->by_kvm);
	WRITE_ONCE(vm->kvm, NULL);
	vm->flags |= flags;
	vm->ended_ns = ktime_get_real_fast_ns();
	list_del_init(&vm->link);
	vm_todo(vm);
}

/**
 * kvm_meter_vm_end() - A VM is being destroyed
 * @kvm: KVM's VM; none of its vCPUs runs any more
 *
 * Context: any.
 */
void kvm_meter_vm_end(struct kvm *kvm)
{
	u32 slot = KVM_METER_NO_SLOT;
	struct meter_vm *vm;
	unsigned long flags;
	u64 id = 0;

	raw_spin_lock_irqsave(&registry_lock, flags);
	kvm_meter_admit_forget(kvm);
	vm = vm_find(kvm);
	if (vm) {
		slot = vm - meter_vms;
		id = vm->id;
		vm_end_locked(vm, 0);
	}
	raw_spin_unlock_irqrestore(&registry_lock, flags);
	kvm_meter_guard_ended(kvm, slot, id);
	if (!vm)
		return;
	/* With interrupts off it is not KVM that says so: the VM has long gone. */
	if (!irqs_disabled())
		kvm_meter_probe_wait(vm);
	kvm_meter_retire_kick();
}

/**
 * kvm_meter_vm_end_all() - Write everybody's final record
 * @vm_flags: added to kvm_meter_vm.flags
 *
 * Context: process; no hook runs any more but that on the end of a VM, which does
 * not find them from now on. The sampler is kept off: kvm_meter_active_pause().
 */
void kvm_meter_vm_end_all(u32 vm_flags)
{
	struct meter_vm *vm;
	unsigned long flags;

	raw_spin_lock_irqsave(&registry_lock, flags);
	while ((vm = list_first_entry_or_null(&live_vms, struct meter_vm, link)))
		vm_end_locked(vm, vm_flags);
	kvm_meter_admit_forget_all();
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

/* No VM is met meanwhile: each is told to the guard exactly once. */
void kvm_meter_registry_set_guard(const struct kvm_meter_guard *guard)
{
	struct meter_vm *vm;
	unsigned long flags;

	raw_spin_lock_irqsave(&registry_lock, flags);
	WRITE_ONCE(meter_guard, guard);
	if (guard)
		list_for_each_entry(vm, &live_vms, link)
			kvm_meter_guard_born(vm);
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

/* Next VM for the worker. */
struct meter_vm *kvm_meter_vm_todo(void)
{
	struct meter_vm *vm;
	unsigned long flags;

	lockdep_assert_held(&vm_mutex);
	kvm_meter_admit_say();
	raw_spin_lock_irqsave(&registry_lock, flags);
	vm = list_first_entry_or_null(&todo_vms, struct meter_vm, todo);
	if (vm)
		list_del_init(&vm->todo);
	raw_spin_unlock_irqrestore(&registry_lock, flags);
	return vm;
}

/**
 * kvm_meter_vm_ended() - Is this VM to be retired?
 * @vm: what kvm_meter_vm_todo() returned
 *
 * One that ends after it was taken off the queue has been put there again: it is
 * taken off, as it must not be met once more when its slot is free or another's.
 */
bool kvm_meter_vm_ended(struct meter_vm *vm)
{
	unsigned long flags;
	bool ended;

	lockdep_assert_held(&vm_mutex);
	raw_spin_lock_irqsave(&registry_lock, flags);
	ended = vm->state == METER_VM_ENDED;
	if (ended)
		list_del_init(&vm->todo);
	raw_spin_unlock_irqrestore(&registry_lock, flags);
	return ended;
}

/* VMs that have ended, and that the worker could not retire yet. */
void kvm_meter_vm_todo_again(struct list_head *vms)
{
	unsigned long flags;

	lockdep_assert_held(&vm_mutex);
	raw_spin_lock_irqsave(&registry_lock, flags);
	list_splice_tail(vms, &todo_vms);
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

/* Give an ended VM's slots back. Its records have been wiped. */
void kvm_meter_vm_free(struct meter_vm *vm)
{
	struct meter_vcpu *v, *next;
	unsigned long flags;

	lockdep_assert_held(&vm_mutex);
	raw_spin_lock_irqsave(&registry_lock, flags);
	list_for_each_entry_safe(v, next, &vm->vcpus, link) {
		v->vm = NULL;
		list_move(&v->link, &free_vcpus);
		WRITE_ONCE(vcpus_used, vcpus_used - 1);
		kvm_meter_admit_given_back(vm->ident.payer);
	}
	INIT_LIST_HEAD(&vm->vcpus);
	vm->state = METER_VM_FREE;
	list_add(&vm->link, &free_vms);
	vms_used--;
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

bool kvm_meter_slots_full(void)
{
	return READ_ONCE(vcpus_used) == meter_vcpu_slots;
}

void kvm_meter_usage(u32 *vcpus, u32 *vms)
{
	*vcpus = READ_ONCE(vcpus_used);
	*vms = READ_ONCE(vms_used);
}

/* All reasons of a vCPU, or none if they have changed meanwhile. */
static bool reasons_read(const struct kvm_meter_vcpu *rec, u64 done,
			 struct kvm_meter_vm_reason *reasons)
{
	unsigned int i;

	if (!reasons)
		return true;
	for (i = 0; i < KVM_METER_REASONS; i++) {
		reasons[i].count = READ_ONCE(rec->reasons[i].count);
		reasons[i].time_ns = READ_ONCE(rec->reasons[i].time_ns);
	}
	return !kvm_meter_read_retry(rec, done);
}

/**
 * kvm_meter_vcpu_show_all() - Read a vCPU for sysfs and for the sums of its VM
 * @v: vCPU
 * @out: its counters at this moment; none ever goes back
 * @reasons: its reasons at the same moment, so that they add up to the exits;
 *	or NULL
 * @sum: its histograms and nodes at the same moment are added to those here; or NULL
 *
 * Return: 0, or -ESTALE if @out is what was shown last time.
 */
int kvm_meter_vcpu_show_all(struct meter_vcpu *v, struct kvm_meter_vcpu_head *out,
			    struct kvm_meter_vm_reason *reasons, struct kvm_meter_vm *sum)
{
	unsigned long flags;
	int tries;

	/*
	 * A writer is in an update for some ten instructions, unless this host
	 * is a guest itself and its CPU was taken away just then.
	 */
	for (tries = 0; tries < 250; tries++) {
		u64 done;

		raw_spin_lock_irqsave(&v->lock, flags);
		kvm_meter_vcpu_refresh(v);
		done = kvm_meter_read_begin(v->rec);
		if (!kvm_meter_read(v->rec, out) && reasons_read(v->rec, done, reasons)) {
			kvm_meter_monotonic(out, &v->shown);
			v->shown = *out;
			if (out->state != KVM_METER_ENDED)
				v->rec->wall_ns = out->wall_ns;
			if (sum) {
				/* A late event may come yet, of an exit before that. */
				if (meter_exit_style == METER_EXIT_EARLY)
					kvm_meter_place_upto(v, out->guest_ns);
				else
					kvm_meter_place_settle(v);
				account_sum_arrays(sum, v->rec);
				kvm_meter_place_settle(v);
			}
			raw_spin_unlock_irqrestore(&v->lock, flags);
			return 0;
		}
		raw_spin_unlock_irqrestore(&v->lock, flags);
		udelay(9);
	}
	health_count(HEALTH_torn_reads);
	raw_spin_lock_irqsave(&v->lock, flags);
	*out = v->shown;
	if (sum)
		account_sum_arrays(sum, v->rec);
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return -ESTALE;
}

int kvm_meter_registry_init(unsigned int slots)
{
	unsigned int i;
	int ret = kvm_meter_process_init(slots);

	if (ret)
		return ret;
	meter_vcpus = kvcalloc(slots, sizeof(*meter_vcpus), GFP_KERNEL);
	meter_vms = kvcalloc(slots, sizeof(*meter_vms), GFP_KERNEL);
	if (!meter_vcpus || !meter_vms) {
		kvm_meter_registry_exit();
		return -ENOMEM;
	}
	meter_vcpu_slots = slots;
	for (i = 0; i < ARRAY_SIZE(by_vcpu); i++) {
		INIT_HLIST_NULLS_HEAD(&by_vcpu[i], i);
		INIT_HLIST_NULLS_HEAD(&by_task[i], i);
	}
	for (i = 0; i < slots; i++) {
		struct meter_vcpu *v = &meter_vcpus[i];
		struct meter_vm *vm = &meter_vms[i];

		raw_spin_lock_init(&v->lock);
		v->rec = kvm_meter_map_vcpu(i);
		v->key_cpu = -1;
		list_add_tail(&v->link, &free_vcpus);
		vm->rec = kvm_meter_map_vm(i);
		spin_lock_init(&vm->probe_lock);
		raw_spin_lock_init(&vm->mates_lock);
		INIT_LIST_HEAD(&vm->todo);
		INIT_LIST_HEAD(&vm->vcpus);
		list_add_tail(&vm->link, &free_vms);
	}
	return 0;
}

void kvm_meter_registry_exit(void)
{
	kvm_meter_process_exit();
	kvfree(meter_vcpus);
	kvfree(meter_vms);
	meter_vcpus = NULL;
	meter_vms = NULL;
}
