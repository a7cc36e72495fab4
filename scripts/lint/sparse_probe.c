// SPDX-License-Identifier: GPL-2.0
/* Wrong on purpose: a sparse that works finds two faults here. Never linked. */
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

int sparse_probe_space(int __user *p);
int sparse_probe_space(int __user *p)
{
	return *(int *)p + *p;
}

void sparse_probe_lock(spinlock_t *lock);
void sparse_probe_lock(spinlock_t *lock)
{
	spin_lock(lock);
}

MODULE_DESCRIPTION("a probe of sparse");
MODULE_LICENSE("GPL");
