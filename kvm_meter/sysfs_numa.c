// SPDX-License-Identifier: GPL-2.0
#include "sysfs_numa.h"

#include <linux/kobject.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "numa.h"
#include "registry.h"

/* numa/N: readers find the VM alive, as taking the directory down waits for them. */
struct node_dir {
	struct kobject kobj;
	struct meter_vm *vm;
	unsigned int slot;
};

static struct node_dir *to_node(struct kobject *kobj)
{
	return container_of(kobj, struct node_dir, kobj);
}

static ssize_t memory_bytes_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const struct node_dir *dir = to_node(kobj);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(dir->vm->node_memory_bytes[dir->slot]));
}

static ssize_t guest_ns_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const struct node_dir *dir = to_node(kobj);
	struct kvm_meter_vm *sum = kzalloc(sizeof(*sum), GFP_KERNEL);
	struct kvm_meter_vcpu_head head;
	struct meter_vcpu *v;
	ssize_t ret;

	if (!sum)
		return -ENOMEM;
	rcu_read_lock();
	list_for_each_entry_rcu(v, &dir->vm->vcpus, link)
		kvm_meter_vcpu_show_all(v, &head, NULL, sum);
	rcu_read_unlock();
	ret = sysfs_emit(buf, "%llu\n", sum->node_guest_ns[dir->slot]);
	kfree(sum);
	return ret;
}

static struct kobj_attribute memory_bytes_attr = __ATTR_RO(memory_bytes);
static struct kobj_attribute guest_ns_attr = __ATTR_RO(guest_ns);

static struct attribute *node_attrs[] = {
	&memory_bytes_attr.attr,
	&guest_ns_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(node);

static void node_release(struct kobject *kobj)
{
	kfree(to_node(kobj));
}

static const struct kobj_type node_type = {
	.release = node_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = node_groups,
};

static void node_add(struct meter_vm *vm, unsigned int slot)
{
	struct node_dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL);

	if (!dir)
		return;
	dir->vm = vm;
	dir->slot = slot;
	if (kobject_init_and_add(&dir->kobj, &node_type, vm->numa_dir, "%u", slot)) {
		kobject_put(&dir->kobj);
		return;
	}
	vm->node_dirs[slot] = &dir->kobj;
}

/**
 * kvm_meter_sysfs_numa_add() - Make what a VM's numa/ does not have yet
 * @vm: VM
 * @parent: its directory
 */
void kvm_meter_sysfs_numa_add(struct meter_vm *vm, struct kobject *parent)
{
	int node;

	if (!meter_numa)
		return;
	if (!vm->numa_dir)
		vm->numa_dir = kobject_create_and_add("numa", parent);
	if (!vm->numa_dir)
		return;
	for_each_online_node(node)
		if (!vm->node_dirs[kvm_meter_node_slot(node)])
			node_add(vm, kvm_meter_node_slot(node));
}

void kvm_meter_sysfs_numa_remove(struct meter_vm *vm)
{
	unsigned int i;

	for (i = 0; i < KVM_METER_NODES; i++) {
		if (!vm->node_dirs[i])
			continue;
		kobject_del(vm->node_dirs[i]);
		kobject_put(vm->node_dirs[i]);
		vm->node_dirs[i] = NULL;
	}
	if (vm->numa_dir) {
		kobject_del(vm->numa_dir);
		kobject_put(vm->numa_dir);
	}
	vm->numa_dir = NULL;
}
