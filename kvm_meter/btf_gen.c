// SPDX-License-Identifier: GPL-2.0
#include "btf_gen.h"

#include <linux/err.h>

#include <kvm_meter/abi.h>
#include <kvm_meter/btf_build.h>

/* Integer type of a table row, by its size. */
#define INT_OF(type)	(sizeof(type) == sizeof(u32) ? u32_id : u64_id)

#define F(type, name, desc)	\
	kvm_meter_btf_member(b, #name, INT_OF(type), offsetof(typeof(*REC), name));
#define C(name, desc)		\
	kvm_meter_btf_member(b, #name, u64_id, offsetof(typeof(*REC), name));
#define S(len, name, desc)	\
	kvm_meter_btf_member(b, #name, text_id[i++], offsetof(typeof(*REC), name));
#define H(name, desc)		\
	kvm_meter_btf_member(b, #name, hist_id, offsetof(typeof(*REC), name));
#define N(name, desc)		\
	kvm_meter_btf_member(b, #name, nodes_id, offsetof(typeof(*REC), name));
#define MAKE_TEXT(len, name, desc)	\
	text_id[i++] = kvm_meter_btf_array(b, char_id, u32_id, len);

/**
 * kvm_meter_btf_make() - Describe the records to bpftool and libbpf
 * @b: gets the types
 * @gen: gets the numbers of the records
 */
void kvm_meter_btf_make(struct btf_build *b, struct btf_gen *gen)
{
	u32 u32_id, u64_id, char_id, hist_id, nodes_id, reason_id, reasons_id;
	u32 vm_reason_id, vm_reasons_id, name_id, names_id, label_id, text_id[8];
	int i = 0;

	u32_id = kvm_meter_btf_int(b, "__u32", sizeof(u32));
	u64_id = kvm_meter_btf_int(b, "__u64", sizeof(u64));
	char_id = kvm_meter_btf_int(b, "char", sizeof(char));
	gen->key_type = u32_id;

	hist_id = kvm_meter_btf_array(b, u64_id, u32_id, KVM_METER_HIST);
	nodes_id = kvm_meter_btf_array(b, u64_id, u32_id, KVM_METER_NODES);
	KVM_METER_VM_STRINGS(MAKE_TEXT)
	label_id = kvm_meter_btf_array(b, char_id, u32_id,
				       sizeof_field(struct kvm_meter_reason_name, name));

#define REC ((struct kvm_meter_reason *)NULL)
	reason_id = kvm_meter_btf_struct(b, "kvm_meter_reason", sizeof(*REC));
	C(count, "")
	C(time_ns, "")
	kvm_meter_btf_member(b, "hist", hist_id, offsetof(typeof(*REC), hist));
#undef REC
	reasons_id = kvm_meter_btf_array(b, reason_id, u32_id, KVM_METER_REASONS);

#define REC ((struct kvm_meter_vm_reason *)NULL)
	vm_reason_id = kvm_meter_btf_struct(b, "kvm_meter_vm_reason", sizeof(*REC));
	C(count, "")
	C(time_ns, "")
#undef REC
	vm_reasons_id = kvm_meter_btf_array(b, vm_reason_id, u32_id, KVM_METER_REASONS);

#define REC ((struct kvm_meter_reason_name *)NULL)
	name_id = kvm_meter_btf_struct(b, "kvm_meter_reason_name", sizeof(*REC));
	F(__u32, code, "")
	kvm_meter_btf_member(b, "name", label_id, offsetof(typeof(*REC), name));
#undef REC
	names_id = kvm_meter_btf_array(b, name_id, u32_id, KVM_METER_REASONS);

#define REC ((struct kvm_meter_vcpu *)NULL)
	gen->record_type[BTF_RECORD_VCPU] = kvm_meter_btf_struct(b, "kvm_meter_vcpu", sizeof(*REC));
	KVM_METER_VCPU_HOT(F)
	KVM_METER_COUNTERS(C)
	KVM_METER_VCPU_IDENT(F)
	KVM_METER_HISTS(H)
	KVM_METER_VCPU_NODES(N)
	kvm_meter_btf_member(b, "reasons", reasons_id, offsetof(typeof(*REC), reasons));
#undef REC

#define REC ((struct kvm_meter_vm *)NULL)
	gen->record_type[BTF_RECORD_VM] = kvm_meter_btf_struct(b, "kvm_meter_vm", sizeof(*REC));
	KVM_METER_VM_HEAD(F)
	KVM_METER_COUNTERS(C)
	KVM_METER_VM_COUNTERS(C)
	KVM_METER_VM_ENERGY(C)
	i = 0;
	KVM_METER_VM_STRINGS(S)
	KVM_METER_VM_MEMORY(F)
	KVM_METER_VM_MEMORY_SLOW(F)
	KVM_METER_HISTS(H)
	KVM_METER_VM_NODES(N)
	kvm_meter_btf_member(b, "reasons", vm_reasons_id, offsetof(typeof(*REC), reasons));
#undef REC

#define REC ((struct kvm_meter_owner *)NULL)
	gen->record_type[BTF_RECORD_OWNER] =
		kvm_meter_btf_struct(b, "kvm_meter_owner", sizeof(*REC));
	KVM_METER_OWNER_HEAD(F)
	KVM_METER_COUNTERS(C)
	KVM_METER_VM_COUNTERS(C)
	KVM_METER_VM_ENERGY(C)
#undef REC

#define REC ((struct kvm_meter_info *)NULL)
	gen->record_type[BTF_RECORD_INFO] = kvm_meter_btf_struct(b, "kvm_meter_info", sizeof(*REC));
	KVM_METER_INFO_HEAD(F)
	KVM_METER_ENERGY(F)
	kvm_meter_btf_member(b, "names", names_id, offsetof(typeof(*REC), names));
#undef REC
}
