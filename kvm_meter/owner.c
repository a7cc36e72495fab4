// SPDX-License-Identifier: GPL-2.0
#include "owner.h"

#include <linux/lockdep.h>
#include <linux/slab.h>

#include "account.h"
#include "health.h"
#include "maps.h"
#include "registry.h"

/* Nobody may take more than this many lines of the owners' table. */
#define OWNER_SHARE	(METER_OWNERS / 4)
#define ANY_UID		U32_MAX

/* All under vm_mutex. */
static unsigned int ended_slots, ended_used;
static u64 ended_order;
static struct kept {
	u64 order;
	unsigned int owner;
} *kept;
static unsigned int held[METER_OWNERS];	/* records of that owner in kept[] */

static int owner_find(u32 uid, u64 cgroup_id)
{
	unsigned int i;

	for (i = 0; i < METER_OWNERS; i++) {
		struct kvm_meter_owner *o = kvm_meter_map_owner(i);

		if (o->used && o->uid == uid && o->cgroup_id == cgroup_id)
			return i;
	}
	return -1;
}

static int owner_add(u32 uid, u64 cgroup_id)
{
	unsigned int i, mine = 0;
	int free = -1;

	for (i = 0; i < METER_OWNERS; i++) {
		struct kvm_meter_owner *o = kvm_meter_map_owner(i);

		if (!o->used && i && free < 0)
			free = i;
		if (o->used && o->uid == uid)
			mine++;
	}
	if (free < 0 || (cgroup_id && mine >= OWNER_SHARE))
		return -1;
	kvm_meter_map_owner(free)->uid = uid;
	kvm_meter_map_owner(free)->cgroup_id = cgroup_id;
	kvm_meter_map_owner(free)->used = 1;
	return free;
}

/*
 * The line for an owner: (user, cgroup), or the user's line for any cgroup if
 * it has used up its share, or line 0, which is everybody's, if there are more
 * users than lines.
 */
static unsigned int owner_of(u32 uid, u64 cgroup_id)
{
	int i = owner_find(uid, cgroup_id);

	if (i < 0)
		i = owner_add(uid, cgroup_id);
	if (i < 0)
		i = owner_find(uid, 0);
	if (i < 0)
		i = owner_add(uid, 0);
	if (i < 0) {
		health_count(HEALTH_owner_overflows);
		i = 0;
	}
	return i;
}

/* Make room: the owner who holds the most final records loses its oldest. */
static unsigned int evict(void)
{
	unsigned int i, most = 0, slot = 0;
	struct kvm_meter_owner *o;
	u64 order = U64_MAX;

	for (i = 1; i < METER_OWNERS; i++)
		if (held[i] > held[most])
			most = i;
	for (i = 0; i < ended_slots; i++) {
		if (kept[i].owner == most && kept[i].order < order) {
			order = kept[i].order;
			slot = i;
		}
	}
	o = kvm_meter_map_owner(most);
	o->seq++;
	barrier();
	account_sum_owner(o, kvm_meter_map_ended(slot));
	barrier();
	o->seq++;
	held[most]--;
	return slot;
}

/**
 * kvm_meter_owner_keep() - Keep a final record
 * @final: record of a VM that has ended
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_owner_keep(const struct kvm_meter_vm *final)
{
	unsigned int slot = ended_used < ended_slots ? ended_used++ : evict();
	struct kvm_meter_vm *rec = kvm_meter_map_ended(slot);
	u64 seq = rec->seq;

	lockdep_assert_held(&vm_mutex);
	kept[slot].order = ended_order++;
	kept[slot].owner = owner_of(final->uid, final->cgroup_id);
	held[kept[slot].owner]++;

	rec->seq = seq + 1;
	barrier();
	memcpy((void *)rec + sizeof(seq), (const void *)final + sizeof(seq),
	       sizeof(*rec) - sizeof(seq));
	barrier();
	rec->seq = seq + 2;
	kvm_meter_map_info()->vms_ended++;
}

int kvm_meter_owner_init(unsigned int slots)
{
	struct kvm_meter_owner *any = kvm_meter_map_owner(0);

	kept = kvcalloc(slots, sizeof(*kept), GFP_KERNEL);
	if (!kept)
		return -ENOMEM;
	ended_slots = slots;
	any->uid = ANY_UID;
	any->used = 1;
	return 0;
}

void kvm_meter_owner_exit(void)
{
	kvfree(kept);
}
