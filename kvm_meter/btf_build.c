// SPDX-License-Identifier: GPL-2.0
#include <kvm_meter/btf_build.h>

#include <linux/bpf.h>
#include <uapi/linux/btf.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

int kern_sys_bpf(int cmd, union bpf_attr *attr, unsigned int size);

#define MAX_TYPES	8192	/* bytes */
#define MAX_STRINGS	8192

struct btf_build {
	u8 types[MAX_TYPES];
	char strings[MAX_STRINGS];
	u32 type_len, string_len;
	u32 last_id;
	struct btf_type *open;		/* the structure that members are added to */
	bool full;
};

static u32 add_string(struct btf_build *b, const char *text)
{
	size_t len = strlen(text) + 1;
	u32 off = b->string_len;

	if (off + len > MAX_STRINGS) {
		b->full = true;
		return 0;
	}
	memcpy(b->strings + off, text, len);
	b->string_len += len;
	return off;
}

static void *add_bytes(struct btf_build *b, u32 len)
{
	void *at = b->types + b->type_len;

	if (b->type_len + len > MAX_TYPES) {
		b->full = true;
		return b->types;
	}
	b->type_len += len;
	return at;
}

static struct btf_type *add_type(struct btf_build *b, const char *name, u32 kind, u32 size)
{
	struct btf_type *t = add_bytes(b, sizeof(*t));

	t->name_off = *name ? add_string(b, name) : 0;
	t->info = kind << 24;
	t->size = size;
	b->last_id++;
	return t;
}

u32 kvm_meter_btf_int(struct btf_build *b, const char *name, u32 size)
{
	add_type(b, name, BTF_KIND_INT, size);
	*(u32 *)add_bytes(b, sizeof(u32)) = size * BITS_PER_BYTE;
	return b->last_id;
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_int);

u32 kvm_meter_btf_array(struct btf_build *b, u32 type, u32 index_type, u32 nelems)
{
	struct btf_array *a;

	add_type(b, "", BTF_KIND_ARRAY, 0);
	a = add_bytes(b, sizeof(*a));
	a->type = type;
	a->index_type = index_type;
	a->nelems = nelems;
	return b->last_id;
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_array);

u32 kvm_meter_btf_struct(struct btf_build *b, const char *name, u32 size)
{
	b->open = add_type(b, name, BTF_KIND_STRUCT, size);
	return b->last_id;
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_struct);

void kvm_meter_btf_member(struct btf_build *b, const char *name, u32 type, u32 offset)
{
	struct btf_member *m = add_bytes(b, sizeof(*m));

	m->name_off = add_string(b, name);
	m->type = type;
	m->offset = offset * BITS_PER_BYTE;
	b->open->info++;
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_member);

/**
 * kvm_meter_btf_begin() - Start to describe types
 *
 * Return: for the other functions, until kvm_meter_btf_end(); or NULL.
 */
struct btf_build *kvm_meter_btf_begin(void)
{
	struct btf_build *b = kvzalloc(sizeof(*b), GFP_KERNEL);

	if (b)
		add_string(b, "");
	return b;
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_begin);

/**
 * kvm_meter_btf_fd() - Hand the types to the kernel
 * @b: all types
 *
 * Return: a file descriptor of the caller's, to be closed; or an error.
 */
int kvm_meter_btf_fd(struct btf_build *b)
{
	u32 size = sizeof(struct btf_header) + b->type_len + b->string_len;
	union bpf_attr attr = {};
	struct btf_header *hdr;
	int fd;

	if (WARN_ON_ONCE(b->full))
		return -ENOSPC;
	hdr = kvzalloc(size, GFP_KERNEL);
	if (!hdr)
		return -ENOMEM;
	hdr->magic = BTF_MAGIC;
	hdr->version = BTF_VERSION;
	hdr->hdr_len = sizeof(*hdr);
	hdr->type_len = b->type_len;
	hdr->str_off = b->type_len;
	hdr->str_len = b->string_len;
	memcpy(hdr + 1, b->types, b->type_len);
	memcpy((void *)(hdr + 1) + b->type_len, b->strings, b->string_len);
	attr.btf = (uintptr_t)hdr;
	attr.btf_size = size;
	fd = kern_sys_bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
	kvfree(hdr);
	return fd;
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_fd);

void kvm_meter_btf_end(struct btf_build *b)
{
	kvfree(b);
}
EXPORT_SYMBOL_GPL(kvm_meter_btf_end);
