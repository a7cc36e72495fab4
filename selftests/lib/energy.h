/* SPDX-License-Identifier: GPL-2.0 */
/* Energy of a known source, and what the meter makes of it. */
#ifndef SELFTESTS_ENERGY_H
#define SELFTESTS_ENERGY_H

#include "meter.h"

#define BUSY_UW		5000000ull
#define IDLE_UW		3000000ull
#define SOURCE		"energy_source=test:5000000,3000000"
#define QUICK		SOURCE " energy_interval_ms=100"
#define MADE_UP		"armed (energy is made up: energy_source=test)"
#define INTERVAL	METER_PARAMS "/energy_interval_ms"

/* Energy of a CPU that is busy for @ns. */
#define BUSY_UJ(ns)	((ns) / 1000 * BUSY_UW / 1000000)
/* Threads and CPUs are not read at the same moment as the meter does. */
#define TOLERANCE(uj)	((uj) / 50 + BUSY_UJ(10 * NSEC_PER_MSEC))

/* The directory energy/, all of one reading. */
struct energy_totals {
#define MEMBER(type, name, desc) __u64 name;
	KVM_METER_ENERGY(MEMBER)
#undef MEMBER
};

/* And that nothing is lost: what is below a microjoule, of three. */
void energy_totals(struct energy_totals *t);
/* @nr readings that began after this moment, and what they say. */
void energy_wait(unsigned int nr, struct energy_totals *t);
void energy_expect_status(void);
void energy_load(const char *params);
/* What the host draws at rest is known after a time of rest and a busy one. */
void energy_learn(void);
void energy_load_and_learn(const char *params);

#endif /* SELFTESTS_ENERGY_H */
