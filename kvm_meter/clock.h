/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The meter clock: nanoseconds, straight from the TSC with one multiplication.
 * It is the one base of all times, so that they add up.
 */
#ifndef _KVM_METER_CLOCK_H
#define _KVM_METER_CLOCK_H

#include <asm/tsc.h>

#include <kvm_meter/abi.h>

extern u64 meter_clock_mult;

/*
 * (tsc * mult) >> 32, as kvm_meter_tsc_to_ns(). In assembler because a 128-bit
 * product makes the compiler align the stack in every function that has one.
 */
static __always_inline u64 meter_clock_from_tsc(u64 tsc)
{
	u64 high;

	asm("mulq %[mult]\n\t"
	    "shrdq $32, %[high], %[low]"
	    : [low] "+a" (tsc), [high] "=&d" (high)
	    : [mult] "m" (meter_clock_mult)
	    : "cc");
	return tsc;
}

/*
 * Not ordered against the code around it: a few cycles of the host's own work
 * more or less, for some twenty cycles saved at every exit.
 */
static __always_inline u64 meter_clock(void)
{
	u64 low, high;

	asm volatile("rdtsc\n\t"
		     "shlq $32, %[high]\n\t"
		     "orq %[high], %[low]\n\t"
		     "mulq %[mult]\n\t"
		     "shrdq $32, %[high], %[low]"
		     : [low] "=&a" (low), [high] "=&d" (high)
		     : [mult] "m" (meter_clock_mult)
		     : "cc");
	return low;
}

int kvm_meter_clock_init(void);
const char *kvm_meter_clock_trouble(void);

#endif /* _KVM_METER_CLOCK_H */
