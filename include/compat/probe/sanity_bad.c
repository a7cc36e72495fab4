// SPDX-License-Identifier: GPL-2.0
/* Must not compile. */
#include <linux/module.h>
#include <linux/sysfs.h>
int probe(struct no_such_struct x);
int probe(struct no_such_struct x)
{
	return x.no_such_member;
}
