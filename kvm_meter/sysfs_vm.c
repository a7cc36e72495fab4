// SPDX-License-Identifier: GPL-2.0
/*
 * Directories come and go with the worker (retire.c), which holds vm_mutex.
 * Taking one down waits for its readers, so that readers find their VM or vCPU
 * alive without a reference, and must not take vm_mutex themselves.
 */
#include "sysfs_vm.h"

#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "account.h"
#include "compat_sysfs.h"
#include "reason.h"
#include "registry.h"
#include "sysfs.h"

/* Orders of the reasons' lines: meter_vcpu.order and meter_vm.order. */
static DEFINE_MUTEX(order_mutex);

struct dir {
	struct kobject kobj;
	struct kobject *vcpus;		/* of a VM */
	struct meter_vm *vm;		/* one of these is set */
	struct meter_vcpu *vcpu;
};

struct dir_attr {
	struct attribute attr;
	ssize_t (*show)(struct dir *dir, const struct dir_attr *attr, char *buf);
	unsigned int offset;
};

static ssize_t dir_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	const struct dir_attr *a = container_of(attr, struct dir_attr, attr);

	return a->show(container_of(kobj, struct dir, kobj), a, buf);
}

static void dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct dir, kobj));
}

static const struct sysfs_ops dir_ops = { .show = dir_show };

/* Counters: read at this moment; a VM's are the sums over its vCPUs. */
static ssize_t counter_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	struct kvm_meter_vcpu_head head;
	struct meter_vcpu *v;
	u64 sum = 0;

	if (dir->vcpu) {
		kvm_meter_vcpu_show(dir->vcpu, &head, NULL);
		return sysfs_emit(buf, "%llu\n", *(u64 *)((void *)&head + attr->offset));
	}
	rcu_read_lock();
	list_for_each_entry_rcu(v, &dir->vm->vcpus, link) {
		kvm_meter_vcpu_show(v, &head, NULL);
		sum += *(u64 *)((void *)&head + attr->offset);
	}
	rcu_read_unlock();
	return sysfs_emit(buf, "%llu\n", sum);
}

#define C(name_, desc)							\
	static struct dir_attr counter_##name_ = {			\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = counter_show,					\
		.offset = offsetof(struct kvm_meter_vcpu_head, name_),	\
	};
KVM_METER_COUNTERS(C)
#undef C

static ssize_t u32_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	void *rec = dir->vcpu ? (void *)dir->vcpu->rec : (void *)dir->vm->rec;

	return sysfs_emit(buf, "%u\n", READ_ONCE(*(u32 *)(rec + attr->offset)));
}

static ssize_t u64_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", *(u64 *)((void *)dir->vm->rec + attr->offset));
}

static ssize_t text_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", (char *)dir->vm->rec + attr->offset);
}

#define VM_ATTR(name_, show_)						\
	static struct dir_attr vm_##name_ = {				\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = show_,						\
		.offset = offsetof(struct kvm_meter_vm, name_),		\
	}
VM_ATTR(pid, u32_show);
VM_ATTR(uid, u32_show);
VM_ATTR(created_ns, u64_show);
VM_ATTR(start_ns, u64_show);
VM_ATTR(comm, text_show);
VM_ATTR(cgroup, text_show);

static ssize_t cgroup_id_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	return u64_show(dir, attr, buf);
}

VM_ATTR(cgroup_id, cgroup_id_show);

#define VCPU_ATTR(name_)						\
	static struct dir_attr vcpu_##name_ = {				\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = u32_show,					\
		.offset = offsetof(struct kvm_meter_vcpu, name_),	\
	}
VCPU_ATTR(tid);
VCPU_ATTR(cpu);

/*
 * exit_reasons: a line per reason met, in the order in which they were met and
 * of one width. A file can be longer than the page that one read() returns;
 * like this a line stays where it is between two reads.
 */
#define LINE_WIDTH	75

static ssize_t reasons_text(char *buf, size_t room, loff_t pos, struct meter_order *order,
			    const struct kvm_meter_vm_reason *sum)
{
	char line[LINE_WIDTH + 1];
	unsigned int i, skip;
	size_t len = 0;

	mutex_lock(&order_mutex);
	for (i = 0; i < KVM_METER_REASONS; i++) {
		if (sum[i].count && !memchr(order->slot, i, order->count))
			order->slot[order->count++] = i;
	}
	for (i = div_u64_rem(pos, LINE_WIDTH, &skip); i < order->count; i++, skip = 0) {
		const struct kvm_meter_vm_reason *r = &sum[order->slot[i]];

		if (len && len + LINE_WIDTH > room)
			break;
		snprintf(line, sizeof(line), "%-32s %20llu %20llu\n",
			 kvm_meter_reason_name(order->slot[i]), r->count, r->time_ns);
		memcpy(buf + len, line + skip, min_t(size_t, LINE_WIDTH - skip, room - len));
		len += min_t(size_t, LINE_WIDTH - skip, room - len);
	}
	mutex_unlock(&order_mutex);
	return len;
}

static ssize_t reasons_read(struct file *file, struct kobject *kobj, compat_bin_attribute *attr,
			    char *buf, loff_t pos, size_t room)
{
	struct kvm_meter_vm_reason *sum, *one;
	struct kvm_meter_vcpu_head head;
	struct dir *dir = container_of(kobj, struct dir, kobj);
	struct meter_vcpu *v;
	ssize_t ret;

	sum = kcalloc(2 * KVM_METER_REASONS, sizeof(*sum), GFP_KERNEL);
	if (!sum)
		return -ENOMEM;
	one = sum + KVM_METER_REASONS;
	if (dir->vcpu) {
		kvm_meter_vcpu_show(dir->vcpu, &head, sum);
	} else {
		rcu_read_lock();
		list_for_each_entry_rcu(v, &dir->vm->vcpus, link) {
			kvm_meter_vcpu_show(v, &head, one);
			account_sum_reasons(sum, one);
		}
		rcu_read_unlock();
	}
	ret = reasons_text(buf, room, pos, dir->vcpu ? &dir->vcpu->order : &dir->vm->order, sum);
	kfree(sum);
	return ret;
}

static struct bin_attribute reasons_attr = {
	.attr = { .name = "exit_reasons", .mode = 0444 },
	.read = reasons_read,
};

#define C(name, desc) &counter_##name.attr,
static struct attribute *vm_attrs[] = {
	&vm_pid.attr,
	&vm_comm.attr,
	&vm_created_ns.attr,
	&vm_start_ns.attr,
	&vm_uid.attr,
	&vm_cgroup.attr,
	&vm_cgroup_id.attr,
	KVM_METER_COUNTERS(C)
	NULL
};

static struct attribute *vcpu_attrs[] = {
	&vcpu_tid.attr,
	&vcpu_cpu.attr,
	KVM_METER_COUNTERS(C)
	NULL
};

#undef C

ATTRIBUTE_GROUPS(vm);
ATTRIBUTE_GROUPS(vcpu);

static const struct kobj_type vm_type = {
	.release = dir_release,
	.sysfs_ops = &dir_ops,
	.default_groups = vm_groups,
};

static const struct kobj_type vcpu_type = {
	.release = dir_release,
	.sysfs_ops = &dir_ops,
	.default_groups = vcpu_groups,
};

/* A directory that cannot be made is tried again when the VM is folded next. */
static struct dir *dir_add(const struct kobj_type *type, struct kobject *parent,
			   const struct dir *init, u64 name)
{
	struct dir *dir = kmemdup(init, sizeof(*init), GFP_KERNEL);

	if (!dir)
		return NULL;
	if (kobject_init_and_add(&dir->kobj, type, parent, "%llu", name))
		goto err_put;
	if (sysfs_create_bin_file(&dir->kobj, &reasons_attr))
		goto err_del;
	return dir;

err_del:
	kobject_del(&dir->kobj);
err_put:
	kobject_put(&dir->kobj);
	return NULL;
}

static void dir_remove(struct dir *dir)
{
	sysfs_remove_bin_file(&dir->kobj, &reasons_attr);
	kobject_del(&dir->kobj);
	kobject_put(&dir->kobj);
}

static struct dir *to_dir(struct kobject *kobj)
{
	return container_of(kobj, struct dir, kobj);
}

/**
 * kvm_meter_sysfs_vm_update() - Make the directories that a VM does not have yet
 * @vm: VM whose record has been published
 *
 * Context: process, vm_mutex held.
 */
void kvm_meter_sysfs_vm_update(struct meter_vm *vm)
{
	struct meter_vcpu *v;

	lockdep_assert_held(&vm_mutex);
	if (!vm->dir) {
		struct dir init = { .vm = vm };
		struct dir *dir = dir_add(&vm_type, meter_vms_dir, &init, vm->id);

		if (!dir)
			return;
		dir->vcpus = kobject_create_and_add("vcpus", &dir->kobj);
		if (!dir->vcpus) {
			dir_remove(dir);
			return;
		}
		vm->dir = &dir->kobj;
	}
	/* The list only grows until the VM is retired, which is done here too. */
	list_for_each_entry_rcu(v, &vm->vcpus, link, lockdep_is_held(&vm_mutex)) {
		struct dir init = { .vcpu = v };
		struct dir *dir;

		if (v->dir)
			continue;
		dir = dir_add(&vcpu_type, to_dir(vm->dir)->vcpus, &init, v->rec->vcpu_id);
		if (dir)
			v->dir = &dir->kobj;
	}
}

/**
 * kvm_meter_sysfs_vm_remove() - Take a VM's directories down
 * @vm: VM that has ended
 *
 * Context: process, vm_mutex held; waits for readers.
 */
void kvm_meter_sysfs_vm_remove(struct meter_vm *vm)
{
	struct meter_vcpu *v;

	lockdep_assert_held(&vm_mutex);
	list_for_each_entry_rcu(v, &vm->vcpus, link, lockdep_is_held(&vm_mutex)) {
		if (v->dir)
			dir_remove(to_dir(v->dir));
		v->dir = NULL;
	}
	if (vm->dir) {
		kobject_put(to_dir(vm->dir)->vcpus);
		dir_remove(to_dir(vm->dir));
	}
	vm->dir = NULL;
}
