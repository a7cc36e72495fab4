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
static struct kept {		/* what is known of each final record */
	u64 order;
	unsigned int payer;	/* index in payers[] */
} *kept;
static struct payer {		/* who holds final records */
	u32 uid;
	unsigned int held;
} *payers;
static u32 line_payer[METER_OWNERS]; /* who took the line of kvm_meter_owner */

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

static void owner_take(struct kvm_meter_owner *o, u32 uid, u64 cgroup_id)
{
#define NONE(name, desc) o->name = KVM_METER_NONE;
	KVM_METER_VM_ENERGY(NONE)
#undef NONE
	o->uid = uid;
	o->cgroup_id = cgroup_id;
	o->used = 1;
}

static int owner_add(u32 uid, u64 cgroup_id, u32 payer)
{
	unsigned int i, mine = 0;
	int free = -1;

	for (i = 0; i < METER_OWNERS; i++) {
		struct kvm_meter_owner *o = kvm_meter_map_owner(i);

		if (!o->used && i && free < 0)
			free = i;
		if (o->used && line_payer[i] == payer)
			mine++;
	}
	if (free < 0 || mine >= OWNER_SHARE + (cgroup_id ? 0 : 1))
		return -1;
	line_payer[free] = payer;
	owner_take(kvm_meter_map_owner(free), uid, cgroup_id);
	return free;
}

/*
 * The line for an owner: (user, cgroup), or the user's line for any cgroup if
 * the share is used up, or line 0, which is everybody's.
 */
static unsigned int owner_of(u32 uid, u64 cgroup_id, u32 payer)
{
	int i = owner_find(uid, cgroup_id);

	if (i < 0)
		i = owner_add(uid, cgroup_id, payer);
	if (i < 0)
		i = owner_find(uid, 0);
	if (i < 0)
		i = owner_add(uid, 0, payer);
	if (i < 0) {
		health_count(HEALTH_owner_overflows);
		i = 0;
	}
	return i;
}

/* As many lines as final records: there is always one that nobody has. */
static unsigned int payer_of(u32 uid)
{
	unsigned int i, free = ended_slots;

	for (i = 0; i < ended_slots; i++) {
		if (payers[i].held && payers[i].uid == uid)
			return i;
		if (!payers[i].held && free == ended_slots)
			free = i;
	}
	payers[free].uid = uid;
	return free;
}

/* Make room: who holds the most final records loses the oldest of his. */
static unsigned int evict(void)
{
	unsigned int i, line, most = 0, slot = 0;
	const struct kvm_meter_vm *old;
	struct kvm_meter_owner *o;
	u64 order = U64_MAX;

	for (i = 1; i < ended_slots; i++)
		if (payers[i].held > payers[most].held)
			most = i;
	for (i = 0; i < ended_slots; i++) {
		if (kept[i].payer == most && kept[i].order < order) {
			order = kept[i].order;
			slot = i;
		}
	}
	payers[most].held--;
	old = kvm_meter_map_ended(slot);
	line = owner_of(old->uid, old->cgroup_id, payers[most].uid);
	o = kvm_meter_map_owner(line);
	o->seq++;
	barrier();
	account_sum_owner(o, old);
	barrier();
	o->seq++;
	return slot;
}

/**
 * kvm_meter_owner_keep() - Keep a final record
 * @final: record of a VM that has ended
 * @payer: user who answers for it
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_owner_keep(const struct kvm_meter_vm *final, u32 payer)
{
	unsigned int slot = ended_used < ended_slots ? ended_used++ : evict();
	struct kvm_meter_vm *rec = kvm_meter_map_ended(slot);
	u64 seq = rec->seq;

	lockdep_assert_held(&vm_mutex);
	kept[slot].order = ended_order++;
	kept[slot].payer = payer_of(payer);
	payers[kept[slot].payer].held++;

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
	kept = kvcalloc(slots, sizeof(*kept), GFP_KERNEL);
	payers = kvcalloc(slots, sizeof(*payers), GFP_KERNEL);
	if (!kept || !payers) {
		kvm_meter_owner_exit();
		return -ENOMEM;
	}
	ended_slots = slots;
	owner_take(kvm_meter_map_owner(0), ANY_UID, 0);
	return 0;
}

void kvm_meter_owner_exit(void)
{
	kvfree(kept);
	kvfree(payers);
}
