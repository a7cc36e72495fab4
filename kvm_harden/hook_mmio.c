// SPDX-License-Identifier: GPL-2.0
/*
 * The event kvm_mmio: KVM's emulator met memory that it cannot reach. It takes
 * it for MMIO of the VMM's, which must not see it: the exit is turned into an
 * error before KVM_RUN returns to user space.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/tracepoint.h>
#include <linux/wait.h>

#include <kvm_meter/guard.h>

#include "hook_mmu.h"
#include "zone.h"

/* As in KVM's trace.h. */
#define MMIO_READ_UNSATISFIED	0
#define MMIO_WRITE		2

#define LOCK_TRIES		5000	/* of 100 us or more */

/* What is left to do before the thread is in user space again. */
struct stop_work {
	struct callback_head head;
	struct file *file;		/* keeps the vCPU */
	struct kvm_vcpu *vcpu;
};

static struct tracepoint *event;
static atomic_t pending;
static DECLARE_WAIT_QUEUE_HEAD(idle);

/* The vCPU that the current thread has loaded. */
static struct kvm_vcpu *loaded_vcpu(void)
{
	struct preempt_notifier *notifier;

	hlist_for_each_entry(notifier, &current->preempt_notifiers, link)
		return container_of(notifier, struct kvm_vcpu, preempt_notifier);
	return NULL;
}

/*
 * Another thread may have the vCPU: for a moment, or it runs it, and then the exit
 * is no more. We wait for it briefly only, as removing a zone waits for us.
 */
static void take_exit(struct kvm_vcpu *vcpu)
{
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (mutex_trylock(&vcpu->mutex)) {
			kvm_harden_mmio_stop(vcpu);
			mutex_unlock(&vcpu->mutex);
			return;
		}
		if (!READ_ONCE(vcpu->mmio_needed) || fatal_signal_pending(current))
			return;
		usleep_range(100, 200);
	}
	send_sig(SIGKILL, current, 1);
}

/* On the way back into the guest there is nothing to take: KVM did not exit. */
static void stop_fn(struct callback_head *head)
{
	struct stop_work *work = container_of(head, struct stop_work, head);

	if (!loaded_vcpu())
		take_exit(work->vcpu);
	fput(work->file);
	kfree(work);
	if (atomic_dec_and_test(&pending))
		wake_up_all(&idle);
}

/* Without memory for it, the VMM does not get to see the exit either. */
static void stop_later(struct kvm_vcpu *vcpu)
{
	struct stop_work *work = kzalloc(sizeof(*work), GFP_ATOMIC);

	if (work)
		work->file = kvm_meter_guard_vcpu_file(vcpu);
	if (!work || !work->file)
		goto kill;
	work->vcpu = vcpu;
	init_task_work(&work->head, stop_fn);
	atomic_inc(&pending);
	if (!task_work_add(current, &work->head, TWA_RESUME))
		return;
	/* It is exiting, and does not come to user space. */
	atomic_dec(&pending);
	fput(work->file);
kill:
	kfree(work);
	send_sig(SIGKILL, current, 1);
}

/*
 * Kernels up to 6.12 tell of a read once, by the address of its first part and
 * the length of its last; 7.3 tells of each part before it is noted.
 */
static bool read_denied(struct kvm_vcpu *vcpu, u64 gpa, unsigned int len)
{
	bool denied = false;
	int i;

	if (!vcpu->mmio_nr_fragments || vcpu->mmio_fragments[0].gpa != gpa)
		return kvm_harden_mmio_violation(vcpu, gpa, len, ZONE_R);
	for (i = 0; i < vcpu->mmio_nr_fragments && !denied; i++)
		denied = kvm_harden_mmio_violation(vcpu, vcpu->mmio_fragments[i].gpa,
						   vcpu->mmio_fragments[i].len, ZONE_R);
	return denied;
}

static void on_mmio(void *data, int type, int len, u64 gpa, void *val)
{
	struct kvm_vcpu *vcpu = len > 0 ? loaded_vcpu() : NULL;
	bool denied = false;

	if (vcpu && type == MMIO_READ_UNSATISFIED)
		denied = read_denied(vcpu, gpa, len);
	else if (vcpu && type == MMIO_WRITE)
		denied = kvm_harden_mmio_violation(vcpu, gpa, len, ZONE_W);
	if (denied)
		stop_later(vcpu);
}

/* Not all kernels let modules link to it by name. */
static int look_in(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct tp_module *tp = data;
	unsigned int i;

	if (action != MODULE_STATE_COMING || strcmp(tp->mod->name, "kvm"))
		return NOTIFY_DONE;
	for (i = 0; i < tp->mod->num_tracepoints; i++) {
		struct tracepoint *tracepoint = tracepoint_ptr_deref(&tp->mod->tracepoints_ptrs[i]);

		if (!strcmp(tracepoint->name, "kvm_mmio"))
			event = tracepoint;
	}
	return NOTIFY_DONE;
}

static int find_event(void)
{
	struct notifier_block nb = { .notifier_call = look_in };
	int ret;

	/* Told of all modules that are there. KVM cannot go while kvm_meter uses it. */
	ret = register_tracepoint_module_notifier(&nb);
	if (ret)
		return ret;
	unregister_tracepoint_module_notifier(&nb);
	return event ? 0 : -ENOENT;
}

int kvm_harden_hook_mmio_add(void)
{
	int ret = event ? 0 : find_event();

	return ret ?: tracepoint_probe_register(event, on_mmio, NULL);
}

/* After this nobody runs any code of this file. */
void kvm_harden_hook_mmio_del(void)
{
	tracepoint_probe_unregister(event, on_mmio, NULL);
	tracepoint_synchronize_unregister();
	wait_event(idle, !atomic_read(&pending));
	synchronize_rcu_tasks();
}
