// SPDX-License-Identifier: GPL-2.0
/*
 * A source of energy that is known: so many microwatts for each busy CPU and so
 * many for a package, in a counter like the hardware's that is about to wrap. For
 * tests, on hosts that have no counter. status and energy/source say that it is on.
 */
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "energy_cpu.h"
#include "energy_source.h"

#define MOST_UW		100000000u
#define LEAST_SPEED	10
#define MOST_SPEED	400

/* 2^-16 J in sixteenths of a picojoule. */
#define TEST_SHIFT	16
#define UNIT_PJ16	244140625u
#define FIRST_RAW	0xffffff00u

static u32 busy_uw, idle_uw, odd_speed;
static struct test_cpu {
	struct energy_idle_time at;
	bool based;
} *cpus;
static struct test_domain {
	bool based;
	u64 last_us;
	u64 pj16;		/* what is not a whole unit yet */
	u32 raw;
} domains[ENERGY_DOMAINS];

static int test_domain(int cpu)
{
	return topology_logical_package_id(cpu);
}

static u32 speed_percent(int cpu)
{
	return cpu & 1 ? odd_speed : 100;
}

static u32 test_speed(int cpu)
{
	return speed_percent(cpu) * 1024 / 100;
}

/* Microwatts times microseconds are picojoules. */
static u64 busy_pj(int cpu)
{
	struct energy_idle_time now;
	struct test_cpu *c = &cpus[cpu];
	u64 busy_us = 0;

	if (!kvm_meter_idle_time(cpu, &now))
		return 0;
	if (c->based && c->at.came == now.came)
		busy_us = kvm_meter_busy_us(&c->at, &now);
	c->based = true;
	c->at = now;
	return busy_us * busy_uw * speed_percent(cpu) / 100;
}

static int test_read(int cpu, u32 *raw)
{
	int other, id = test_domain(cpu);
	struct test_domain *d;
	u64 now_us;
	u32 rest;

	if (id < 0 || id >= ENERGY_DOMAINS)
		return -ENODEV;
	d = &domains[id];
	now_us = ktime_to_us(ktime_get());
	if (d->based)
		d->pj16 += 16 * (now_us - d->last_us) * idle_uw;
	d->based = true;
	d->last_us = now_us;
	for_each_possible_cpu(other) {
		if (!cpu_online(other))
			cpus[other].based = false;
		else if (test_domain(other) == id)
			d->pj16 += 16 * busy_pj(other);
	}
	d->raw += div_u64_rem(d->pj16, UNIT_PJ16, &rest);
	d->pj16 = rest;
	*raw = d->raw;
	return 0;
}

static const struct energy_source test = {
	.name = "test (made up: not to be billed)",
	.made_up = true,
	.shift = TEST_SHIFT,
	.domain = test_domain,
	.read = test_read,
	.speed = test_speed,
};

/**
 * kvm_meter_energy_test() - Make energy up
 * @numbers: microwatts of a busy CPU, of a package at rest, and, if it is there, how
 *	fast CPUs with an odd number are, in percent of the others: "5000000,3000000,200"
 *
 * Context: process.
 * Return: the source, or an error.
 */
const struct energy_source *kvm_meter_energy_test(const char *numbers)
{
	unsigned int i;
	char rest;
	int n;

	odd_speed = 100;
	n = sscanf(numbers, "%u,%u,%u%c", &busy_uw, &idle_uw, &odd_speed, &rest);
	if (n < 2 || n > 3 || busy_uw > MOST_UW || idle_uw > MOST_UW ||
	    odd_speed < LEAST_SPEED || odd_speed > MOST_SPEED)
		return ERR_PTR(-EINVAL);
	cpus = kcalloc(nr_cpu_ids, sizeof(*cpus), GFP_KERNEL);
	if (!cpus)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < ENERGY_DOMAINS; i++)
		domains[i].raw = FIRST_RAW;
	return &test;
}

void kvm_meter_energy_test_end(void)
{
	kfree(cpus);
	cpus = NULL;
}
