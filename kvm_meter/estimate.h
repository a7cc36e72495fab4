/* SPDX-License-Identifier: GPL-2.0 */
/* What a random sample of a VM's pages says about all of them. */
#ifndef _KVM_METER_ESTIMATE_H
#define _KVM_METER_ESTIMATE_H

#include <linux/types.h>

/* Pages of a sample: fewer would say too little, and more are not drawn. */
#define SAMPLE_MIN	32
#define SAMPLE_MAX	4096
/* Memory that estimate_draw() needs. */
#define SAMPLE_SCRATCH	(4 * SAMPLE_MAX)

typedef __u64 (*estimate_random)(void);	/* 64 random bits */

struct estimate {
	__u64 pages;	/* that have what was looked for */
	__u64 error;	/* it is off by no more, 19 times of 20 */
};

void estimate_share(__u64 pages, __u64 sampled, __u64 found, struct estimate *out);
unsigned int estimate_draw(__u64 pages, unsigned int want, __u64 *out, __u64 *scratch,
			   estimate_random random);
unsigned int estimate_afford(__u64 ppm, __u64 window_ns, __u64 touch_ns, __u64 vms,
			     unsigned int want);

#endif /* _KVM_METER_ESTIMATE_H */
