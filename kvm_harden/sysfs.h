/* SPDX-License-Identifier: GPL-2.0 */
/* /sys/kernel/kvm_harden: sysfs.c the root and flush/, sysfs_vm.c vms/. */
#ifndef _KVM_HARDEN_SYSFS_H
#define _KVM_HARDEN_SYSFS_H

#include <linux/types.h>

struct kobject;

extern struct kobject *harden_root;
extern struct kobject *harden_vms_dir;

int kvm_harden_sysfs_init(void);
void kvm_harden_sysfs_exit(void);

void kvm_harden_sysfs_vm_show(u32 slot, u64 id);
void kvm_harden_sysfs_vm_hide(u32 slot);

/* What a write of a policy means, said in the log where it is refused. */
int kvm_harden_policy_store(const char *who, const char *text, u32 *policy);

#endif /* _KVM_HARDEN_SYSFS_H */
