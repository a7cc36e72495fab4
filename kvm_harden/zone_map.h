/* SPDX-License-Identifier: GPL-2.0 */
/* The union of ranges, each with what it denies. Pure: selftests/unit/ has it too. */
#ifndef _KVM_HARDEN_ZONE_MAP_H
#define _KVM_HARDEN_ZONE_MAP_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
typedef __u32 u32;
typedef __u64 u64;
#endif

#define ZONE_R		1u
#define ZONE_W		2u
#define ZONE_X		4u
#define ZONE_WAIT	8u	/* it is being changed: whoever comes is to try again */
#define ZONE_BITS	4

struct zone_seg {
	u64 start, end;		/* [start, end) */
	u32 deny;		/* ZONE_*; 0 is a range as well */
};

/* What it takes to sort: two for each range. */
struct zone_edge {
	u64 at;
	u32 deny;
	bool opens;
};

unsigned int zone_union(const struct zone_seg *in, unsigned int n, struct zone_edge *edges,
			struct zone_seg *out);
const struct zone_seg *zone_find(const struct zone_seg *segs, unsigned int n, u64 at);

#endif /* _KVM_HARDEN_ZONE_MAP_H */
