/* SPDX-License-Identifier: GPL-2.0 */
/* BTF of the maps' records, made from the descriptor table (metrics.h). */
#ifndef _KVM_METER_BTF_GEN_H
#define _KVM_METER_BTF_GEN_H

#include <linux/types.h>

enum meter_record {
	BTF_RECORD_VCPU,
	BTF_RECORD_VM,
	BTF_RECORD_OWNER,
	BTF_RECORD_INFO,
	BTF_RECORDS
};

struct btf_build;

struct btf_gen {
	u32 key_type;
	u32 record_type[BTF_RECORDS];
};

void kvm_meter_btf_make(struct btf_build *b, struct btf_gen *gen);

#endif /* _KVM_METER_BTF_GEN_H */
