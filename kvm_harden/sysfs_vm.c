// SPDX-License-Identifier: GPL-2.0
/*
 * Directories come and go with the meter's worker, one at a time. Taking one
 * down waits for its readers and writers, so that these find their VM alive.
 */
#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "policy.h"
#include "sysfs.h"
#include "vm.h"
#include "zone.h"

/* Writers of settings. */
static DEFINE_MUTEX(settings_mutex);

struct dir {
	struct kobject kobj;
	struct harden_vm *vm;
};

struct dir_attr {
	struct attribute attr;
	ssize_t (*show)(struct harden_vm *vm, const struct dir_attr *attr, char *buf);
	ssize_t (*store)(struct harden_vm *vm, const char *buf, size_t len);
	unsigned int offset;
};

static ssize_t dir_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	const struct dir_attr *a = container_of(attr, struct dir_attr, attr);

	return a->show(container_of(kobj, struct dir, kobj)->vm, a, buf);
}

static ssize_t dir_store(struct kobject *kobj, struct attribute *attr, const char *buf, size_t len)
{
	const struct dir_attr *a = container_of(attr, struct dir_attr, attr);
	ssize_t ret;

	if (!a->store)
		return -EACCES;
	mutex_lock(&settings_mutex);
	ret = a->store(container_of(kobj, struct dir, kobj)->vm, buf, len);
	mutex_unlock(&settings_mutex);
	return ret;
}

static void dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct dir, kobj));
}

static const struct sysfs_ops dir_ops = { .show = dir_show, .store = dir_store };

static ssize_t counter_show(struct harden_vm *vm, const struct dir_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(*(u64 *)((void *)vm->rec + attr->offset)));
}

static ssize_t domain_show(struct harden_vm *vm, const struct dir_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(vm->rec->domain));
}

static ssize_t domain_store(struct harden_vm *vm, const char *buf, size_t len)
{
	u32 domain;
	int ret = kstrtou32(buf, 10, &domain);

	if (!ret)
		kvm_harden_vm_set_domain(vm, domain);
	return ret ?: len;
}

static ssize_t flush_show(struct harden_vm *vm, const struct dir_attr *attr, char *buf)
{
	return kvm_harden_policy_print(buf, PAGE_SIZE, READ_ONCE(vm->policy));
}

static ssize_t flush_store(struct harden_vm *vm, const char *buf, size_t len)
{
	u32 policy;
	int ret = kvm_harden_policy_store("flush", buf, &policy);

	if (!ret)
		kvm_harden_vm_set_policy(vm, policy);
	return ret ?: len;
}

static struct dir_attr domain_attr = {
	.attr = { .name = "domain", .mode = 0644 },
	.show = domain_show,
	.store = domain_store,
};

static struct dir_attr flush_attr = {
	.attr = { .name = "flush", .mode = 0644 },
	.show = flush_show,
	.store = flush_store,
};

#define C(name_, desc)							\
	static struct dir_attr counter_##name_ = {			\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = counter_show,					\
		.offset = offsetof(struct kvm_harden_vm, name_),	\
	};
KVM_HARDEN_COUNTERS(C)
#undef C

#define C(name, desc) &counter_##name.attr,
static struct attribute *vm_attrs[] = {
	&domain_attr.attr,
	&flush_attr.attr,
	KVM_HARDEN_COUNTERS(C)
	NULL
};

#undef C

ATTRIBUTE_GROUPS(vm);

static const struct kobj_type vm_type = {
	.release = dir_release,
	.sysfs_ops = &dir_ops,
	.default_groups = vm_groups,
};

/* A directory that cannot be made is tried again when the VM is folded next. */
void kvm_harden_sysfs_vm_show(u32 slot, u64 id)
{
	struct harden_vm *vm = &harden_vms[slot];
	struct dir *dir;

	if (vm->dir)
		return;
	dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	if (!dir)
		return;
	dir->vm = vm;
	if (kobject_init_and_add(&dir->kobj, &vm_type, harden_vms_dir, "%llu", id)) {
		kobject_put(&dir->kobj);
		return;
	}
	vm->dir = &dir->kobj;
	/* Where there is a VM there is KVM, which may have come after us. */
	kvm_harden_zone_check();
}

void kvm_harden_sysfs_vm_hide(u32 slot)
{
	struct harden_vm *vm = &harden_vms[slot];

	if (vm->dir) {
		kobject_del(vm->dir);
		kobject_put(vm->dir);
	}
	vm->dir = NULL;
	kvm_harden_vm_clear(vm);
}
