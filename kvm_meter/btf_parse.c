// SPDX-License-Identifier: GPL-2.0
#include "btf_parse.h"

#include <linux/btf.h>
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif

struct parsed {
	const char *strings;
	__u32 string_len;
	const __u8 *types;
	__u32 type_len;
};

static int parse_header(const struct btf_blob *blob, struct parsed *p)
{
	const struct btf_header *hdr = blob->data;

	if (blob->size < sizeof(*hdr) || hdr->magic != BTF_MAGIC ||
	    hdr->hdr_len > blob->size || hdr->hdr_len % 4 || hdr->type_off % 4)
		return -EINVAL;
	if (hdr->type_off > blob->size - hdr->hdr_len ||
	    hdr->type_len > blob->size - hdr->hdr_len - hdr->type_off ||
	    hdr->str_off > blob->size - hdr->hdr_len ||
	    hdr->str_len > blob->size - hdr->hdr_len - hdr->str_off || !hdr->str_len)
		return -EINVAL;
	p->types = (const __u8 *)blob->data + hdr->hdr_len + hdr->type_off;
	p->type_len = hdr->type_len;
	p->strings = (const char *)blob->data + hdr->hdr_len + hdr->str_off;
	p->string_len = hdr->str_len;
	return p->strings[p->string_len - 1] ? -EINVAL : 0;
}

/* A split BTF's strings follow those of its base. */
static const char *string_at(const struct parsed *base, const struct parsed *split, __u32 off)
{
	if (off < base->string_len)
		return base->strings + off;
	off -= base->string_len;
	if (split && off < split->string_len)
		return split->strings + off;
	return "";
}

/* Bytes that follow a struct btf_type, by kind; negative if it is not known. */
static long tail_size(__u32 info)
{
	__u32 n = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(__u32);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (long)n * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return (long)n * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return (long)n * sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return (long)n * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return (long)n * sizeof(struct btf_var_secinfo);
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static long find_member(const struct parsed *base, const struct parsed *split,
			const struct btf_type *t, const char *member)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);
	__u32 i;

	for (i = 0; i < BTF_INFO_VLEN(t->info); i++, m++) {
		__u32 bit = BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m->offset)
						    : m->offset;

		if (strcmp(string_at(base, split, m->name_off), member))
			continue;
		if (bit % 8 || (BTF_INFO_KFLAG(t->info) &&
				BTF_MEMBER_BITFIELD_SIZE(m->offset)))
			return -EDOM;
		return bit / 8;
	}
	return -ENOENT;
}

/**
 * btf_member_offset() - Offset of a member in a structure
 * @base: BTF of the kernel
 * @split: BTF of a module, where to look; NULL to look in @base
 * @type: name of the structure
 * @member: name of a direct member
 *
 * Return: the offset in bytes; -ESRCH if there is no such structure, -ENOENT
 * if it has no such member, another error if the BTF is not understood.
 */
long btf_member_offset(const struct btf_blob *base, const struct btf_blob *split,
		       const char *type, const char *member)
{
	struct parsed base_parsed, split_parsed;
	const struct parsed *in = &base_parsed;
	__u32 pos = 0;

	if (parse_header(base, &base_parsed))
		return -EINVAL;
	if (split) {
		if (parse_header(split, &split_parsed))
			return -EINVAL;
		in = &split_parsed;
	}

	while (pos < in->type_len) {
		const struct btf_type *t = (const struct btf_type *)(in->types + pos);
		long tail;

		if (in->type_len - pos < sizeof(*t))
			return -EINVAL;
		tail = tail_size(t->info);
		if (tail < 0)
			return tail;
		if ((__u32)tail > in->type_len - pos - sizeof(*t))
			return -EINVAL;
		if (BTF_INFO_KIND(t->info) == BTF_KIND_STRUCT &&
		    !strcmp(string_at(&base_parsed, split ? &split_parsed : NULL, t->name_off),
			    type))
			return find_member(&base_parsed, split ? &split_parsed : NULL, t, member);
		pos += sizeof(*t) + tail;
	}
	return -ESRCH;
}
