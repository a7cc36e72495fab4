/* SPDX-License-Identifier: GPL-2.0 */
/* On which nodes a VM's memory is, and where its vCPUs had better run. */
#ifndef _KVM_METER_NUMA_H
#define _KVM_METER_NUMA_H

#include <linux/topology.h>

#include "registry.h"

extern bool meter_numa;			/* this host has more than one node */

void kvm_meter_numa_init(void);
void kvm_meter_numa_scan(struct meter_vm *vm);

/* Where a node is counted: the last place is for all that have none of their own. */
static inline unsigned int kvm_meter_node_slot(int node)
{
	return node < 0 ? 0 : min_t(unsigned int, node, KVM_METER_NODES - 1);
}

/* Of a CPU, on a host with nodes; else all is in the first place. */
static inline unsigned int kvm_meter_cpu_slot(int cpu)
{
	return kvm_meter_node_slot(cpu_to_node(cpu));
}

#endif /* _KVM_METER_NUMA_H */
