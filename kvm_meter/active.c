// SPDX-License-Identifier: GPL-2.0
/*
 * When which pages are looked at. Each VM has a window at a time: it begins when the
 * accessed bits of a fresh sample are cleared, and ends when they are tested. A
 * second sample, of the slow window, stays for many of those. As a bit that is
 * cleared for the one may be the other's too, that of a huge page, all pages of the
 * slow sample are tested before any is cleared, and what was young remains so.
 *
 * One thread does it all, for one VM at a time. VMs whose window is to end are in
 * one list, those that wait for one in another, both in the order of time: a VM waits
 * until what it took last is its part of what all have been granted, so that one
 * which is dear has fewer windows, and not the others.
 */
#include "active.h"

#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>

#include "active_budget.h"
#include "active_probe.h"
#include "estimate.h"
#include "registry.h"

struct sample {
	u64 pages;			/* that it was drawn from */
	u64 begun_ns;			/* 0: there is none */
	unsigned int count;
	struct probe_page *page;
};

struct active {
	struct list_head link;		/* in waiting or running; empty: of no use */
	struct meter_vm *vm;
	struct sample fast, slow;
	u64 reserved_ns;		/* put aside for the end of the window */
	u64 not_before;			/* by kvm_meter_budget_granted(): its turn */
	u64 touch_ns;			/* what it takes to look at a page of it; 0: not known */
	bool put_off;
};

atomic64_t meter_active[METER_ACTIVE_COUNT];

static DEFINE_MUTEX(active_mutex);
static LIST_HEAD(waiting);
static LIST_HEAD(running);
static unsigned int vms;
static u64 touch_ns = 5000;		/* of any VM: a guess, until it has been measured */
static bool touch_known;
static struct task_struct *thread;
static DECLARE_WAIT_QUEUE_HEAD(poke);
static bool poked;
static struct {
	struct probe_map map;
	u64 number[SAMPLE_MAX];
	u64 scratch[SAMPLE_SCRATCH];
} *work;

/*
 * A step that takes longer is given up, if its pages are that much dearer than usual:
 * hosts are not all as fast. To clear a page takes several times what it takes to find
 * that it is not mapped.
 */
#define STEP_NS		(20 * NSEC_PER_MSEC)
#define DEAR		32
/* One step raises what is usual by less than twice. */
#define LEARN_MOST	8
/* Usually no page takes longer: it was an interrupt, or a hypervisor. */
#define TOUCH_MOST_NS		NSEC_PER_MSEC
#define TOUCH_LEAST_NS		64

static struct {
	u64 touches, ns, last;
} pace;				/* of this step */

/* --- parameters: they can be changed at any time, and hold from the next window on --- */

struct limits {
	unsigned int *value, min, max;
};

static void poke_thread(void)
{
	WRITE_ONCE(poked, true);
	wake_up(&poke);
}

static int limits_set(const char *text, const struct kernel_param *kp)
{
	const struct limits *limits = kp->arg;
	unsigned int value;
	int ret = kstrtouint(text, 0, &value);

	if (ret)
		return ret;
	if (value < limits->min || value > limits->max)
		return -EINVAL;
	WRITE_ONCE(*limits->value, value);
	poke_thread();
	return 0;
}

static int limits_get(char *buf, const struct kernel_param *kp)
{
	const struct limits *limits = kp->arg;

	return sysfs_emit(buf, "%u\n", READ_ONCE(*limits->value));
}

static const struct kernel_param_ops limits_ops = { .set = limits_set, .get = limits_get };

#define LIMITED_PARAM(name, value_, min_, max_)				\
	static unsigned int name = (value_);				\
	static struct limits name##_limits = {				\
		.value = &name, .min = (min_), .max = (max_),		\
	};								\
	module_param_cb(name, &limits_ops, &name##_limits, 0644)

LIMITED_PARAM(active_budget_ppm, 1000, 0, 1000000);
MODULE_PARM_DESC(active_budget_ppm, "what sampling guests' memory may take, in millionths of one CPU; 0: do not sample (default 1000)");
LIMITED_PARAM(active_window_ms, 10000, 50, 3600000);
MODULE_PARM_DESC(active_window_ms, "length of the window of active_bytes, 50 to 3600000 (default 10000)");
LIMITED_PARAM(active_slow_windows, 12, 1, 10000);
MODULE_PARM_DESC(active_slow_windows, "length of the window of active_slow_bytes, in windows of active_bytes (default 12)");
LIMITED_PARAM(active_samples, 384, 1, SAMPLE_MAX);
MODULE_PARM_DESC(active_samples, "pages of a VM that are looked at in each window, 1 to 4096, if the budget allows (default 384)");

/* --- one sample --- */

static void sample_drop(struct sample *s)
{
	kvfree(s->page);
	*s = (struct sample) {};
}

/* From work->map. A sample that cannot be had is not missed: there will be others. */
static void sample_draw(struct sample *s, unsigned int want)
{
	unsigned int i;

	s->page = kvmalloc_array(want, sizeof(*s->page), GFP_KERNEL);
	if (!s->page)
		return;
	s->pages = work->map.pages;
	s->count = estimate_draw(s->pages, want, work->number, work->scratch, get_random_u64);
	for (i = 0; i < s->count; i++)
		kvm_meter_probe_find(&work->map, work->number[i], &s->page[i]);
}

/* More is not believed of one page. Of a host that is slow, what makes it dear is. */
static u64 touch_most(void)
{
	return max_t(u64, TOUCH_MOST_NS, 2 * DEAR * touch_ns);
}

static void pace_begin(void)
{
	pace.touches = 0;
	pace.ns = 0;
	pace.last = kvm_meter_budget_clock();
}

/* One page more. Is it too much? */
static int pace_touch(void)
{
	u64 now = kvm_meter_budget_clock();

	pace.touches++;
	pace.ns += clamp_t(s64, now - pace.last, 0, touch_most());
	pace.last = now;
	cond_resched();
	return pace.ns > max_t(u64, STEP_NS, DEAR * touch_ns * pace.touches) ? -ETIME : 0;
}

/* Which pages have been accessed; those that are known to be are not looked at. */
static int sample_test(struct meter_vm *vm, struct sample *s)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < s->count && !ret; i++) {
		if (s->page[i].young || s->page[i].gone)
			continue;
		ret = kvm_meter_probe_test(vm, &s->page[i]) ?: pace_touch();
	}
	return ret;
}

/* Which of the pages that have been accessed are gone since. */
static int sample_revisit(struct meter_vm *vm, struct sample *s)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < s->count && !ret; i++)
		if (s->page[i].young)
			ret = kvm_meter_probe_there(vm, &s->page[i]) ?: pace_touch();
	return ret;
}

static int sample_clear(struct meter_vm *vm, struct sample *s)
{
	unsigned int i;
	int ret = 0;

	s->begun_ns = ktime_get_ns();
	for (i = 0; i < s->count && !ret; i++) {
		ret = kvm_meter_probe_clear(vm, &s->page[i]);
		if (s->page[i].young) {
			kvm_meter_probe_hand_over(&s->page[i]);
			s->page[i].young = false;
		}
		ret = ret ?: pace_touch();
	}
	return ret;
}

/*
 * How many pages have been accessed and are still there, of all that it was drawn
 * from: what is gone is not accessed. work->map is of now. Returns false if nothing
 * is left.
 */
static bool sample_result(const struct sample *s, struct estimate *e)
{
	unsigned int i, left = 0, young = 0;

	for (i = 0; i < s->count; i++) {
		left += !s->page[i].gone;
		young += !s->page[i].gone && s->page[i].young;
	}
	atomic64_add(s->count - left, &meter_active[ACTIVE_gone]);
	if (!left)
		return false;
	estimate_share(s->pages, s->count, young, e);
	e->pages = min(e->pages, work->map.pages);
	return true;
}

/* --- windows of a VM --- */

static u64 window_ms(const struct sample *s, u64 now)
{
	return max(div_u64(now - s->begun_ns + NSEC_PER_MSEC / 2, NSEC_PER_MSEC), 1ull);
}

static void drop(struct active *a)
{
	kvm_meter_budget_reserve(-(s64)a->reserved_ns);
	a->reserved_ns = 0;
	sample_drop(&a->fast);
	sample_drop(&a->slow);
}

/* What is known would be taken for what is so now. */
static void forget(struct active *a)
{
	drop(a);
	spin_lock(&a->vm->probe_lock);
	memset(&a->vm->memory, 0, sizeof(a->vm->memory));
	spin_unlock(&a->vm->probe_lock);
}

static int end_window(struct active *a)
{
	struct kvm_meter_memory size = {}, *m = &a->vm->memory;
	u64 now = ktime_get_ns();
	struct estimate e;
	int ret;

	kvm_meter_budget_reserve(-(s64)a->reserved_ns);
	a->reserved_ns = 0;
	ret = kvm_meter_probe_map(a->vm, &work->map);
	if (!ret)
		ret = sample_test(a->vm, &a->fast);
	if (!ret)
		ret = kvm_meter_probe_size(a->vm, &size);
	if (!ret && sample_result(&a->fast, &e)) {
		spin_lock(&a->vm->probe_lock);
		m->active_bytes = e.pages << PAGE_SHIFT;
		m->active_error_bytes = e.error << PAGE_SHIFT;
		m->active_window_ms = window_ms(&a->fast, now);
		m->active_samples = a->fast.count;
		m->active_as_of_ns = ktime_get_real_ns();
		m->memory_bytes = work->map.pages << PAGE_SHIFT;
		m->huge_bytes = size.huge_bytes;
		m->rss_bytes = size.rss_bytes;
		spin_unlock(&a->vm->probe_lock);
		atomic64_inc(&meter_active[ACTIVE_windows]);
		atomic64_add(a->fast.count, &meter_active[ACTIVE_samples]);
	}
	sample_drop(&a->fast);
	return ret;
}

static void end_slow_window(struct active *a, u64 now)
{
	struct kvm_meter_memory *m = &a->vm->memory;
	struct estimate e;

	if (sample_result(&a->slow, &e)) {
		spin_lock(&a->vm->probe_lock);
		m->active_slow_bytes = e.pages << PAGE_SHIFT;
		m->active_slow_error_bytes = e.error << PAGE_SHIFT;
		m->active_slow_window_ms = window_ms(&a->slow, now);
		m->active_slow_as_of_ns = ktime_get_real_ns();
		spin_unlock(&a->vm->probe_lock);
	}
	sample_drop(&a->slow);
}

static bool slow_is_over(const struct active *a, u64 now)
{
	u64 ms = (u64)READ_ONCE(active_window_ms) * READ_ONCE(active_slow_windows);

	return now - a->slow.begun_ns >= ms * NSEC_PER_MSEC;
}

static u64 cost(const struct active *a)
{
	return a->touch_ns ?: touch_ns;
}

/* As many as the budget pays in time, and as a step can look at several times. */
static unsigned int sample_size(const struct active *a)
{
	unsigned int want = estimate_afford(READ_ONCE(active_budget_ppm),
					    READ_ONCE(active_window_ms) * NSEC_PER_MSEC, cost(a),
					    vms, READ_ONCE(active_samples));

	if (cost(a) > DEAR / 2 * touch_ns)
		want = min_t(u64, want, max_t(u64, div64_u64(STEP_NS, 4 * cost(a)), SAMPLE_MIN));
	return want;
}

static int begin_window(struct active *a)
{
	unsigned int want = sample_size(a);
	u64 now = ktime_get_ns();
	struct mm_struct *mm;
	int ret, flushed;

	ret = kvm_meter_probe_map(a->vm, &work->map);
	if (!ret)
		ret = sample_test(a->vm, &a->slow);
	if (!ret && a->slow.begun_ns && slow_is_over(a, now)) {
		ret = sample_revisit(a->vm, &a->slow);
		if (!ret)
			end_slow_window(a, now);
	}
	if (ret)
		return ret;

	if (!work->map.pages)
		return -ENODATA;
	mm = kvm_meter_probe_mm(a->vm);
	if (!mm)
		return -ESRCH;
	sample_draw(&a->fast, want);
	if (!a->slow.page)
		sample_draw(&a->slow, want);
	kthread_use_mm(mm);
	if (a->slow.page && !a->slow.begun_ns)
		ret = sample_clear(a->vm, &a->slow);
	if (!ret)
		ret = sample_clear(a->vm, &a->fast);
	kthread_unuse_mm(mm);
	mmput_async(mm);
	/* Whoever else clears these bits does not tell the vCPUs either. */
	flushed = kvm_meter_probe_flush(a->vm);
	ret = ret ?: flushed;
	a->reserved_ns = a->fast.count * cost(a);
	kvm_meter_budget_reserve(a->reserved_ns);
	return ret;
}

/* --- the thread --- */

/*
 * What it takes to look at a page, of this VM and of any, slowly following what is
 * measured. A step that was given up says all of the VM, and nothing of others, unless
 * this host has never ended one.
 */
static void learn(struct active *a, u64 spent_ns, int ret)
{
	u64 ns;

	if (!pace.touches)
		return;
	ns = clamp_t(u64, div64_u64(spent_ns, pace.touches), TOUCH_LEAST_NS, touch_most());
	a->touch_ns = a->touch_ns && ret != -ETIME ? (7 * a->touch_ns + ns) / 8 : ns;
	if (ret == -ETIME && touch_known)
		return;
	if (touch_known)
		ns = (7 * touch_ns + min(ns, LEARN_MOST * touch_ns)) / 8;
	touch_ns = clamp_t(u64, ns, TOUCH_LEAST_NS, TOUCH_MOST_NS);
	touch_known = touch_known || !ret;
}

/* Among those that wait, by its turn. Most come last. */
static void wait_in_line(struct active *a)
{
	struct active *other;

	list_del(&a->link);
	list_for_each_entry_reverse(other, &waiting, link)
		if (other->not_before <= a->not_before)
			break;
	list_add(&a->link, &other->link);
}

static void forget_all(void)
{
	struct active *a, *next;

	list_for_each_entry_safe(a, next, &running, link)
		wait_in_line(a);
	list_for_each_entry(a, &waiting, link)
		forget(a);
}

/* How long until the next window of @a may begin, ns; 0: now. */
static u64 turn_in(struct active *a, unsigned int ppm)
{
	u64 ns = max(kvm_meter_budget_until(a->not_before, ppm), kvm_meter_budget_wait(ppm));

	if (ns && !a->put_off)
		atomic64_inc(&meter_active[ACTIVE_waits]);
	a->put_off = ns;
	return ns;
}

/* There are fewer VMs: the part of each is larger, and its turn sooner. */
static void share_anew(struct list_head *list)
{
	u64 granted = kvm_meter_budget_granted();
	struct active *a;

	list_for_each_entry(a, list, link)
		if (a->not_before > granted)
			a->not_before = granted + mul_u64_u32_div(a->not_before - granted,
								  vms, vms + 1);
}

static void one_less(void)
{
	vms--;
	share_anew(&waiting);
	share_anew(&running);
}

/* What was not used of its part before a window begins is lost. */
static void charge(struct active *a, bool begins, u64 spent_ns)
{
	if (begins)
		a->not_before = kvm_meter_budget_granted();
	a->not_before += spent_ns * vms;
}

/* Do one thing. Returns how long to sleep then, ns; U64_MAX: for ever. */
static u64 step(void)
{
	unsigned int ppm = READ_ONCE(active_budget_ppm);
	u64 window = READ_ONCE(active_window_ms) * NSEC_PER_MSEC;
	u64 now = ktime_get_ns(), wait = U64_MAX, turn, spent;
	struct active *a;
	bool begins = false;
	int ret;

	lockdep_assert_held(&active_mutex);
	kvm_meter_budget_settle(ppm);
	if (!ppm) {
		forget_all();
		return U64_MAX;
	}
	a = list_first_entry_or_null(&running, struct active, link);
	if (a) {
		if (now - a->fast.begun_ns >= window) {
			pace_begin();
			ret = end_window(a);
			goto out;
		}
		wait = window - (now - a->fast.begun_ns);
	}
	a = list_first_entry_or_null(&waiting, struct active, link);
	if (!a)
		return wait;
	turn = turn_in(a, ppm);
	if (turn)
		return min(wait, turn);
	begins = true;
	pace_begin();
	ret = begin_window(a);
out:
	spent = kvm_meter_budget_settle(ppm);
	learn(a, spent, ret);
	charge(a, begins, spent);
	if (begins)
		list_move_tail(&a->link, &running);
	else
		wait_in_line(a);
	if (ret == -ESRCH) {
		/* It has ended: what is known goes into the final record. */
		drop(a);
		list_del_init(&a->link);
		one_less();
	} else if (ret) {
		/* It has no memory that can be sampled now, or is too dear: later, maybe. */
		forget(a);
		a->fast.begun_ns = now;
	}
	atomic64_add(pace.touches, &meter_active[ACTIVE_touches]);
	return 0;
}

static int active_fn(void *unused)
{
	kvm_meter_budget_start();
	while (!kthread_should_stop()) {
		long timeout = MAX_SCHEDULE_TIMEOUT;
		u64 wait;

		mutex_lock(&active_mutex);
		wait = step();
		mutex_unlock(&active_mutex);
		if (!wait) {
			cond_resched();
			continue;
		}
		if (wait != U64_MAX)
			timeout = nsecs_to_jiffies(wait) + 1;
		wait_event_interruptible_timeout(poke, READ_ONCE(poked) || kthread_should_stop(),
						 timeout);
		WRITE_ONCE(poked, false);
		kvm_meter_budget_woken();
	}
	return 0;
}

/**
 * kvm_meter_active_show() - Sample a VM from now on
 * @vm: VM; may be sampled already
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_active_show(struct meter_vm *vm)
{
	struct active *a;

	lockdep_assert_held(&vm_mutex);
	if (vm->active)
		return;
	a = kzalloc(sizeof(*a), GFP_KERNEL);
	if (!a)
		return;
	a->vm = vm;
	INIT_LIST_HEAD(&a->link);
	vm->active = a;
	mutex_lock(&active_mutex);
	a->not_before = kvm_meter_budget_granted();
	wait_in_line(a);
	vms++;
	mutex_unlock(&active_mutex);
	poke_thread();
}

/**
 * kvm_meter_active_hide() - Sample a VM no more
 * @vm: VM that has ended; may not be sampled. What is known of it stays known.
 *
 * Context: process, vm_mutex held. Waits for the sampler to leave it.
 */
void kvm_meter_active_hide(struct meter_vm *vm)
{
	struct active *a = vm->active;

	lockdep_assert_held(&vm_mutex);
	if (!a)
		return;
	vm->active = NULL;
	mutex_lock(&active_mutex);
	if (!list_empty(&a->link)) {
		list_del(&a->link);
		one_less();
	}
	drop(a);
	mutex_unlock(&active_mutex);
	kfree(a);
	poke_thread();
}

/**
 * kvm_meter_active_pause() - Look at no VM until kvm_meter_active_resume()
 *
 * A VM that is marked ended meanwhile is not looked at any more.
 *
 * Context: process, vm_mutex may be held. Waits for the sampler to leave its VM.
 */
void kvm_meter_active_pause(void)
{
	mutex_lock(&active_mutex);
}

void kvm_meter_active_resume(void)
{
	mutex_unlock(&active_mutex);
}

/**
 * kvm_meter_active_read() - What is known of a VM's memory
 * @vm: VM
 * @out: filled in
 *
 * Context: process.
 */
void kvm_meter_active_read(struct meter_vm *vm, struct kvm_meter_memory *out)
{
	spin_lock(&vm->probe_lock);
	*out = vm->memory;
	spin_unlock(&vm->probe_lock);
}

int kvm_meter_active_init(void)
{
	work = kvzalloc(sizeof(*work), GFP_KERNEL);
	if (!work)
		return -ENOMEM;
	thread = kthread_run(active_fn, NULL, "kvm_meter_mem");
	if (IS_ERR(thread)) {
		kvfree(work);
		return PTR_ERR(thread);
	}
	return 0;
}

void kvm_meter_active_exit(void)
{
	kthread_stop(thread);
	kvfree(work);
}
