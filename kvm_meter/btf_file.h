/* SPDX-License-Identifier: GPL-2.0 */
/* Structure layouts of the running kernel and its modules, from their BTF. */
#ifndef _KVM_METER_BTF_FILE_H
#define _KVM_METER_BTF_FILE_H

#include "btf_parse.h"

int kvm_meter_btf_load(const char *name, struct btf_blob *blob);
long kvm_meter_btf_offset(const struct btf_blob *vmlinux, const char *module,
			  const char *type, const char *member);
void kvm_meter_btf_unload(struct btf_blob *blob);

#endif /* _KVM_METER_BTF_FILE_H */
