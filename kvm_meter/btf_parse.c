// SPDX-License-Identifier: GPL-2.0
#include "btf_parse.h"

#include <linux/btf.h>
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stdbool.h>
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

/* The type at @pos, and @pos behind it; NULL at the end or where it is not understood. */
static const struct btf_type *next_type(const struct parsed *p, __u32 *pos, int *err)
{
	const struct btf_type *t = (const struct btf_type *)(p->types + *pos);
	long tail;

	*err = 0;
	if (*pos >= p->type_len)
		return NULL;
	*err = -EINVAL;
	if (p->type_len - *pos < sizeof(*t))
		return NULL;
	tail = tail_size(t->info);
	if (tail < 0) {
		*err = tail;
		return NULL;
	}
	if ((__u32)tail > p->type_len - *pos - sizeof(*t))
		return NULL;
	*err = 0;
	*pos += sizeof(*t) + tail;
	return t;
}

static int parse_both(const struct btf_blob *base, const struct btf_blob *split,
		      struct parsed *b, struct parsed *s)
{
	if (parse_header(base, b))
		return -EINVAL;
	return split && parse_header(split, s) ? -EINVAL : 0;
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
	struct parsed b, s;
	const struct parsed *in = split ? &s : &b;
	const struct btf_type *t;
	__u32 pos = 0;
	int err = parse_both(base, split, &b, &s);

	if (err)
		return err;
	while ((t = next_type(in, &pos, &err)))
		if (BTF_INFO_KIND(t->info) == BTF_KIND_STRUCT &&
		    !strcmp(string_at(&b, split ? &s : NULL, t->name_off), type))
			return find_member(&b, split ? &s : NULL, t, member);
	return err ?: -ESRCH;
}

/* Types count from 1, those of a split BTF on from its base's. */
static const struct btf_type *type_by_id(const struct parsed *b, const struct parsed *s, __u32 id)
{
	const struct btf_type *t;
	__u32 pos = 0;
	int err;

	while ((t = next_type(b, &pos, &err)))
		if (!--id)
			return t;
	pos = 0;
	while (s && (t = next_type(s, &pos, &err)))
		if (!--id)
			return t;
	return NULL;
}

/* Do the first arguments have these names, apart by blanks? */
static bool args_match(const struct parsed *b, const struct parsed *s,
		       const struct btf_type *proto, const char *args)
{
	const struct btf_param *param = (const struct btf_param *)(proto + 1);
	__u32 i;

	for (i = 0; i < BTF_INFO_VLEN(proto->info) && *args; i++, param++) {
		const char *name = string_at(b, s, param->name_off);
		size_t len = strlen(name);

		if (strncmp(args, name, len) || (args[len] && args[len] != ' '))
			return false;
		args += args[len] ? len + 1 : len;
	}
	return !*args;
}

/**
 * btf_check_args() - Does a function take these arguments?
 * @base: BTF of the kernel
 * @split: BTF of a module, where to look; NULL to look in @base
 * @function: its name
 * @args: names of its first arguments, apart by blanks
 *
 * Return: 0; -ESRCH if there is no such function, -EDOM if its arguments are
 * others, another error if the BTF is not understood.
 */
int btf_check_args(const struct btf_blob *base, const struct btf_blob *split,
		   const char *function, const char *args)
{
	struct parsed b, s;
	const struct parsed *in = split ? &s : &b;
	const struct btf_type *t, *proto;
	__u32 pos = 0;
	int err = parse_both(base, split, &b, &s);

	if (err)
		return err;
	while ((t = next_type(in, &pos, &err))) {
		if (BTF_INFO_KIND(t->info) != BTF_KIND_FUNC ||
		    strcmp(string_at(&b, split ? &s : NULL, t->name_off), function))
			continue;
		proto = type_by_id(&b, split ? &s : NULL, t->type);
		if (!proto || BTF_INFO_KIND(proto->info) != BTF_KIND_FUNC_PROTO)
			return -EINVAL;
		return args_match(&b, split ? &s : NULL, proto, args) ? 0 : -EDOM;
	}
	return err ?: -ESRCH;
}
