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
#include <linux/kallsyms.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/smp.h>

#include "compat_kvm.h"
#include "registry.h"

/* KVM's vCPU files are told by their ioctl function, which nobody else has. */
static bool is_vcpu_file(const struct file *file)
{
	char name[KSYM_SYMBOL_LEN];

	if (!file->f_op->unlocked_ioctl || !file->private_data)
		return false;
	sprint_symbol_no_offset(name, (unsigned long)file->f_op->unlocked_ioctl);
	return !strcmp(name, "kvm_vcpu_ioctl [kvm]") || !strcmp(name, "kvm_vcpu_ioctl");
}

struct walk {
	struct task_struct *task;
	const struct file_operations *vcpu_fops;
};

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
	struct walk *walk = (struct walk *)arg;
	struct kvm_vcpu *vcpu = file->private_data;
	unsigned long flags;

	if (!walk->vcpu_fops && is_vcpu_file(file))
		walk->vcpu_fops = file->f_op;
	if (!walk->vcpu_fops || file->f_op != walk->vcpu_fops)
		return 0;
	local_irq_save(flags);
	kvm_meter_vcpu_add(vcpu, walk->task, last_thread(vcpu), KVM_METER_IDLE,
			   KVM_METER_VM_FOUND);
	local_irq_restore(flags);
	return 0;
}

static void leave_guest(void *unused)
{
}

/**
 * kvm_meter_discover() - List the VMs that are there
 *
 * Context: process, after the hooks have been installed.
 */
void kvm_meter_discover(void)
{
	struct walk walk = {};

	rcu_read_lock();
	for_each_process(walk.task) {
		task_lock(walk.task);
		if (walk.task->files)
			iterate_fd(walk.task->files, 0, visit_file, &walk);
		task_unlock(walk.task);
	}
	rcu_read_unlock();
	on_each_cpu(leave_guest, NULL, 1);
}
