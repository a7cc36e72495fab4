// SPDX-License-Identifier: GPL-2.0
/*
 * Where a VM's memory is, by a sample of its pages: the worker looks them up in the
 * VMM's page table, brings none in, and holds none.
 */
#include "numa.h"

#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pgtable.h>
#include <linux/random.h>
#include <linux/sched/mm.h>

#include "hint.h"
#include "place.h"

#define SAMPLES		4096
#define BATCH		256		/* pages, under one lock of the mapping */
#define SLOTS_MAX	512
#define SCAN_EVERY	(10 * HZ)
#define SCAN_AGAIN	(2 * HZ)	/* if the mapping was locked */

bool meter_numa __read_mostly;

/* All under vm_mutex. */
static struct slot_range {
	unsigned long start, pages;
} ranges[SLOTS_MAX];
static unsigned int nr_ranges;
static u32 seed;

/* Good enough to be none of the steps that memory is laid out in. */
static u32 random_below(u32 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return ((u64)seed * n) >> 32;
}

/*
 * The slots of a VM, and its mapping with a reference. The vCPU's lock keeps the VM:
 * it is taken when the VM ends, before anything of it is freed.
 */
static struct mm_struct *take_slots(struct meter_vcpu *v, unsigned long *pages)
{
	struct kvm_memory_slot *slot;
	struct mm_struct *mm = NULL;
	struct kvm_memslots *set;
	unsigned long flags;
	struct kvm *kvm;
	int bkt, idx;

	nr_ranges = 0;
	*pages = 0;
	raw_spin_lock_irqsave(&v->lock, flags);
	if (!v->vcpu)
		goto unlock;
	kvm = v->vcpu->kvm;
	idx = srcu_read_lock(&kvm->srcu);
	set = kvm_memslots(kvm);
	kvm_for_each_memslot(slot, bkt, set) {
		if (nr_ranges == SLOTS_MAX)
			break;
		ranges[nr_ranges].start = slot->userspace_addr;
		ranges[nr_ranges++].pages = slot->npages;
		*pages += slot->npages;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	if (mmget_not_zero(kvm->mm))
		mm = kvm->mm;
unlock:
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return mm;
}

/* The huge page of zeros is nobody's: alone of those of anonymous memory it has no mapping. */
static bool nobodys(unsigned long pfn)
{
	return pfn_valid(pfn) && !READ_ONCE(page_folio(pfn_to_page(pfn))->mapping);
}

static int pfn_node(unsigned long pfn)
{
	return pfn_valid(pfn) ? page_to_nid(pfn_to_page(pfn)) : NUMA_NO_NODE;
}

/*
 * The node of the page at @addr. Under the mapping's lock, within a VMA, so that no
 * table of it is freed but by RCU; interrupts are off as RCU's reader. The shared
 * page of zeros is special, and nobody's.
 */
static int node_at(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	pgd_t *pgdp = pgd_offset(mm, addr), pgd = READ_ONCE(*pgdp);
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;
	pte_t pte;

	if (pgd_none(pgd) || pgd_bad(pgd))
		return NUMA_NO_NODE;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || p4d_bad(p4d))
		return NUMA_NO_NODE;
	pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud))
		return NUMA_NO_NODE;
	if (pud_leaf(pud))
		return pfn_node(pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT));
	pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd = READ_ONCE(*pmdp);
	if (pmd_none(pmd) || !pmd_present(pmd))
		return NUMA_NO_NODE;
	if (pmd_leaf(pmd) && vma_is_anonymous(vma) && nobodys(pmd_pfn(pmd)))
		return NUMA_NO_NODE;
	if (pmd_leaf(pmd))
		return pfn_node(pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT));
	pte = READ_ONCE(*pte_offset_kernel(&pmd, addr));
	if (!pte_present(pte) || pte_special(pte))
		return NUMA_NO_NODE;
	return pfn_node(pte_pfn(pte));
}

/* The page that is @nr pages into the slots. */
static unsigned long address_of(unsigned long nr, unsigned int *range, unsigned long *before)
{
	while (nr - *before >= ranges[*range].pages)
		*before += ranges[(*range)++].pages;
	return ranges[*range].start + ((nr - *before) << PAGE_SHIFT);
}

/*
 * One page of each @step, at random. False if the mapping is locked by somebody, who
 * may be waiting for whomever he likes.
 */
static bool sample(struct mm_struct *mm, unsigned long pages, unsigned long step, u64 *found)
{
	unsigned long at, before = 0;
	unsigned int range = 0, count = 0;
	struct vm_area_struct *vma = NULL;
	unsigned long flags;

	for (at = 0; at < pages; at += step, count++) {
		unsigned long addr, nr = at + random_below(step);
		int node;

		if (count % BATCH == 0) {
			if (count)
				mmap_read_unlock(mm);
			cond_resched();
			if (!mmap_read_trylock(mm))
				return false;
			vma = NULL;
		}
		if (nr >= pages)
			continue;
		addr = address_of(nr, &range, &before);
		if (!vma || addr < vma->vm_start || addr >= vma->vm_end)
			vma = find_vma(mm, addr);
		if (!vma || addr < vma->vm_start || vma->vm_flags & (VM_IO | VM_PFNMAP))
			continue;
		local_irq_save(flags);
		node = node_at(vma, addr);
		local_irq_restore(flags);
		if (node != NUMA_NO_NODE)
			found[kvm_meter_node_slot(node)] += step;
	}
	if (count)
		mmap_read_unlock(mm);
	return true;
}

/* From now on guest time elsewhere is remote. */
static void set_home(struct meter_vm *vm, u32 home)
{
	struct meter_vcpu *v;
	unsigned long flags;

	if (vm->hint.memory_node == home)
		return;
	WRITE_ONCE(vm->hint.memory_node, home);
	list_for_each_entry_rcu(v, &vm->vcpus, link, lockdep_is_held(&vm_mutex)) {
		raw_spin_lock_irqsave(&v->lock, flags);
		kvm_meter_place_settle(v);
		raw_spin_unlock_irqrestore(&v->lock, flags);
	}
}

static u32 nodes_with_cpus(void)
{
	u32 mask = 0;
	int node;

	for_each_node_state(node, N_CPU)
		if (node < KVM_METER_NODES)
			mask |= 1u << node;
	return mask;
}

/* Guest time by node since the last sample. */
static void guest_since(struct meter_vm *vm, u64 *since)
{
	static struct kvm_meter_vm sum;	/* under vm_mutex */
	struct kvm_meter_vcpu_head head;
	struct meter_vcpu *v;
	int i;

	memset(&sum, 0, sizeof(sum));
	list_for_each_entry_rcu(v, &vm->vcpus, link, lockdep_is_held(&vm_mutex))
		kvm_meter_vcpu_show_all(v, &head, NULL, &sum);
	for (i = 0; i < KVM_METER_NODES; i++) {
		since[i] = sum.node_guest_ns[i] - vm->node_guest_base[i];
		vm->node_guest_base[i] = sum.node_guest_ns[i];
	}
}

/**
 * kvm_meter_numa_scan() - Find out where a VM's memory is, if it is time to
 * @vm: VM that has not ended
 *
 * Looks at 4,096 pages at most.
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_numa_scan(struct meter_vm *vm)
{
	u64 found[KVM_METER_NODES] = {}, since[KVM_METER_NODES];
	struct mm_struct *mm = NULL;
	unsigned long pages, step;
	struct meter_vcpu *v;
	struct hint hint = vm->hint;
	bool done;
	int i;

	lockdep_assert_held(&vm_mutex);
	if (!meter_numa || (vm->scanned && time_before(jiffies, vm->scan_next)))
		return;
	list_for_each_entry_rcu(v, &vm->vcpus, link, lockdep_is_held(&vm_mutex)) {
		mm = take_slots(v, &pages);
		break;
	}
	vm->scanned = true;
	vm->scan_next = jiffies + SCAN_AGAIN;
	if (!mm)
		return;
	step = DIV_ROUND_UP(pages, SAMPLES) ?: 1;
	done = step <= U32_MAX && sample(mm, pages, step, found);
	mmput_async(mm);
	if (!done)
		return;
	/* VMs that were met at once do not stay together. */
	vm->scan_next = jiffies + SCAN_EVERY * 3 / 4 + random_below(SCAN_EVERY / 4 + 1);
	for (i = 0; i < KVM_METER_NODES; i++)
		WRITE_ONCE(vm->node_memory_bytes[i], found[i] << PAGE_SHIFT);
	guest_since(vm, since);
	hint_make(&hint, found, since, nodes_with_cpus(), step > 1);
	WRITE_ONCE(vm->hint.preferred_node, hint.preferred_node);
	WRITE_ONCE(vm->hint.gain_permille, hint.gain_permille);
	set_home(vm, hint.memory_node);
}

void kvm_meter_numa_init(void)
{
	meter_numa = num_online_nodes() > 1;
	seed = get_random_u32() | 1;
}
