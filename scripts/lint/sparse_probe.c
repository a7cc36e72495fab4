// SPDX-License-Identifier: GPL-2.0
/* Wrong on purpose: a sparse that works finds fault here. Never linked. */
#include <linux/module.h>
#include <linux/uaccess.h>

int sparse_probe_space(int __user *p);
int sparse_probe_space(int __user *p)
{
	return *(int *)p + *p;
}

MODULE_DESCRIPTION("a probe of sparse");
MODULE_LICENSE("GPL");
