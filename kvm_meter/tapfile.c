// SPDX-License-Identifier: GPL-2.0
#include "tapfile.h"

#include <linux/fs.h>
#include <linux/if_tap.h>
#include <linux/major.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>

#include "btf_file.h"

/* Where tun keeps them; no public header has it. 0: not known yet. */
static unsigned int tun_of_file, dev_of_tun;

static const char *owner_of(const struct file *file)
{
	const struct module *owner = file->f_op ? file->f_op->owner : NULL;

	return owner ? module_name((struct module *)owner) : "";
}

/**
 * kvm_meter_file_kind() - What kind of file is it?
 * @file: a file that does not go away meanwhile
 *
 * Context: any.
 */
enum meter_file_kind kvm_meter_file_kind(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (!S_ISCHR(inode->i_mode) || !file->private_data)
		return FILE_OTHER;
	if (inode->i_rdev == MKDEV(MISC_MAJOR, TUN_MINOR))
		return FILE_TUN;
	if (!strcmp(owner_of(file), "tap"))
		return FILE_TAP;
	if (!strncmp(owner_of(file), "vhost", strlen("vhost")))
		return FILE_VHOST;
	return FILE_OTHER;
}

/**
 * kvm_meter_file_dev() - The network device behind a file
 * @file: a file that does not go away meanwhile
 * @kind: what it is
 *
 * Context: RCU read side, as long as the device is used without a reference.
 * Return: the device, or NULL if the file has none or it cannot be told.
 */
struct net_device *kvm_meter_file_dev(const struct file *file, enum meter_file_kind kind)
{
	const struct tap_queue *queue = file->private_data;
	const struct tap_dev *tap;
	const void *tun;

	switch (kind) {
	case FILE_TUN:
		if (!READ_ONCE(dev_of_tun))
			return NULL;
		tun = rcu_dereference_raw(*(void __rcu **)(file->private_data + tun_of_file));
		return tun ? READ_ONCE(*(struct net_device **)(tun + dev_of_tun)) : NULL;
	case FILE_TAP:
		tap = rcu_dereference(queue->tap);
		return tap ? READ_ONCE(tap->dev) : NULL;
	default:
		return NULL;
	}
}

bool kvm_meter_tun_known(void)
{
	return READ_ONCE(dev_of_tun);
}

/**
 * kvm_meter_tun_layout() - Look up how tun is laid out
 * @vmlinux: BTF of the kernel
 *
 * Once, as long as the driver is there.
 *
 * Context: process; reads /sys/kernel/btf.
 * Return: false if there is no tun, or it cannot be told.
 */
bool kvm_meter_tun_layout(const struct btf_blob *vmlinux)
{
	long tun, dev;

	if (dev_of_tun)
		return true;
	tun = kvm_meter_btf_offset(vmlinux, "tun", "tun_file", "tun");
	dev = kvm_meter_btf_offset(vmlinux, "tun", "tun_struct", "dev");
	if (tun <= 0 || dev <= 0)
		return false;
	tun_of_file = tun;
	smp_wmb(); /* before the one that is looked at */
	WRITE_ONCE(dev_of_tun, dev);
	return true;
}

/* The driver goes, and nobody has a file of it open. The next one may be another. */
void kvm_meter_tun_forget(void)
{
	WRITE_ONCE(dev_of_tun, 0);
}

/**
 * kvm_meter_tun_learn() - The driver tun has come: look up how it is laid out
 *
 * Context: process; reads /sys/kernel/btf.
 */
void kvm_meter_tun_learn(void)
{
	struct btf_blob vmlinux = {};

	if (dev_of_tun)
		return;
	if (kvm_meter_btf_load("vmlinux", &vmlinux) || !kvm_meter_tun_layout(&vmlinux))
		pr_warn("tap devices are not counted: the BTF of tun cannot be read\n");
	kvm_meter_btf_unload(&vmlinux);
}
