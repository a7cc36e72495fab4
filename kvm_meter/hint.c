// SPDX-License-Identifier: GPL-2.0
#include "hint.h"

#define WHOLE		1000000ull	/* shares are in millionths */

/* @old: keeps its place if it has @margin less */
static __u32 most(const __u64 *pages, __u32 of, __u32 old, __u64 margin)
{
	__u32 i, best = KVM_METER_NODE_NONE;

	for (i = 0; i < KVM_METER_NODES; i++)
		if (of & 1u << i && pages[i] &&
		    (best == KVM_METER_NODE_NONE || pages[i] > pages[best]))
			best = i;
	if (best != KVM_METER_NODE_NONE && old < KVM_METER_NODES && of & 1u << old &&
	    pages[best] - pages[old] < margin)
		return old;
	return best;
}

/*
 * As if each access went to any page of the VM alike: a vCPU on node i finds the
 * share of the pages there that is on node i. Now that is the mean over the nodes,
 * by guest time; with all vCPUs on one node it is that node's share.
 */
void hint_make(struct hint *hint, const __u64 *pages, const __u64 *guest_ns, __u32 cpus,
	       bool sampled)
{
	__u64 all = 0, time = 0, here = 0, margin, there;
	__u32 i;

	for (i = 0; i < KVM_METER_NODES; i++) {
		all += pages[i];
		time += guest_ns[i] >> 10;
	}
	margin = sampled ? all / 16 : 0;
	hint->memory_node = most(pages, ~0u, hint->memory_node, margin);
	hint->preferred_node = most(pages, cpus, hint->preferred_node, margin);
	hint->gain_permille = 0;
	if (hint->preferred_node == KVM_METER_NODE_NONE || !time)
		return;
	for (i = 0; i < KVM_METER_NODES; i++)
		here += pages[i] * WHOLE / all * (guest_ns[i] >> 10);
	here /= time;
	there = pages[hint->preferred_node] * WHOLE / all;
	if (there > here)
		hint->gain_permille = (there - here) / (WHOLE / 1000);
}
