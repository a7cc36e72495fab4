// SPDX-License-Identifier: GPL-2.0
#include "kworker.h"

#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "health.h"
#include "registry.h"

#define NAME	"vhost-"
/* After so many looks in vain only one pass in 8 times as many looks. */
#define PATIENCE	8

/*
 * All that there are, and for whose memory they work. Looked for once a pass over all
 * processes, however many of those there are. Under vm_mutex.
 */
static struct worker {
	struct task_struct *task;	/* held */
	const struct mm_struct *mm;	/* compared, not followed */
} *workers;
static unsigned int nr_workers, max_workers;
static u64 looked_ns;		/* CLOCK_MONOTONIC; 0: not in this pass */

static void forget_workers(void)
{
	while (nr_workers)
		put_task_struct(workers[--nr_workers].task);
	looked_ns = 0;
}

/* Return: how many there are; those there is room for are listed. */
static unsigned int list_workers(void)
{
	const struct mm_struct *mm;
	struct task_struct *task;
	unsigned int count = 0;

	rcu_read_lock();
	for_each_process(task) {
		mm = READ_ONCE(task->mm);
		if (!(task->flags & PF_KTHREAD) || !mm || strncmp(task->comm, NAME, strlen(NAME)))
			continue;
		if (count++ >= max_workers)
			continue;
		workers[nr_workers].task = get_task_struct(task);
		workers[nr_workers++].mm = mm;
	}
	rcu_read_unlock();
	return count;
}

static void look_for_workers(void)
{
	unsigned int count;

	lockdep_assert_held(&vm_mutex);
	forget_workers();
	looked_ns = ktime_get_mono_fast_ns();
	count = list_workers();
	if (count > max_workers) {
		struct worker *more = kvmalloc_array(2 * count, sizeof(*more), GFP_KERNEL);

		/* Those without room are found by a later look. */
		if (!more)
			return;
		while (nr_workers)
			put_task_struct(workers[--nr_workers].task);
		kvfree(workers);
		workers = more;
		max_workers = 2 * count;
		list_workers();
	}
}

/* A pass over all processes begins, or the last one is over: nothing is known of them. */
void kvm_meter_kworkers_pass(void)
{
	lockdep_assert_held(&vm_mutex);
	forget_workers();
}

void kvm_meter_kworkers_exit(void)
{
	forget_workers();
	kvfree(workers);
	workers = NULL;
	max_workers = 0;
}

/* What the VMM's memory is known by; compared, not followed. Under RCU. */
static const struct mm_struct *mm_of(const struct meter_process *p)
{
	struct task_struct *task;
	const struct mm_struct *mm;

	__for_each_thread(p->signal, task) {
		mm = READ_ONCE(task->mm);
		if (mm)
			return mm;
	}
	return NULL;
}

/* Return: false if it was known. */
static bool take(struct meter_process *p, struct task_struct *task)
{
	unsigned int i, room = METER_KWORKERS;

	for (i = 0; i < METER_KWORKERS; i++) {
		if (p->kworkers[i].task == task)
			return false;
		if (!p->kworkers[i].task && room == METER_KWORKERS)
			room = i;
	}
	if (room == METER_KWORKERS) {
		health_count(HEALTH_unseen_workers);
		return false;
	}
	p->kworkers[room].task = get_task_struct(task);
	/* One that was there before the process was met has a past. */
	p->kworkers[room].seen_ns = task->start_time >= p->born_ns ? 0 :
				    READ_ONCE(task->se.sum_exec_runtime);
	return true;
}

/**
 * kvm_meter_kworkers_scan() - Look for kernel threads that work for a process
 * @p: process
 *
 * vhost's take on the address space that they work for. How many there are to be
 * found does not follow from the number of files: a worker may serve several, and a
 * file have several or none. So it is looked for often when files have come or gone,
 * and now and then as long as there are any.
 *
 * Context: process, vm_mutex and p->mutex held.
 */
void kvm_meter_kworkers_scan(struct meter_process *p)
{
	const struct mm_struct *mm;
	bool found = false;
	unsigned int i;

	lockdep_assert_held(&p->mutex);
	if (p->vhost_files != p->vhost_before)
		p->in_vain = 0;
	p->vhost_before = p->vhost_files;
	if (!p->vhost_files)
		return;
	/* Files of long ago shall not cost a look at all processes each time. */
	if (++p->in_vain > PATIENCE && p->in_vain % (8 * PATIENCE))
		return;
	/* For one that has come since they were looked for, too. */
	if (p->born_ns >= looked_ns)
		look_for_workers();
	rcu_read_lock();
	mm = mm_of(p);
	rcu_read_unlock();
	for (i = 0; mm && i < nr_workers; i++)
		if (workers[i].mm == mm)
			found |= take(p, workers[i].task);
	if (found)
		p->in_vain = 0;
}

/**
 * kvm_meter_kworkers_settle() - Add up what they have used
 * @p: process
 *
 * One that has ended is let go when it has left its CPU: its time is complete.
 *
 * Context: process, p->mutex held.
 */
void kvm_meter_kworkers_settle(struct meter_process *p)
{
	struct task_struct *task;
	unsigned int i;
	bool over;
	u64 ns;

	lockdep_assert_held(&p->mutex);
	for (i = 0; i < METER_KWORKERS; i++) {
		task = p->kworkers[i].task;
		if (!task)
			continue;
		over = READ_ONCE(task->__state) == TASK_DEAD && !READ_ONCE(task->on_cpu);
		smp_rmb(); /* before its time is looked at */
		ns = READ_ONCE(task->se.sum_exec_runtime);
		if (ns > p->kworkers[i].seen_ns) {
			p->kworker_ns += ns - p->kworkers[i].seen_ns;
			p->kworkers[i].seen_ns = ns;
		}
		if (over) {
			put_task_struct(task);
			p->kworkers[i].task = NULL;
			/* Another may have taken its place. */
			p->in_vain = 0;
		}
	}
}

void kvm_meter_kworkers_drop(struct meter_process *p)
{
	unsigned int i;

	for (i = 0; i < METER_KWORKERS; i++) {
		if (p->kworkers[i].task)
			put_task_struct(p->kworkers[i].task);
		p->kworkers[i].task = NULL;
	}
}
