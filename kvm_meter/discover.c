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

/* What only vCPU files have; KVM stays loaded as long as the meter is. */
static unsigned long vcpu_ioctl;

static bool is_vcpu_file(const struct file *file)
{
	unsigned long addr = (unsigned long)file->f_op->unlocked_ioctl;
	unsigned long ioctl = READ_ONCE(vcpu_ioctl);

	/* A function's address is that of its ENDBR, where it has one. */
	return addr && file->private_data && (addr == ioctl || addr == ioctl - ENDBR_INSN_SIZE);
}

static int know_vcpu_files(void)
{
	unsigned long addr;
	int ret;

	if (READ_ONCE(vcpu_ioctl))
		return 0;
	ret = kvm_meter_symbol("kvm_vcpu_ioctl", &addr);
	if (!ret)
		WRITE_ONCE(vcpu_ioctl, addr);
	return ret;
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
	struct kvm_vcpu *vcpu = file->private_data;
	struct task_struct *task = (void *)arg;
	unsigned long flags;

	if (!is_vcpu_file(file))
		return 0;
	/* A process that was only handed the descriptor does not run the VM. */
	if (task->mm != vcpu->kvm->mm)
		return 0;
	rcu_read_lock();
	local_irq_save(flags);
	kvm_meter_vcpu_add(vcpu, task, last_thread(vcpu), KVM_METER_IDLE,
			   KVM_METER_VM_FOUND);
	local_irq_restore(flags);
	rcu_read_unlock();
	return 0;
}

static void leave_guest(void *unused)
{
}

/* A thread of a process that has its files: the first one may have ended. */
static struct task_struct *with_files(struct task_struct *process)
{
	struct task_struct *thread;

	for_each_thread(process, thread)
		if (READ_ONCE(thread->files))
			return thread;
	return process;
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
		list[(*count)++] = get_task_struct(with_files(task));
	}
	rcu_read_unlock();
	return list;
}

/* Calls @visit for all files that all processes have open, until it returns not 0. */
static int walk_files(int (*visit)(const void *arg, struct file *file, unsigned int fd), void *arg)
{
	struct task_struct **list;
	unsigned int i, count;
	int ret = 0;

	list = all_processes(&count);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		task_lock(list[i]);
		if (!ret && list[i]->files)
			ret = iterate_fd(list[i]->files, 0, visit, arg ?: list[i]);
		task_unlock(list[i]);
		put_task_struct(list[i]);
		cond_resched();
	}
	kvfree(list);
	return ret;
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
	if (know_vcpu_files() || walk_files(visit_file, NULL))
		return;
	on_each_cpu(leave_guest, NULL, 1);
}

struct wanted {
	const struct kvm *kvm;
	const struct kvm_vcpu *vcpu;
	struct file *file;
};

static int find_file(const void *arg, struct file *file, unsigned int fd)
{
	struct wanted *wanted = (void *)arg;
	const struct kvm_vcpu *vcpu = file->private_data;

	if (!is_vcpu_file(file))
		return 0;
	if (wanted->vcpu ? vcpu != wanted->vcpu : vcpu->kvm != wanted->kvm)
		return 0;
	wanted->file = get_file(file);
	return 1;
}

/**
 * kvm_meter_vm_file() - A file of one of a VM's vCPUs
 * @kvm: the VM; compared, not followed
 *
 * Context: process.
 * Return: the file with a reference, or an error: -ESRCH if nobody has one.
 */
struct file *kvm_meter_vm_file(const struct kvm *kvm)
{
	struct wanted wanted = { .kvm = kvm };
	int ret = know_vcpu_files() ?: walk_files(find_file, &wanted);

	return wanted.file ?: ERR_PTR(ret < 0 ? ret : -ESRCH);
}

/**
 * kvm_meter_vcpu_file() - The file by which the current process runs a vCPU
 * @vcpu: vCPU
 *
 * Context: process, may not sleep.
 * Return: the file with a reference, or NULL.
 */
struct file *kvm_meter_vcpu_file(const struct kvm_vcpu *vcpu)
{
	struct wanted wanted = { .vcpu = vcpu };

	iterate_fd(current->files, 0, find_file, &wanted);
	return wanted.file;
}
