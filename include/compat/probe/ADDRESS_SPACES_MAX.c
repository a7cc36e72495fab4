// SPDX-License-Identifier: GPL-2.0
/* A VM has up to KVM_MAX_NR_ADDRESS_SPACES sets of memory slots. */
#include <linux/kvm_host.h>

int probe(struct kvm *kvm);
int probe(struct kvm *kvm)
{
	return kvm_arch_nr_memslot_as_ids(kvm);
}
