/* SPDX-License-Identifier: GPL-2.0 */
/* /sys/kernel/kvm_meter/vms/<id>/ and the vCPUs below it. */
#ifndef _KVM_METER_SYSFS_VM_H
#define _KVM_METER_SYSFS_VM_H

struct meter_vm;

void kvm_meter_sysfs_vm_update(struct meter_vm *vm);
void kvm_meter_sysfs_vm_remove(struct meter_vm *vm);

#endif /* _KVM_METER_SYSFS_VM_H */
