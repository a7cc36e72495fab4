// SPDX-License-Identifier: GPL-2.0
#include "clock.h"

#include <linux/math64.h>
#include <linux/time64.h>
#include <asm/cpufeature.h>
#include <asm/tsc.h>

u64 meter_clock_mult __read_mostly;

/**
 * kvm_meter_clock_trouble() - Tell why the TSC cannot be a clock
 *
 * Return: the reason, or NULL if it can.
 */
const char *kvm_meter_clock_trouble(void)
{
	if (!boot_cpu_has(X86_FEATURE_TSC) || !tsc_khz)
		return "clock: the CPU has no time stamp counter";
	if (check_tsc_unstable())
		return "clock: the kernel marked the TSC unstable";
	return NULL;
}

/* (TSC * mult) >> 32 is in nanoseconds; the error of mult is below 1e-9. */
int kvm_meter_clock_init(void)
{
	if (!tsc_khz)
		return -ENODEV;
	meter_clock_mult = div_u64(NSEC_PER_MSEC << 32, tsc_khz);
	return 0;
}
