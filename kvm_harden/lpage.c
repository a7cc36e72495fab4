// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps huge entries off zones: what the clamp takes from an entry must not be
 * taken from memory beside the zone, where KVM would make the same entry again
 * and again. KVM has a count for each place where a huge entry could be; above
 * 0, there is none.
 */
#include "zone_slots.h"

#include <linux/kvm_host.h>
#include <linux/slab.h>

#include "zone.h"

/* A count that we have raised; the list is under kvm->mmu_lock. */
struct lpage_hold {
	struct list_head link;
	struct kvm_lpage_info *info;
};

static struct kvm_lpage_info *lpage(const struct kvm_memory_slot *slot, u64 gfn, int level)
{
	u64 index = (gfn >> KVM_HPAGE_GFN_SHIFT(level)) -
		    (slot->base_gfn >> KVM_HPAGE_GFN_SHIFT(level));

	return &slot->arch.lpage_info[level - 2][index];
}

/* Is it one of a slot's? Then @first is the slot's first of that size. */
static bool of_slot(const struct kvm_memory_slot *slot, const struct kvm_lpage_info *info,
		    int level, struct kvm_lpage_info **first)
{
	*first = lpage(slot, slot->base_gfn, level);
	return info >= *first && info <= lpage(slot, slot->base_gfn + slot->npages - 1, level);
}

static bool held(const struct zone_vm *vm, const struct kvm_lpage_info *info)
{
	struct lpage_hold *hold;

	list_for_each_entry(hold, &vm->lpages, link)
		if (hold->info == info)
			return true;
	return false;
}

static int hold_one(struct kvm *kvm, struct zone_vm *vm, struct kvm_lpage_info *info)
{
	struct lpage_hold *hold = kmalloc(sizeof(*hold), GFP_KERNEL);

	if (!hold)
		return -ENOMEM;
	hold->info = info;
	write_lock(&kvm->mmu_lock);
	if (!held(vm, info)) {
		info->disallow_lpage++;
		list_add(&hold->link, &vm->lpages);
		hold = NULL;
	}
	write_unlock(&kvm->mmu_lock);
	kfree(hold);
	return 0;
}

static int hold_slot(struct kvm *kvm, struct kvm_memory_slot *slot, u64 start, u64 end, void *arg)
{
	int level, ret;

	for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		u64 gfn = start & ~(KVM_PAGES_PER_HPAGE(level) - 1);

		for (; gfn < end; gfn += KVM_PAGES_PER_HPAGE(level)) {
			ret = hold_one(kvm, arg, lpage(slot, max_t(u64, gfn, start), level));
			if (ret)
				return ret;
		}
	}
	return 0;
}

static bool wanted(const struct zone_vm *vm, u64 gfn, u64 pages)
{
	struct nogo *zone;

	list_for_each_entry(zone, &vm->zones, link)
		if (zone->start < gfn + pages && zone->end > gfn)
			return true;
	return false;
}

static bool still_wanted(const struct zone_vm *vm, const struct kvm_memory_slot *slot,
			 const struct kvm_lpage_info *info, bool *mine)
{
	struct kvm_lpage_info *first;
	int level;

	for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		u64 pages = KVM_PAGES_PER_HPAGE(level);

		if (!of_slot(slot, info, level, &first))
			continue;
		*mine = true;
		return wanted(vm, (slot->base_gfn & ~(pages - 1)) + (info - first) * pages, pages);
	}
	*mine = false;
	return false;
}

static int release_slot(struct kvm *kvm, struct kvm_memory_slot *slot, u64 start, u64 end,
			void *arg)
{
	struct zone_vm *vm = arg;
	struct lpage_hold *hold, *next;
	bool mine;

	write_lock(&kvm->mmu_lock);
	list_for_each_entry_safe(hold, next, &vm->lpages, link) {
		if (still_wanted(vm, slot, hold->info, &mine) || !mine)
			continue;
		hold->info->disallow_lpage--;
		list_del(&hold->link);
		kfree(hold);
	}
	write_unlock(&kvm->mmu_lock);
	return 0;
}

/**
 * kvm_harden_slots_small() - Keep huge entries off zones, and only there
 * @kvm: VM, held open
 * @vm: its zones
 *
 * Context: process, zone_mutex held.
 */
int kvm_harden_slots_small(struct kvm *kvm, struct zone_vm *vm)
{
	struct nogo *zone;
	int ret;

	kvm_harden_slots_each(kvm, 0, ~0ull, release_slot, vm);
	list_for_each_entry(zone, &vm->zones, link) {
		ret = kvm_harden_slots_each(kvm, zone->start, zone->end, hold_slot, vm);
		if (ret)
			return ret;
	}
	return 0;
}

/* KVM is about to free the counts of a slot: forget those that were raised. */
void kvm_harden_slots_gone(struct kvm *kvm, struct zone_vm *vm,
			   const struct kvm_memory_slot *slot)
{
	struct lpage_hold *hold, *next;
	struct kvm_lpage_info *first;
	int level;

	write_lock(&kvm->mmu_lock);
	list_for_each_entry_safe(hold, next, &vm->lpages, link) {
		for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
			if (!of_slot(slot, hold->info, level, &first))
				continue;
			list_del(&hold->link);
			kfree(hold);
			break;
		}
	}
	write_unlock(&kvm->mmu_lock);
}

/* The VM is gone, and its slots with it. */
void kvm_harden_slots_forget(struct zone_vm *vm)
{
	struct lpage_hold *hold, *next;

	list_for_each_entry_safe(hold, next, &vm->lpages, link)
		kfree(hold);
	INIT_LIST_HEAD(&vm->lpages);
}
