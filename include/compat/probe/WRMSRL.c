// SPDX-License-Identifier: GPL-2.0
/* An MSR is written by wrmsrl(). */
#include <asm/msr.h>

void probe(void);
void probe(void)
{
	wrmsrl(0, 0);
}
