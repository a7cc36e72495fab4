/* SPDX-License-Identifier: GPL-2.0 */
/* /sys/kernel/kvm_meter: what is not about a VM. */
#ifndef _KVM_METER_SYSFS_H
#define _KVM_METER_SYSFS_H

struct kobject;

extern struct kobject *meter_vms_dir;

int kvm_meter_sysfs_init(void);
void kvm_meter_sysfs_exit(void);

#endif /* _KVM_METER_SYSFS_H */
