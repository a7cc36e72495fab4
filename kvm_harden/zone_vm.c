// SPDX-License-Identifier: GPL-2.0
#include "zone_vm.h"

#include <linux/hashtable.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "shield.h"
#include "zone_slots.h"

LIST_HEAD(kvm_harden_zone_vms);
unsigned long kvm_harden_zone_filter[BITS_TO_LONGS(ZONE_FILTER_BITS)] __read_mostly;

static DEFINE_HASHTABLE(by_kvm, 8);
static DEFINE_RAW_SPINLOCK(by_kvm_lock);

/* RCU */
struct zone_vm *kvm_harden_zone_vm(const struct kvm *kvm)
{
	struct zone_vm *vm;

	hash_for_each_possible_rcu(by_kvm, vm, by_kvm, (unsigned long)kvm)
		if (READ_ONCE(vm->kvm) == kvm)
			return vm;
	return NULL;
}

/**
 * kvm_harden_zone_denied() - What a VM's zones deny in a range of frames
 * @vm: VM
 * @start: frame
 * @end: frame behind
 * @wait: a zone there is being changed
 *
 * Context: any, under rcu_read_lock().
 */
u32 kvm_harden_zone_denied(const struct zone_vm *vm, u64 start, u64 end, bool *wait)
{
	const struct zone_map *map = rcu_dereference(vm->map);
	const struct zone_seg *seg;
	u32 deny = 0;

	*wait = false;
	if (!map)
		return 0;
	for (seg = zone_find(map->seg, map->count, start);
	     seg && seg < map->seg + map->count && seg->start < end; seg++)
		deny |= seg->deny;
	*wait = deny & ZONE_WAIT;
	return deny & ~ZONE_WAIT;
}

/**
 * kvm_harden_zone_vm_get() - A VM that is about to have a zone
 * @kvm: VM, held open
 * @id: of it
 *
 * Context: process, zone_mutex held.
 */
struct zone_vm *kvm_harden_zone_vm_get(struct kvm *kvm, u64 id)
{
	struct zone_vm *vm;

	list_for_each_entry(vm, &kvm_harden_zone_vms, link)
		if (vm->id == id)
			return vm;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->shield = kvm_harden_shield_get(kvm->mm);
	if (IS_ERR(vm->shield)) {
		int ret = PTR_ERR(vm->shield);

		kfree(vm);
		return ERR_PTR(ret);
	}
	vm->kvm = kvm;
	vm->id = id;
	INIT_LIST_HEAD(&vm->zones);
	INIT_LIST_HEAD(&vm->lpages);
	list_add_tail(&vm->link, &kvm_harden_zone_vms);
	raw_spin_lock_irq(&by_kvm_lock);
	hash_add_rcu(by_kvm, &vm->by_kvm, (unsigned long)kvm);
	raw_spin_unlock_irq(&by_kvm_lock);
	return vm;
}

/* Drop it if it has no zones, and no change of mappings is under way. */
void kvm_harden_zone_vm_drop(struct zone_vm *vm)
{
	struct zone_map *map;

	if (!list_empty(&vm->zones) || READ_ONCE(vm->shield->stuck))
		return;
	list_del(&vm->link);
	raw_spin_lock_irq(&by_kvm_lock);
	hash_del_rcu(&vm->by_kvm);
	raw_spin_unlock_irq(&by_kvm_lock);
	kvm_harden_slots_forget(vm);
	kvm_harden_shield_put(vm->shield);
	map = rcu_replace_pointer(vm->map, NULL, lockdep_is_held(&zone_mutex));
	kvfree_rcu(map, rcu);
	kfree_rcu(vm, rcu);
}

/* The VM is destroyed. Any context: its zones are taken down later. */
void kvm_harden_zone_vm_ended(const struct kvm *kvm)
{
	struct zone_vm *vm;
	unsigned long flags;

	rcu_read_lock();
	raw_spin_lock_irqsave(&by_kvm_lock, flags);
	vm = kvm_harden_zone_vm(kvm);
	if (vm)
		WRITE_ONCE(vm->kvm, NULL);
	raw_spin_unlock_irqrestore(&by_kvm_lock, flags);
	rcu_read_unlock();
	if (vm)
		kvm_harden_zone_check();
}

static u32 effective(const struct nogo *zone)
{
	switch (zone->state) {
	case ZONE_ARMING:
		return zone->spec.deny | ZONE_WAIT;
	case ZONE_ARMED:
		return zone->spec.deny;
	default:
		return 0;
	}
}

static void filter_add(unsigned long *filter, unsigned long kvm, u64 gfn)
{
	__set_bit(((kvm >> PAGE_SHIFT) + (gfn >> ZONE_FILTER_SHIFT)) % ZONE_FILTER_BITS, filter);
}

/* A 1 GiB entry, if there ever were one, would be told of by its first frame. */
static void filter_add_map(unsigned long *filter, unsigned long kvm, const struct zone_map *map)
{
	u64 huge = KVM_PAGES_PER_HPAGE(PG_LEVEL_2M), giant = KVM_PAGES_PER_HPAGE(PG_LEVEL_1G), gfn;
	unsigned int i;

	for (i = 0; i < map->count; i++) {
		const struct zone_seg *seg = &map->seg[i];

		for (gfn = round_down(seg->start, huge); gfn < seg->end; gfn += huge)
			filter_add(filter, kvm, gfn);
		for (gfn = round_down(seg->start, giant); gfn < seg->end; gfn += giant)
			filter_add(filter, kvm, gfn);
	}
}

/* Bits that stay set are never clear meanwhile. */
static int filter_update(void)
{
	unsigned long *filter = bitmap_zalloc(ZONE_FILTER_BITS, GFP_KERNEL);
	struct zone_vm *vm;
	int i;

	if (!filter)
		return -ENOMEM;
	list_for_each_entry(vm, &kvm_harden_zone_vms, link) {
		struct zone_map *map = rcu_dereference_protected(vm->map,
								 lockdep_is_held(&zone_mutex));
		unsigned long kvm = (unsigned long)READ_ONCE(vm->kvm);

		if (map && kvm)
			filter_add_map(filter, kvm, map);
	}
	for (i = 0; i < BITS_TO_LONGS(ZONE_FILTER_BITS); i++)
		WRITE_ONCE(kvm_harden_zone_filter[i], filter[i]);
	bitmap_free(filter);
	return 0;
}

static struct zone_map *build_map(const struct zone_vm *vm)
{
	unsigned int n = 0;
	struct zone_edge *edges;
	struct zone_seg *in;
	struct zone_map *map;
	struct nogo *zone;

	list_for_each_entry(zone, &vm->zones, link)
		n++;
	in = kvmalloc_array(n + 1, sizeof(*in), GFP_KERNEL);
	edges = kvmalloc_array(2 * n + 1, sizeof(*edges), GFP_KERNEL);
	map = kvmalloc(struct_size(map, seg, 2 * n), GFP_KERNEL);
	if (in && edges && map) {
		n = 0;
		list_for_each_entry(zone, &vm->zones, link)
			if (effective(zone))
				in[n++] = (struct zone_seg){ zone->start, zone->end,
							     effective(zone) };
		map->count = zone_union(in, n, edges, map->seg);
	} else {
		kvfree(map);
		map = NULL;
	}
	kvfree(edges);
	kvfree(in);
	return map;
}

/**
 * kvm_harden_zone_vm_publish() - Tell the hooks what a VM's zones deny now
 * @vm: VM
 *
 * Context: process, zone_mutex held.
 * Return: 0, or -ENOMEM and they go by what they were told before.
 */
int kvm_harden_zone_vm_publish(struct zone_vm *vm)
{
	struct zone_map *map = build_map(vm);

	lockdep_assert_held(&zone_mutex);
	if (!map)
		return -ENOMEM;
	map = rcu_replace_pointer(vm->map, map, lockdep_is_held(&zone_mutex));
	kvfree_rcu(map, rcu);
	return filter_update();
}

/* What the mapping has to enforce; execute-only memory cannot be read there. */
static u32 by_mapping(const struct nogo *zone)
{
	u32 deny = zone->spec.deny;

	if ((deny & ZONE_R) && !(deny & ZONE_X))
		return 0;
	return deny & (ZONE_R | ZONE_W);
}

static unsigned int count_behind(const struct shield *shield)
{
	struct zone_vm *vm;
	struct nogo *zone;
	unsigned int n = 0;

	list_for_each_entry(vm, &kvm_harden_zone_vms, link)
		if (vm->shield == shield)
			list_for_each_entry(zone, &vm->zones, link)
				n += zone->behind_count;
	return n;
}

static unsigned int collect_behind(const struct shield *shield, struct zone_seg *in)
{
	struct zone_vm *vm;
	struct nogo *zone;
	unsigned int i, n = 0;

	list_for_each_entry(vm, &kvm_harden_zone_vms, link) {
		if (vm->shield != shield)
			continue;
		list_for_each_entry(zone, &vm->zones, link) {
			bool closed = zone->next == ZONE_ARMED;

			if (!by_mapping(zone))
				continue;
			for (i = 0; i < zone->behind_count; i++) {
				in[n] = zone->behind[i];
				in[n++].deny = closed ? by_mapping(zone) : 0;
			}
		}
	}
	return n;
}

/**
 * kvm_harden_zone_vm_shield() - Map a VMM's memory as its zones want it now
 * @vm: a VM of it
 * @lenient: memory that is not there is no error
 *
 * Context: process, zone_mutex held; waits for the VMM's address space.
 */
int kvm_harden_zone_vm_shield(struct zone_vm *vm, bool lenient)
{
	unsigned int n = count_behind(vm->shield);
	struct zone_edge *edges = kvmalloc_array(2 * n + 1, sizeof(*edges), GFP_KERNEL);
	struct zone_seg *in = kvmalloc_array(n + 1, sizeof(*in), GFP_KERNEL);
	struct zone_seg *want = kvmalloc_array(2 * n + 1, sizeof(*want), GFP_KERNEL);
	int ret = -ENOMEM;

	if (edges && in && want) {
		n = zone_union(in, collect_behind(vm->shield, in), edges, want);
		ret = kvm_harden_shield_apply(vm->shield, want, n, lenient);
		want = NULL;
	}
	kvfree(want);
	kvfree(in);
	kvfree(edges);
	return ret;
}
