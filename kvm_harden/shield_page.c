// SPDX-License-Identifier: GPL-2.0
/* Pages behind a zone: who else holds them, and where their contents go. */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/ksm.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/rmap.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/workqueue.h>

#include "compat_mm.h"
#include "shield.h"
#include "zone.h"

#define PINNED		"pages are pinned, by a device, a system call under way or a nested guest"
#define FAULT_TRIES	2000	/* of 1 ms: for pages that come from swap */

/*
 * One page of the current address space. A fault that has to wait, for swap or
 * for a process that serves its own faults, is never waited for in there: it is
 * tried again for a while, and then refused.
 */
static struct page *get_page_nowait(unsigned long addr, unsigned int flags)
{
	struct page *page;
	int i;

	/* Does not move the page between LRU lists, as the other one does. */
	if (get_user_pages_fast_only(addr, 1, flags, &page) == 1)
		return page;
	for (i = 0; i < FAULT_TRIES; i++) {
		long ret = get_user_pages_unlocked(addr, 1, &page, flags | FOLL_NOWAIT);

		if (ret == 1)
			return page;
		if (ret && ret != -EAGAIN && ret != -EBUSY)
			return ERR_PTR(ret);
		usleep_range(1000, 1500);
	}
	return ERR_PTR(kvm_harden_zone_refuse(-EBUSY, "a page at %#lx does not come in", addr));
}

/*
 * Write access breaks what is shared: with KSM, where the others keep a page of
 * their own, and with a forked child, which would keep the secret.
 */
static struct page *get_own_page(unsigned long addr)
{
	struct page *before = get_page_nowait(addr, 0), *page;
	bool leaves_copy;

	if (IS_ERR(before))
		return before;
	page = get_page_nowait(addr, FOLL_WRITE);
	leaves_copy = !IS_ERR(page) && page != before && folio_test_anon(page_folio(before)) &&
		      !folio_test_ksm(page_folio(before));
	put_page(before);
	if (!leaves_copy)
		return page;
	put_page(page);
	return ERR_PTR(kvm_harden_zone_refuse(-EBUSY,
					      "the page at %#lx is shared with a forked process",
					      addr));
}

/**
 * shield_pages_get() - Get pages of the current address space, for writing
 * @start: address
 * @count: how many
 * @pages: filled in, each with a reference
 *
 * Context: process, with an address space.
 * Return: 0 or an error, and then none is held.
 */
int shield_pages_get(unsigned long start, unsigned int count, struct page **pages)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		pages[i] = get_own_page(start + i * PAGE_SIZE);
		if (IS_ERR(pages[i])) {
			int ret = PTR_ERR(pages[i]);

			shield_pages_put(pages, i);
			return ret;
		}
	}
	return 0;
}

void shield_pages_put(struct page **pages, unsigned int count)
{
	while (count--)
		put_page(pages[count]);
}

/* References that are accounted for, @ours among them. */
static int expected_refs(struct folio *folio, int ours)
{
	int refs = ours + compat_folio_mapcount(folio);

	if (folio_test_swapcache(folio) || (!folio_test_anon(folio) && folio->mapping))
		refs += folio_nr_pages(folio);
	/* On the way to an LRU list, or off it, it has one more. */
	if (!folio_test_lru(folio))
		refs++;
	return refs;
}

/* Does anybody hold one of the pages, but page tables and caches? */
static bool all_ours(struct page **pages, unsigned int count)
{
	unsigned int i, n;

	for (i = 0; i < count; i += n) {
		struct folio *folio = page_folio(pages[i]);

		for (n = 1; i + n < count && page_folio(pages[i + n]) == folio; n++)
			;
		if (folio_maybe_dma_pinned(folio) ||
		    folio_ref_count(folio) > expected_refs(folio, n))
			return false;
	}
	return true;
}

static void drain_fn(struct work_struct *work)
{
	compat_lru_drain();
}

/*
 * Each CPU keeps some pages on their way between LRU lists, with a reference, for
 * as long as nothing else happens on it.
 */
static void drain_all(void)
{
	struct work_struct __percpu *works = alloc_percpu(struct work_struct);
	int cpu;

	if (!works)
		return;
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		INIT_WORK(per_cpu_ptr(works, cpu), drain_fn);
		schedule_work_on(cpu, per_cpu_ptr(works, cpu));
	}
	for_each_online_cpu(cpu)
		flush_work(per_cpu_ptr(works, cpu));
	cpus_read_unlock();
	free_percpu(works);
}

/**
 * shield_pages_settle() - Wait until nobody else holds pages
 * @pages: of shield_pages_get()
 * @count: how many
 * @ms: how long at most
 *
 * A device that reads or writes guest memory holds its pages meanwhile, as do
 * system calls under way. Short ones end; what does not is refused, as it would
 * go on with the old page.
 *
 * Return: 0 or -EBUSY.
 */
int shield_pages_settle(struct page **pages, unsigned int count, unsigned int ms)
{
	unsigned int waited;

	for (waited = 0; !all_ours(pages, count); waited += 2) {
		if (waited >= ms)
			return kvm_harden_zone_refuse(-EBUSY, PINNED);
		if (waited % 100 == 0)
			drain_all();
		usleep_range(2000, 2500);
	}
	return 0;
}

/* After they were unmapped: does a child have one, that was forked just before? */
int shield_pages_alone(struct page **pages, unsigned int count)
{
	while (count--) {
		struct folio *folio = page_folio(pages[count]);

		if (!folio_test_large(folio) && compat_folio_mapcount(folio))
			return kvm_harden_zone_refuse(-EBUSY, "the VMM has forked meanwhile");
	}
	return 0;
}

static struct page *file_page(struct file *file, unsigned long pgoff)
{
	return shmem_read_mapping_page_gfp(file->f_mapping, pgoff,
					   mapping_gfp_mask(file->f_mapping));
}

static void copy_page_dirty(struct page *to, struct page *from)
{
	copy_highpage(to, from);
	set_page_dirty(to);
}

/**
 * shield_file_fill() - Copy pages to a file of memory
 * @file: file
 * @pgoff: where to
 * @from: pages; NULL: only allocate
 * @count: how many
 *
 * Context: process.
 */
int shield_file_fill(struct file *file, unsigned long pgoff, struct page **from,
		     unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct page *page = file_page(file, pgoff + i);

		if (IS_ERR(page))
			return PTR_ERR(page);
		if (from)
			copy_page_dirty(page, from[i]);
		else
			set_page_dirty(page);
		put_page(page);
	}
	return 0;
}

/* The file that it goes to may have become shorter meanwhile. */
int shield_file_copy(struct file *to, unsigned long to_pgoff, struct file *from,
		     unsigned long from_pgoff, unsigned int count)
{
	unsigned long room = DIV_ROUND_UP(i_size_read(file_inode(to)), PAGE_SIZE);
	unsigned int i;

	for (i = 0; i < count && to_pgoff + i < room; i++) {
		struct page *page = file_page(from, from_pgoff + i);
		int ret;

		if (IS_ERR(page))
			return PTR_ERR(page);
		ret = shield_file_fill(to, to_pgoff + i, &page, 1);
		put_page(page);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* As shield_pages_settle(), for pages that are in our file already. */
int shield_file_settle(struct file *file, unsigned long pgoff, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		struct page *page = file_page(file, pgoff + i);
		int ret;

		if (IS_ERR(page))
			return PTR_ERR(page);
		ret = shield_pages_settle(&page, 1, 2000);
		put_page(page);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* What held the secret holds nothing now. */
void shield_pages_wipe(struct page **pages, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		clear_highpage(pages[i]);
		set_page_dirty(pages[i]);
	}
}
