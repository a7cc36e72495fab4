// SPDX-License-Identifier: GPL-2.0
#include "btf_gen.h"

#include <uapi/linux/btf.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <kvm_meter/abi.h>

#define MAX_TYPES	8192	/* bytes */
#define MAX_STRINGS	8192

struct builder {
	u8 types[MAX_TYPES];
	char strings[MAX_STRINGS];
	u32 type_len, string_len;
	u32 last_id;
	struct btf_type *open;		/* the structure that members are added to */
	bool full;
};

static u32 add_string(struct builder *b, const char *text)
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

static void *add_bytes(struct builder *b, u32 len)
{
	void *at = b->types + b->type_len;

	if (b->type_len + len > MAX_TYPES) {
		b->full = true;
		return b->types;
	}
	b->type_len += len;
	return at;
}

static struct btf_type *add_type(struct builder *b, const char *name, u32 kind, u32 size)
{
	struct btf_type *t = add_bytes(b, sizeof(*t));

	t->name_off = *name ? add_string(b, name) : 0;
	t->info = kind << 24;
	t->size = size;
	b->last_id++;
	return t;
}

static u32 add_int(struct builder *b, const char *name, u32 size)
{
	add_type(b, name, BTF_KIND_INT, size);
	*(u32 *)add_bytes(b, sizeof(u32)) = size * BITS_PER_BYTE;
	return b->last_id;
}

static u32 add_array(struct builder *b, u32 type, u32 index_type, u32 nelems)
{
	struct btf_array *a;

	add_type(b, "", BTF_KIND_ARRAY, 0);
	a = add_bytes(b, sizeof(*a));
	a->type = type;
	a->index_type = index_type;
	a->nelems = nelems;
	return b->last_id;
}

static u32 begin_struct(struct builder *b, const char *name, u32 size)
{
	b->open = add_type(b, name, BTF_KIND_STRUCT, size);
	return b->last_id;
}

static void add_member(struct builder *b, const char *name, u32 type, u32 offset)
{
	struct btf_member *m = add_bytes(b, sizeof(*m));

	m->name_off = add_string(b, name);
	m->type = type;
	m->offset = offset * BITS_PER_BYTE;
	b->open->info++;
}

/* Integer type of a table row, by its size. */
#define INT_OF(type)	(sizeof(type) == sizeof(u32) ? u32_id : u64_id)

#define F(type, name, desc)	\
	add_member(b, #name, INT_OF(type), offsetof(typeof(*REC), name));
#define C(name, desc)		\
	add_member(b, #name, u64_id, offsetof(typeof(*REC), name));
#define S(len, name, desc)	\
	add_member(b, #name, text_id[i++], offsetof(typeof(*REC), name));
#define MAKE_TEXT(len, name, desc)	\
	text_id[i++] = add_array(b, char_id, u32_id, len);

static void build(struct builder *b, struct btf_gen *gen)
{
	u32 u32_id, u64_id, char_id, hist_id, reason_id, reasons_id;
	u32 vm_reason_id, vm_reasons_id, name_id, names_id, label_id, text_id[8];
	int i = 0;

	add_string(b, "");
	u32_id = add_int(b, "__u32", sizeof(u32));
	u64_id = add_int(b, "__u64", sizeof(u64));
	char_id = add_int(b, "char", sizeof(char));
	gen->key_type = u32_id;

	hist_id = add_array(b, u64_id, u32_id, KVM_METER_HIST);
	KVM_METER_VM_STRINGS(MAKE_TEXT)
	label_id = add_array(b, char_id, u32_id,
			     sizeof_field(struct kvm_meter_reason_name, name));

#define REC ((struct kvm_meter_reason *)NULL)
	reason_id = begin_struct(b, "kvm_meter_reason", sizeof(*REC));
	C(count, "")
	C(time_ns, "")
	add_member(b, "hist", hist_id, offsetof(typeof(*REC), hist));
#undef REC
	reasons_id = add_array(b, reason_id, u32_id, KVM_METER_REASONS);

#define REC ((struct kvm_meter_vm_reason *)NULL)
	vm_reason_id = begin_struct(b, "kvm_meter_vm_reason", sizeof(*REC));
	C(count, "")
	C(time_ns, "")
#undef REC
	vm_reasons_id = add_array(b, vm_reason_id, u32_id, KVM_METER_REASONS);

#define REC ((struct kvm_meter_reason_name *)NULL)
	name_id = begin_struct(b, "kvm_meter_reason_name", sizeof(*REC));
	F(__u32, code, "")
	add_member(b, "name", label_id, offsetof(typeof(*REC), name));
#undef REC
	names_id = add_array(b, name_id, u32_id, KVM_METER_REASONS);

#define REC ((struct kvm_meter_vcpu *)NULL)
	gen->record_type[BTF_RECORD_VCPU] = begin_struct(b, "kvm_meter_vcpu", sizeof(*REC));
	KVM_METER_VCPU_HOT(F)
	KVM_METER_COUNTERS(C)
	KVM_METER_VCPU_IDENT(F)
	add_member(b, "reasons", reasons_id, offsetof(typeof(*REC), reasons));
#undef REC

#define REC ((struct kvm_meter_vm *)NULL)
	gen->record_type[BTF_RECORD_VM] = begin_struct(b, "kvm_meter_vm", sizeof(*REC));
	KVM_METER_VM_HEAD(F)
	KVM_METER_COUNTERS(C)
	i = 0;
	KVM_METER_VM_STRINGS(S)
	add_member(b, "reasons", vm_reasons_id, offsetof(typeof(*REC), reasons));
#undef REC

#define REC ((struct kvm_meter_owner *)NULL)
	gen->record_type[BTF_RECORD_OWNER] = begin_struct(b, "kvm_meter_owner", sizeof(*REC));
	KVM_METER_OWNER_HEAD(F)
	KVM_METER_COUNTERS(C)
#undef REC

#define REC ((struct kvm_meter_info *)NULL)
	gen->record_type[BTF_RECORD_INFO] = begin_struct(b, "kvm_meter_info", sizeof(*REC));
	KVM_METER_INFO_HEAD(F)
	add_member(b, "names", names_id, offsetof(typeof(*REC), names));
#undef REC
}

/**
 * kvm_meter_btf_make() - Describe the records to bpftool and libbpf
 *
 * Return: BTF that the kernel can load, or an error pointer. Free it with
 * kvm_meter_btf_free().
 */
struct btf_gen *kvm_meter_btf_make(void)
{
	struct btf_gen *gen = kzalloc(sizeof(*gen), GFP_KERNEL);
	struct builder *b = kvzalloc(sizeof(*b), GFP_KERNEL);
	struct btf_header *hdr;

	if (!gen || !b)
		goto err_free;
	build(b, gen);
	if (WARN_ON_ONCE(b->full))
		goto err_free;

	gen->size = sizeof(*hdr) + b->type_len + b->string_len;
	gen->data = kvzalloc(gen->size, GFP_KERNEL);
	if (!gen->data)
		goto err_free;
	hdr = gen->data;
	hdr->magic = BTF_MAGIC;
	hdr->version = BTF_VERSION;
	hdr->hdr_len = sizeof(*hdr);
	hdr->type_len = b->type_len;
	hdr->str_off = b->type_len;
	hdr->str_len = b->string_len;
	memcpy(hdr + 1, b->types, b->type_len);
	memcpy((void *)(hdr + 1) + b->type_len, b->strings, b->string_len);
	kvfree(b);
	return gen;

err_free:
	kvfree(b);
	kfree(gen);
	return ERR_PTR(-ENOMEM);
}

void kvm_meter_btf_free(struct btf_gen *btf)
{
	kvfree(btf->data);
	kfree(btf);
}
