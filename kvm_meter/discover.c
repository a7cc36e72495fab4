// SPDX-License-Identifier: GPL-2.0
/*
 * VMs that ran before the module came: every process's file descriptors are
 * walked for those of vCPUs. A vCPU that is in its guest is found at once,
 * because an interrupt on every CPU makes it exit and enter again; one that
 * sleeps is listed as idle from now on.
 */
#include "hooks.h"

#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/ibt.h>

#include "compat_kvm.h"
#include "registry.h"

struct walk {
	struct task_struct *task;
	unsigned long ioctl;	/* what only vCPU files have */
};

static bool is_vcpu_file(const struct file *file, unsigned long ioctl)
{
	unsigned long addr = (unsigned long)file->f_op->unlocked_ioctl;

	/* A function's address is that of its ENDBR, where it has one. */
	return addr && file->private_data && (addr == ioctl || addr == ioctl - ENDBR_INSN_SIZE);
}

/* Under rcu_read_lock(). */
static struct task_struct *last_thread(struct kvm_vcpu *vcpu)
{
	struct pid *pid = compat_vcpu_pid_get(vcpu);
	struct task_struct *task = pid ? pid_task(pid, PIDTYPE_PID) : NULL;

	put_pid(pid);
	return task;
}

/* Under the descriptor table's lock, which keeps the file and so the vCPU. */
static int visit_file(const void *arg, struct file *file, unsigned int fd)
{
	const struct walk *walk = arg;
	struct kvm_vcpu *vcpu = file->private_data;
	unsigned long flags;

	if (!is_vcpu_file(file, walk->ioctl))
		return 0;
	/* A process that was only handed the descriptor does not run the VM. */
	if (walk->task->mm != vcpu->kvm->mm)
		return 0;
	rcu_read_lock();
	local_irq_save(flags);
	kvm_meter_vcpu_add(vcpu, walk->task, last_thread(vcpu), KVM_METER_IDLE,
			   KVM_METER_VM_FOUND);
	local_irq_restore(flags);
	rcu_read_unlock();
	return 0;
}

static void leave_guest(void *unused)
{
}

/* All processes, each with a reference, so that the walk itself may sleep. */
static struct task_struct **all_processes(unsigned int *count)
{
	struct task_struct **list, *task;
	unsigned int room = 0;

	rcu_read_lock();
	for_each_process(task)
		room++;
	rcu_read_unlock();

	*count = 0;
	room += 64;
	list = kvmalloc_array(room, sizeof(*list), GFP_KERNEL);
	if (!list)
		return NULL;
	rcu_read_lock();
	for_each_process(task) {
		if (*count == room)
			break;
		list[(*count)++] = get_task_struct(task);
	}
	rcu_read_unlock();
	return list;
}

/**
 * kvm_meter_discover() - List the VMs that are there
 *
 * What it misses, for want of memory or because it came too late, is found at
 * its next entry.
 *
 * Context: process, after the hooks have been installed.
 */
void kvm_meter_discover(void)
{
	struct walk walk;
	struct task_struct **list;
	unsigned int i, count;

	if (kvm_meter_symbol("kvm_vcpu_ioctl", &walk.ioctl))
		return;
	list = all_processes(&count);
	if (!list)
		return;
	for (i = 0; i < count; i++) {
		walk.task = list[i];
		task_lock(walk.task);
		if (walk.task->files)
			iterate_fd(walk.task->files, 0, visit_file, &walk);
		task_unlock(walk.task);
		put_task_struct(walk.task);
		cond_resched();
	}
	kvfree(list);
	on_each_cpu(leave_guest, NULL, 1);
}
