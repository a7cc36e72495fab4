// SPDX-License-Identifier: GPL-2.0
/* Energy policy. Pure, see energy_split.h. */
#include "energy_split.h"

#ifdef __KERNEL__
#include <linux/math64.h>
#define mul_div(a, b, c)	mul_u64_u64_div_u64(a, b, c)
#else
/* Callers see to it that the result has 64 bits. */
static inline __u64 mul_div(__u64 a, __u64 b, __u64 c)
{
	return (__u64)((__uint128_t)a * b / c);
}
#endif

#define PPM		1000000ull
#define NJ_PER_UJ	1000u
#define NJ_PER_J	1000000000ull

/* A frequency outside of this is a misreading. */
#define FREQ_LEAST	(ENERGY_ONE / 16)
#define FREQ_MOST	(ENERGY_ONE * 8)

/* A thread of a core beside a busy one: a core with two draws 5/4 of one with one. */
#define SHARED_WEIGHT	(ENERGY_ONE * 5 / 8)
#define SHARED_LEAST	(ENERGY_ONE / 2)

/* Longer than any span, so that weights do not overflow. */
#define SPAN_MOST_NS	(1024ull * 1024 * 1024 * 1024)

/* A slope is taken between windows that differ by a tenth of a CPU, at least. */
#define SLOPE_PPM	(PPM / 10)
/* Up to an eighth of its CPUs' time a package is near rest. */
#define NEAR_PPM	(PPM / 8)
/* Windows this close are equally busy: the lower power counts. */
#define EQUAL_PPM	(PPM / 100)
/* Up to 2 % of its CPUs' time a package is idle where nothing else is known. */
#define QUIET_PPM	(PPM / 50)

static __u64 smaller(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __u64 less(__u64 a, __u64 b)
{
	return a > b ? a - b : 0;
}

void energy_add(struct energy_account *account, __u64 nj)
{
	__u64 sum = nj % NJ_PER_UJ + account->nj;

	account->uj += nj / NJ_PER_UJ + sum / NJ_PER_UJ;
	account->nj = sum % NJ_PER_UJ;
}

/**
 * energy_counter_nj() - What a counter has counted since it was read last
 * @counter: what is known of it
 * @raw: what it reads now; it may have wrapped once
 *
 * What is less than a nanojoule is kept for the next time.
 */
__u64 energy_counter_nj(struct energy_counter *counter, __u32 raw)
{
	__u64 nj = (__u64)(__u32)(raw - counter->last) * NJ_PER_J + counter->rest;

	counter->last = raw;
	counter->rest = nj & ((1ull << counter->shift) - 1);
	return nj >> counter->shift;
}

/* How long a counter takes to wrap at the very least. */
__u64 energy_wrap_ms(__u32 shift)
{
	return (1000ull << 32 >> shift) / ENERGY_MOST_WATTS;
}

/* Can a package have used as much in that time? What came late is in it too. */
bool energy_plausible(__u64 nj, __u64 span_ns)
{
	return nj / ENERGY_MOST_WATTS <= span_ns + NJ_PER_J / 10;
}

static __u32 shared(__u64 overlap, __u32 alone, __u32 beside)
{
	return alone - (__u32)(overlap * (alone - beside) / ENERGY_ONE);
}

/**
 * energy_weights() - What a nanosecond of a CPU weighs, by each rule
 * @weight: is filled in, ENERGY_RULES of them
 * @freq: its frequency against that of the others, in 1/1024
 * @busy_ns: how long it was busy
 * @sibling_ns: how long its busiest sibling was; 0 if it has none
 * @span_ns: out of this time
 *
 * When they were busy is not known. At once for as long as chance would have
 * it is billed; for as long as possible is what the shared rules take.
 */
void energy_weights(__u32 *weight, __u32 freq, __u64 busy_ns, __u64 sibling_ns, __u64 span_ns)
{
	__u64 cube, likely = 0, most = 0;

	if (freq < FREQ_LEAST)
		freq = FREQ_LEAST;
	if (freq > FREQ_MOST)
		freq = FREQ_MOST;
	span_ns = smaller(span_ns, SPAN_MOST_NS);
	sibling_ns = smaller(sibling_ns, span_ns);
	if (span_ns)
		likely = sibling_ns * ENERGY_ONE / span_ns;
	if (busy_ns)
		most = sibling_ns < busy_ns ? sibling_ns * ENERGY_ONE / busy_ns : ENERGY_ONE;
	cube = (__u64)freq * freq * freq / (ENERGY_ONE * ENERGY_ONE) ?: 1;

	weight[ENERGY_BILLED] = (__u64)freq * shared(likely, ENERGY_ONE, SHARED_WEIGHT) /
				ENERGY_ONE;
	weight[ENERGY_FLAT] = ENERGY_ONE;
	weight[ENERGY_CUBIC] = cube;
	weight[ENERGY_FLAT_SHARED] = shared(most, ENERGY_ONE, SHARED_LEAST);
	weight[ENERGY_CUBIC_SHARED] = cube * shared(most, ENERGY_ONE, SHARED_LEAST) /
				      ENERGY_ONE ?: 1;
}

/* Add what a CPU's time weighs. */
void energy_weigh(__u64 *sum, const __u32 *weight, __u64 ns)
{
	unsigned int rule;

	ns = smaller(ns, SPAN_MOST_NS);
	for (rule = 0; rule < ENERGY_RULES; rule++)
		sum[rule] += ns * weight[rule] / ENERGY_ONE;
}

/*
 * The line through the least busy window and the busiest one, down to where nothing
 * is busy. Power grows ever slower with what runs, as the first CPU wakes what all
 * share and as many run slower than one: near idle the slope may be steeper, twice
 * at most. The lowest rate ever seen had all of the idle power in it.
 *
 * The line is not drawn on for longer than it is known. From windows that are both
 * far from rest it says nothing sure: a package at its power limit draws the same
 * whatever runs.
 */
static void estimate(struct energy_idle *idle, unsigned int cpus)
{
	const struct energy_point *low = &idle->low, *high = &idle->high;
	__u64 drop, known = less(high->busy_ppm, low->busy_ppm);

	idle->high_uw = idle->min_uw;
	idle->low_uw = 0;
	idle->uw = 0;
	if (known >= SLOPE_PPM && known >= low->busy_ppm && high->uw >= low->uw) {
		drop = mul_div(high->uw - low->uw, low->busy_ppm, known);
		idle->uw = smaller(less(low->uw, drop), idle->high_uw);
		if (low->busy_ppm <= NEAR_PPM * cpus)
			idle->low_uw = smaller(less(low->uw, 2 * drop), idle->uw);
	} else if (low->busy_ppm <= QUIET_PPM * cpus) {
		idle->uw = idle->high_uw;
	}
}

/* What has been seen of this window is not of all CPUs, or not all there was. */
void energy_idle_drop(struct energy_idle *idle)
{
	idle->ns = 0;
	idle->nj = 0;
	idle->busy_ns = 0;
}

/**
 * energy_idle_feed() - Learn from a reading what a package draws when it is idle
 * @idle: what is known
 * @span_ns: time since the last reading
 * @nj: energy of that time
 * @busy_ns: CPU time of that time, over all of the package's CPUs
 * @cpus: how many they are
 */
void energy_idle_feed(struct energy_idle *idle, __u64 span_ns, __u64 nj, __u64 busy_ns,
		      unsigned int cpus)
{
	struct energy_point now = { .valid = true };
	struct energy_point *low = &idle->low, *high = &idle->high;

	idle->ns += span_ns;
	idle->nj += nj;
	idle->busy_ns += busy_ns;
	if (idle->ns < ENERGY_WINDOW_NS)
		return;
	now.uw = mul_div(idle->nj, PPM, idle->ns);
	now.busy_ppm = mul_div(idle->busy_ns, PPM, idle->ns);
	energy_idle_drop(idle);
	/* The counter stood still: no package draws nothing. */
	if (!now.uw)
		return;

	if (!low->valid || now.uw < idle->min_uw)
		idle->min_uw = now.uw;
	if (!high->valid || now.busy_ppm > high->busy_ppm)
		*high = now;
	if (!low->valid || now.busy_ppm + EQUAL_PPM < low->busy_ppm ||
	    (now.busy_ppm < low->busy_ppm + EQUAL_PPM && now.uw < low->uw))
		*low = now;
	estimate(idle, cpus);
}

/**
 * energy_idle_take() - The idle part of a reading
 * @idle: what is known
 * @span_ns: time since the last reading
 * @nj: energy of that time
 * @lag_ns: by how much the counter may be late, or its reader
 * @slack_nj: set to how wrong the other part may be
 *
 * Where a reading has less than the idle part, as the counter was late, the next
 * one pays: up to a second's worth.
 */
__u64 energy_idle_take(struct energy_idle *idle, __u64 span_ns, __u64 nj, __u64 lag_ns,
		       __u64 *slack_nj)
{
	__u64 part, fewer, more, lag = nj;

	span_ns = smaller(span_ns, SPAN_MOST_NS) ?: 1;
	idle->due_nj += mul_div(idle->uw, span_ns, PPM);
	part = smaller(idle->due_nj, nj);
	idle->due_nj = smaller(idle->due_nj - part, idle->uw * NJ_PER_UJ);

	more = less(part, mul_div(idle->low_uw, span_ns, PPM));
	fewer = nj - part;
	if (idle->low.valid)
		fewer = smaller(less(mul_div(idle->high_uw, span_ns, PPM), part), fewer);
	/* At both ends. */
	if (2 * lag_ns < span_ns)
		lag = mul_div(nj, 2 * lag_ns, span_ns);
	*slack_nj = smaller((more > fewer ? more : fewer) + lag, nj);
	return part;
}

/**
 * energy_share() - What falls to one of those who used CPU time
 * @split: the reading; its totals are over all of them
 * @weight: what the time of this one weighs, by each rule
 * @error_nj: set to how wrong the share may be
 *
 * Each gets what is due to all so far minus what they got, so that rounding is
 * never lost and never more than a nanojoule.
 */
__u64 energy_share(struct energy_split *split, const __u64 *weight, __u64 *error_nj)
{
	__u64 due, part, error = 0;
	unsigned int rule;

	*error_nj = 0;
	if (!weight[ENERGY_BILLED] || !split->total[ENERGY_BILLED])
		return 0;
	split->given_weight = smaller(split->given_weight + weight[ENERGY_BILLED],
				      split->total[ENERGY_BILLED]);
	due = mul_div(split->nj, split->given_weight, split->total[ENERGY_BILLED]);
	part = due - split->given_nj;
	split->given_nj = due;

	for (rule = ENERGY_BILLED + 1; rule < ENERGY_RULES; rule++) {
		__u64 other = mul_div(split->nj, smaller(weight[rule], split->total[rule]),
				      split->total[rule] ?: 1);
		__u64 off = other > part ? other - part : part - other;

		if (off > error)
			error = off;
	}
	*error_nj = error + 1 + mul_div(split->slack_nj,
					smaller(weight[ENERGY_BILLED], split->total[ENERGY_BILLED]),
					split->total[ENERGY_BILLED]);
	return part;
}

/* What nobody has been given. */
__u64 energy_rest(struct energy_split *split)
{
	__u64 rest = split->nj - split->given_nj;

	split->given_nj = split->nj;
	return rest;
}
