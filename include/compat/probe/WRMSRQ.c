// SPDX-License-Identifier: GPL-2.0
/* An MSR is written by wrmsrq(). */
#include <asm/msr.h>

void probe(void);
void probe(void)
{
	wrmsrq(0, 0);
}
