/* SPDX-License-Identifier: GPL-2.0 */
/* Looks up structure members and functions in BTF. Pure: selftests/unit/ compiles it too. */
#ifndef _KVM_METER_BTF_PARSE_H
#define _KVM_METER_BTF_PARSE_H

#include <linux/types.h>

struct btf_blob {
	const void *data;
	__u32 size;
};

long btf_member_offset(const struct btf_blob *base, const struct btf_blob *split,
		       const char *type, const char *member);
int btf_check_args(const struct btf_blob *base, const struct btf_blob *split,
		   const char *function, const char *args);

#endif /* _KVM_METER_BTF_PARSE_H */
