// SPDX-License-Identifier: GPL-2.0
/* How a reading of energy is split: nothing lost, nothing twice, errors that cover. */
#include "../../kvm_meter/energy_split.c"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define SECOND	1000000000ull

static __u64 rnd(__u64 below)
{
	return (((__u64)random() << 42) ^ ((__u64)random() << 21) ^ random()) % below;
}

static void test_account(void)
{
	struct energy_account a = {};
	__u64 sum = 0;

	srandom(1);
	for (int i = 0; i < 100000; i++) {
		__u64 nj = rnd(i % 3 ? 2000 : 5000000000ull);

		energy_add(&a, nj);
		sum += nj;
		REQUIRE(a.nj < 1000, "nj is %u", a.nj);
		REQUIRE(a.uj * 1000 + a.nj == sum, "%llu uJ and %u nJ, expected %llu nJ", a.uj,
			a.nj, sum);
	}
	a = (struct energy_account) { .uj = 1, .nj = 999 };
	energy_add(&a, ~0ull);
	EXPECT_EQ(a.uj, 1 + ~0ull / 1000 + 1, "uj after all that 64 bits can add");
	EXPECT_EQ(a.nj, 999 + ~0ull % 1000 - 1000, "nj");
}

/* Whatever the steps, the sum is that of the counter, to the nanojoule. */
static void test_counter(void)
{
	static const __u32 shifts[] = { 0, 3, 10, 14, 16, 20, 31 };

	srandom(2);
	for (unsigned int s = 0; s < ARRAY_SIZE(shifts); s++) {
		struct energy_counter c = { .last = 0xfffffff0u, .shift = shifts[s] };
		__uint128_t units = 0;
		__u64 sum = 0;
		__u32 raw = c.last, wraps = 0;

		for (int i = 0; i < 20000 && sum < 1ull << 62; i++) {
			__u32 step = rnd(i % 2 ? 100 : i % 5 ? 1000000 : 0x100000000ull);

			wraps += raw + step < raw;
			raw += step;
			units += step;
			sum += energy_counter_nj(&c, raw);
			REQUIRE(sum == (__u64)(units * SECOND >> shifts[s]),
				"shift %u: %llu nJ, expected %llu", shifts[s], sum,
				(__u64)(units * SECOND >> shifts[s]));
		}
		EXPECT(wraps, "shift %u: the counter did not wrap", shifts[s]);
	}
	EXPECT_EQ(energy_wrap_ms(16), 65536 * 1000 / ENERGY_MOST_WATTS, "wrap of 2^-16 J");
	EXPECT_EQ(energy_wrap_ms(14), 4 * energy_wrap_ms(16), "wrap of 2^-14 J");
	EXPECT(energy_plausible(100 * SECOND, SECOND), "100 W is not plausible");
	EXPECT(!energy_plausible(65536 * SECOND, SECOND), "a counter set back is plausible");
	EXPECT(energy_plausible(SECOND, 0), "a joule that came late is not plausible");
}

static void test_split_random(void)
{
	srandom(3);
	for (int run = 0; run < 3000; run++) {
		struct energy_split s = { .nj = rnd(run % 5 ? 1ull << 32 : 1ull << 62),
					  .slack_nj = rnd(1000) };
		__u64 w[40][ENERGY_RULES] = {}, sum = 0;
		unsigned int n = 1 + rnd(40);

		for (unsigned int i = 0; i < n; i++) {
			for (int r = 0; r < ENERGY_RULES; r++) {
				w[i][r] = rnd(4) ? rnd(1ull << (1 + rnd(50))) : 0;
				s.total[r] += w[i][r];
			}
		}
		/* The last one is the host: it gets what is left. */
		for (unsigned int i = 0; i + 1 < n; i++) {
			__u64 error, part = energy_share(&s, w[i], &error), exact;

			if (!s.total[ENERGY_BILLED])
				break;
			exact = mul_div(s.nj, w[i][ENERGY_BILLED], s.total[ENERGY_BILLED]);
			REQUIRE(part <= exact + 1 && exact <= part + 1,
				"%llu of %llu with weight %llu of %llu, expected %llu", part, s.nj,
				w[i][0], s.total[0], exact);
			for (int r = 0; w[i][ENERGY_BILLED] && r < ENERGY_RULES; r++) {
				exact = s.total[r] ? mul_div(s.nj, w[i][r], s.total[r]) : 0;
				REQUIRE(exact <= part + error && part <= exact + error,
					"%llu +- %llu, by rule %d %llu", part, error, r, exact);
			}
			sum += part;
		}
		sum += energy_rest(&s);
		REQUIRE(sum == s.nj, "the parts are %llu, the whole is %llu", sum, s.nj);
		EXPECT_EQ(energy_rest(&s), 0, "what is left when all is given");
	}
}

/* Those who come first do not get the others' rounding: equal weights, equal bills. */
static void test_split_fair(void)
{
	struct energy_account a[7] = {};
	__u64 w[ENERGY_RULES], error;

	for (int run = 0; run < 10000; run++) {
		struct energy_split s = { .nj = 1000 + run };

		for (int r = 0; r < ENERGY_RULES; r++) {
			w[r] = 5;
			s.total[r] = 35;
		}
		for (int i = 0; i < 7; i++)
			energy_add(&a[i], energy_share(&s, w, &error));
		EXPECT_EQ(energy_rest(&s), 0, "left");
	}
	for (int i = 1; i < 7; i++)
		EXPECT_NEAR(a[i].uj * 1000 + a[i].nj, a[0].uj * 1000 + a[0].nj, 10000, "bill in nJ");
}

static void test_weights(void)
{
	__u32 w[ENERGY_RULES], f[ENERGY_RULES];

	/* Alone at the usual frequency: all rules say the same. */
	energy_weights(w, ENERGY_ONE, SECOND, 0, SECOND);
	for (int r = 0; r < ENERGY_RULES; r++)
		EXPECT_EQ(w[r], ENERGY_ONE, "weight alone");
	/* Twice the frequency: 1, 2 and 8. */
	energy_weights(f, 2 * ENERGY_ONE, SECOND, 0, SECOND);
	EXPECT_EQ(f[ENERGY_BILLED], 2 * ENERGY_ONE, "billed at twice the frequency");
	EXPECT_EQ(f[ENERGY_FLAT], ENERGY_ONE, "flat");
	EXPECT_EQ(f[ENERGY_CUBIC], 8 * ENERGY_ONE, "cubic");
	/* Both siblings all the time: 5/8, at least a half each. */
	energy_weights(w, ENERGY_ONE, SECOND, SECOND, SECOND);
	EXPECT_EQ(w[ENERGY_BILLED], ENERGY_ONE * 5 / 8, "billed beside a sibling");
	EXPECT_EQ(w[ENERGY_FLAT], ENERGY_ONE, "flat beside a sibling");
	EXPECT_EQ(w[ENERGY_FLAT_SHARED], ENERGY_ONE / 2, "shared beside a sibling");
	/* A tenth each: by chance at once for a hundredth, at most for all of it. */
	energy_weights(w, ENERGY_ONE, SECOND / 10, SECOND / 10, SECOND);
	EXPECT_NEAR(w[ENERGY_BILLED], ENERGY_ONE - ENERGY_ONE * 3 / 80, 1, "a tenth of the time");
	EXPECT_EQ(w[ENERGY_FLAT_SHARED], ENERGY_ONE / 2, "a tenth of the time, shared");
	/* A sibling busy a quarter as long as this one. */
	energy_weights(w, ENERGY_ONE, SECOND, SECOND / 4, SECOND);
	EXPECT_EQ(w[ENERGY_FLAT_SHARED], ENERGY_ONE * 7 / 8, "a quarter of the time, shared");
}

/* Nothing that a CPU or a hypervisor may answer makes a weight 0 or overflows. */
static void test_weights_extreme(void)
{
	static const __u64 times[] = { 0, 1, 999, SECOND, 1ull << 40, 1ull << 63, ~0ull };
	static const __u32 freqs[] = { 0, 1, ENERGY_ONE, 1u << 20, ~0u };
	unsigned int f, b, s, t;

	for (f = 0; f < ARRAY_SIZE(freqs); f++) {
		for (b = 0; b < ARRAY_SIZE(times); b++) {
			for (s = 0; s < ARRAY_SIZE(times); s++) {
				for (t = 0; t < ARRAY_SIZE(times); t++) {
					__u64 sum[ENERGY_RULES] = {};
					__u32 w[ENERGY_RULES];

					energy_weights(w, freqs[f], times[b], times[s], times[t]);
					for (int i = 0; i < 1024; i++)
						energy_weigh(sum, w, ~0ull);
					for (int r = 0; r < ENERGY_RULES; r++) {
						REQUIRE(w[r] && w[r] <= 512 * ENERGY_ONE,
							"weight %u", w[r]);
						/* 1,024 CPUs for 2^40 ns. */
						REQUIRE(sum[r] == (__u64)w[r] << 40,
							"sum %llu of weight %u", sum[r], w[r]);
					}
				}
			}
		}
	}
}

static void feed(struct energy_idle *idle, __u64 span_ns, __u64 busy_ns, __u64 idle_uw,
		 __u64 busy_uw)
{
	energy_idle_feed(idle, span_ns, mul_div(span_ns, idle_uw, PPM) +
			 mul_div(busy_ns, busy_uw, PPM), busy_ns, 4);
}

/* Power that is a line in busy time is found out, and its error is small. */
static void test_idle_line(void)
{
	srandom(4);
	for (int run = 0; run < 100; run++) {
		struct energy_idle idle = {};
		__u64 idle_uw = rnd(100000000), busy_uw = 1000 + rnd(50000000);

		feed(&idle, SECOND, SECOND / 5, idle_uw, busy_uw);
		feed(&idle, SECOND, 3 * SECOND, idle_uw, busy_uw);
		for (int i = 0; i < 50; i++)
			feed(&idle, 10000000 + rnd(SECOND), rnd(10000000), idle_uw, busy_uw);
		EXPECT_NEAR(idle.uw, idle_uw, idle_uw / 10000 + busy_uw / 10000 + 10, "idle_uw");
		EXPECT(idle.low_uw <= idle.uw && idle.uw <= idle.high_uw,
		       "%llu is not between %llu and %llu", idle.uw, idle.low_uw, idle.high_uw);
		EXPECT(idle.low_uw <= idle_uw + 10 && idle_uw <= idle.high_uw + 10,
		       "the truth, %llu, is not between %llu and %llu", idle_uw, idle.low_uw,
		       idle.high_uw);
	}
}

/* A first CPU that costs more than the others, as it wakes what they share. */
static void test_idle_bent(void)
{
	struct energy_idle idle = {};

	feed(&idle, SECOND, SECOND / 4, 10000000, 20000000);
	/* 10 W, 20 W for the first CPU, 12 W on average for four. */
	feed(&idle, SECOND, 4 * SECOND, 10000000, 12000000);
	EXPECT(idle.low_uw <= 10000000 && idle.high_uw >= 10000000,
	       "10 W are not between %llu and %llu uW", idle.low_uw, idle.high_uw);
	EXPECT_NEAR(idle.uw, 11700000, 600000, "idle_uw");
}

/* Lines that would be drawn on too far, or are those of a package at its limit. */
static void test_idle_far(void)
{
	struct energy_idle idle = {};
	__u64 slack, part;

	/* 60.0 and 60.1 of 64 CPUs. */
	energy_idle_feed(&idle, SECOND, 350 * SECOND, 60 * SECOND, 64);
	energy_idle_feed(&idle, SECOND, 350 * SECOND + SECOND / 20, 60 * SECOND + SECOND / 10, 64);
	EXPECT_EQ(idle.uw, 0, "idle_uw from two busy windows");
	EXPECT_EQ(idle.low_uw, 0, "what it is at least");
	EXPECT_EQ(idle.high_uw, 350000000, "what it is at most");
	/* 20 and 60 of 64 CPUs at 350 W: what rests in it cannot be told, and that is said. */
	memset(&idle, 0, sizeof(idle));
	energy_idle_feed(&idle, SECOND, 350 * SECOND, 20 * SECOND, 64);
	energy_idle_feed(&idle, SECOND, 350 * SECOND, 60 * SECOND, 64);
	EXPECT_EQ(idle.low_uw, 0, "what idle_uw is at least, at the power limit");
	part = energy_idle_take(&idle, SECOND, 350 * SECOND, 0, &slack);
	EXPECT(slack >= part, "%llu nJ are idle, or wrong by %llu", part, slack);
	/* A quiet window tells. */
	energy_idle_feed(&idle, SECOND, 80 * SECOND, SECOND / 2, 64);
	EXPECT_NEAR(idle.uw, 80000000, 5000000, "idle_uw once it has been quiet");
	EXPECT(idle.low_uw > 70000000, "at least %llu uW", idle.low_uw);
	/* A counter that stands still, and CPUs that are not known, teach nothing. */
	energy_idle_feed(&idle, SECOND, 0, 0, 64);
	EXPECT(idle.high_uw, "the counter stood still once: nothing is idle");
	energy_idle_feed(&idle, ENERGY_WINDOW_NS / 2, 20 * SECOND, 0, 64);
	energy_idle_drop(&idle);
	energy_idle_feed(&idle, ENERGY_WINDOW_NS / 2, 1, 0, 64);
	EXPECT(idle.high_uw >= 70000000, "half a window counts");
}

/* A load that hardly changes says nothing, whichever way it goes. */
static void test_idle_steady(void)
{
	static const struct {
		__u64 busy_ms, watts;
	} w[] = { { 2000, 90 }, { 2011, 100 }, { 2008, 99 }, { 1999, 95 }, { 2000, 91 } };
	struct energy_idle idle = {};

	srandom(5);
	for (unsigned int i = 0; i < 1000; i++) {
		unsigned int k = i < ARRAY_SIZE(w) ? i : rnd(ARRAY_SIZE(w));

		energy_idle_feed(&idle, SECOND, w[k].watts * SECOND, w[k].busy_ms * (SECOND / 1000),
				 16);
		REQUIRE(!idle.uw && !idle.low_uw, "window %u: idle_uw %llu, at least %llu", i,
			idle.uw, idle.low_uw);
	}
	EXPECT_EQ(idle.high_uw, 90000000, "what it may be");
	/* The busiest window stays, however slowly the load falls. */
	memset(&idle, 0, sizeof(idle));
	feed(&idle, SECOND, SECOND / 4, 10000000, 10000000);
	for (unsigned int i = 0; i < 600; i++)
		feed(&idle, SECOND, 4 * SECOND - i * 5000000, 10000000, 10000000);
	EXPECT_EQ(idle.high.busy_ppm, 4 * PPM, "the busiest window");
	EXPECT_NEAR(idle.uw, 10000000, 10000, "idle_uw");
}

static void test_idle_unknown(void)
{
	struct energy_idle idle = {};
	__u64 slack, part;

	/* Nothing is known. */
	part = energy_idle_take(&idle, SECOND, 5 * SECOND, 0, &slack);
	EXPECT_EQ(part, 0, "idle energy before the first window");
	EXPECT_EQ(slack, 5 * SECOND, "how wrong that may be");
	/* Too short to say anything. */
	feed(&idle, ENERGY_WINDOW_NS - 1, 0, 3000000, 0);
	EXPECT(!idle.low.valid, "a window of 99 ms counts");
	/* A load that never changes: what of it would be idle cannot be told. */
	memset(&idle, 0, sizeof(idle));
	for (int i = 0; i < 100; i++)
		feed(&idle, SECOND, 2 * SECOND, 10000000, 10000000);
	EXPECT_EQ(idle.uw, 0, "idle_uw of a host that is never idle");
	EXPECT_EQ(idle.high_uw, 30000000, "what it may be");
	part = energy_idle_take(&idle, SECOND, 30 * SECOND, 0, &slack);
	EXPECT_EQ(part, 0, "idle energy");
	EXPECT_EQ(slack, 30 * SECOND, "how wrong that may be");
	/* Nothing but rest. */
	memset(&idle, 0, sizeof(idle));
	for (int i = 0; i < 10; i++)
		feed(&idle, SECOND, SECOND / 100, 10000000, 10000000);
	EXPECT_EQ(idle.uw, 10100000, "idle_uw of a host at rest");
	EXPECT_EQ(idle.low_uw, 0, "what it may be");
}

/* A counter that is late: in the long run idle gets its part all the same. */
static void test_idle_late(void)
{
	struct energy_idle idle = {};
	__u64 total = 0, given = 0, slack;

	feed(&idle, SECOND, 0, 10000000, 5000000);
	feed(&idle, SECOND, 2 * SECOND, 10000000, 5000000);
	EXPECT_EQ(idle.uw, 10000000, "idle_uw");
	for (int i = 0; i < 1000; i++) {
		/* 10 mJ in 1 ms, but in chunks of 3 ms. */
		__u64 nj = i % 3 == 2 ? 30000000 : 0, part;

		part = energy_idle_take(&idle, 1000000, nj, 1000000, &slack);
		REQUIRE(part <= nj, "%llu idle of %llu", part, nj);
		EXPECT_EQ(slack, nj, "all of it may be of another millisecond");
		total += nj;
		given += part;
	}
	EXPECT_EQ(given, total, "idle energy of a host at rest");
	/* No debt for ever. */
	for (int i = 0; i < 100; i++)
		energy_idle_take(&idle, SECOND, 0, 0, &slack);
	EXPECT_EQ(energy_idle_take(&idle, SECOND, 100 * SECOND, 0, &slack), 20 * SECOND,
		  "idle part after readings of nothing");
	/* A millisecond at both ends of a second. */
	idle.low_uw = idle.uw;
	idle.high_uw = idle.uw;
	idle.due_nj = 0;
	energy_idle_take(&idle, SECOND, 20 * SECOND, 1000000, &slack);
	EXPECT_EQ(slack, 40000000, "slack of 20 W and 2 ms");
}

static void test_idle_extreme(void)
{
	static const __u64 v[] = { 0, 1, SECOND, 1ull << 40, 1ull << 55 };

	for (unsigned int a = 0; a < ARRAY_SIZE(v); a++) {
		for (unsigned int b = 0; b < ARRAY_SIZE(v); b++) {
			struct energy_idle idle = {};
			__u64 slack, part;

			for (unsigned int c = 0; c < ARRAY_SIZE(v); c++) {
				energy_idle_feed(&idle, SECOND, v[a], v[b], 4);
				energy_idle_feed(&idle, SECOND, v[c], v[a], 4);
				part = energy_idle_take(&idle, v[b], v[c], v[a], &slack);
				REQUIRE(part <= v[c], "%llu idle of %llu", part, v[c]);
			}
		}
	}
}

static const struct tap_test tests[] = {
	{ "accounts carry what is less than a microjoule", test_account, 0 },
	{ "counters wrap and carry what is less than a nanojoule", test_counter, 0 },
	{ "parts add up to the whole, errors cover every rule", test_split_random, 0 },
	{ "equal weights are billed alike", test_split_fair, 0 },
	{ "weights", test_weights, 0 },
	{ "weights of nonsense", test_weights_extreme, 0 },
	{ "idle power of a line", test_idle_line, 0 },
	{ "idle power of a bent line", test_idle_bent, 0 },
	{ "idle power that cannot be told", test_idle_unknown, 0 },
	{ "idle power far from rest", test_idle_far, 0 },
	{ "idle power of a steady load", test_idle_steady, 0 },
	{ "idle power and a late counter", test_idle_late, 0 },
	{ "idle power of nonsense", test_idle_extreme, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
