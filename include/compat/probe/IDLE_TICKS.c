// SPDX-License-Identifier: GPL-2.0
/* Idle time is counted in ticks while the tick runs. */
#include <linux/kernel_stat.h>

u64 probe(int cpu);
u64 probe(int cpu)
{
	return kcpustat_field_idle(cpu);
}
