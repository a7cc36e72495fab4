// SPDX-License-Identifier: GPL-2.0
/* The event sched_process_exit says whether the whole group is dead. */
#include <linux/mm_types.h>
#include <trace/events/sched.h>

void seen(void *data, struct task_struct *task, bool group_dead);
void probe(void);
void probe(void)
{
	check_trace_callback_type_sched_process_exit(seen);
}
