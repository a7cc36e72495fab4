// SPDX-License-Identifier: GPL-2.0
/*
 * What the scheduler does to the threads that run vCPUs: when one loses its
 * CPU, why, when it is woken and when it gets a CPU again. Every context
 * switch of the host comes through here, so that the first thing is to find
 * out that a thread is none of ours.
 *
 * Both events come under the thread's runqueue lock, in the order in which
 * they happen to it. Only a thread that wakes itself comes without the lock,
 * and is left alone: it is on a CPU.
 *
 * And when a thread of a VMM ends, whatever it did: see threads.c.
 */
#include "hooks.h"

#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>

#include "account.h"
#include "clock.h"
#include "compat_sched.h"
#include "place.h"
#include "registry.h"
#include "threads.h"
#include "wait.h"

/* Offset of throttle_count in struct cfs_rq; negative if it is not known. */
static long throttle_offset = -1;

void kvm_meter_hook_sched_layout(long throttle_count)
{
	throttle_offset = throttle_count;
}

/* Is the thread in a cgroup that has used up its cpu.max? */
static bool throttled(const struct task_struct *task)
{
#ifdef CONFIG_CFS_BANDWIDTH
	const void *cfs_rq = task->se.cfs_rq;

	if (throttle_offset < 0 || task->prio < MAX_RT_PRIO || !cfs_rq)
		return false;
	return READ_ONCE(*(const int *)(cfs_rq + throttle_offset)) > 0;
#else
	return false;
#endif
}

static u32 wait_state(const struct task_struct *task)
{
	return throttled(task) ? KVM_METER_THROTTLED : KVM_METER_STEAL;
}

/* Is the thread inside KVM_RUN of this vCPU? Then the vCPU cannot go away. */
static bool in_run(const struct task_struct *task, const struct kvm_vcpu *vcpu)
{
	const struct hlist_node *node;

	for (node = task->preempt_notifiers.first; node; node = node->next)
		if (node == &vcpu->preempt_notifier.link)
			return true;
	return false;
}

/*
 * Asleep: halted, stopped by its VMM, or held up? Inside KVM_RUN a vCPU sleeps
 * halted unless it waits for something of the host: a page to be swapped in or
 * served by userfaultfd, a lock. In the VMM an interruptible sleep is what the
 * VMM wants, an uninterruptible one is not.
 */
static u32 sleep_state(const struct meter_vcpu *v, struct task_struct *task)
{
	const struct kvm_vcpu *vcpu = v->vcpu;

	if (!in_run(task, vcpu))
		return READ_ONCE(task->__state) & TASK_UNINTERRUPTIBLE ? KVM_METER_BLOCKED
								       : KVM_METER_IDLE;
	if (!vcpu->stat.generic.blocking || vcpu->arch.apf.halted)
		return KVM_METER_BLOCKED;
	return KVM_METER_IDLE;
}

static void switch_out(struct meter_vcpu *v, struct task_struct *task, bool preempt)
{
	struct kvm_meter_vcpu *rec = v->rec;
	u64 now = meter_clock();
	u32 state;

	kvm_meter_place_out(v);
	if (rec->state == KVM_METER_GUEST) {
		/*
		 * Out of the guest, but the exit event did not come yet: either
		 * it comes late on this kernel, or the entry failed.
		 */
		v->exit_ns = kvm_meter_late_exit_ns(v->vcpu, now);
		kvm_meter_cpu_release(v);
		if (v->exit_ns != now) {
			v->late_exit = true;
			account_begin(rec);
			rec->exits++;
			kvm_meter_charge(account_head(rec), v->exit_ns);
			rec->state = KVM_METER_HOST;
			account_end(rec);
		} else {
			v->exit_ns = 0;
			account_failed_entry(rec);
		}
	} else {
		kvm_meter_cpu_release(v);
	}
	if (v->exit_ns && !v->out_ns)
		v->out_ns = now;
	/* The scheduler has just brought it up to date. */
	v->task_ns = task->se.sum_exec_runtime;

	if (READ_ONCE(task->__state) & TASK_DEAD) {
		kvm_meter_task_unmap(v);
		state = KVM_METER_IDLE;
	} else if (preempt || READ_ONCE(task->__state) == TASK_RUNNING) {
		state = wait_state(task);
	} else {
		state = sleep_state(v, task);
	}
	if (account_waits(state)) {
		kvm_meter_wait(v, now, state);
	} else {
		kvm_meter_move(v, now, state);
		v->woken_ns = 0;
	}
	if (in_run(task, v->vcpu))
		kvm_meter_vcpu_refresh(v);
}

static void switch_in(struct meter_vcpu *v)
{
	kvm_meter_ran_move(v, smp_processor_id());
	kvm_meter_place_in(v);
	if (v->rec->state == KVM_METER_HOST || v->rec->state == KVM_METER_GUEST)
		return;
	kvm_meter_move(v, meter_clock(), KVM_METER_HOST);
}

static void probe_sched_switch(void *data, bool preempt, struct task_struct *prev,
			       struct task_struct *next, unsigned int prev_state)
{
	struct meter_vcpu *was, *v, *in = NULL;

	was = kvm_meter_find_task(prev);
	if (unlikely(was)) {
		raw_spin_lock(&was->lock);
		if (was->task == prev)
			switch_out(was, prev, preempt);
		raw_spin_unlock(&was->lock);
	}
	v = kvm_meter_find_task(next);
	if (unlikely(v)) {
		raw_spin_lock(&v->lock);
		if (v->task == next) {
			switch_in(v);
			in = v;
		}
		raw_spin_unlock(&v->lock);
	}
	if (unlikely(prev_state & TASK_DEAD))
		kvm_meter_thread_dead(prev);
	/* Where no CPU has siblings, only vCPUs are looked after. */
	if (meter_smt || unlikely(was) || unlikely(v))
		kvm_meter_place_switched(was, in, is_idle_task(next));
}

static void probe_sched_wakeup(void *data, struct task_struct *task)
{
	struct meter_vcpu *v;

	if (task == current)
		return;
	v = kvm_meter_find_task(task);
	if (likely(!v))
		return;
	raw_spin_lock(&v->lock);
	if (v->task == task && (v->rec->state == KVM_METER_IDLE ||
				v->rec->state == KVM_METER_BLOCKED))
		kvm_meter_woken(v, meter_clock(), wait_state(task));
	raw_spin_unlock(&v->lock);
}

static void probe_sched_process_exit(void *data, COMPAT_SCHED_EXIT_ARGS)
{
	kvm_meter_thread_exits(task);
}

/* They are not exported by name. */
static struct hook {
	const char *name;
	void *probe;
	struct tracepoint *tp;
} hooks[] = {
	{ "sched_switch", probe_sched_switch },
	{ "sched_wakeup", probe_sched_wakeup },
	{ "sched_process_exit", probe_sched_process_exit },
};

static void find_tracepoint(struct tracepoint *tp, void *priv)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!strcmp(tp->name, hooks[i].name))
			hooks[i].tp = tp;
}

/* The compiler compares the probes with the events' prototypes. */
static void __maybe_unused check_prototypes(void)
{
	check_trace_callback_type_sched_switch(probe_sched_switch);
	check_trace_callback_type_sched_wakeup(probe_sched_wakeup);
	check_trace_callback_type_sched_process_exit(probe_sched_process_exit);
}

static void remove_hooks(unsigned int nr)
{
	while (nr--)
		tracepoint_probe_unregister(hooks[nr].tp, hooks[nr].probe, NULL);
	tracepoint_synchronize_unregister();
}

/**
 * kvm_meter_hook_sched_add() - Start to follow the threads of vCPUs
 *
 * Context: process.
 */
int kvm_meter_hook_sched_add(void)
{
	unsigned int i;
	int ret;

	for_each_kernel_tracepoint(find_tracepoint, NULL);
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (!hooks[i].tp) {
			pr_err("this kernel has no %s tracepoint\n", hooks[i].name);
			return -ENODEV;
		}
	}
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		ret = tracepoint_probe_register(hooks[i].tp, hooks[i].probe, NULL);
		if (ret) {
			remove_hooks(i);
			return ret;
		}
	}
	kvm_meter_place_start();
	return 0;
}

void kvm_meter_hook_sched_del(void)
{
	remove_hooks(ARRAY_SIZE(hooks));
}
