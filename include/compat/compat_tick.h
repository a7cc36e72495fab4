/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_TICK_H
#define _COMPAT_TICK_H

#include <linux/jiffies.h>

/*
 * By how much the kernel's idle time of a CPU may be late. Newer kernels add it up in
 * ticks as long as the tick runs, older ones whenever a CPU goes to sleep and wakes.
 */
#ifdef COMPAT_IDLE_TICKS
#define COMPAT_IDLE_LAG_NS	TICK_NSEC
#else
#define COMPAT_IDLE_LAG_NS	0
#endif

#endif /* _COMPAT_TICK_H */
