// SPDX-License-Identifier: GPL-2.0
/*
 * Accessed bits, through the MMU notifier that KVM has for each VM: what the
 * kernel's own reclaim calls. The VM cannot be destroyed while its probe_lock is
 * held, as the hook on its end waits for that. It is held for one page at a time.
 */
#include "active_probe.h"

#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/page_idle.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/swap.h>

#include "compat_kvm.h"
#include "hooks.h"
#include "registry.h"

/*
 * NULL: the VM has ended, or would do so without a word. Else it is there until
 * probe_end().
 */
static struct kvm *probe_begin(struct meter_vm *vm)
	__acquires(&vm->probe_lock)
{
	spin_lock(&vm->probe_lock);
	return kvm_meter_hook_destroy_live() ? READ_ONCE(vm->kvm) : NULL;
}

static void probe_end(struct meter_vm *vm)
	__releases(&vm->probe_lock)
{
	spin_unlock(&vm->probe_lock);
}

/**
 * kvm_meter_probe_wait() - Wait until nobody uses a VM that has been marked ended
 * @vm: VM
 *
 * Context: interrupts on: whom the sampler waits for, under KVM's locks, may
 * itself be waiting for this CPU to take an interrupt.
 */
void kvm_meter_probe_wait(struct meter_vm *vm)
{
	spin_lock(&vm->probe_lock);
	spin_unlock(&vm->probe_lock);
}

/* Pages of KVM's own, and what the VMM's mapping has nothing to do with, are left out. */
static bool slot_counts(const struct kvm_memory_slot *slot)
{
	if (slot->id >= KVM_USER_MEM_SLOTS || slot->flags & KVM_MEMSLOT_INVALID)
		return false;
#ifdef KVM_MEM_GUEST_MEMFD
	if (slot->flags & KVM_MEM_GUEST_MEMFD)
		return false;
#endif
	return true;
}

/*
 * All slots are counted, of whatever kind: the operations on a page go through all
 * that have its address.
 */
static int map_slots(struct kvm *kvm, int space, struct probe_map *map, unsigned int *slots)
{
	/* Read once: the macro names it twice, and KVM may put the other set in between. */
	struct kvm_memslots *set = __kvm_memslots(kvm, space);
	const struct kvm_memory_slot *slot;
	int bkt;

	kvm_for_each_memslot(slot, bkt, set) {
		if (++*slots > PROBE_SLOTS)
			return -E2BIG;
		if (space || !slot_counts(slot))
			continue;
		map->slot[map->count++] = (struct probe_slot) {
			.first = map->pages,
			.gfn = slot->base_gfn,
			.hva = slot->userspace_addr,
		};
		map->pages += slot->npages;
	}
	return 0;
}

/**
 * kvm_meter_probe_map() - List a VM's memory
 * @vm: VM
 * @map: filled in
 *
 * Context: process.
 * Return: 0, -ESRCH, or -E2BIG if it has too many slots.
 */
int kvm_meter_probe_map(struct meter_vm *vm, struct probe_map *map)
{
	struct kvm *kvm = probe_begin(vm);
	int idx, space, ret = -ESRCH;
	unsigned int slots = 0;

	map->pages = 0;
	map->count = 0;
	if (kvm) {
		ret = 0;
		idx = srcu_read_lock(&kvm->srcu);
		for (space = 0; space < compat_address_spaces(kvm) && !ret; space++)
			ret = map_slots(kvm, space, map, &slots);
		srcu_read_unlock(&kvm->srcu, idx);
	}
	probe_end(vm);
	return ret;
}

/**
 * kvm_meter_probe_find() - Which page is that?
 * @map: the VM's memory
 * @number: below map->pages
 * @page: filled in
 */
void kvm_meter_probe_find(const struct probe_map *map, u64 number, struct probe_page *page)
{
	unsigned int low = 0, high = map->count;
	const struct probe_slot *slot;

	while (high - low > 1) {
		unsigned int mid = (low + high) / 2;

		if (map->slot[mid].first <= number)
			low = mid;
		else
			high = mid;
	}
	slot = &map->slot[low];
	number -= slot->first;
	*page = (struct probe_page) {
		.gfn = slot->gfn + number,
		.hva = slot->hva + (number << PAGE_SHIFT),
	};
}

/* Is it still the memory that it was when it was drawn? */
static bool still_there(struct kvm *kvm, const struct probe_page *page)
{
	struct kvm_memory_slot *slot = __gfn_to_memslot(kvm_memslots(kvm), page->gfn);

	return slot && slot_counts(slot) &&
	       __gfn_to_hva_memslot(slot, page->gfn) == page->hva;
}

enum probe_what { PROBE_THERE, PROBE_TEST, PROBE_CLEAR };

static int probe(struct meter_vm *vm, struct probe_page *page, enum probe_what what)
{
	struct kvm *kvm = probe_begin(vm);
	struct mmu_notifier *mn;
	int idx;

	if (!kvm) {
		probe_end(vm);
		return -ESRCH;
	}
	mn = &kvm->mmu_notifier;
	idx = srcu_read_lock(&kvm->srcu);
	if (!still_there(kvm, page))
		page->gone = true;
	else if (what == PROBE_CLEAR)
		page->young = mn->ops->clear_young(mn, kvm->mm, page->hva, page->hva + PAGE_SIZE);
	else if (what == PROBE_TEST)
		page->young = mn->ops->test_young(mn, kvm->mm, page->hva);
	srcu_read_unlock(&kvm->srcu, idx);
	probe_end(vm);
	return 0;
}

/**
 * kvm_meter_probe_test() - Has a page been accessed? Changes nothing.
 * @vm: VM
 * @page: its page; young and gone are filled in
 *
 * Context: process.
 * Return: 0 or -ESRCH.
 */
int kvm_meter_probe_test(struct meter_vm *vm, struct probe_page *page)
{
	return probe(vm, page, PROBE_TEST);
}

/**
 * kvm_meter_probe_clear() - Forget that a page was accessed
 * @vm: VM
 * @page: its page; young and gone are filled in, as it was before
 *
 * Where it was young, the kernel is to be told: kvm_meter_probe_hand_over().
 *
 * Context: process.
 * Return: 0 or -ESRCH.
 */
int kvm_meter_probe_clear(struct meter_vm *vm, struct probe_page *page)
{
	return probe(vm, page, PROBE_CLEAR);
}

/**
 * kvm_meter_probe_there() - Is a page still what it was?
 * @vm: VM
 * @page: its page; gone is filled in
 *
 * Context: process.
 * Return: 0 or -ESRCH.
 */
int kvm_meter_probe_there(struct meter_vm *vm, struct probe_page *page)
{
	return probe(vm, page, PROBE_THERE);
}

/**
 * kvm_meter_probe_flush() - Have every vCPU look at the page tables again
 * @vm: VM
 *
 * A CPU sets an accessed bit when it loads a translation. It would not again, as
 * long as it has one from before the bit was cleared. Each vCPU drops those at its
 * next entry; it is not made to exit for that.
 *
 * Context: process.
 * Return: 0 or -ESRCH.
 */
int kvm_meter_probe_flush(struct meter_vm *vm)
{
	struct kvm *kvm = probe_begin(vm);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (kvm) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
	}
	probe_end(vm);
	return kvm ? 0 : -ESRCH;
}

/**
 * kvm_meter_probe_size() - What is known of a VM's memory without sampling
 * @vm: VM
 * @memory: huge_bytes and rss_bytes are filled in
 *
 * Context: process.
 * Return: 0, or -ESRCH if the VM has ended, or the address space that its memory
 * was mapped in: what was tested before found nothing accessed then.
 */
int kvm_meter_probe_size(struct meter_vm *vm, struct kvm_meter_memory *memory)
{
	struct kvm *kvm = probe_begin(vm);
	int ret = -ESRCH;
	u64 rss;

	if (kvm && atomic_read(&kvm->mm->mm_users)) {
		memory->huge_bytes = ((u64)atomic64_read(&kvm->stat.pages_2m) << PMD_SHIFT) +
				     ((u64)atomic64_read(&kvm->stat.pages_1g) << PUD_SHIFT);
		/* KVM holds the structure, if not the memory. */
		rss = get_mm_rss(kvm->mm);
#ifdef CONFIG_HUGETLB_PAGE
		rss += atomic_long_read(&kvm->mm->hugetlb_usage);
#endif
		memory->rss_bytes = rss << PAGE_SHIFT;
		ret = 0;
	}
	probe_end(vm);
	return ret;
}

/**
 * kvm_meter_probe_mm() - The address space that a VM's memory is mapped in
 * @vm: VM
 *
 * Context: process.
 * Return: a reference for mmput_async(), or NULL if the VM or the space has ended.
 */
struct mm_struct *kvm_meter_probe_mm(struct meter_vm *vm)
{
	struct kvm *kvm = probe_begin(vm);
	struct mm_struct *mm = kvm && mmget_not_zero(kvm->mm) ? kvm->mm : NULL;

	probe_end(vm);
	return mm;
}

/**
 * kvm_meter_probe_hand_over() - Tell the kernel of an access that was forgotten
 * @page: page that was young when it was cleared
 *
 * Reclaim would have found it young. It is told as idle page tracking tells it,
 * which clears these bits too. Kernels without the flags for that get what KVM does
 * when it drops an entry with the bit set.
 *
 * Context: process, in the VM's address space (kthread_use_mm()). Does not sleep: a
 * page that is not mapped just now is left alone.
 */
void kvm_meter_probe_hand_over(const struct probe_page *page)
{
	struct page *p;

	if (get_user_pages_fast_only(page->hva, 1, 0, &p) != 1)
		return;
#ifdef CONFIG_PAGE_IDLE_FLAG
	folio_set_young(page_folio(p));
	folio_clear_idle(page_folio(p));
#else
	folio_mark_accessed(page_folio(p));
#endif
	put_page(p);
}
