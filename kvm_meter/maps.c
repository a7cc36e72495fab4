// SPDX-License-Identifier: GPL-2.0
#include "maps.h"

#include <linux/bpf.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>

#include "btf_gen.h"
#include "clock.h"
#include "owner.h"

int kern_sys_bpf(int cmd, union bpf_attr *attr, unsigned int size);

static const struct {
	const char *name;
	enum meter_record record;
	u32 size;
} desc[METER_MAPS] = {
	[METER_MAP_VCPU] = { "kvm_meter_vcpu", BTF_RECORD_VCPU, sizeof(struct kvm_meter_vcpu) },
	[METER_MAP_VM] = { "kvm_meter_vm", BTF_RECORD_VM, sizeof(struct kvm_meter_vm) },
	[METER_MAP_ENDED] = { "kvm_meter_ended", BTF_RECORD_VM, sizeof(struct kvm_meter_vm) },
	[METER_MAP_OWNER] = { "kvm_meter_owner", BTF_RECORD_OWNER, sizeof(struct kvm_meter_owner) },
	[METER_MAP_INFO] = { "kvm_meter_info", BTF_RECORD_INFO, sizeof(struct kvm_meter_info) },
};

static struct bpf_map *maps[METER_MAPS];
static void *base[METER_MAPS];

const char *kvm_meter_map_name(enum meter_map map)
{
	return desc[map].name;
}

u32 kvm_meter_map_id(enum meter_map map)
{
	return maps[map]->id;
}

void *kvm_meter_map_elem(enum meter_map map, unsigned int i)
{
	return base[map] + (size_t)i * desc[map].size;
}

static int btf_load(const struct btf_gen *btf)
{
	union bpf_attr attr = {
		.btf = (uintptr_t)btf->data,
		.btf_size = btf->size,
	};

	return kern_sys_bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
}

/*
 * Frozen, so that bpf(2) cannot write to it. Not BPF_F_RDONLY_PROG: with that
 * the verifier takes the values of a frozen map for constants.
 */
static int map_create(enum meter_map map, u32 entries, int btf_fd, const struct btf_gen *btf)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(u32),
		.value_size = desc[map].size,
		.max_entries = entries,
		.map_flags = BPF_F_MMAPABLE,
		.btf_fd = btf_fd,
		.btf_key_type_id = btf->key_type,
		.btf_value_type_id = btf->record_type[desc[map].record],
	};
	union bpf_attr freeze = {};
	u32 key = 0;
	int fd, ret;

	strscpy(attr.map_name, desc[map].name, sizeof(attr.map_name));
	fd = kern_sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0) {
		pr_err("cannot create BPF map %s (%d)%s\n", desc[map].name, fd,
		       fd == -ENOMEM ? ": not enough memory, try a lower max_vcpus" : "");
		return fd;
	}
	freeze.map_fd = fd;
	ret = kern_sys_bpf(BPF_MAP_FREEZE, &freeze, sizeof(freeze));
	if (!ret) {
		maps[map] = bpf_map_get(fd);
		ret = PTR_ERR_OR_ZERO(maps[map]);
		if (ret)
			maps[map] = NULL;
	}
	close_fd(fd);
	if (ret) {
		pr_err("cannot set up BPF map %s (%d)\n", desc[map].name, ret);
		return ret;
	}
	rcu_read_lock();
	base[map] = maps[map]->ops->map_lookup_elem(maps[map], &key);
	rcu_read_unlock();
	return base[map] ? 0 : -EIO;
}

void kvm_meter_maps_exit(void)
{
	int i;

	if (base[METER_MAP_INFO])
		kvm_meter_map_info()->armed = 0;
	for (i = 0; i < METER_MAPS; i++) {
		if (maps[i])
			bpf_map_put(maps[i]);
		maps[i] = NULL;
		base[i] = NULL;
	}
}

int kvm_meter_maps_init(unsigned int vcpu_slots, unsigned int ended_slots)
{
	const u32 entries[METER_MAPS] = {
		[METER_MAP_VCPU] = vcpu_slots,
		[METER_MAP_VM] = vcpu_slots,
		[METER_MAP_ENDED] = ended_slots,
		[METER_MAP_OWNER] = METER_OWNERS,
		[METER_MAP_INFO] = 1,
	};
	struct kvm_meter_info *info;
	struct btf_gen *btf;
	int i, fd, ret;

	btf = kvm_meter_btf_make();
	if (IS_ERR(btf))
		return PTR_ERR(btf);
	fd = btf_load(btf);
	if (fd < 0) {
		pr_err("the kernel does not take the BTF of the maps (%d)\n", fd);
		kvm_meter_btf_free(btf);
		return fd;
	}
	for (i = 0, ret = 0; i < METER_MAPS && !ret; i++)
		ret = map_create(i, entries[i], fd, btf);
	close_fd(fd);
	kvm_meter_btf_free(btf);
	if (ret) {
		kvm_meter_maps_exit();
		return ret;
	}

	info = kvm_meter_map_info();
	info->abi_version = KVM_METER_ABI_VERSION;
	info->vcpu_slots = vcpu_slots;
	info->vm_slots = vcpu_slots;
	info->ended_slots = ended_slots;
	info->owner_slots = METER_OWNERS;
	info->clock_mult = meter_clock_mult;
	return 0;
}

/* Spelt so that kernels with a token and with a string argument accept it. */
MODULE_INFO(import_ns, "BPF_INTERNAL");
