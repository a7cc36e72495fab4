/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A BPF array map that is the store itself: the module that made it writes to
 * its memory, whoever may use bpf(2) reads it or maps it, nobody else writes.
 */
#ifndef _KVM_METER_MAP_STORE_H
#define _KVM_METER_MAP_STORE_H

#include <linux/types.h>

struct bpf_map;

struct map_store {
	struct bpf_map *map;
	void *base;		/* of its first element; the others follow */
};

struct map_shape {
	const char *name;
	u32 value_size;		/* a multiple of 8 */
	u32 entries;
	int btf_fd;
	u32 key_type, value_type;
};

int kvm_meter_store_get(struct map_store *store, const struct map_shape *shape);
void kvm_meter_store_put(struct map_store *store);
u32 kvm_meter_store_id(const struct map_store *store);

#endif /* _KVM_METER_MAP_STORE_H */
