// SPDX-License-Identifier: GPL-2.0
/*
 * A credit that grows with time and shrinks with what is used. Windows begin while
 * there is some, and what it takes to end them is put aside then, as a window ends
 * when its time has come, whatever that takes.
 *
 * What was used is worked out from the clock, less the time that the thread waited
 * for a CPU: interrupts are in it. Whenever the thread has slept it is compared with
 * what the scheduler has charged to it, which has the switches and the wake-ups too.
 */
#include "active_budget.h"

#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched.h>

#include "active.h"

#define PPM		1000000
/* Credit is kept for so long: what was not used before is lost. */
#define MOST_NS		NSEC_PER_SEC

static s64 credit;
static u64 granted;		/* what credit has grown by so far, used or lost */
static u64 used;		/* never goes back */
static u64 charged;		/* what credit was charged with so far */
static u64 refilled;		/* when it grew last */
static u64 mark, mark_used;	/* used grows from here with the clock */
static u64 exec_base;

/* Time without the waits for a CPU. It may fall by a little. */
u64 kvm_meter_budget_clock(void)
{
	return ktime_get_ns() - current->sched_info.run_delay;
}

/* The sampler's thread begins. */
void kvm_meter_budget_start(void)
{
	exec_base = current->se.sum_exec_runtime;
	refilled = ktime_get_ns();
	mark = kvm_meter_budget_clock();
}

/* It has slept. */
void kvm_meter_budget_woken(void)
{
	used = max(used, current->se.sum_exec_runtime - exec_base);
	mark_used = used;
	mark = kvm_meter_budget_clock();
}

/**
 * kvm_meter_budget_settle() - Bring the account up to date
 * @ppm: the budget, in millionths of a CPU
 *
 * Return: what has been used since the last time, ns.
 */
u64 kvm_meter_budget_settle(unsigned int ppm)
{
	u64 now = ktime_get_ns(), grown, spent;
	s64 since = kvm_meter_budget_clock() - mark;

	if (since > 0)
		used = max(used, mark_used + since);
	atomic64_set(&meter_active[ACTIVE_time_ns], used);
	spent = used - charged;
	charged = used;

	grown = min_t(u64, now - refilled, 1000 * MOST_NS);
	refilled = now;
	grown = div_u64(grown * ppm, PPM);
	granted += grown;
	credit += grown - spent;
	credit = min_t(s64, credit, div_u64((u64)MOST_NS * ppm, PPM));
	return spent;
}

/* Put something aside; a negative amount gives it back. */
void kvm_meter_budget_reserve(s64 ns)
{
	credit -= ns;
}

/* How long until there is credit again, ns; 0: there is. */
u64 kvm_meter_budget_wait(unsigned int ppm)
{
	return credit >= 0 ? 0 : div_u64((u64)-credit * PPM, ppm) + 1;
}

/* What all VMs together could have used so far: a clock that runs with the budget. */
u64 kvm_meter_budget_granted(void)
{
	return granted;
}

/* How long until it shows @ns, or longer than anybody waits; 0: it does. */
u64 kvm_meter_budget_until(u64 ns, unsigned int ppm)
{
	if (granted >= ns)
		return 0;
	return div_u64(min_t(u64, ns - granted, 1000 * MOST_NS) * PPM, ppm) + 1;
}
