// SPDX-License-Identifier: GPL-2.0
/*
 * What the debug kernel is there to catch, one mistake at a time: the rig's own
 * test loads this with each value of fault=, and a run must fail each time.
 * Never load it anywhere else.
 */
#include <linux/delay.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>

/* How long those last that a watchdog has to find; break.sh sets those to 3 s. */
#define STUCK_MS	12000

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "which mistake to make");

struct thing {
	struct list_head link;
	struct timer_list timer;
	int value;
};

static DEFINE_SPINLOCK(spin_lock_a);
static DEFINE_MUTEX(mutex_a);
static DEFINE_MUTEX(mutex_b);
static struct thing __rcu *shared;
static int sink;

static void nothing(void)
{
}

static void use_after_free(void)
{
	struct thing *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return;
	OPTIMIZER_HIDE_VAR(t);
	kfree(t);
	WRITE_ONCE(sink, READ_ONCE(t->value));
}

static void out_of_bounds(void)
{
	char *p = kmalloc(24, GFP_KERNEL);

	if (!p)
		return;
	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(p[24], 1);
	kfree(p);
}

static void lock_inversion(void)
{
	mutex_lock(&mutex_a);
	mutex_lock(&mutex_b);
	mutex_unlock(&mutex_b);
	mutex_unlock(&mutex_a);

	mutex_lock(&mutex_b);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	mutex_unlock(&mutex_b);
}

static void atomic_sleep(void)
{
	spin_lock(&spin_lock_a);
	/* Not a mutex: lockdep would speak up as well, and only once. */
	kfree(kmalloc(64, GFP_KERNEL));
	spin_unlock(&spin_lock_a);
}

static void cpu_in_preemptible(void)
{
	WRITE_ONCE(sink, smp_processor_id());
}

/* Some, as an old pointer to one may linger on a stack. */
static void leak(void)
{
	int i;

	for (i = 0; i < 16; i++) {
		struct thing *t = kzalloc(sizeof(*t), GFP_KERNEL);

		if (t)
			t->value = i;
	}
}

static void rcu_misuse(void)
{
	const struct thing *t = rcu_dereference(shared);

	WRITE_ONCE(sink, t ? t->value : 0);
}

static void shift(void)
{
	int by = 40;

	OPTIMIZER_HIDE_VAR(by);
	WRITE_ONCE(sink, 1 << by);
}

static void list_corruption(void)
{
	LIST_HEAD(head);
	struct thing a = {}, b = {};

	list_add(&a.link, &head);
	list_add(&b.link, &head);
	b.link.prev = &b.link;
	list_del(&b.link);
}

static void on_timer(struct timer_list *timer)
{
}

static void active_timer(void)
{
	struct thing *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return;
	timer_setup(&t->timer, on_timer, 0);
	mod_timer(&t->timer, jiffies + 3600 * HZ);
	kfree(t);
}

static void rcu_stall(void)
{
	rcu_read_lock();
	mdelay(STUCK_MS);
	rcu_read_unlock();
}

static void soft_lockup(void)
{
	preempt_disable();
	mdelay(STUCK_MS);
	preempt_enable();
}

static void hung_task(void)
{
	schedule_timeout_uninterruptible(msecs_to_jiffies(STUCK_MS));
}

static const struct {
	const char *name;
	void (*fn)(void);
} faults[] = {
	{ "none", nothing },
	{ "use-after-free", use_after_free },
	{ "out-of-bounds", out_of_bounds },
	{ "lock-inversion", lock_inversion },
	{ "atomic-sleep", atomic_sleep },
	{ "preemptible", cpu_in_preemptible },
	{ "leak", leak },
	{ "rcu", rcu_misuse },
	{ "shift", shift },
	{ "list", list_corruption },
	{ "active-timer", active_timer },
	{ "rcu-stall", rcu_stall },
	{ "soft-lockup", soft_lockup },
	{ "hung-task", hung_task },
};

static int __init broken_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!strcmp(faults[i].name, fault)) {
			faults[i].fn();
			return 0;
		}
	}
	pr_err("no fault is called %s\n", fault);
	return -EINVAL;
}

static void __exit broken_exit(void)
{
}

module_init(broken_init);
module_exit(broken_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mistakes for the rig to catch");
