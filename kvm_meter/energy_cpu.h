/* SPDX-License-Identifier: GPL-2.0 */
/* What each CPU did between two readings of energy. */
#ifndef _KVM_METER_ENERGY_CPU_H
#define _KVM_METER_ENERGY_CPU_H

#include <linux/cpumask.h>
#include <linux/types.h>

#include "energy_source.h"
#include "energy_split.h"

struct energy_idle_time {
	u64 now_us;		/* CLOCK_MONOTONIC */
	u64 idle_us;		/* out of which the CPU was idle */
	unsigned int came;	/* the same in two of them: it was not offline in between */
};

/* All under vm_mutex, but for the counters of frequency. */
struct energy_cpu {
	int domain;		/* index of its counter; negative: not known yet */
	bool sampled;		/* busy_ns and span_ns are of this reading */
	bool based;		/* "at" is of the last one */
	struct energy_idle_time at;
	u64 busy_ns, span_ns;
	u64 vm_ns;		/* of busy_ns, what vCPUs ran */
	u64 ahead_ns;		/* by which vCPUs ran more than was busy, so far */
	u64 aperf, mperf;
	u32 freq;		/* 1/1024 */
	u32 weight[ENERGY_RULES];
};

bool kvm_meter_idle_time(int cpu, struct energy_idle_time *t);
u64 kvm_meter_busy_us(struct energy_idle_time *from, struct energy_idle_time *to);

int kvm_meter_energy_cpu_init(void);
void kvm_meter_energy_cpu_exit(void);
void kvm_meter_energy_cpu_reset(struct energy_cpu *c);
void kvm_meter_energy_cpu_sample(struct energy_cpu *c, int cpu);
void kvm_meter_energy_cpu_speeds(struct energy_cpu *cpus, const struct cpumask *busy,
				 const struct energy_source *source);
void kvm_meter_energy_cpu_weigh(struct energy_cpu *cpus, int cpu);
u64 kvm_meter_energy_cpu_host_ns(struct energy_cpu *c);

#endif /* _KVM_METER_ENERGY_CPU_H */
