/* SPDX-License-Identifier: GPL-2.0 */
/* Flush policies as text: none, default, or words of ibpb, l1d and host. */
#ifndef _KVM_HARDEN_POLICY_H
#define _KVM_HARDEN_POLICY_H

#include <linux/types.h>

int kvm_harden_policy_parse(const char *text, u32 available, u32 *policy);
int kvm_harden_policy_print(char *buf, size_t size, u32 policy);

#endif /* _KVM_HARDEN_POLICY_H */
