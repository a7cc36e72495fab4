/* SPDX-License-Identifier: GPL-2.0 */
/* off, dry-run or on; and what status says about it. */
#ifndef _KVM_HARDEN_MODE_H
#define _KVM_HARDEN_MODE_H

#include <linux/types.h>

int kvm_harden_mode_init(const char *name);
int kvm_harden_mode_set(const char *name);
const char *kvm_harden_mode_name(void);
int kvm_harden_status(char *buf);
void kvm_harden_mode_exit(void);

#endif /* _KVM_HARDEN_MODE_H */
