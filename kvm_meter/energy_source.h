/* SPDX-License-Identifier: GPL-2.0 */
/* Where readings of energy come from. */
#ifndef _KVM_METER_ENERGY_SOURCE_H
#define _KVM_METER_ENERGY_SOURCE_H

#include <linux/types.h>

/* Packages, or dies, with a counter of their own; what is beyond is not read. */
#define ENERGY_DOMAINS	64

/**
 * struct energy_source - A counter of energy for each of some sets of CPUs
 * @name: as energy/source shows it
 * @made_up: no hardware counts there: tests only
 * @shift: its unit is 2^-shift joules
 * @lag_ns: by how much a reading may be late
 * @domain: which counter a CPU's energy is in: any number
 * @read: read the counter of the CPU's domain; 0 or an error. Context: process
 * @speed: frequency of a CPU in 1/1024 of the usual one; NULL: ask the hardware
 */
struct energy_source {
	const char *name;
	bool made_up;
	u32 shift;
	u32 lag_ns;
	int (*domain)(int cpu);
	int (*read)(int cpu, u32 *raw);
	u32 (*speed)(int cpu);
};

const struct energy_source *kvm_meter_energy_rapl(const char **why);
const struct energy_source *kvm_meter_energy_test(const char *numbers);
void kvm_meter_energy_test_end(void);

#endif /* _KVM_METER_ENERGY_SOURCE_H */
