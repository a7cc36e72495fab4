/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is made of where memory is and where vCPUs ran. Pure: no kernel interfaces;
 * selftests/unit/ compiles it on the host.
 */
#ifndef _KVM_METER_HINT_H
#define _KVM_METER_HINT_H

#include <kvm_meter/abi.h>

struct hint {
	__u32 memory_node;		/* holds most of the memory; or KVM_METER_NODE_NONE */
	__u32 preferred_node;		/* the same of nodes that have CPUs */
	__u32 gain_permille;		/* of accesses that would be local there, and are not */
};

/*
 * @hint: the last one, or none; made anew
 * @pages, @guest_ns: by node; @cpus: bit i is set if node i has CPUs
 * @sampled: @pages are an estimate: a node keeps its place while another has not
 *	1/16 of all pages more, which is above the estimate's error
 */
void hint_make(struct hint *hint, const __u64 *pages, const __u64 *guest_ns, __u32 cpus,
	       bool sampled);

#endif /* _KVM_METER_HINT_H */
