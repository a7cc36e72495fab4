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
 */
#include "hooks.h"

#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>

#include "account.h"
#include "clock.h"
#include "registry.h"

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

	if (READ_ONCE(task->__state) & TASK_DEAD) {
		kvm_meter_task_unmap(v);
		state = KVM_METER_IDLE;
	} else if (preempt || READ_ONCE(task->__state) == TASK_RUNNING) {
		rec->preemptions++;
		state = throttled(task) ? KVM_METER_THROTTLED : KVM_METER_STEAL;
	} else {
		state = sleep_state(v, task);
	}
	account_move(rec, now, state);
	if (in_run(task, v->vcpu))
		kvm_meter_vcpu_refresh(v);
}

static void switch_in(struct meter_vcpu *v)
{
	if (v->rec->state == KVM_METER_HOST || v->rec->state == KVM_METER_GUEST)
		return;
	account_move(v->rec, meter_clock(), KVM_METER_HOST);
}

static void probe_sched_switch(void *data, bool preempt, struct task_struct *prev,
			       struct task_struct *next, unsigned int prev_state)
{
	struct meter_vcpu *v;

	v = kvm_meter_find_task(prev);
	if (unlikely(v)) {
		raw_spin_lock(&v->lock);
		if (v->task == prev)
			switch_out(v, prev, preempt);
		raw_spin_unlock(&v->lock);
	}
	v = kvm_meter_find_task(next);
	if (unlikely(v)) {
		raw_spin_lock(&v->lock);
		if (v->task == next)
			switch_in(v);
		raw_spin_unlock(&v->lock);
	}
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
		account_move(v->rec, meter_clock(),
			     throttled(task) ? KVM_METER_THROTTLED : KVM_METER_STEAL);
	raw_spin_unlock(&v->lock);
}

static struct tracepoint *tp_switch, *tp_wakeup;

/* These two are not exported by name. */
static void find_tracepoint(struct tracepoint *tp, void *priv)
{
	if (!strcmp(tp->name, "sched_switch"))
		tp_switch = tp;
	else if (!strcmp(tp->name, "sched_wakeup"))
		tp_wakeup = tp;
}

/* The compiler compares the probes with the events' prototypes. */
static void __maybe_unused check_prototypes(void)
{
	check_trace_callback_type_sched_switch(probe_sched_switch);
	check_trace_callback_type_sched_wakeup(probe_sched_wakeup);
}

/**
 * kvm_meter_hook_sched_add() - Start to follow the threads of vCPUs
 *
 * Context: process.
 */
int kvm_meter_hook_sched_add(void)
{
	int ret;

	for_each_kernel_tracepoint(find_tracepoint, NULL);
	if (!tp_switch || !tp_wakeup) {
		pr_err("this kernel has no sched_%s tracepoint\n",
		       tp_switch ? "wakeup" : "switch");
		return -ENODEV;
	}
	ret = tracepoint_probe_register(tp_switch, probe_sched_switch, NULL);
	if (ret)
		return ret;
	ret = tracepoint_probe_register(tp_wakeup, probe_sched_wakeup, NULL);
	if (ret) {
		tracepoint_probe_unregister(tp_switch, probe_sched_switch, NULL);
		tracepoint_synchronize_unregister();
	}
	return ret;
}

void kvm_meter_hook_sched_del(void)
{
	tracepoint_probe_unregister(tp_wakeup, probe_sched_wakeup, NULL);
	tracepoint_probe_unregister(tp_switch, probe_sched_switch, NULL);
	tracepoint_synchronize_unregister();
}
