// SPDX-License-Identifier: GPL-2.0
#include "btf_file.h"

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

/**
 * kvm_meter_btf_load() - Read the BTF of the kernel or of a module
 * @name: "vmlinux", or the module's name
 * @blob: filled in; free it with kvm_meter_btf_unload()
 *
 * Context: process; reads /sys/kernel/btf in the caller's file system.
 * Return: 0, -ENOENT if there is no such file, or another error.
 */
int kvm_meter_btf_load(const char *name, struct btf_blob *blob)
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

void kvm_meter_btf_unload(struct btf_blob *blob)
{
	vfree(blob->data);
	blob->data = NULL;
}

/**
 * kvm_meter_btf_offset() - Offset of a member in a structure of a module's
 * @vmlinux: BTF of the kernel, where it is looked up if the module is built in
 * @module: name of the module
 * @type: name of the structure
 * @member: name of a direct member
 *
 * Context: process.
 * Return: see btf_member_offset().
 */
long kvm_meter_btf_offset(const struct btf_blob *vmlinux, const char *module,
			  const char *type, const char *member)
{
	struct btf_blob blob = {};
	long ret = kvm_meter_btf_load(module, &blob);

	if (ret == -ENOENT)
		return btf_member_offset(vmlinux, NULL, type, member);
	if (!ret)
		ret = btf_member_offset(vmlinux, &blob, type, member);
	kvm_meter_btf_unload(&blob);
	return ret;
}
