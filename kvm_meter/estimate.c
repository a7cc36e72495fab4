// SPDX-License-Identifier: GPL-2.0
/* Pure: selftests/unit/ compiles it on the host. Integers only. */
#include "estimate.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#define MILLION		1000000ull
#define BILLION		1000000000ull
/* The square of 1.959964, the 97.5th percentile of the normal distribution. */
#define Z2		3841459ull	/* millionths */
/* A page of a sample is cleared, and looked at for the fast and the slow window. */
#define TOUCHES		3

static __u64 root(__u64 x)
{
	__u64 r = 0, bit = 1ull << 62;

	while (bit > x)
		bit >>= 2;
	for (; bit; bit >>= 2) {
		if (x >= r + bit) {
			x -= r + bit;
			r = (r >> 1) + bit;
		} else {
			r >>= 1;
		}
	}
	return r;
}

/* x * num / den, rounded down, where x * num may be too large; num <= den <= 2^32. */
static __u64 part(__u64 x, __u64 num, __u64 den)
{
	return x / den * num + x % den * num / den;
}

/**
 * estimate_share() - How many pages have what was looked for, and how sure that is
 * @pages: all pages, below 2^52
 * @sampled: pages drawn at random, each at most once; at least 1, at most SAMPLE_MAX
 * @found: those of them that have it
 * @out: filled in
 *
 * The error is that of Wilson's score interval for 95 %, with the correction for
 * a finite population: the distance to that end of it which is farther away. It is
 * right near 0 and 1 as well, where that of the normal approximation is 0.
 */
void estimate_share(__u64 pages, __u64 sampled, __u64 found, struct estimate *out)
{
	__u64 z2, centre, spread, scale, low, high, share;

	if (sampled >= pages) {
		out->pages = found;
		out->error = 0;
		return;
	}
	out->pages = part(pages, found, sampled);
	/* (pages - sampled) / (pages - 1), in parts that do not overflow */
	z2 = pages >> 32 ? Z2 : Z2 * (pages - sampled) / (pages - 1);

	/* All in millionths; the two ends are (centre -+ spread) / scale. */
	centre = 2 * found * MILLION + z2;
	spread = root(z2 * z2 +
		      4 * z2 * 1000 * (found * (sampled - found)) / sampled * 1000);
	scale = 2 * (sampled * MILLION + z2);
	low = spread < centre ? (centre - spread) * BILLION / scale : 0;
	high = centre + spread < scale ? (centre + spread) * BILLION / scale : BILLION;
	share = found * BILLION / sampled;
	if (high - share > share - low)
		out->error = part(pages, high - share + 1, BILLION) + 1;
	else
		out->error = part(pages, share - low + 1, BILLION) + 1;
}

/* Uniform below @end: the bias is below @end / 2^64. */
static __u64 below(__u64 end, estimate_random random)
{
	return ((__uint128_t)random() * end) >> 64;
}

/* Open addressing; numbers are kept one higher, as 0 is an empty place. */
static int remember(__u64 *set, __u64 mask, __u64 number)
{
	__u64 at = (number * 0x9e3779b97f4a7c15ull) >> 32 & mask;

	while (set[at]) {
		if (set[at] == number + 1)
			return 0;
		at = (at + 1) & mask;
	}
	set[at] = number + 1;
	return 1;
}

/**
 * estimate_draw() - Draw a simple random sample, each page at most once
 * @pages: all pages
 * @want: how many to draw, at most SAMPLE_MAX
 * @out: filled with numbers below @pages, in no order
 * @scratch: room for SAMPLE_SCRATCH numbers
 * @random: source of 64 random bits
 *
 * Return: how many were drawn: @want, or all pages if there are no more.
 */
unsigned int estimate_draw(__u64 pages, unsigned int want, __u64 *out, __u64 *scratch,
			   estimate_random random)
{
	unsigned int i, size;

	if (pages < want)
		want = pages;
	if (pages <= 2 * (__u64)want) {
		for (i = 0; i < pages; i++)
			scratch[i] = i;
		for (i = 0; i < want; i++) {
			__u64 j = i + below(pages - i, random);

			out[i] = scratch[j];
			scratch[j] = scratch[i];
		}
		return want;
	}
	for (size = 2; size < 2 * want; size *= 2)
		;
	memset(scratch, 0, size * sizeof(*scratch));
	for (i = 0; i < want;) {
		out[i] = below(pages, random);
		/* At most half of them are taken: it ends soon. */
		i += remember(scratch, size - 1, out[i]);
	}
	return want;
}

/**
 * estimate_afford() - How large a sample is that the budget pays in time
 * @ppm: budget in millionths of a CPU
 * @window_ns: length of a window
 * @touch_ns: what it takes to look at a page once, with all that belongs to it
 * @vms: VMs that share the budget
 * @want: size of the sample if there is enough
 *
 * It does not go below SAMPLE_MIN: windows come more rarely then.
 */
unsigned int estimate_afford(__u64 ppm, __u64 window_ns, __u64 touch_ns, __u64 vms,
			     unsigned int want)
{
	__u64 touches = window_ns / MILLION * ppm / (touch_ns ? touch_ns : 1);
	__u64 each = touches / (TOUCHES * (vms ? vms : 1));

	if (each < SAMPLE_MIN)
		each = SAMPLE_MIN;
	return each < want ? each : want;
}
