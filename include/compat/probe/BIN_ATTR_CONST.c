// SPDX-License-Identifier: GPL-2.0
/* bin_attribute.read takes a const struct bin_attribute *. */
#include <linux/sysfs.h>

static ssize_t probe_read(struct file *file, struct kobject *kobj,
			  const struct bin_attribute *attr, char *buf, loff_t pos, size_t len)
{
	return 0;
}

struct bin_attribute probe_attr = { .read = probe_read };
