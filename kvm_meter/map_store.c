// SPDX-License-Identifier: GPL-2.0
#include <kvm_meter/map_store.h>

#include <linux/bpf.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>

int kern_sys_bpf(int cmd, union bpf_attr *attr, unsigned int size);

/**
 * kvm_meter_store_get() - Make a map
 * @store: is filled in
 * @shape: what it shall be
 *
 * Frozen, so that bpf(2) cannot write to it. Not BPF_F_RDONLY_PROG: with that
 * the verifier takes the values of a frozen map for constants.
 *
 * Context: process.
 */
int kvm_meter_store_get(struct map_store *store, const struct map_shape *shape)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(u32),
		.value_size = shape->value_size,
		.max_entries = shape->entries,
		.map_flags = BPF_F_MMAPABLE,
		.btf_fd = shape->btf_fd,
		.btf_key_type_id = shape->key_type,
		.btf_value_type_id = shape->value_type,
	};
	union bpf_attr freeze = {};
	struct bpf_map *map;
	u32 key = 0;
	int fd, ret;

	strscpy(attr.map_name, shape->name, sizeof(attr.map_name));
	fd = kern_sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0) {
		pr_err("cannot create BPF map %s (%d)%s\n", shape->name, fd,
		       fd == -ENOMEM ? ": not enough memory, try a lower max_vcpus" : "");
		return fd;
	}
	freeze.map_fd = fd;
	ret = kern_sys_bpf(BPF_MAP_FREEZE, &freeze, sizeof(freeze));
	if (!ret) {
		map = bpf_map_get(fd);
		ret = PTR_ERR_OR_ZERO(map);
	}
	close_fd(fd);
	if (ret) {
		pr_err("cannot set up BPF map %s (%d)\n", shape->name, ret);
		return ret;
	}
	rcu_read_lock();
	store->base = map->ops->map_lookup_elem(map, &key);
	rcu_read_unlock();
	if (!store->base) {
		bpf_map_put(map);
		return -EIO;
	}
	store->map = map;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_meter_store_get);

void kvm_meter_store_put(struct map_store *store)
{
	if (store->map)
		bpf_map_put(store->map);
	store->map = NULL;
	store->base = NULL;
}
EXPORT_SYMBOL_GPL(kvm_meter_store_put);

u32 kvm_meter_store_id(const struct map_store *store)
{
	return store->map->id;
}
EXPORT_SYMBOL_GPL(kvm_meter_store_id);

/* Spelt so that kernels with a token and with a string argument accept it. */
MODULE_INFO(import_ns, "BPF_INTERNAL");
