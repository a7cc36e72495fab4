// SPDX-License-Identifier: GPL-2.0
#include <linux/kvm_host.h>

u64 probe(struct kvm_mmu *mmu);

u64 probe(struct kvm_mmu *mmu)
{
	return mmu->fmt.bad_mt_xwr;
}
