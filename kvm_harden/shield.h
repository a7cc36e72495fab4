/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of a VMM that is mapped with less than all rights. One shield for an
 * address space: several VMs may use the same memory.
 */
#ifndef _KVM_HARDEN_SHIELD_H
#define _KVM_HARDEN_SHIELD_H

#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "zone_map.h"

struct file;
struct mm_struct;

/*
 * A run of pages that have been moved to a file of ours, all with the same
 * rights. What backed them before comes back when the run is released: a file
 * gets its contents back, anonymous memory stays in our file.
 */
struct shield_run {
	struct list_head link;		/* in order of addresses */
	unsigned long start, end;
	u32 deny;			/* ZONE_R and ZONE_W */
	struct file *file;
	unsigned long pgoff;		/* of start, in file */
	struct file *orig;		/* NULL: anonymous memory */
	unsigned long orig_pgoff;
	unsigned long orig_flags;	/* of the VMA */
};

struct shield {
	struct list_head link;		/* all shields, under zone_mutex */
	refcount_t refs;
	struct mm_struct *mm;		/* mmgrab()bed */
	struct mmu_notifier notifier;
	struct list_head runs;		/* of the work that is under way */
	unsigned long low, high;	/* where runs are */
	struct task_struct *worker;	/* who changes mappings now */
	bool stuck;			/* a work was given up and is still under way */
	bool abort;			/* it is to end soon */
	bool disturbed;			/* a mapping has been changed by somebody else */
	bool holes;			/* where nothing was mapped when it was looked at */
};

/* Called by the notifier: mappings of a shield have changed. Any context. */
extern void (*kvm_harden_shield_disturbed)(void);

struct shield *kvm_harden_shield_get(struct mm_struct *mm);
void kvm_harden_shield_put(struct shield *shield);
int kvm_harden_shield_apply(struct shield *shield, struct zone_seg *want,
			    unsigned int count, bool lenient);

int kvm_harden_shield_init(void);
void kvm_harden_shield_flush(void);
void kvm_harden_shield_exit(void);

/* shield_page.c */
#define SHIELD_CHUNK	512	/* pages moved at a time: a huge page */

int shield_pages_get(unsigned long start, unsigned int count, struct page **pages);
int shield_pages_settle(struct page **pages, unsigned int count, unsigned int ms);
int shield_pages_alone(struct page **pages, unsigned int count);
void shield_pages_put(struct page **pages, unsigned int count);
int shield_file_fill(struct file *file, unsigned long pgoff, struct page **from,
		     unsigned int count);
int shield_file_copy(struct file *to, unsigned long to_pgoff, struct file *from,
		     unsigned long from_pgoff, unsigned int count);
int shield_file_settle(struct file *file, unsigned long pgoff, unsigned long count);
void shield_pages_wipe(struct page **pages, unsigned int count);

/* shield_vma.c: in the address space that the caller uses */
struct shield_vma {
	unsigned long start, end;	/* the part that is meant */
	unsigned long flags, pgoff;	/* pgoff is that of start */
	struct file *file;		/* with a reference */
	bool uffd;			/* somebody serves its faults */
};

int shield_vma_find(unsigned long start, unsigned long end, struct shield_vma *vma);
const char *shield_vma_unfit(const struct shield_vma *vma);
int shield_map(struct file *file, unsigned long pgoff, unsigned long start, unsigned long end,
	       unsigned long flags, u32 deny);
int shield_unmap_orig(const struct shield_run *run);

#endif /* _KVM_HARDEN_SHIELD_H */
