// SPDX-License-Identifier: GPL-2.0
#include "shield.h"

#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat_mm.h"
#include "zone.h"

#define UNMAPPED	"the VMM has nothing mapped behind all or a part of it"
#define WAIT_MS		30000	/* for a VMM that keeps its own address space locked */

/* One change of a shield's mappings. */
struct work {
	struct work_struct work;
	struct completion done;
	refcount_t refs;		/* who waits, and who works */
	struct shield *shield;
	struct zone_seg *want;
	unsigned int count;
	bool lenient;			/* memory that is not there is no error */
	atomic_t given_up;		/* nobody waits any more, or it has ended */
	int ret;
};

static struct workqueue_struct *queue;
static LIST_HEAD(shields);
static DEFINE_MUTEX(shields_mutex);	/* the list; a leaf */
void (*kvm_harden_shield_disturbed)(void);

/*
 * What makes an inode that cannot be opened: root could open a file of ours by
 * /proc/PID/map_files. It is the kernel's own, and so outlives the module.
 */
static const struct file_operations *no_open;

static const struct file_operations any_fops = { .owner = THIS_MODULE };

static int find_no_open(void)
{
	struct file *file = anon_inode_getfile("[kvm_harden]", &any_fops, NULL, O_RDONLY);

	if (IS_ERR(file))
		return PTR_ERR(file);
	no_open = file_inode(file)->i_fop;
	fput(file);
	return no_open ? 0 : -EOPNOTSUPP;
}

static struct file *secret_file(unsigned long size)
{
	struct file *file = compat_shmem_file("kvm_harden", size);

	if (!IS_ERR(file))
		file_inode(file)->i_fop = no_open;
	return file;
}

static struct shield_run *run_new(const struct shield_run *like, unsigned long start,
				  unsigned long end)
{
	struct shield_run *run = kmemdup(like, sizeof(*run), GFP_KERNEL);

	if (!run)
		return NULL;
	run->start = start;
	run->end = end;
	run->pgoff += (start - like->start) >> PAGE_SHIFT;
	run->orig_pgoff += (start - like->start) >> PAGE_SHIFT;
	get_file(run->file);
	if (run->orig)
		get_file(run->orig);
	return run;
}

static void run_free(struct shield_run *run)
{
	list_del(&run->link);
	fput(run->file);
	if (run->orig)
		fput(run->orig);
	kfree(run);
}

/* At an address in it; the tail is its next one. */
static int split_run(struct shield_run *run, unsigned long at)
{
	struct shield_run *tail = run_new(run, at, run->end);

	if (!tail)
		return -ENOMEM;
	run->end = at;
	list_add(&tail->link, &run->link);
	return 0;
}

/* Is all of the run still mapped as we did it? */
static bool intact(const struct shield_run *run)
{
	unsigned long at = run->start;

	while (at < run->end) {
		struct shield_vma vma;
		bool mine;

		if (shield_vma_find(at, run->end, &vma))
			return false;
		mine = vma.start == at && vma.file == run->file &&
		       vma.pgoff == run->pgoff + ((at - run->start) >> PAGE_SHIFT);
		if (vma.file)
			fput(vma.file);
		if (!mine)
			return false;
		at = vma.end;
	}
	return true;
}

/*
 * The VMM has mapped something else over a run, or nothing: what was there is
 * gone with its mapping. Page by page, as it may be a part only.
 */
static int forget_lost(struct shield *s)
{
	struct shield_run *run, *next;

	list_for_each_entry_safe(run, next, &s->runs, link) {
		if (intact(run))
			continue;
		if (run->end - run->start > PAGE_SIZE) {
			unsigned long middle = (run->start / 2 + run->end / 2) & PAGE_MASK;

			if (split_run(run, middle))
				return -ENOMEM;
			next = run;	/* both halves again */
			continue;
		}
		run_free(run);
	}
	return 0;
}

/* The pages of a file of ours may go to swap only while they are no secret. */
static void keep_in_memory(struct file *file, bool keep)
{
	if (keep)
		mapping_set_unevictable(file->f_mapping);
	else
		mapping_clear_unevictable(file->f_mapping);
}

/* Does another run have a part of the same file? */
static bool shares_file(const struct shield *s, const struct shield_run *run)
{
	struct shield_run *other;

	list_for_each_entry(other, &s->runs, link)
		if (other != run && other->file == run->file)
			return true;
	return false;
}

/* Give the memory back as it was. Nobody could write it, so that it can be copied. */
static int release(struct shield *s, struct shield_run *run)
{
	unsigned int pages = (run->end - run->start) >> PAGE_SHIFT;
	int ret;

	if (!run->orig) {
		ret = shield_map(run->file, run->pgoff, run->start, run->end, run->orig_flags, 0);
		if (!ret && !shares_file(s, run))
			keep_in_memory(run->file, false);
	} else {
		/* A suspended zone's memory is written to. */
		if (!run->deny) {
			ret = shield_map(run->file, run->pgoff, run->start, run->end,
					 run->orig_flags, ZONE_W);
			if (ret)
				return ret;
			run->deny = ZONE_W;
			ret = shield_file_settle(run->file, run->pgoff, pages);
			if (ret)
				return ret;
		}
		ret = shield_file_copy(run->orig, run->orig_pgoff, run->file, run->pgoff, pages) ?:
		      shield_unmap_orig(run);
	}
	if (!ret)
		run_free(run);
	return ret;
}

/* Other rights for pages that are in our file. */
static int remap(struct shield_run *run, u32 deny)
{
	u32 before = run->deny;
	int ret = shield_map(run->file, run->pgoff, run->start, run->end, run->orig_flags, deny);

	if (ret)
		return ret;
	run->deny = deny;
	/* Whoever got hold of a page while it was open has it still. */
	if (!(deny & ~before))
		return 0;
	ret = shield_file_settle(run->file, run->pgoff, (run->end - run->start) >> PAGE_SHIFT);
	if (ret && !shield_map(run->file, run->pgoff, run->start, run->end, run->orig_flags,
			       before))
		run->deny = before;
	return ret;
}

/* The file's own pages, which have not been wiped. */
static int map_back(const struct shield_run *run, unsigned long start, unsigned long end)
{
	return shield_map(run->orig, run->orig_pgoff + ((start - run->start) >> PAGE_SHIFT),
			  start, end, run->orig_flags, 0);
}

/*
 * Move up to SHIELD_CHUNK pages to the file. A page that is written to between
 * the copy and the new mapping, where only writing is denied, is copied again.
 */
static int move_chunk(struct shield_run *run, unsigned long start, unsigned int count,
		      struct page **pages)
{
	unsigned long pgoff = run->pgoff + ((start - run->start) >> PAGE_SHIFT);
	unsigned long end = start + count * PAGE_SIZE;
	bool readable = !(run->deny & ZONE_R);
	int ret = shield_pages_get(start, count, pages);

	if (ret)
		return ret;
	ret = shield_pages_settle(pages, count, 1000) ?:
	      shield_file_fill(run->file, pgoff, readable ? pages : NULL, count);
	if (ret)
		goto put;
	ret = shield_map(run->file, pgoff, start, end, run->orig_flags, run->deny);
	/* Busy: it is mapped, but the VMM has changed that again. */
	if (ret && ret != -EBUSY)
		goto put;
	run->end = end;
	/*
	 * Nobody finds the old pages any more. Who held one before is waited for,
	 * so that nothing he writes is lost. If he keeps it, or a child has come to
	 * have it, the caller takes the run back.
	 */
	ret = ret ?: shield_pages_settle(pages, count, 5000) ?:
	      shield_pages_alone(pages, run->orig ? 0 : count);
	if (shield_file_fill(run->file, pgoff, pages, count))
		ret = ret ?: -EIO;
	if (!ret)
		shield_pages_wipe(pages, count);
	else if (run->orig && !map_back(run, start, end))
		run->end = start;
put:
	shield_pages_put(pages, count);
	return ret;
}

/* @run has its start; its end follows what has been moved. */
static int move_run(struct shield *s, struct shield_run *run, unsigned long end)
{
	struct page **pages = kmalloc_array(SHIELD_CHUNK, sizeof(*pages), GFP_KERNEL);
	int ret = 0;

	if (!pages)
		return -ENOMEM;
	while (!ret && run->end < end) {
		unsigned long left = (end - run->end) >> PAGE_SHIFT;

		ret = READ_ONCE(s->abort) ? -EINTR :
		      move_chunk(run, run->end, min_t(unsigned long, SHIELD_CHUNK, left), pages);
	}
	kfree(pages);
	return ret;
}

static int move_in_vma(struct shield *s, struct list_head *before, const struct shield_vma *vma,
		       u32 deny)
{
	const char *unfit = shield_vma_unfit(vma);
	struct shield_run *run;
	int ret;

	if (unfit)
		return kvm_harden_zone_refuse(-EOPNOTSUPP, "%s", unfit);
	run = kzalloc(sizeof(*run), GFP_KERNEL);
	if (!run)
		return -ENOMEM;
	run->file = secret_file(vma->end - vma->start);
	if (IS_ERR(run->file)) {
		ret = PTR_ERR(run->file);
		kfree(run);
		return ret;
	}
	keep_in_memory(run->file, true);
	run->start = vma->start;
	run->end = vma->start;
	run->deny = deny;
	run->orig = vma->file ? get_file(vma->file) : NULL;
	run->orig_pgoff = vma->pgoff;
	run->orig_flags = vma->flags;
	list_add_tail(&run->link, before);
	/* The notifier looks here for what is of interest. */
	WRITE_ONCE(s->low, min(s->low, vma->start));
	WRITE_ONCE(s->high, max(s->high, vma->end));
	ret = move_run(s, run, vma->end);
	if (run->end == run->start)
		run_free(run);
	return ret;
}

/* Shield what is mapped in a range that no run covers; runs from @before on lie behind it. */
static int move_in(struct shield *s, struct list_head *before, unsigned long start,
		   unsigned long end, u32 deny, bool lenient)
{
	while (start < end) {
		struct shield_vma vma;
		int ret = shield_vma_find(start, end, &vma);

		/* What is mapped there one day comes without any notice. */
		if (ret == -ENXIO || (!ret && vma.start > start))
			s->holes = true;
		if (ret == -ENXIO)
			return lenient ? 0 : kvm_harden_zone_refuse(ret, UNMAPPED);
		if (ret)
			return ret;
		if (vma.start > start && !lenient)
			ret = kvm_harden_zone_refuse(-ENXIO, UNMAPPED);
		else
			ret = move_in_vma(s, before, &vma, deny);
		if (vma.file)
			fput(vma.file);
		if (ret)
			return ret;
		start = vma.end;
	}
	return 0;
}

/*
 * What of a range is wanted and not shielded yet. Ranges come in order: @run is
 * the first one that may reach into it, and is moved on for the next.
 */
static int fill(struct shield *s, const struct zone_seg *seg, bool lenient,
		struct shield_run **first)
{
	struct shield_run *run = *first;
	unsigned long at = seg->start;
	int ret = 0;

	/* A suspended zone's memory need not be ours: it stays as it is. */
	if (!seg->deny)
		return 0;
	list_for_each_entry_from(run, &s->runs, link) {
		if (run->end <= at)
			continue;
		if (run->start >= seg->end)
			break;
		if (run->start > at)
			ret = move_in(s, &run->link, at, run->start, seg->deny, lenient);
		if (ret)
			return ret;
		at = run->end;
	}
	*first = run;
	return at < seg->end ? move_in(s, &run->link, at, seg->end, seg->deny, lenient) : 0;
}

/* So that no run lies across an end of a range. */
static int split_all(struct shield *s, const struct work *w)
{
	struct shield_run *run;

	list_for_each_entry(run, &s->runs, link) {
		const struct zone_seg *seg = zone_find(w->want, w->count, run->start);
		unsigned long at;

		if (!seg)
			break;
		at = seg->start > run->start ? seg->start : seg->end;
		if (at < run->end && split_run(run, at))
			return -ENOMEM;
	}
	return 0;
}

static const struct zone_seg *wanted(const struct work *w, const struct shield_run *run)
{
	const struct zone_seg *seg = zone_find(w->want, w->count, run->start);

	return seg && seg->start <= run->start ? seg : NULL;
}

static void note_bounds(struct shield *s)
{
	struct shield_run *run;
	unsigned long low = ULONG_MAX, high = 0;

	list_for_each_entry(run, &s->runs, link) {
		low = min(low, run->start);
		high = max(high, run->end);
	}
	WRITE_ONCE(s->low, low);
	WRITE_ONCE(s->high, high);
}

/*
 * First what takes rights away, then what gives them back: where it fails, no
 * zone has less than before. What is to be released comes even then.
 */
static int apply(struct shield *s, const struct work *w)
{
	struct shield_run *run, *next, *first;
	unsigned int i;
	int ret = 0, err;

	s->holes = false;
	if (xchg(&s->disturbed, false)) {
		ret = forget_lost(s);
		if (ret)
			WRITE_ONCE(s->disturbed, true);
	}

	ret = ret ?: split_all(s, w);
	if (ret)
		return ret;
	list_for_each_entry(run, &s->runs, link) {
		const struct zone_seg *seg = wanted(w, run);

		if (seg && !ret && seg->deny != run->deny)
			ret = remap(run, seg->deny);
	}
	first = list_first_entry(&s->runs, struct shield_run, link);
	for (i = 0; !ret && i < w->count; i++)
		ret = fill(s, &w->want[i], w->lenient, &first);
	list_for_each_entry_safe(run, next, &s->runs, link) {
		if (wanted(w, run))
			continue;
		err = release(s, run);
		ret = ret ?: err;
	}
	note_bounds(s);
	return ret;
}

static void work_put(struct work *w)
{
	if (!refcount_dec_and_test(&w->refs))
		return;
	kvm_harden_shield_put(w->shield);
	kvfree(w->want);
	kfree(w);
}

static void work_fn(struct work_struct *work)
{
	struct work *w = container_of(work, struct work, work);
	struct shield *s = w->shield;

	/* With the last user of the address space all mappings have gone. */
	if (mmget_not_zero(s->mm)) {
		WRITE_ONCE(s->worker, current);
		kthread_use_mm(s->mm);
		w->ret = apply(s, w);
		kthread_unuse_mm(s->mm);
		WRITE_ONCE(s->worker, NULL);
		mmput_async(s->mm);
	} else {
		w->ret = w->lenient ? 0 : -ESRCH;
	}
	/* Given up: what is wanted by now is something else. */
	if (atomic_xchg(&w->given_up, 1))
		WRITE_ONCE(s->disturbed, true);
	WRITE_ONCE(s->stuck, false);
	complete_all(&w->done);
	if (READ_ONCE(s->disturbed))
		kvm_harden_shield_disturbed();
	work_put(w);
}

/**
 * kvm_harden_shield_apply() - Shield these ranges, and no others
 * @shield: shield
 * @want: ranges in order that do not overlap; taken over, with kvfree()
 * @count: how many
 * @lenient: ranges where nothing is mapped are no error
 *
 * Waits, but not for ever: a VMM may keep its address space locked.
 *
 * Context: process, zone_mutex held.
 * Return: 0; -ETIMEDOUT if it is still under way; -EBUSY if one before is; or
 * why it could not be done, and then a part may have been: apply again.
 */
int kvm_harden_shield_apply(struct shield *shield, struct zone_seg *want, unsigned int count,
			    bool lenient)
{
	struct work *w = kzalloc(sizeof(*w), GFP_KERNEL);
	int ret = -EBUSY;

	lockdep_assert_held(&zone_mutex);
	if (!w || READ_ONCE(shield->stuck)) {
		kvfree(want);
		kfree(w);
		return w ? kvm_harden_zone_refuse(ret, "the VMM keeps its memory locked") : -ENOMEM;
	}
	INIT_WORK(&w->work, work_fn);
	init_completion(&w->done);
	atomic_set(&w->given_up, 0);
	refcount_set(&w->refs, 2);
	refcount_inc(&shield->refs);
	w->shield = shield;
	w->want = want;
	w->count = count;
	w->lenient = lenient;
	WRITE_ONCE(shield->abort, false);
	WRITE_ONCE(shield->stuck, true);
	queue_work(queue, &w->work);
	if (!wait_for_completion_timeout(&w->done, msecs_to_jiffies(WAIT_MS)) &&
	    !atomic_xchg(&w->given_up, 1)) {
		WRITE_ONCE(shield->abort, true);
		ret = kvm_harden_zone_refuse(-ETIMEDOUT, "the VMM keeps its memory locked");
	} else {
		wait_for_completion(&w->done);
		ret = w->ret;
	}
	work_put(w);
	return ret;
}

/* Not even a lock is taken: this is in the way of every unmap of the VMM's. */
static int on_invalidate(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct shield *s = container_of(mn, struct shield, notifier);

	if (range->end <= READ_ONCE(s->low) || range->start >= READ_ONCE(s->high))
		return 0;
	if (range->event != MMU_NOTIFY_UNMAP || READ_ONCE(s->worker) == current)
		return 0;
	WRITE_ONCE(s->disturbed, true);
	kvm_harden_shield_disturbed();
	return 0;
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = on_invalidate,
};

static struct shield *shield_find(const struct mm_struct *mm)
{
	struct shield *s, *found = NULL;

	mutex_lock(&shields_mutex);
	list_for_each_entry(s, &shields, link) {
		if (s->mm != mm)
			continue;
		refcount_inc(&s->refs);
		found = s;
		break;
	}
	mutex_unlock(&shields_mutex);
	return found;
}

/**
 * kvm_harden_shield_get() - The shield of an address space
 * @mm: which is in use, as the caller holds a file of a VM of it
 *
 * Context: process, zone_mutex held.
 */
struct shield *kvm_harden_shield_get(struct mm_struct *mm)
{
	struct shield *s;
	int ret;

	lockdep_assert_held(&zone_mutex);
	s = shield_find(mm);
	if (s)
		return s;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&s->runs);
	refcount_set(&s->refs, 1);
	s->low = ULONG_MAX;
	s->mm = mm;
	s->notifier.ops = &notifier_ops;
	if (!mmget_not_zero(mm)) {
		kfree(s);
		return ERR_PTR(-ESRCH);
	}
	ret = mmu_notifier_register(&s->notifier, mm);
	mmput_async(mm);
	if (ret) {
		kfree(s);
		return ERR_PTR(ret);
	}
	mmgrab(mm);
	mutex_lock(&shields_mutex);
	list_add(&s->link, &shields);
	mutex_unlock(&shields_mutex);
	return s;
}

static void shield_free(struct shield *s)
{
	struct shield_run *run, *next;

	mmu_notifier_unregister(&s->notifier, s->mm);
	list_for_each_entry_safe(run, next, &s->runs, link)
		run_free(run);
	mmdrop(s->mm);
	kfree(s);
}

/* The last reference may go with a work that was given up. */
void kvm_harden_shield_put(struct shield *shield)
{
	if (!refcount_dec_and_mutex_lock(&shield->refs, &shields_mutex))
		return;
	list_del(&shield->link);
	mutex_unlock(&shields_mutex);
	shield_free(shield);
}

int kvm_harden_shield_init(void)
{
	int ret = find_no_open();

	if (ret)
		return ret;
	queue = alloc_workqueue("kvm_harden", WQ_UNBOUND, 0);
	return queue ? 0 : -ENOMEM;
}

/* Wait for what is under way. */
void kvm_harden_shield_flush(void)
{
	flush_workqueue(queue);
}

void kvm_harden_shield_exit(void)
{
	destroy_workqueue(queue);
}
