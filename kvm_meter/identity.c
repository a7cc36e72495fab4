// SPDX-License-Identifier: GPL-2.0
#include "identity.h"

#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>

#include "escape.h"

static char boot_id[KVM_METER_BOOT_ID_LEN];

/**
 * kvm_meter_ident_payer() - The user who answers for a process
 * @task: a thread of the VMM
 *
 * A user may have many user ids in user namespaces of his own: they all count
 * as his.
 *
 * Context: any, under rcu_read_lock().
 */
u32 kvm_meter_ident_payer(struct task_struct *task)
{
	const struct cred *cred = __task_cred(task);
	const struct user_namespace *ns = cred->user_ns;
	kuid_t uid = cred->uid;

	for (; ns != &init_user_ns; ns = ns->parent)
		uid = ns->owner;
	return from_kuid(&init_user_ns, uid);
}

/**
 * kvm_meter_ident_take() - Note whose VM it is
 * @id: filled in
 * @task: a thread of the VMM
 *
 * Context: any, under rcu_read_lock() or with interrupts off; takes no lock.
 * The cgroup's path cannot be worked out here. The cgroup is held instead, so
 * that it can still be named if the VM is gone before the worker gets to it.
 */
void kvm_meter_ident_take(struct meter_ident *id, struct task_struct *task)
{
	struct task_struct *leader = READ_ONCE(task->group_leader);
	struct cgroup *cgrp = task_dfl_cgroup(leader);

	id->pid = leader->pid;
	id->uid = from_kuid(&init_user_ns, task_uid(leader));
	id->payer = kvm_meter_ident_payer(leader);
	id->created_ns = ktime_get_real_fast_ns();
	id->start_ns = leader->start_boottime;
	memcpy(id->comm, leader->comm, sizeof(id->comm));
	id->comm[sizeof(id->comm) - 1] = '\0';

	/* Threads of one VM may sit in cgroups of their own: bill the whole. */
	cgrp = cgrp->dom_cgrp;
	id->cgroup_id = cgroup_id(cgrp);
	id->cgroup = css_tryget(&cgrp->self) ? cgrp : NULL;
}

/**
 * kvm_meter_ident_publish() - Fill in the identity part of a VM record
 * @id: what kvm_meter_ident_take() noted
 * @rec: VM record
 *
 * Context: process.
 */
void kvm_meter_ident_publish(struct meter_ident *id, struct kvm_meter_vm *rec)
{
	rec->created_ns = id->created_ns;
	rec->start_ns = id->start_ns;
	rec->cgroup_id = id->cgroup_id;
	rec->pid = id->pid;
	rec->uid = id->uid;
	escape_text(rec->comm, sizeof(rec->comm), id->comm);
	memcpy(rec->boot_id, boot_id, sizeof(rec->boot_id));
	if (id->cgroup) {
		static char path[PATH_MAX];	/* the caller holds vm_mutex */

		if (cgroup_path(id->cgroup, path, sizeof(path)) < 0)
			strscpy(path, "?", sizeof(path));
		escape_text(rec->cgroup, sizeof(rec->cgroup), path);
	}
	kvm_meter_ident_drop(id);
}

void kvm_meter_ident_drop(struct meter_ident *id)
{
	if (id->cgroup)
		cgroup_put(id->cgroup);
	id->cgroup = NULL;
}

/* The boot id, so that bills of two boots of a host are not taken for one. */
int kvm_meter_ident_init(void)
{
	struct file *file = filp_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
	loff_t pos = 0;
	ssize_t len;

	if (IS_ERR(file)) {
		pr_err("cannot read /proc/sys/kernel/random/boot_id (%ld): mount /proc first\n",
		       PTR_ERR(file));
		return PTR_ERR(file);
	}
	len = kernel_read(file, boot_id, sizeof(boot_id) - 1, &pos);
	fput(file);
	if (len <= 0)
		return len < 0 ? len : -EIO;
	boot_id[len] = '\0';
	strim(boot_id);
	return 0;
}
