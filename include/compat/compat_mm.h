/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_MM_H
#define _COMPAT_MM_H

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#ifdef COMPAT_MAPCOUNT_OWN
#include <linux/pagevec.h>
#endif
#include <linux/shmem_fs.h>

/*
 * Flags of a VMA that page faults do not look at, under mmap_write_lock().
 * vm_flags_set() is not for modules on all kernels: the lock of a single VMA
 * that it takes is not exported. It keeps faults out, which these flags do not
 * concern.
 */
static inline void compat_vma_flags_change(struct vm_area_struct *vma, unsigned long set,
					   unsigned long clear)
{
#ifdef COMPAT_VMA_FLAGS_PLAIN
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#elif defined(COMPAT_VMA_FLAGS_SET)
	vm_flags_set(vma, set);
	vm_flags_clear(vma, clear);
#else
	ACCESS_PRIVATE(vma, __vm_flags) = (vma->vm_flags | set) & ~clear;
#endif
}

/* A file of memory that is not charged before it is used. */
static inline struct file *compat_shmem_file(const char *name, loff_t size)
{
#ifdef COMPAT_SHMEM_FLAGS_BITS
	return shmem_file_setup(name, size, mk_vma_flags(VMA_NORESERVE_BIT));
#else
	return shmem_file_setup(name, size, VM_NORESERVE);
#endif
}

/* Page tables' references to a folio. */
static inline int compat_folio_mapcount(struct folio *folio)
{
#ifdef COMPAT_MAPCOUNT_OWN
	int i, count, entire, nr = folio_nr_pages(folio);

	/* As folio_mapcount(), which is not exported. */
	if (!folio_test_large(folio))
		return atomic_read(&folio->_mapcount) + 1;
	entire = folio_entire_mapcount(folio);
	count = entire;
	for (i = 0; i < nr; i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1;
	if (!folio_test_anon(folio))
		return count - entire * nr;
	if (folio_test_double_map(folio))
		count -= nr;
	return count;
#else
	return folio_mapcount(folio);
#endif
}

/*
 * Put the pages of this CPU's batches on their LRU lists: lru_add_drain() is not
 * exported, but giving up an empty batch does it.
 */
static inline void compat_lru_drain(void)
{
#ifdef COMPAT_MAPCOUNT_OWN
	struct pagevec batch;

	pagevec_init(&batch);
	__pagevec_release(&batch);
#else
	struct folio_batch batch;

	folio_batch_init(&batch);
	__folio_batch_release(&batch);
#endif
}

#endif /* _COMPAT_MM_H */
