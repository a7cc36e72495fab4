/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_PERCPU_H
#define _COMPAT_PERCPU_H

#include <linux/percpu.h>

/* A per-CPU variable as an assembler operand; before 6.10 it stood for itself. */
#ifndef __my_cpu_var
#define __my_cpu_var(var)	(var)
#endif

#endif /* _COMPAT_PERCPU_H */
