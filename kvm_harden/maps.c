// SPDX-License-Identifier: GPL-2.0
#include "maps.h"

#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/stddef.h>

#include <kvm_meter/btf_build.h>
#include <kvm_meter/guard.h>
#include <kvm_meter/map_store.h>

static struct map_store store;

struct kvm_harden_vm *kvm_harden_map_vm(unsigned int slot)
{
	return (struct kvm_harden_vm *)store.base + slot;
}

u32 kvm_harden_map_id(void)
{
	return kvm_meter_store_id(&store);
}

/* The record as the table has it; sets the numbers of the key and the value. */
static int describe(struct map_shape *shape)
{
	struct btf_build *b = kvm_meter_btf_begin();
	u32 u32_id, u64_id;
	int fd;

	if (!b)
		return -ENOMEM;
	u32_id = kvm_meter_btf_int(b, "__u32", sizeof(u32));
	u64_id = kvm_meter_btf_int(b, "__u64", sizeof(u64));
	shape->key_type = u32_id;
	shape->value_type = kvm_meter_btf_struct(b, "kvm_harden_vm", sizeof(struct kvm_harden_vm));
#define F(type, name, desc)						\
	kvm_meter_btf_member(b, #name, sizeof(type) == sizeof(u32) ? u32_id : u64_id, \
			     offsetof(struct kvm_harden_vm, name));
#define C(name, desc)	F(u64, name, desc)
	KVM_HARDEN_VM_HEAD(F)
	KVM_HARDEN_COUNTERS(C)
#undef C
#undef F
	fd = kvm_meter_btf_fd(b);
	kvm_meter_btf_end(b);
	return fd;
}

int kvm_harden_maps_init(void)
{
	struct map_shape shape = {
		.name = "kvm_harden_vm",
		.value_size = sizeof(struct kvm_harden_vm),
		.entries = kvm_meter_guard_slots(),
	};
	int fd = describe(&shape), ret;

	if (fd < 0)
		return fd;
	shape.btf_fd = fd;
	ret = kvm_meter_store_get(&store, &shape);
	close_fd(fd);
	return ret;
}

void kvm_harden_maps_exit(void)
{
	kvm_meter_store_put(&store);
}
