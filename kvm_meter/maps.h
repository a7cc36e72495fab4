/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The BPF maps are the store: hooks write to the maps' own memory, and readers
 * map it. Elements are at fixed addresses for as long as the module is loaded.
 */
#ifndef _KVM_METER_MAPS_H
#define _KVM_METER_MAPS_H

#include <kvm_meter/abi.h>

enum meter_map {
	METER_MAP_VCPU,
	METER_MAP_VM,
	METER_MAP_ENDED,
	METER_MAP_OWNER,
	METER_MAP_INFO,
	METER_MAPS
};

int kvm_meter_maps_init(unsigned int vcpu_slots, unsigned int ended_slots);
void kvm_meter_maps_exit(void);
const char *kvm_meter_map_name(enum meter_map map);
u32 kvm_meter_map_id(enum meter_map map);
void *kvm_meter_map_elem(enum meter_map map, unsigned int i);

static inline struct kvm_meter_vcpu *kvm_meter_map_vcpu(unsigned int i)
{
	return kvm_meter_map_elem(METER_MAP_VCPU, i);
}

static inline struct kvm_meter_vm *kvm_meter_map_vm(unsigned int i)
{
	return kvm_meter_map_elem(METER_MAP_VM, i);
}

static inline struct kvm_meter_vm *kvm_meter_map_ended(unsigned int i)
{
	return kvm_meter_map_elem(METER_MAP_ENDED, i);
}

static inline struct kvm_meter_owner *kvm_meter_map_owner(unsigned int i)
{
	return kvm_meter_map_elem(METER_MAP_OWNER, i);
}

static inline struct kvm_meter_info *kvm_meter_map_info(void)
{
	return kvm_meter_map_elem(METER_MAP_INFO, 0);
}

#endif /* _KVM_METER_MAPS_H */
