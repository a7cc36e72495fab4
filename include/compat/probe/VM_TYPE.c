// SPDX-License-Identifier: GPL-2.0
/* VMs have types, of which some are protected from the host. */
#include <linux/kvm_host.h>

int probe(struct kvm *kvm);
int probe(struct kvm *kvm)
{
	return kvm->arch.vm_type != KVM_X86_DEFAULT_VM;
}
