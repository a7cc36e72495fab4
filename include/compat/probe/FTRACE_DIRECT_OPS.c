// SPDX-License-Identifier: GPL-2.0
/* register_ftrace_direct() takes the ops. */
#include <linux/ftrace.h>

int probe(struct ftrace_ops *ops);
int probe(struct ftrace_ops *ops)
{
	return register_ftrace_direct(ops, 0) ?: unregister_ftrace_direct(ops, 0, true);
}
