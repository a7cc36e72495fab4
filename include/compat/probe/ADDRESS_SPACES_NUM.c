// SPDX-License-Identifier: GPL-2.0
/* A VM has KVM_ADDRESS_SPACE_NUM sets of memory slots. */
#include <linux/kvm_host.h>

int probe(void);
int probe(void)
{
	return KVM_ADDRESS_SPACE_NUM;
}
