/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Builds BTF for the values of BPF maps: integers, arrays and structures of
 * them. A type is known by the number that the function which added it returns.
 */
#ifndef _KVM_METER_BTF_BUILD_H
#define _KVM_METER_BTF_BUILD_H

#include <linux/types.h>

struct btf_build;

struct btf_build *kvm_meter_btf_begin(void);
u32 kvm_meter_btf_int(struct btf_build *b, const char *name, u32 size);
u32 kvm_meter_btf_array(struct btf_build *b, u32 type, u32 index_type, u32 nelems);
u32 kvm_meter_btf_struct(struct btf_build *b, const char *name, u32 size);
void kvm_meter_btf_member(struct btf_build *b, const char *name, u32 type, u32 offset);
int kvm_meter_btf_fd(struct btf_build *b);
void kvm_meter_btf_end(struct btf_build *b);

#endif /* _KVM_METER_BTF_BUILD_H */
