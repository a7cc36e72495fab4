// SPDX-License-Identifier: GPL-2.0
#include "zone_slots.h"

#include <linux/kvm_host.h>
#include <linux/mmu_notifier.h>
#include <linux/slab.h>

#include "compat_kvm.h"
#include "zone.h"

/* The part of a range of frames that a slot has. */
static bool overlap(const struct kvm_memory_slot *slot, u64 *start, u64 *end)
{
	*start = max(*start, slot->base_gfn);
	*end = min(*end, slot->base_gfn + slot->npages);
	return *start < *end && !(slot->flags & KVM_MEMSLOT_INVALID);
}

/**
 * kvm_harden_slots_each() - For all slots that have a part of a range of frames
 * @kvm: VM, held open
 * @start: frame
 * @end: frame behind
 * @fn: called under kvm->srcu; ends the walk if it returns not 0
 * @arg: for it
 *
 * Slots of both address spaces, if there are two: SMM has its own.
 */
int kvm_harden_slots_each(struct kvm *kvm, u64 start, u64 end, slot_fn fn, void *arg)
{
	int space, bkt, ret = 0, idx = srcu_read_lock(&kvm->srcu);
	struct kvm_memory_slot *slot;

	for (space = 0; space < compat_address_spaces(kvm) && !ret; space++) {
		/* Read once: the macro names it twice, and KVM swaps two sets. */
		struct kvm_memslots *set = __kvm_memslots(kvm, space);

		kvm_for_each_memslot(slot, bkt, set) {
			u64 from = start, to = end;

			if (!overlap(slot, &from, &to))
				continue;
			ret = fn(kvm, slot, from, to, arg);
			if (ret)
				break;
		}
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return ret;
}

struct behind {
	struct zone_seg *segs;
	unsigned int count, room;
	u64 covered;		/* frames of the first address space */
	int unfit;
};

static int slot_fit(const struct kvm_memory_slot *slot)
{
	if (slot->id < 0 || slot->id >= KVM_USER_MEM_SLOTS)
		return kvm_harden_zone_refuse(-EOPNOTSUPP, "the memory is KVM's own");
#ifdef KVM_MEM_GUEST_MEMFD
	if (slot->flags & KVM_MEM_GUEST_MEMFD)
		return kvm_harden_zone_refuse(-EOPNOTSUPP, "the memory is a guest_memfd");
#endif
	return 0;
}

static u64 slot_hva(const struct kvm_memory_slot *slot, u64 gfn)
{
	return slot->userspace_addr + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

static int note_behind(struct kvm *kvm, struct kvm_memory_slot *slot, u64 start, u64 end,
		       void *arg)
{
	struct behind *b = arg;
	int ret = slot_fit(slot);

	/* The others are noted nevertheless. */
	if (ret) {
		b->unfit = ret;
		return 0;
	}
	if (!slot->as_id)
		b->covered += end - start;
	if (b->count == b->room)
		return -EAGAIN;
	b->segs[b->count++] = (struct zone_seg){ slot_hva(slot, start), slot_hva(slot, end) };
	return 0;
}

static bool known(const struct nogo *zone, const struct zone_seg *seg)
{
	unsigned int i;

	for (i = 0; i < zone->behind_count; i++)
		if (zone->behind[i].start <= seg->start && zone->behind[i].end >= seg->end)
			return true;
	return false;
}

/* What has been behind the zone once stays part of it. */
static int add_behind(struct nogo *zone, const struct behind *b)
{
	struct zone_seg *all;
	unsigned int i, n = zone->behind_count;

	all = krealloc(zone->behind, (n + b->count) * sizeof(*all), GFP_KERNEL);
	if (!all)
		return b->count ? -ENOMEM : 0;
	zone->behind = all;
	for (i = 0; i < b->count; i++)
		if (!known(zone, &b->segs[i]))
			zone->behind[zone->behind_count++] = b->segs[i];
	return 0;
}

/**
 * kvm_harden_slots_behind() - Find what memory of the VMM's is behind a zone
 * @kvm: VM, held open
 * @zone: zone, whose list is added to
 * @all: it is an error if a part of it has no memory
 *
 * Context: process, zone_mutex held.
 */
int kvm_harden_slots_behind(struct kvm *kvm, struct nogo *zone, bool all)
{
	struct behind b = { .room = 16 };
	int ret;

	do {
		b.room *= 2;
		b.count = 0;
		b.covered = 0;
		b.unfit = 0;
		kfree(b.segs);
		b.segs = kmalloc_array(b.room, sizeof(*b.segs), GFP_KERNEL);
		if (!b.segs)
			return -ENOMEM;
		ret = kvm_harden_slots_each(kvm, zone->start, zone->end, note_behind, &b);
	} while (ret == -EAGAIN);
	if (!ret && all)
		ret = b.unfit;
	if (!ret && all && b.covered != zone->end - zone->start)
		ret = kvm_harden_zone_refuse(-ENXIO, "the VM has no memory at a part of it");
	if (!ret)
		ret = add_behind(zone, &b);
	kfree(b.segs);
	return ret ?: b.unfit;
}

/* As KVM is told by the VMM's address space, and with the same range twice. */
static void zap_hva(struct kvm *kvm, unsigned long start, unsigned long end)
{
	struct mmu_notifier_range range = {
		.mm = kvm->mm,
		.start = start,
		.end = end,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
		.event = MMU_NOTIFY_CLEAR,
	};

	kvm->mmu_notifier.ops->invalidate_range_start(&kvm->mmu_notifier, &range);
	kvm->mmu_notifier.ops->invalidate_range_end(&kvm->mmu_notifier, &range);
}

static int zap_slot(struct kvm *kvm, struct kvm_memory_slot *slot, u64 start, u64 end, void *arg)
{
	u64 huge = KVM_PAGES_PER_HPAGE(PG_LEVEL_2M);

	/* An entry that covers a part of it goes as a whole anyway. */
	start = max_t(u64, round_down(start, huge), slot->base_gfn);
	end = min_t(u64, round_up(end, huge), slot->base_gfn + slot->npages);
	zap_hva(kvm, slot_hva(slot, start), slot_hva(slot, end));
	return 0;
}

/**
 * kvm_harden_slots_zap() - Let entries of the second-level tables be made anew
 * @kvm: VM, held open
 * @start: frame
 * @end: frame behind
 *
 * Context: process, zone_mutex held.
 */
void kvm_harden_slots_zap(struct kvm *kvm, u64 start, u64 end)
{
	kvm_harden_slots_each(kvm, start, end, zap_slot, NULL);
}
