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
#include "active.h"
#include "bill.h"
#include "compat_sysfs.h"
#include "energy.h"
#include "numa.h"
#include "place.h"
#include "reason.h"
#include "registry.h"
#include "sysfs.h"
#include "sysfs_energy.h"
#include "sysfs_numa.h"

/* Orders of the reasons' lines: meter_vcpu.order and meter_vm.order. */
static DEFINE_MUTEX(order_mutex);

struct dir {
	struct kobject kobj;
	struct kobject *vcpus;		/* of a VM */
	struct meter_vm *vm;		/* one of these is set */
	struct meter_vcpu *vcpu;
	bool whole;			/* see dir_whole() */
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

/* Those that only a VM has. */
static ssize_t bill_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	struct meter_bill bill;

	kvm_meter_bill(dir->vm, &bill);
	return sysfs_emit(buf, "%llu\n", *(u64 *)((void *)&bill + attr->offset));
}

#define C(name_, desc)							\
	static struct dir_attr bill_##name_ = {				\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = bill_show,					\
		.offset = offsetof(struct meter_bill, name_),		\
	};
KVM_METER_VM_COUNTERS(C)
#undef C

/* What not every host has, or not every kernel counts. */
#define C(name, desc) #name,
static const char * const disk_names[] = { "disk_read_bytes", "disk_write_bytes" };
static const char * const smt_names[] = { KVM_METER_SMT_COUNTERS(C) };
static const char * const numa_names[] = {
	KVM_METER_NUMA_COUNTERS(C)
	"memory_node", "preferred_node", "preferred_gain_permille",
};

#undef C

static bool one_of(const char *name, const char * const *names, unsigned int nr)
{
	while (nr--)
		if (!strcmp(name, names[nr]))
			return true;
	return false;
}

static umode_t dir_visible(struct kobject *kobj, struct attribute *attr, int nr)
{
	if (!meter_smt && one_of(attr->name, smt_names, ARRAY_SIZE(smt_names)))
		return 0;
	if (!IS_ENABLED(CONFIG_TASK_IO_ACCOUNTING) &&
	    one_of(attr->name, disk_names, ARRAY_SIZE(disk_names)))
		return 0;
	if (!meter_numa && one_of(attr->name, numa_names, ARRAY_SIZE(numa_names)))
		return 0;
	return attr->mode;
}

/* Histograms: the counts in a line. */
static ssize_t hist_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	struct kvm_meter_vcpu_head head;
	struct kvm_meter_vm *sum;
	struct meter_vcpu *v;
	const u64 *hist;
	int i, len = 0;

	sum = kzalloc(sizeof(*sum), GFP_KERNEL);
	if (!sum)
		return -ENOMEM;
	if (dir->vcpu) {
		kvm_meter_vcpu_show_all(dir->vcpu, &head, NULL, sum);
	} else {
		rcu_read_lock();
		list_for_each_entry_rcu(v, &dir->vm->vcpus, link)
			kvm_meter_vcpu_show_all(v, &head, NULL, sum);
		rcu_read_unlock();
	}
	hist = (void *)sum + attr->offset;
	for (i = 0; i < KVM_METER_HIST; i++)
		len += sysfs_emit_at(buf, len, "%llu%c", hist[i],
				     i < KVM_METER_HIST - 1 ? ' ' : '\n');
	kfree(sum);
	return len;
}

#define H(name_, desc)							\
	static struct dir_attr hist_##name_ = {				\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = hist_show,					\
		.offset = offsetof(struct kvm_meter_vm, name_),		\
	};
KVM_METER_HISTS(H)
#undef H

/* What the guest was promised of its cores, and how it was not kept. */
static ssize_t topology_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	struct meter_pair pairs[METER_PAIRS];
	struct meter_vcpu *v = dir->vcpu;
	unsigned int shift, nr, i;
	unsigned long flags;
	int len;

	raw_spin_lock_irqsave(&v->lock, flags);
	kvm_meter_place_settle(v);
	shift = v->promise_shift;
	nr = v->nr_pairs;
	memcpy(pairs, v->pairs, sizeof(pairs));
	raw_spin_unlock_irqrestore(&v->lock, flags);
	len = sysfs_emit(buf, "core %u threads %u\n", v->rec->vcpu_id >> shift, 1u << shift);
	for (i = 0; i < nr; i++)
		if (pairs[i].ns)
			len += sysfs_emit_at(buf, len, "%s %u %llu\n",
					     pairs[i].apart ? "apart" : "crowded", pairs[i].other,
					     pairs[i].ns);
	return len;
}

static bool honest(struct meter_vcpu *v)
{
	struct kvm_meter_vcpu_head head;

	kvm_meter_vcpu_show(v, &head, NULL);
	return !head.promise_apart_ns && !head.promise_crowded_ns;
}

static ssize_t honest_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	struct meter_vcpu *v;
	bool all = true;

	if (dir->vcpu)
		return sysfs_emit(buf, "%d\n", honest(dir->vcpu));
	rcu_read_lock();
	list_for_each_entry_rcu(v, &dir->vm->vcpus, link)
		all = all && honest(v);
	rcu_read_unlock();
	return sysfs_emit(buf, "%d\n", all);
}

/* -1: not known, as of a device's node */
static ssize_t node_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	const u32 *value = (void *)&dir->vm->hint + attr->offset;

	return sysfs_emit(buf, "%d\n", (int)READ_ONCE(*value));
}

#define NODE_ATTR(name_, member)					\
	static struct dir_attr vm_##name_ = {				\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = node_show,					\
		.offset = offsetof(struct hint, member),		\
	}
NODE_ATTR(memory_node, memory_node);
NODE_ATTR(preferred_node, preferred_node);
NODE_ATTR(preferred_gain_permille, gain_permille);

static struct dir_attr attr_honest = {
	.attr = { .name = "topology_honest", .mode = 0444 },
	.show = honest_show,
};

static struct dir_attr attr_topology = {
	.attr = { .name = "topology", .mode = 0444 },
	.show = topology_show,
};

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

/* As of the last reading; there where the host counts its energy. */
static ssize_t energy_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	const struct energy_account *account = (void *)dir->vm + attr->offset;

	return sysfs_emit(buf, "%llu\n", READ_ONCE(account->uj));
}

#define ENERGY_ATTR(name_, account)					\
	static struct dir_attr vm_##name_ = {				\
		.attr = { .name = #name_, .mode = METER_ENERGY_MODE },	\
		.show = energy_show,					\
		.offset = offsetof(struct meter_vm, account),		\
	}
ENERGY_ATTR(energy_uj, energy.used);
ENERGY_ATTR(energy_error_uj, energy.error);

/* Memory: there as long as something is known of it. */
static ssize_t memory_show(struct dir *dir, const struct dir_attr *attr, char *buf)
{
	struct kvm_meter_memory memory;

	kvm_meter_active_read(dir->vm, &memory);
	if (!memory.active_window_ms ||
	    (attr->offset >= offsetof(struct kvm_meter_memory, active_slow_bytes) &&
	     !memory.active_slow_window_ms))
		return -ENODATA;
	return sysfs_emit(buf, "%llu\n", *(u64 *)((void *)&memory + attr->offset));
}

#define M(type, name_, desc)						\
	static struct dir_attr memory_##name_ = {			\
		.attr = { .name = #name_, .mode = 0444 },		\
		.show = memory_show,					\
		.offset = offsetof(struct kvm_meter_memory, name_),	\
	};
KVM_METER_VM_MEMORY(M)
KVM_METER_VM_MEMORY_SLOW(M)
#undef M

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
#define B(name, desc) &bill_##name.attr,
#define H(name, desc) &hist_##name.attr,
static struct attribute *vm_attrs[] = {
	&vm_comm.attr,
	&vm_created_ns.attr,
	&vm_start_ns.attr,
	&vm_uid.attr,
	&vm_cgroup.attr,
	&vm_cgroup_id.attr,
	&attr_honest.attr,
	&vm_memory_node.attr,
	&vm_preferred_node.attr,
	&vm_preferred_gain_permille.attr,
	KVM_METER_COUNTERS(C)
	KVM_METER_VM_COUNTERS(B)
	KVM_METER_HISTS(H)
	NULL
};

#define E(name, desc) &vm_##name.attr,
static struct attribute *vm_energy_attrs[] = { KVM_METER_VM_ENERGY(E) NULL };
#undef E

static struct attribute *vcpu_attrs[] = {
	&vcpu_cpu.attr,
	&attr_honest.attr,
	&attr_topology.attr,
	KVM_METER_COUNTERS(C)
	KVM_METER_HISTS(H)
	NULL
};

#undef B
#undef C
#undef H

static umode_t vm_energy_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	return kvm_meter_energy_known() ? attr->mode : 0;
}

static const struct attribute_group vm_group = {
	.attrs = vm_attrs,
	.is_visible = dir_visible,
};

static const struct attribute_group vm_energy_group = {
	.attrs = vm_energy_attrs,
	.is_visible = vm_energy_visible,
};

static const struct attribute_group vcpu_group = {
	.attrs = vcpu_attrs,
	.is_visible = dir_visible,
};

static const struct attribute_group *vm_groups[] = { &vm_group, &vm_energy_group, NULL };

#define M(type, name, desc) &memory_##name.attr,
static struct attribute *memory_attrs[] = { KVM_METER_VM_MEMORY(M) NULL };
static struct attribute *slow_attrs[] = { KVM_METER_VM_MEMORY_SLOW(M) NULL };
#undef M

static const struct attribute_group memory_group = { .attrs = memory_attrs };
static const struct attribute_group slow_group = { .attrs = slow_attrs };

__ATTRIBUTE_GROUPS(vcpu);

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

/*
 * Files appear one by one. The one by which a reader knows whose directory it
 * has found is the last: where it is, the others are. It goes with the directory.
 */
static void dir_whole(struct dir *dir, const struct dir_attr *attr)
{
	if (!dir->whole)
		dir->whole = !sysfs_create_file(&dir->kobj, &attr->attr);
}

/* Files that are there or not; removing them waits for readers. */
static void group_update(struct meter_vm *vm, const struct attribute_group *group,
			 unsigned int bit, bool wanted)
{
	if (wanted == !!(vm->groups & bit))
		return;
	if (!wanted)
		sysfs_remove_group(vm->dir, group);
	else if (sysfs_create_group(vm->dir, group))
		return;
	vm->groups ^= bit;
}

static void memory_update(struct meter_vm *vm)
{
	struct kvm_meter_memory memory;

	kvm_meter_active_read(vm, &memory);
	group_update(vm, &memory_group, 1, memory.active_window_ms);
	group_update(vm, &slow_group, 2, memory.active_slow_window_ms);
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
		vm->groups = 0;
	}
	memory_update(vm);
	kvm_meter_sysfs_numa_add(vm, vm->dir);
	/* The list only grows until the VM is retired, which is done here too. */
	list_for_each_entry_rcu(v, &vm->vcpus, link, lockdep_is_held(&vm_mutex)) {
		struct dir init = { .vcpu = v };
		struct dir *dir;

		if (!v->dir) {
			dir = dir_add(&vcpu_type, to_dir(vm->dir)->vcpus, &init, v->rec->vcpu_id);
			if (!dir)
				continue;
			v->dir = &dir->kobj;
		}
		dir_whole(to_dir(v->dir), &vcpu_tid);
	}
	dir_whole(to_dir(vm->dir), &vm_pid);
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
	kvm_meter_sysfs_numa_remove(vm);
	if (vm->dir) {
		kobject_put(to_dir(vm->dir)->vcpus);
		dir_remove(to_dir(vm->dir));
	}
	vm->dir = NULL;
}
