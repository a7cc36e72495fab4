// SPDX-License-Identifier: GPL-2.0
/*
 * The processor's own counter of what its package draws (RAPL): 32 bits, updated
 * once a millisecond or so. Read by its MSR: perf's and powercap's readers of it
 * are not for modules.
 */
#include <linux/delay.h>
#include <linux/topology.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "compat_msr.h"
#include "energy_source.h"

#define MSR_INTEL_UNIT		0x606
#define MSR_INTEL_PACKAGE	0x611
#define MSR_AMD_UNIT		0xc0010299
#define MSR_AMD_PACKAGE		0xc001029b

/* Bits 12:8 of the unit register. */
#define UNIT_SHIFT(unit)	((u32)((unit) >> 8) & 0x1f)

#define RAPL_LAG_NS		(NSEC_PER_MSEC)

static u32 package_msr;

static int die_of(int cpu)
{
	return topology_logical_die_id(cpu);
}

static int package_of(int cpu)
{
	return topology_logical_package_id(cpu);
}

static int rapl_read(int cpu, u32 *raw)
{
	u64 value;
	int ret = compat_rdmsr_safe_on_cpu(cpu, package_msr, &value);

	*raw = value;
	return ret;
}

static struct energy_source rapl = {
	.lag_ns = RAPL_LAG_NS,
	.read = rapl_read,
};

/* Atoms whose unit register means something else (SDM volume 4, table 2-8). */
static bool other_unit(void)
{
	static const u8 models[] = { 0x37, 0x4a, 0x4c, 0x4d, 0x5a, 0x5d };

	return boot_cpu_data.x86_vendor == X86_VENDOR_INTEL && boot_cpu_data.x86 == 6 &&
	       memchr(models, boot_cpu_data.x86_model, sizeof(models));
}

/* A hypervisor may answer with a constant. */
static bool moves(int cpu)
{
	u32 first, now;
	int tries;

	if (rapl_read(cpu, &first))
		return false;
	for (tries = 0; tries < 50; tries++) {
		usleep_range(2000, 3000);
		if (rapl_read(cpu, &now))
			return false;
		if (now != first)
			return true;
	}
	return false;
}

/**
 * kvm_meter_energy_rapl() - Find out whether this host counts its energy
 * @why: set to what is in the way, if it does not
 *
 * Context: process.
 */
const struct energy_source *kvm_meter_energy_rapl(const char **why)
{
	int cpu = cpumask_first(cpu_online_mask);
	u32 unit_msr;
	u64 unit;

	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_INTEL:
		rapl.name = "intel-rapl";
		rapl.domain = die_of;
		unit_msr = MSR_INTEL_UNIT;
		package_msr = MSR_INTEL_PACKAGE;
		break;
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON:
		rapl.name = "amd-rapl";
		rapl.domain = package_of;
		unit_msr = MSR_AMD_UNIT;
		package_msr = MSR_AMD_PACKAGE;
		break;
	default:
		*why = "none: this CPU's vendor is not known to have an energy counter";
		return NULL;
	}
	if (other_unit()) {
		*why = "none: the unit of this CPU's energy counter is not known";
		return NULL;
	}
	if (compat_rdmsr_safe_on_cpu(cpu, unit_msr, &unit)) {
		*why = "none: this CPU has no energy counter, or it is locked";
		return NULL;
	}
	rapl.shift = UNIT_SHIFT(unit);
	if (!unit || !moves(cpu)) {
		*why = "none: the energy counter stands still, as in a virtual machine";
		return NULL;
	}
	return &rapl;
}
