// SPDX-License-Identifier: GPL-2.0
#include "threads.h"

#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/timekeeping.h>

#include "compat_sched.h"
#include "registry.h"

#define TRIES		8
#define BASE_TRIES	3
/* By then a thread that was on its way out at the base has left its CPU for good. */
#define LEAVES_NS	NSEC_PER_SEC

struct sums {
	u64 cpu[METER_CLASSES];
	u64 vcpu;		/* part of the first: of threads that run vCPUs */
	u64 read, written;
};

/* At one moment: threads that have died, and turns with a vCPU that are over. */
struct gone {
	struct sums sums;
	unsigned int changes, seq;
};

static enum meter_class class_of(const struct task_struct *task)
{
	return compat_is_vhost_task(task) ? CLASS_VHOST : CLASS_VMM;
}

static void add_disk(struct sums *s, const struct task_io_accounting *ioac)
{
#ifdef CONFIG_TASK_IO_ACCOUNTING
	s->read += READ_ONCE(ioac->read_bytes);
	/* Not less what was truncated: that may be what another process wrote. */
	s->written += READ_ONCE(ioac->write_bytes);
#endif
}

static void add_cpu(struct sums *s, struct task_struct *task)
{
	u64 ns = READ_ONCE(task->se.sum_exec_runtime);

	s->cpu[class_of(task)] += ns;
	s->vcpu += kvm_meter_task_vcpu_ns(task, ns);
}

static void look_gone(struct meter_process *p, struct gone *g)
{
	struct signal_struct *signal = p->signal;
	unsigned long flags;

	smp_rmb(); /* after what was looked at before */
	do {
		memset(g, 0, sizeof(*g));
		g->seq = read_seqbegin(&signal->stats_lock);
		add_disk(&g->sums, &signal->ioac);
	} while (read_seqretry(&signal->stats_lock, g->seq));
	raw_spin_lock_irqsave(&p->lock, flags);
	g->changes = p->changes;
	memcpy(g->sums.cpu, p->dead_ns, sizeof(g->sums.cpu));
	g->sums.vcpu = p->vcpu_ns;
	raw_spin_unlock_irqrestore(&p->lock, flags);
}

static bool same(const struct gone *a, const struct gone *b)
{
	return a->changes == b->changes && a->seq == b->seq;
}

/* @dead, @left: what is gone, before or after the threads were looked at */
static void fill(u64 *now, const struct sums *s, const struct gone *dead, const struct gone *left)
{
	now[SHARE_VMM_NS] = s->cpu[CLASS_VMM] + dead->sums.cpu[CLASS_VMM] - s->vcpu -
			    left->sums.vcpu;
	now[SHARE_VHOST_NS] = s->cpu[CLASS_VHOST] + dead->sums.cpu[CLASS_VHOST];
	now[SHARE_DISK_READ] = s->read + dead->sums.read;
	now[SHARE_DISK_WRITE] = s->written + dead->sums.written;
}

/*
 * Does a thread's past belong to the base: will the hook on its last switch count
 * it? One that has begun to exit that hook has to be told of. If it is past its last
 * switch, or just before it, it is forgotten on both sides.
 */
static bool is_to_die(struct meter_process *p, struct task_struct *task)
{
	unsigned long flags;
	bool dead;

	if (!(READ_ONCE(task->flags) & PF_EXITING))
		return true;
	raw_spin_lock_irqsave(&p->lock, flags);
	p->leaving++;
	raw_spin_unlock_irqrestore(&p->lock, flags);
	smp_mb(); /* the hook knows of it before its state is looked at */
	dead = READ_ONCE(task->__state) == TASK_DEAD;
	if (dead) {
		raw_spin_lock_irqsave(&p->lock, flags);
		if (p->leaving)
			p->leaving--;
		raw_spin_unlock_irqrestore(&p->lock, flags);
	}
	return !dead;
}

/**
 * kvm_meter_threads_base() - What a process has used before its account begins
 * @p: process, found by the hooks already
 * @now: filled in; rather too much than too little if threads die very fast
 *
 * Context: any that does not hold p->lock.
 */
void kvm_meter_threads_base(struct meter_process *p, u64 *now)
{
	struct gone before, after;
	struct task_struct *task;
	unsigned int tries;
	unsigned long flags;
	struct sums s;

	for (tries = 0; tries < BASE_TRIES; tries++) {
		raw_spin_lock_irqsave(&p->lock, flags);
		memset(p->dead_ns, 0, sizeof(p->dead_ns));
		p->vcpu_ns = 0;
		p->dying = 0;
		p->leaving = 0;
		p->base_ns = ktime_get_mono_fast_ns();
		raw_spin_unlock_irqrestore(&p->lock, flags);
		look_gone(p, &before);
		memset(&s, 0, sizeof(s));
		smp_mb(); /* who has not begun to exit will find the process */
		rcu_read_lock();
		__for_each_thread(p->signal, task) {
			add_disk(&s, &task->ioac);
			if (is_to_die(p, task))
				add_cpu(&s, task);
		}
		rcu_read_unlock();
		look_gone(p, &after);
		if (same(&before, &after))
			break;
	}
	fill(now, &s, &after, &before);
}

/**
 * kvm_meter_threads_sum() - What a process has used
 * @p: process
 * @now: filled in; of CPU time a thread that is just dying is missing
 *
 * Who dies, or ceases to run a vCPU, while the threads are looked at would be there
 * twice or not at all: then it is done again. What the last try has is never too
 * much: it has who died before the look, and takes off all turns with vCPUs that were
 * over after it. The next look catches up.
 *
 * Context: process, p->mutex held.
 * Return: false if something may be missing, because all tries were like that.
 */
bool kvm_meter_threads_sum(struct meter_process *p, u64 *now)
{
	struct gone before, after;
	struct task_struct *task;
	unsigned int tries;
	struct sums s;

	lockdep_assert_held(&p->mutex);
	for (tries = 0; tries < TRIES; tries++) {
		look_gone(p, &before);
		memset(&s, 0, sizeof(s));
		rcu_read_lock();
		__for_each_thread(p->signal, task) {
			add_disk(&s, &task->ioac);
			/* From here on the hook on its last switch counts it. */
			if (!READ_ONCE(task->exit_state))
				add_cpu(&s, task);
		}
		rcu_read_unlock();
		look_gone(p, &after);
		if (same(&before, &after))
			break;
		cond_resched();
	}
	fill(now, &s, &before, &after);
	return tries < TRIES;
}

/**
 * kvm_meter_threads_left() - A thread has ceased to run a vCPU
 * @signal: its process's; compared, not followed
 * @ns: CPU time that it has used since it was taken for that vCPU
 *
 * Context: any, interrupts off.
 */
void kvm_meter_threads_left(const struct signal_struct *signal, u64 ns)
{
	struct meter_process *p;

	rcu_read_lock();
	p = kvm_meter_process_find(signal);
	if (p) {
		raw_spin_lock(&p->lock);
		if (p->signal == signal) {
			p->vcpu_ns += ns;
			p->changes++;
		}
		raw_spin_unlock(&p->lock);
	}
	rcu_read_unlock();
}

/* Context: the exiting thread itself. */
void kvm_meter_thread_exits(struct task_struct *task)
{
	struct meter_process *p;
	unsigned long flags;

	rcu_read_lock();
	p = kvm_meter_process_find(task->signal);
	if (p) {
		raw_spin_lock_irqsave(&p->lock, flags);
		if (p->signal == task->signal)
			p->dying++;
		raw_spin_unlock_irqrestore(&p->lock, flags);
	}
	rcu_read_unlock();
}

/*
 * Is its past in the base? Not if it was on its way out by then and no thread that
 * the base has found; that is soon over.
 */
static bool is_counted(struct meter_process *p)
{
	lockdep_assert_held(&p->lock);
	if (p->dying)
		p->dying--;
	else if (p->leaving)
		p->leaving--;
	else if (ktime_get_mono_fast_ns() - p->base_ns < LEAVES_NS)
		return false;
	return true;
}

/* Context: its last switch, interrupts off; its time is not charged any further. */
void kvm_meter_thread_dead(struct task_struct *task)
{
	struct meter_process *p;

	rcu_read_lock();
	p = kvm_meter_process_find(task->signal);
	if (p) {
		raw_spin_lock(&p->lock);
		if (p->signal == task->signal && is_counted(p)) {
			p->dead_ns[class_of(task)] += task->se.sum_exec_runtime;
			p->changes++;
		}
		raw_spin_unlock(&p->lock);
	}
	rcu_read_unlock();
}
