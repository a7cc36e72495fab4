// SPDX-License-Identifier: GPL-2.0
/* A CPU has a flag that asks for an L1D flush at the next VM-entry. */
#include <linux/hardirq.h>

bool probe(void);
bool probe(void)
{
	return kvm_get_cpu_l1tf_flush_l1d();
}
