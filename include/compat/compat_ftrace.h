/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_FTRACE_H
#define _COMPAT_FTRACE_H

#include <linux/ftrace.h>

/* Let the functions of @ops's filter call @addr directly. */
static inline int compat_ftrace_direct_add(struct ftrace_ops *ops, unsigned long addr)
{
#ifdef COMPAT_FTRACE_DIRECT_MULTI
	int ret = register_ftrace_direct_multi(ops, addr);

	/* It leaves them set when it fails, and never succeeds again. */
	if (ret) {
		ops->func = NULL;
		ops->trampoline = 0;
	}
	return ret;
#else
	return register_ftrace_direct(ops, addr);
#endif
}

static inline void compat_ftrace_direct_del(struct ftrace_ops *ops, unsigned long addr)
{
#ifdef COMPAT_FTRACE_DIRECT_MULTI
	unregister_ftrace_direct_multi(ops, addr);
#else
	unregister_ftrace_direct(ops, addr, false);
#endif
}

#endif /* _COMPAT_FTRACE_H */
