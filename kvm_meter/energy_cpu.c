// SPDX-License-Identifier: GPL-2.0
#include "energy_cpu.h"

#include <linux/cpuhotplug.h>
#include <linux/kernel_stat.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/tick.h>
#include <linux/topology.h>
#include <asm/cpufeature.h>

#include "compat_msr.h"

static DEFINE_PER_CPU(unsigned int, came);	/* how often it came online */
static int hotplug_state;

/* Before it is online, so that no idle time from after is of the time before. */
static int on_cpu_comes(unsigned int cpu)
{
	WRITE_ONCE(per_cpu(came, cpu), per_cpu(came, cpu) + 1);
	return 0;
}

int kvm_meter_energy_cpu_init(void)
{
	int ret = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "kvm_meter/energy:prepare",
					    on_cpu_comes, NULL);

	if (ret < 0)
		return ret;
	hotplug_state = ret;
	return 0;
}

void kvm_meter_energy_cpu_exit(void)
{
	if (hotplug_state)
		cpuhp_remove_state_nocalls(hotplug_state);
	hotplug_state = 0;
}

/*
 * The kernel keeps it in two parts, by whether a thread waits for I/O. It is not
 * asked for the time as well: 6.1 would write to what is another CPU's then.
 */
static u64 idle_sum(int cpu)
{
	u64 idle = get_cpu_idle_time_us(cpu, NULL);

	return idle == -1ull ? idle : idle + get_cpu_iowait_time_us(cpu, NULL);
}

/**
 * kvm_meter_idle_time() - How long a CPU has been idle
 * @cpu: CPU that is online
 * @t: is filled in
 *
 * The rest of the time it was busy, interrupts included. A thread that begins or
 * ceases to wait between the two halves makes the pause that goes on count twice, or
 * not at all: the latter is met by a second look, the former by
 * kvm_meter_busy_us().
 *
 * Return: false if the kernel does not know.
 */
bool kvm_meter_idle_time(int cpu, struct energy_idle_time *t)
{
	u64 first, second;

	t->came = READ_ONCE(per_cpu(came, cpu));
	t->now_us = ktime_to_us(ktime_get());
	first = idle_sum(cpu);
	second = idle_sum(cpu);
	t->idle_us = max(first, second);
	return first != -1ull;
}

/**
 * kvm_meter_busy_us() - How long a CPU was busy between two moments
 * @from: the former one
 * @to: the latter; corrected if it has more idle time than there was time, or less
 *	than the former had
 *
 * What either had too much the kernel takes back, so that the next time has it right.
 */
u64 kvm_meter_busy_us(struct energy_idle_time *from, struct energy_idle_time *to)
{
	u64 span = to->now_us - from->now_us;

	to->idle_us = clamp(to->idle_us, from->idle_us, from->idle_us + span);
	return span - (to->idle_us - from->idle_us);
}

void kvm_meter_energy_cpu_reset(struct energy_cpu *c)
{
	unsigned int rule;

	memset(c, 0, sizeof(*c));
	c->domain = -1;
	c->freq = ENERGY_ONE;
	for (rule = 0; rule < ENERGY_RULES; rule++)
		c->weight[rule] = ENERGY_ONE;
}

/**
 * kvm_meter_energy_cpu_sample() - What a CPU did since the last reading
 * @c: what is known of it
 * @cpu: the CPU, which is online
 */
void kvm_meter_energy_cpu_sample(struct energy_cpu *c, int cpu)
{
	struct energy_idle_time now;

	c->sampled = false;
	if (!kvm_meter_idle_time(cpu, &now))
		return;
	if (c->based && c->at.came == now.came) {
		c->busy_ns = kvm_meter_busy_us(&c->at, &now) * NSEC_PER_USEC;
		c->span_ns = (now.now_us - c->at.now_us) * NSEC_PER_USEC;
		c->sampled = true;
	}
	c->based = true;
	c->at = now;
}

/* On the CPU itself. Both counters stand still while it sleeps. */
static void read_speed(void *arg)
{
	struct energy_cpu *c = (struct energy_cpu *)arg + smp_processor_id();
	u64 aperf, mperf, da, dm;

	if (compat_rdmsr_safe(MSR_IA32_APERF, &aperf) ||
	    compat_rdmsr_safe(MSR_IA32_MPERF, &mperf))
		return;
	da = aperf - c->aperf;
	dm = mperf - c->mperf;
	if (c->mperf && dm && da < 1ull << 54)
		c->freq = min_t(u64, da * ENERGY_ONE / dm, U32_MAX);
	c->aperf = aperf;
	c->mperf = mperf;
}

/**
 * kvm_meter_energy_cpu_speeds() - At which frequency CPUs ran
 * @cpus: all CPUs
 * @busy: those that did run; the others are left asleep
 * @source: may know itself
 *
 * Context: process.
 */
void kvm_meter_energy_cpu_speeds(struct energy_cpu *cpus, const struct cpumask *busy,
				 const struct energy_source *source)
{
	int cpu;

	if (source->speed) {
		for_each_cpu(cpu, busy)
			cpus[cpu].freq = source->speed(cpu);
	} else if (boot_cpu_has(X86_FEATURE_APERFMPERF)) {
		on_each_cpu_mask(busy, read_speed, cpus, true);
	}
}

/* Its weight, once all CPUs of its core have been sampled. */
void kvm_meter_energy_cpu_weigh(struct energy_cpu *cpus, int cpu)
{
	struct energy_cpu *c = &cpus[cpu];
	u64 sibling_ns = 0;
	int other;

	if (!c->sampled)
		return;
	for_each_cpu(other, topology_sibling_cpumask(cpu))
		if (other != cpu && cpus[other].sampled)
			sibling_ns = max(sibling_ns, cpus[other].busy_ns);
	energy_weights(c->weight, c->freq, c->busy_ns, sibling_ns, c->span_ns);
}

/**
 * kvm_meter_energy_cpu_host_ns() - What of a CPU's busy time was no vCPU's
 * @c: CPU
 *
 * Times of vCPUs are taken a moment after those of CPUs: what is too much now
 * was not enough the time before, and is kept in mind.
 */
u64 kvm_meter_energy_cpu_host_ns(struct energy_cpu *c)
{
	u64 used = c->vm_ns + c->ahead_ns, host = 0;

	if (!c->sampled) {
		c->ahead_ns = 0;
		return 0;
	}
	if (c->busy_ns > used)
		host = c->busy_ns - used;
	c->ahead_ns = used > c->busy_ns ? min(used - c->busy_ns, c->span_ns) : 0;
	return host;
}
