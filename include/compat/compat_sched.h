/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_SCHED_H
#define _COMPAT_SCHED_H

#include <linux/sched.h>

/* Is it a worker of the kernel's that is a thread of a process, and not io_uring's? */
static inline bool compat_is_vhost_task(const struct task_struct *task)
{
#ifdef PF_USER_WORKER
	return (task->flags & (PF_USER_WORKER | PF_IO_WORKER)) == PF_USER_WORKER;
#else
	return false;
#endif
}

/* What the event sched_process_exit hands over. */
#ifdef COMPAT_SCHED_EXIT_GROUP
#define COMPAT_SCHED_EXIT_ARGS	struct task_struct *task, bool group_dead
#else
#define COMPAT_SCHED_EXIT_ARGS	struct task_struct *task
#endif

#endif /* _COMPAT_SCHED_H */
