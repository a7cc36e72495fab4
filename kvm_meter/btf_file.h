/* SPDX-License-Identifier: GPL-2.0 */
/* Structure layouts of the running kernel and its modules, from their BTF. */
#ifndef _KVM_METER_BTF_FILE_H
#define _KVM_METER_BTF_FILE_H

long kvm_meter_btf_offset(const char *module, const char *type, const char *member);

#endif /* _KVM_METER_BTF_FILE_H */
