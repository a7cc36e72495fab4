// SPDX-License-Identifier: GPL-2.0
/* Mappings of the VMM, changed from a worker that uses its address space. */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/userfaultfd_k.h>

#include "compat_mm.h"
#include "shield.h"
#include "zone.h"

#define MAP_TRIES	1000	/* against a VMM that changes rights at the same time */

/**
 * shield_vma_find() - What is mapped at an address
 * @start: address
 * @end: look no further
 * @vma: filled in: the first mapping and how far it reaches
 *
 * Context: process, with an address space.
 * Return: 0, or -ENXIO if nothing is mapped in the range.
 */
int shield_vma_find(unsigned long start, unsigned long end, struct shield_vma *vma)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *v;
	int ret = -ENXIO;

	mmap_read_lock(mm);
	v = find_vma(mm, start);
	if (v && v->vm_start < end) {
		vma->start = max(start, v->vm_start);
		vma->end = min(end, v->vm_end);
		vma->flags = v->vm_flags;
		vma->pgoff = v->vm_pgoff + ((vma->start - v->vm_start) >> PAGE_SHIFT);
		vma->file = v->vm_file ? get_file(v->vm_file) : NULL;
		vma->uffd = userfaultfd_armed(v);
		ret = 0;
	}
	mmap_read_unlock(mm);
	return ret;
}

static bool is_shmem(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return S_ISREG(inode->i_mode) && inode->i_sb->s_magic == TMPFS_MAGIC;
}

/** shield_vma_unfit() - Why this memory cannot be shielded; NULL: it can */
const char *shield_vma_unfit(const struct shield_vma *vma)
{
	if (vma->flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return "the memory is a device's";
	if (vma->uffd)
		return "the memory has userfaultfd handlers";
	if (vma->flags & VM_HUGETLB)
		return "the memory is hugetlbfs";
	if (!(vma->flags & VM_WRITE))
		return "the VMM itself may not write the memory";
	if (!vma->file)
		return vma->flags & VM_SHARED ? "the memory is of an unknown kind" : NULL;
	if (!is_shmem(vma->file))
		return "the memory is a file that is not in memory (shmem, memfd)";
	if (!(vma->flags & VM_SHARED))
		return "the memory is a private mapping of a file";
	return NULL;
}

static unsigned long prot_of(u32 deny, unsigned long flags)
{
	unsigned long prot = PROT_READ;

	if (deny & ZONE_R)
		return PROT_NONE;
	if (!(deny & ZONE_W))
		prot |= PROT_WRITE;
	if (flags & VM_EXEC)
		prot |= PROT_EXEC;
	return prot;
}

/* What mprotect(), ptrace and /proc/PID/mem may still get from it. */
static unsigned long forbidden(u32 deny)
{
	if (deny & ZONE_R)
		return VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
	return deny & ZONE_W ? VM_MAYWRITE : 0;
}

/* Rights that a mapping of ours must not have got meanwhile, by mprotect(). */
static unsigned long excess(u32 deny)
{
	if (deny & ZONE_R)
		return VM_READ | VM_WRITE | VM_EXEC;
	return deny & ZONE_W ? VM_WRITE : 0;
}

/* -EAGAIN: the VMM has been there meanwhile. Afterwards it cannot any more. */
static int set_flags(struct file *file, unsigned long start, unsigned long end,
		     unsigned long set, u32 deny)
{
	struct mm_struct *mm = current->mm;
	int ret = 0;

	mmap_write_lock(mm);
	while (start < end) {
		struct vm_area_struct *v = find_vma(mm, start);

		if (!v || v->vm_start > start || v->vm_file != file ||
		    (v->vm_flags & excess(deny))) {
			ret = -EAGAIN;
			break;
		}
		compat_vma_flags_change(v, set, forbidden(deny));
		start = v->vm_end;
	}
	mmap_write_unlock(mm);
	return ret;
}

static int map_once(struct file *file, unsigned long pgoff, unsigned long start,
		    unsigned long end, unsigned long flags, u32 deny)
{
	unsigned long keep = deny ? VM_DONTCOPY | VM_DONTDUMP :
				    flags & (VM_DONTCOPY | VM_DONTDUMP);
	unsigned long addr = vm_mmap(file, start, end - start, prot_of(deny, flags),
				     MAP_SHARED | MAP_FIXED, pgoff << PAGE_SHIFT);

	if (addr == (unsigned long)-EPERM)
		return kvm_harden_zone_refuse(-EOPNOTSUPP, "the memory's mapping is sealed");
	if (addr != start)
		return IS_ERR_VALUE(addr) ? (int)addr : -EFAULT;
	return keep || deny ? set_flags(file, start, end, keep, deny) : 0;
}

/**
 * shield_map() - Map a part of a file of ours over a range
 * @file: file
 * @pgoff: where in it
 * @start: address
 * @end: of the range
 * @flags: of the VMA that was there at first
 * @deny: what the VMM and KVM may not do with it; 0: what it was allowed before
 *
 * A mapping never merges with its neighbour's, if that is not of the same file.
 * The flags reach the whole VMA, which by its file is all ours, and that is
 * mapped anew by every change of rights.
 *
 * Context: process, with an address space.
 * Return: 0; -EBUSY if the VMM changes the mapping all the time; other errors.
 */
int shield_map(struct file *file, unsigned long pgoff, unsigned long start, unsigned long end,
	       unsigned long flags, u32 deny)
{
	int i, ret = -EAGAIN;

	for (i = 0; i < MAP_TRIES && ret == -EAGAIN; i++)
		ret = map_once(file, pgoff, start, end, flags, deny);
	return ret == -EAGAIN ? kvm_harden_zone_refuse(-EBUSY, "the VMM maps there all the time") :
				ret;
}

/* Map what was there before us; its contents have been brought up to date. */
int shield_unmap_orig(const struct shield_run *run)
{
	return shield_map(run->orig, run->orig_pgoff, run->start, run->end, run->orig_flags, 0);
}
