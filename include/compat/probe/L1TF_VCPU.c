// SPDX-License-Identifier: GPL-2.0
/* A vCPU has a flag of its own that asks for an L1D flush, beside the CPU's. */
#include <linux/kvm_host.h>

bool probe(struct kvm_vcpu *vcpu);
bool probe(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.l1tf_flush_l1d;
}
