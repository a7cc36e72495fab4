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

static __always_inline u64 meter_clock_from_tsc(u64 tsc)
{
	return kvm_meter_tsc_to_ns(tsc, meter_clock_mult);
}

/*
 * Not ordered against the code around it: a few cycles of the host's own work
 * more or less, for some twenty cycles saved at every exit.
 */
static __always_inline u64 meter_clock(void)
{
	return meter_clock_from_tsc(rdtsc());
}

int kvm_meter_clock_init(void);
const char *kvm_meter_clock_trouble(void);

#endif /* _KVM_METER_CLOCK_H */
