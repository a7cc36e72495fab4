/* SPDX-License-Identifier: GPL-2.0 */
/* The directory numa/ of a VM. */
#ifndef _KVM_METER_SYSFS_NUMA_H
#define _KVM_METER_SYSFS_NUMA_H

struct kobject;
struct meter_vm;

/* Process context, vm_mutex held. */
void kvm_meter_sysfs_numa_add(struct meter_vm *vm, struct kobject *parent);
void kvm_meter_sysfs_numa_remove(struct meter_vm *vm);

#endif /* _KVM_METER_SYSFS_NUMA_H */
