/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Energy policy: from a package's counter and the CPU time that was used in it to
 * shares. Pure: no kernel interfaces, no clock, no locks; selftests/unit/ compiles
 * it on the host. Documentation/design.rst has the model.
 *
 * Energy is handed out in nanojoules, and no part of it twice or not at all: the
 * parts of a reading add up to the reading.
 */
#ifndef _KVM_METER_ENERGY_SPLIT_H
#define _KVM_METER_ENERGY_SPLIT_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <linux/types.h>
#include <stdbool.h>
#endif

/* Weights and ratios: 1024 is 1. */
#define ENERGY_ONE		1024u

/* No package draws more: what would be more is not a reading. */
#define ENERGY_MOST_WATTS	4096

/* Rates are taken over windows of this length at least. */
#define ENERGY_WINDOW_NS	100000000ull

/*
 * What a nanosecond of a CPU weighs. The first rule is the one that is billed, the
 * others are as far from it as the truth may be: power that does not depend on the
 * frequency, or with its cube; siblings that cost a core nothing beside another, or
 * as much as another core.
 */
enum energy_rule {
	ENERGY_BILLED,
	ENERGY_FLAT,
	ENERGY_CUBIC,
	ENERGY_FLAT_SHARED,
	ENERGY_CUBIC_SHARED,
	ENERGY_RULES
};

/* Only grows; read uj, which is rounded down. */
struct energy_account {
	__u64 uj;
	__u32 nj;		/* below 1,000 */
};

/* A hardware counter of 32 bits, in units of 2^-shift joules. */
struct energy_counter {
	__u32 last;
	__u32 shift;
	__u64 rest;		/* of a nanojoule, in units of 2^-shift */
};

struct energy_point {
	__u64 busy_ppm;		/* CPU time per time; 1,000,000: one CPU */
	__u64 uw;
	bool valid;
};

/* What a package draws when nothing runs. */
struct energy_idle {
	__u64 ns, nj, busy_ns;	/* the window that is being filled */
	struct energy_point low, high; /* the least busy window, the busiest */
	__u64 min_uw;		/* lowest rate of a window */
	__u64 uw;		/* the estimate, */
	__u64 low_uw, high_uw;	/* and between what it lies */
	__u64 due_nj;		/* idle energy that readings did not have so far */
};

/* One reading of one package. */
struct energy_split {
	__u64 nj;		/* to be split by weight */
	__u64 slack_nj;		/* by how much that may be wrong */
	__u64 total[ENERGY_RULES];
	__u64 given_weight;
	__u64 given_nj;
};

void energy_add(struct energy_account *account, __u64 nj);
__u64 energy_counter_nj(struct energy_counter *counter, __u32 raw);
__u64 energy_wrap_ms(__u32 shift);
bool energy_plausible(__u64 nj, __u64 span_ns);

void energy_weights(__u32 *weight, __u32 freq, __u64 busy_ns, __u64 sibling_ns, __u64 span_ns);
void energy_weigh(__u64 *sum, const __u32 *weight, __u64 ns);

void energy_idle_feed(struct energy_idle *idle, __u64 span_ns, __u64 nj, __u64 busy_ns,
		      unsigned int cpus);
void energy_idle_drop(struct energy_idle *idle);
__u64 energy_idle_take(struct energy_idle *idle, __u64 span_ns, __u64 nj, __u64 lag_ns,
		       __u64 *slack_nj);

__u64 energy_share(struct energy_split *split, const __u64 *weight, __u64 *error_nj);
__u64 energy_rest(struct energy_split *split);

#endif /* _KVM_METER_ENERGY_SPLIT_H */
