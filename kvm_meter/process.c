// SPDX-License-Identifier: GPL-2.0
#include "process.h"

#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/rculist_nulls.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "health.h"
#include "identity.h"
#include "kworker.h"
#include "nic.h"
#include "registry.h"
#include "threads.h"

#define TABLE_BITS	8
/* Network devices that there is room for, per vCPU. */
#define NICS_PER_SLOT	4
/* More threads than this are not looked at with interrupts off. */
#define THREADS_AT_ONCE	256
/* How often a reader tries to be the one who settles, and how far apart. */
#define LOOK_TRIES	16
#define LOOK_US		100
/* Where that takes longer, readers get what is so many times as old. */
#define LOOK_COSTS_NS	(5 * NSEC_PER_MSEC)
#define LOOK_TIMES	4

static struct meter_process *processes;
static unsigned int process_slots;
static DEFINE_RAW_SPINLOCK(process_lock);
static struct hlist_nulls_head by_signal[1 << TABLE_BITS];
static LIST_HEAD(free_processes);

/**
 * kvm_meter_process_find() - Find a process that runs VMs
 * @signal: what its threads share
 *
 * Context: RCU read side. The slot may be another's by the time it is looked at.
 */
struct meter_process *kvm_meter_process_find(const struct signal_struct *signal)
{
	unsigned int bucket = hash_ptr(signal, TABLE_BITS);
	struct hlist_nulls_node *pos;
	struct meter_process *p;

again:
	hlist_nulls_for_each_entry_rcu(p, pos, &by_signal[bucket], by_signal)
		if (READ_ONCE(p->signal) == signal)
			return p;
	if (get_nulls_value(pos) != bucket)
		goto again;
	return NULL;
}

static void meet(struct meter_process *p, struct task_struct *task)
{
	unsigned long flags;

	lockdep_assert_held(&process_lock);
	list_del(&p->link);
	p->task = get_task_struct(task);
	p->born_ns = ktime_get_mono_fast_ns();
	p->payer = kvm_meter_ident_payer(task);
	p->vm_count = 0;
	raw_spin_lock_irqsave(&p->lock, flags);
	p->changes = 0;
	p->dying = 0;
	p->leaving = 0;
	p->base_ns = p->born_ns;
	memset(p->dead_ns, 0, sizeof(p->dead_ns));
	p->vcpu_ns = 0;
	WRITE_ONCE(p->signal, task->signal);
	raw_spin_unlock_irqrestore(&p->lock, flags);
	p->closed = false;
	p->based = false;
	p->took_ns = 0;
	memset(p->seen, 0, sizeof(p->seen));
	p->scan_in = 0;
	p->vhost_files = 0;
	p->vhost_before = 0;
	p->in_vain = 0;
	p->kworker_ns = 0;
	memset(p->net, 0, sizeof(p->net));
	hlist_nulls_add_head_rcu(&p->by_signal, &by_signal[hash_ptr(task->signal, TABLE_BITS)]);
}

/**
 * kvm_meter_process_join() - A VM was met
 * @vm: VM, not listed yet
 * @task: a thread of its VMM
 *
 * What the process has used so far is no VM's. If it has very many threads it is
 * worked out by the worker, which looks at the VM within moments.
 *
 * Context: the registry's lock held, interrupts off.
 * Return: false if there is no slot; there are as many as for VMs.
 */
bool kvm_meter_process_join(struct meter_vm *vm, struct task_struct *task)
{
	struct meter_process *p;
	bool new;

	raw_spin_lock(&process_lock);
	p = kvm_meter_process_find(task->signal);
	new = !p;
	if (new)
		p = list_first_entry_or_null(&free_processes, struct meter_process, link);
	/* Once it is listed, others charge it. */
	vm->process = p;
	memset(vm->share, 0, sizeof(vm->share));
	if (p) {
		if (new)
			meet(p, task);
		list_add_tail(&vm->in_process, &p->vms);
		p->vm_count++;
	}
	raw_spin_unlock(&process_lock);
	if (!p)
		return false;
	/* No worker knows of it yet. */
	if (new && READ_ONCE(p->signal->nr_threads) <= THREADS_AT_ONCE) {
		kvm_meter_threads_base(p, p->seen);
		p->based = true;
	}
	return true;
}

/**
 * kvm_meter_process_leave() - A VM has been settled for the last time
 * @vm: VM; none of its vCPUs has a thread any more, and nobody reads its files
 *
 * Its shares stay what they are.
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_process_leave(struct meter_vm *vm)
{
	struct meter_process *p = vm->process;
	unsigned long flags;
	bool last;

	lockdep_assert_held(&vm_mutex);
	if (!p)
		return;
	raw_spin_lock_irqsave(&process_lock, flags);
	list_del(&vm->in_process);
	last = !--p->vm_count;
	if (last)
		hlist_nulls_del_rcu(&p->by_signal);
	raw_spin_unlock_irqrestore(&process_lock, flags);
	vm->process = NULL;
	if (!last)
		return;

	kvm_meter_nics_drop(p);
	kvm_meter_kworkers_drop(p);
	raw_spin_lock_irqsave(&p->lock, flags);
	WRITE_ONCE(p->signal, NULL);
	raw_spin_unlock_irqrestore(&p->lock, flags);
	put_task_struct(p->task);
	p->task = NULL;
	raw_spin_lock_irqsave(&process_lock, flags);
	list_add(&p->link, &free_processes);
	raw_spin_unlock_irqrestore(&process_lock, flags);
}

/* Evenly: nothing tells for whom a thread has worked. The oldest gets the rest. */
static void split(struct meter_process *p, const u64 *grown)
{
	u64 each[METER_SHARES], rest[METER_SHARES];
	struct meter_vm *vm;
	unsigned int i;

	lockdep_assert_held(&process_lock);
	if (!p->vm_count)
		return;
	for (i = 0; i < METER_SHARES; i++) {
		each[i] = grown[i] / p->vm_count;
		rest[i] = grown[i] % p->vm_count;
	}
	list_for_each_entry(vm, &p->vms, in_process) {
		for (i = 0; i < METER_SHARES; i++) {
			WRITE_ONCE(vm->share[i], vm->share[i] + each[i] + rest[i]);
			rest[i] = 0;
		}
	}
}

static void settle(struct meter_process *p)
{
	u64 now[METER_SHARES], grown[METER_SHARES], began = ktime_get_mono_fast_ns();
	unsigned long flags;
	unsigned int i;

	lockdep_assert_held(&p->mutex);
	if (p->closed)
		return;
	if (!p->based)
		kvm_meter_threads_base(p, p->seen);
	p->based = true;
	memcpy(now, p->seen, sizeof(now));
	if (!kvm_meter_threads_sum(p, now))
		health_count(HEALTH_torn_reads);
	kvm_meter_kworkers_settle(p);
	now[SHARE_VHOST_NS] += p->kworker_ns;
	kvm_meter_nics_settle(p, now);
	for (i = 0; i < METER_SHARES; i++) {
		grown[i] = max_t(s64, now[i] - p->seen[i], 0);
		p->seen[i] += grown[i];
	}
	raw_spin_lock_irqsave(&process_lock, flags);
	split(p, grown);
	raw_spin_unlock_irqrestore(&process_lock, flags);
	p->settled_ns = ktime_get_mono_fast_ns();
	p->took_ns = p->settled_ns - began;
}

/* A VMM with very many threads makes it dear to look, for whoever reads. */
static bool is_fresh(const struct meter_process *p)
{
	return p->took_ns > LOOK_COSTS_NS &&
	       ktime_get_mono_fast_ns() - p->settled_ns < LOOK_TIMES * p->took_ns;
}

/**
 * kvm_meter_process_settle() - Charge its VMs with what a process has used
 * @p: process
 *
 * Context: process. It takes a look at each of the process's threads.
 */
void kvm_meter_process_settle(struct meter_process *p)
{
	if (!p)
		return;
	mutex_lock(&p->mutex);
	settle(p);
	mutex_unlock(&p->mutex);
}

/**
 * kvm_meter_process_look() - The same for a reader
 * @p: process
 *
 * Anybody may read, as often as he likes: readers do not queue before the worker,
 * which holds vm_mutex. Where others settle the process all the time, they have what
 * was settled last.
 *
 * Context: process.
 */
void kvm_meter_process_look(struct meter_process *p)
{
	unsigned int tries;

	for (tries = 0; tries < LOOK_TRIES; tries++) {
		if (mutex_trylock(&p->mutex)) {
			if (!is_fresh(p))
				settle(p);
			mutex_unlock(&p->mutex);
			return;
		}
		usleep_range(LOOK_US, 2 * LOOK_US);
	}
}

/**
 * kvm_meter_process_scan() - Look what a process has open, and settle it
 * @p: process
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_process_scan(struct meter_process *p)
{
	lockdep_assert_held(&vm_mutex);
	if (!p)
		return;
	kvm_meter_nics_scan(p);
	mutex_lock(&p->mutex);
	kvm_meter_kworkers_scan(p);
	settle(p);
	mutex_unlock(&p->mutex);
}

/**
 * kvm_meter_process_close_all() - Settle all processes for the last time
 *
 * No vCPU is followed from now on: what runs on is no VM's.
 *
 * Context: process; no VM is met any more.
 */
void kvm_meter_process_close_all(void)
{
	unsigned int i;

	mutex_lock(&vm_mutex);
	kvm_meter_kworkers_pass();
	for (i = 0; i < process_slots; i++) {
		struct meter_process *p = &processes[i];

		/* Those too whose VM the worker has not seen yet. */
		if (!READ_ONCE(p->signal))
			continue;
		p->scan_in = 0;
		mutex_lock(&p->mutex);
		p->in_vain = 0;
		mutex_unlock(&p->mutex);
		kvm_meter_process_scan(p);
		mutex_lock(&p->mutex);
		p->closed = true;
		mutex_unlock(&p->mutex);
		cond_resched();
	}
	kvm_meter_kworkers_pass();
	mutex_unlock(&vm_mutex);
}

/* Are there threads that have begun to exit and have not been counted yet? */
bool kvm_meter_process_dying(struct meter_process *p)
{
	return p && READ_ONCE(p->dying);
}

int kvm_meter_process_init(unsigned int slots)
{
	unsigned int i;
	int ret;

	processes = kvcalloc(slots, sizeof(*processes), GFP_KERNEL);
	if (!processes)
		return -ENOMEM;
	process_slots = slots;
	for (i = 0; i < ARRAY_SIZE(by_signal); i++)
		INIT_HLIST_NULLS_HEAD(&by_signal[i], i);
	for (i = 0; i < slots; i++) {
		struct meter_process *p = &processes[i];

		raw_spin_lock_init(&p->lock);
		mutex_init(&p->mutex);
		INIT_LIST_HEAD(&p->vms);
		INIT_LIST_HEAD(&p->nics);
		list_add_tail(&p->link, &free_processes);
	}
	ret = kvm_meter_nic_init(NICS_PER_SLOT * slots);
	if (ret)
		kvfree(processes);
	return ret;
}

void kvm_meter_process_exit(void)
{
	kvm_meter_nic_exit();
	kvm_meter_kworkers_exit();
	kvfree(processes);
}
