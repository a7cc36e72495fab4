// SPDX-License-Identifier: GPL-2.0
#include "../../kvm_meter/estimate.c"

#include <math.h>
#include <stdlib.h>

#include "tap.h"

static __u64 seed = 0x853c49e6748fea9bull;

static __u64 xorshift(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

/* The same in floating point. */
static double wilson(double pages, double n, double x)
{
	double z2 = 1.959964 * 1.959964 * (pages - n) / (pages - 1), p = x / n;
	double half = sqrt(z2 * z2 + 4 * z2 * n * p * (1 - p)) / (2 * (n + z2));
	double centre = (2 * x + z2) / (2 * (n + z2));

	return pages * fmax(centre + half - p, p - (centre - half));
}

static void test_formula(void)
{
	static const __u64 pages[] = {
		33, 512, 4097, 262144, 1ull << 28, (1ull << 32) - 1, 1ull << 32, 1ull << 40,
	};
	struct estimate e;

	for (unsigned int i = 0; i < ARRAY_SIZE(pages); i++) {
		for (__u64 n = 1; n <= SAMPLE_MAX && n < pages[i]; n += n / 3 + 1) {
			for (__u64 x = 0; x <= n; x += n / 7 + 1) {
				double want = wilson(pages[i], n, x);

				estimate_share(pages[i], n, x, &e);
				EXPECT(fabs(e.error - want) <= 2 + want / 100000,
				       "%llu of %llu of %llu: error %llu, expected %f", x, n,
				       pages[i], e.error, want);
				EXPECT(fabs(e.pages - (double)pages[i] * x / n) <= 1,
				       "%llu of %llu of %llu: %llu", x, n, pages[i], e.pages);
			}
		}
	}
}

static void test_ends(void)
{
	struct estimate e;

	estimate_share(100, 100, 37, &e);
	EXPECT(e.pages == 37 && !e.error, "all pages: %llu +- %llu", e.pages, e.error);
	estimate_share(1, 1, 1, &e);
	EXPECT(e.pages == 1 && !e.error, "one page: %llu +- %llu", e.pages, e.error);
	estimate_share(1000000, 384, 0, &e);
	EXPECT(!e.pages, "none found: %llu", e.pages);
	EXPECT(e.error > 9000 && e.error < 10500, "none found, of 384: +- %llu", e.error);
	estimate_share(1000000, 384, 384, &e);
	EXPECT_EQ(e.pages, 1000000, "all found");
	EXPECT(e.error > 9000 && e.error < 10500, "all found, of 384: +- %llu", e.error);
}

/*
 * The promise itself: it holds 19 times of 20, and there is no bias. As numbers of
 * pages are whole, it is a little more or less often: 93 % is the least.
 */
static void test_coverage(void)
{
	static const struct {
		unsigned int pages, sample;
	} shapes[] = { { 512, 384 }, { 2048, 384 }, { 100000, 384 }, { 100000, 32 }, { 40, 32 } };
	static const unsigned int permille[] = { 0, 1, 5, 20, 100, 333, 500, 800, 950, 999, 1000 };
	static __u64 draw[SAMPLE_MAX], scratch[SAMPLE_SCRATCH];
	const unsigned int rounds = 3000;

	for (unsigned int s = 0; s < ARRAY_SIZE(shapes); s++) {
		for (unsigned int p = 0; p < ARRAY_SIZE(permille); p++) {
			__u64 pages = shapes[s].pages, truth = pages * permille[p] / 1000;
			unsigned int hit = 0;
			double sum = 0, sigma;

			for (unsigned int r = 0; r < rounds; r++) {
				unsigned int n, x = 0;
				struct estimate e;

				n = estimate_draw(pages, shapes[s].sample, draw, scratch, xorshift);
				for (unsigned int i = 0; i < n; i++)
					x += draw[i] < truth;
				estimate_share(pages, n, x, &e);
				hit += truth <= e.pages + e.error && e.pages <= truth + e.error;
				sum += (double)pages * x / n;
			}
			EXPECT(hit >= rounds * 93 / 100, "%u of %llu, sample of %u: %u of %u hit",
			       permille[p], pages, shapes[s].sample, hit, rounds);
			sigma = sqrt((double)truth * (pages - truth) / shapes[s].sample *
				     (pages - shapes[s].sample) / (pages - 1) / rounds);
			EXPECT(fabs(sum / rounds - truth) <= 5 * sigma + 0.000001,
			       "%u of %llu: mean %f, expected %llu +- %f", permille[p], pages,
			       sum / rounds, truth, 5 * sigma);
		}
	}
}

static void check_draw(__u64 pages, unsigned int want)
{
	__u64 *out = malloc((want ?: 1) * sizeof(*out));
	__u64 *scratch = malloc(SAMPLE_SCRATCH * sizeof(*scratch));
	unsigned int n = estimate_draw(pages, want, out, scratch, xorshift);

	EXPECT_EQ(n, pages < want ? pages : want, "drawn");
	for (unsigned int i = 0; i < n; i++) {
		EXPECT(out[i] < pages, "%llu of %llu pages", out[i], pages);
		for (unsigned int j = 0; j < i; j++)
			EXPECT(out[i] != out[j], "%llu twice", out[i]);
	}
	free(out);
	free(scratch);
}

static void test_draw(void)
{
	static const unsigned int wants[] = { 1, 2, 31, 32, 384, 1000, SAMPLE_MAX };

	for (unsigned int w = 0; w < ARRAY_SIZE(wants); w++) {
		unsigned int want = wants[w];
		const __u64 pages[] = {
			1, 2, want - 1, want, want + 1, 2 * want - 1, 2 * want, 2 * want + 1,
			100000, 1ull << 40,
		};

		for (unsigned int p = 0; p < ARRAY_SIZE(pages); p++)
			if (pages[p])
				check_draw(pages[p], want);
	}
}

/* Each page equally often, whichever way it is drawn. */
static void test_uniform(void)
{
	static const unsigned int sizes[][2] = { { 20, 15 }, { 100, 10 } };
	__u64 out[16], scratch[SAMPLE_SCRATCH];
	const unsigned int rounds = 100000;

	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned int pages = sizes[s][0], n = sizes[s][1], met[100] = { 0 };
		double p = (double)n / pages, sigma = sqrt(rounds * p * (1 - p));

		for (unsigned int r = 0; r < rounds; r++) {
			estimate_draw(pages, n, out, scratch, xorshift);
			for (unsigned int i = 0; i < n; i++)
				met[out[i]]++;
		}
		for (unsigned int i = 0; i < pages; i++)
			EXPECT(fabs(met[i] - rounds * p) < 6 * sigma,
			       "page %u of %u: %u times, expected %f +- %f", i, pages, met[i],
			       rounds * p, 6 * sigma);
	}
}

static void test_afford(void)
{
	const __u64 second = 1000000000;

	EXPECT_EQ(estimate_afford(1000, 10 * second, 1000, 1, 384), 384, "one VM");
	/* 10 ms of a CPU, 1 us each: 10,000 for 20 VMs */
	EXPECT_EQ(estimate_afford(1000, 10 * second, 1000, 20, 384), 166, "20 VMs");
	EXPECT_EQ(estimate_afford(1000, 10 * second, 1000, 4000, 384), 32, "4000 VMs");
	EXPECT_EQ(estimate_afford(0, 10 * second, 1000, 1, 384), 32, "no budget");
	EXPECT_EQ(estimate_afford(1000, 10 * second, 1000, 1, 16), 16, "few wanted");
	EXPECT_EQ(estimate_afford(1000000, 3600 * second, 0, 0, 4096), 4096, "much");
}

static const struct tap_test tests[] = {
	{ "estimate: the error is Wilson's", test_formula, 0 },
	{ "estimate: none, all, and all that there are", test_ends, 0 },
	{ "estimate: the error holds 19 times of 20, without bias", test_coverage, 0 },
	{ "estimate: no page is drawn twice", test_draw, 0 },
	{ "estimate: every page is drawn as often", test_uniform, 0 },
	{ "estimate: samples grow small with little budget", test_afford, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
