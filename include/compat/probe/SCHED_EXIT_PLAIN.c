// SPDX-License-Identifier: GPL-2.0
/* The event sched_process_exit has the thread and nothing else. */
#include <linux/mm_types.h>
#include <trace/events/sched.h>

void seen(void *data, struct task_struct *task);
void probe(void);
void probe(void)
{
	check_trace_callback_type_sched_process_exit(seen);
}
