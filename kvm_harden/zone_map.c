// SPDX-License-Identifier: GPL-2.0
#include "zone_map.h"

#ifdef __KERNEL__
#include <linux/sort.h>
#include <linux/string.h>
#define SORT(base, n, size, cmp)	sort(base, n, size, cmp, NULL)
#else
#include <stdlib.h>
#include <string.h>
#define SORT(base, n, size, cmp)	qsort(base, n, size, cmp)
#endif

static int by_place(const void *a, const void *b)
{
	const struct zone_edge *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* How many of the ranges open at a place deny each bit. */
struct cover {
	unsigned int ranges;
	unsigned int bit[ZONE_BITS];
};

static void step(struct cover *cover, const struct zone_edge *edge)
{
	int by = edge->opens ? 1 : -1, i;

	cover->ranges += by;
	for (i = 0; i < ZONE_BITS; i++)
		if (edge->deny & (1u << i))
			cover->bit[i] += by;
}

static u32 denied(const struct cover *cover)
{
	u32 deny = 0;
	int i;

	for (i = 0; i < ZONE_BITS; i++)
		if (cover->bit[i])
			deny |= 1u << i;
	return deny;
}

/**
 * zone_union() - Join ranges that may overlap
 * @in: ranges in any order, none of them empty
 * @n: how many
 * @edges: room for 2 * @n
 * @out: room for 2 * @n: ranges in order that do not overlap and together cover
 *	what @in does, each denying what any range of @in denies there
 *
 * Return: number of ranges in @out.
 */
unsigned int zone_union(const struct zone_seg *in, unsigned int n, struct zone_edge *edges,
			struct zone_seg *out)
{
	struct cover cover = {};
	unsigned int i, count = 0;

	for (i = 0; i < n; i++) {
		edges[2 * i] = (struct zone_edge){ in[i].start, in[i].deny, true };
		edges[2 * i + 1] = (struct zone_edge){ in[i].end, in[i].deny, false };
	}
	SORT(edges, 2 * n, sizeof(*edges), by_place);
	for (i = 0; i < 2 * n; i++) {
		struct zone_seg *last = count ? &out[count - 1] : NULL;
		u64 next;

		step(&cover, &edges[i]);
		if (i + 1 == 2 * n || !cover.ranges)
			continue;
		next = edges[i + 1].at;
		if (next == edges[i].at)
			continue;
		if (last && last->end == edges[i].at && last->deny == denied(&cover))
			last->end = next;
		else
			out[count++] = (struct zone_seg){ edges[i].at, next, denied(&cover) };
	}
	return count;
}

/** zone_find() - The first of ordered ranges that ends behind @at, or NULL */
const struct zone_seg *zone_find(const struct zone_seg *segs, unsigned int n, u64 at)
{
	unsigned int low = 0, high = n;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (segs[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n ? &segs[low] : NULL;
}
