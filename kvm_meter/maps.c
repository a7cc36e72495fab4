// SPDX-License-Identifier: GPL-2.0
#include "maps.h"

#include <linux/fdtable.h>
#include <linux/file.h>

#include <kvm_meter/btf_build.h>
#include <kvm_meter/map_store.h>

#include "btf_gen.h"
#include "clock.h"
#include "numa.h"
#include "owner.h"
#include "place.h"

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

static struct map_store stores[METER_MAPS];

const char *kvm_meter_map_name(enum meter_map map)
{
	return desc[map].name;
}

u32 kvm_meter_map_id(enum meter_map map)
{
	return kvm_meter_store_id(&stores[map]);
}

void *kvm_meter_map_elem(enum meter_map map, unsigned int i)
{
	return stores[map].base + (size_t)i * desc[map].size;
}

void kvm_meter_maps_exit(void)
{
	int i;

	if (stores[METER_MAP_INFO].base)
		kvm_meter_map_info()->armed = 0;
	for (i = 0; i < METER_MAPS; i++)
		kvm_meter_store_put(&stores[i]);
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
	struct btf_gen gen = {};
	struct btf_build *btf;
	int i, fd, ret;

	btf = kvm_meter_btf_begin();
	if (!btf)
		return -ENOMEM;
	kvm_meter_btf_make(btf, &gen);
	fd = kvm_meter_btf_fd(btf);
	kvm_meter_btf_end(btf);
	if (fd < 0) {
		pr_err("the kernel does not take the BTF of the maps (%d)\n", fd);
		return fd;
	}
	for (i = 0, ret = 0; i < METER_MAPS && !ret; i++)
		ret = kvm_meter_store_get(&stores[i], &(struct map_shape) {
			.name = desc[i].name,
			.value_size = desc[i].size,
			.entries = entries[i],
			.btf_fd = fd,
			.key_type = gen.key_type,
			.value_type = gen.record_type[desc[i].record],
		});
	close_fd(fd);
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
	info->host = (meter_smt ? KVM_METER_HOST_SMT : 0) | (meter_numa ? KVM_METER_HOST_NUMA : 0);
	return 0;
}
