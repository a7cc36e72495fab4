// SPDX-License-Identifier: GPL-2.0
#include "btf_file.h"

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "btf_parse.h"

static int load(const char *name, struct btf_blob *blob)
{
	struct file *file;
	char path[64];
	loff_t size, pos = 0;
	ssize_t len = 0;
	void *data;

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", name);
	file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	size = i_size_read(file_inode(file));
	if (size <= 0 || size > SZ_64M) {
		fput(file);
		return -EFBIG;
	}
	data = vmalloc(size);
	if (!data) {
		fput(file);
		return -ENOMEM;
	}
	/* sysfs hands out a page at a time */
	while (pos < size) {
		len = kernel_read(file, data + pos, size - pos, &pos);
		if (len <= 0)
			break;
	}
	fput(file);
	if (pos != size) {
		vfree(data);
		return len < 0 ? len : -EIO;
	}
	blob->data = data;
	blob->size = size;
	return 0;
}

/**
 * kvm_meter_btf_offset() - Offset of a member in a structure of the kernel
 * @module: module that defines it, or NULL for the kernel itself
 * @type: name of the structure
 * @member: name of the member
 *
 * Context: process; reads /sys/kernel/btf in the caller's file system.
 * Return: offset in bytes; -ENOENT if there is no such file or member, -ESRCH
 * if there is no such structure, or another error.
 */
long kvm_meter_btf_offset(const char *module, const char *type, const char *member)
{
	struct btf_blob base = {}, split = {};
	long ret;

	ret = load("vmlinux", &base);
	if (ret)
		return ret;
	if (module)
		ret = load(module, &split);
	if (!ret)
		ret = btf_member_offset(&base, module ? &split : NULL, type, member);
	vfree(split.data);
	vfree(base.data);
	return ret;
}
