/* SPDX-License-Identifier: GPL-2.0 */
/* Initialization as a ladder: each step is undone in reverse. */
#ifndef KVM_METER_LADDER_H
#define KVM_METER_LADDER_H

#include <linux/errno.h>
#include <linux/init.h>
#include <linux/printk.h>

struct ladder_step {
	const char *name;
	int (*init)(void);
	void (*exit)(void);	/* or NULL */
};

static inline void ladder_down(const struct ladder_step *steps, int done)
{
	while (done--)
		if (steps[done].exit)
			steps[done].exit();
}

/**
 * ladder_up() - Take all steps, or none
 * @steps: the steps, first to last
 * @nr: how many there are
 * @fail: for tests: the number of the one that fails, from 1; 0: none
 *
 * Context: process.
 * Return: 0; what the step returned that failed, after those before it were undone.
 */
static inline int __init ladder_up(const struct ladder_step *steps, int nr, int fail)
{
	int i, ret;

	for (i = 0; i < nr; i++) {
		ret = fail == i + 1 ? -ECANCELED : steps[i].init();
		if (ret) {
			pr_err("initialization failed at \"%s\" (%d)\n", steps[i].name, ret);
			ladder_down(steps, i);
			return ret;
		}
	}
	return 0;
}

#endif
