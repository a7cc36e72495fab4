/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_L1TF_H
#define _COMPAT_L1TF_H

#include <linux/hardirq.h>
#include <linux/kvm_host.h>

/* Has something asked KVM to flush the L1D at the VM-entry that is under way? */
static inline bool compat_l1tf_requested(const struct kvm_vcpu *vcpu)
{
#ifdef COMPAT_L1TF_VCPU
	if (vcpu->arch.l1tf_flush_l1d)
		return true;
#endif
	return kvm_get_cpu_l1tf_flush_l1d();
}

#endif /* _COMPAT_L1TF_H */
