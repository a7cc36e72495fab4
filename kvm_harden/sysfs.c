// SPDX-License-Identifier: GPL-2.0
#include "sysfs.h"

#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/sysfs.h>

#include "covered.h"
#include "flush.h"
#include "maps.h"
#include "mode.h"
#include "policy.h"
#include "vm.h"

struct kobject *harden_vms_dir;
struct kobject *harden_root;

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", THIS_MODULE->version);
}

static ssize_t abi_version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", KVM_HARDEN_ABI_VERSION);
}

static ssize_t status_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return kvm_harden_status(buf);
}

static struct kobj_attribute version_attr = __ATTR_RO(version);
static struct kobj_attribute abi_version_attr = __ATTR_RO(abi_version);
static struct kobj_attribute status_attr = __ATTR_RO(status);

static struct attribute *root_attrs[] = {
	&version_attr.attr,
	&abi_version_attr.attr,
	&status_attr.attr,
	NULL
};

static const struct attribute_group root_group = { .attrs = root_attrs };

/* flush/ */
static ssize_t available_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	static const char * const names[] = { [HARDEN_IBPB] = "ibpb", [HARDEN_L1D] = "l1d" };
	int i, len = 0;

	for (i = 0; i < HARDEN_PRIMITIVE_COUNT; i++)
		if (*kvm_harden_flush_how(i))
			len += sysfs_emit_at(buf, len, "%s: %s\n", names[i],
					     kvm_harden_flush_how(i));
	return len;
}

static ssize_t kvm_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "ibpb: %s\nl1d: %s\n", kvm_harden_covered_ibpb(),
			  kvm_harden_covered_l1d());
}

static ssize_t mode_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", kvm_harden_mode_name());
}

static ssize_t mode_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t len)
{
	return kvm_harden_mode_set(buf) ?: len;
}

static ssize_t default_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return kvm_harden_policy_print(buf, PAGE_SIZE, READ_ONCE(harden_default_policy));
}

/**
 * kvm_harden_policy_store() - Take a policy that somebody wrote
 * @who: the attribute, for the log
 * @text: what was written
 * @policy: is set
 */
int kvm_harden_policy_store(const char *who, const char *text, u32 *policy)
{
	int ret = kvm_harden_policy_parse(text, kvm_harden_flush_available(), policy);

	if (ret == -EOPNOTSUPP)
		pr_warn_ratelimited("%s: this CPU does not have it, see flush/available\n", who);
	return ret;
}

static ssize_t default_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t len)
{
	u32 policy;
	int ret = kvm_harden_policy_store("flush/default", buf, &policy);

	if (!ret && (policy & KVM_HARDEN_DEFAULT))
		ret = -EINVAL;
	if (ret)
		return ret;
	kvm_harden_set_default(policy);
	return len;
}

static ssize_t cost_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	enum harden_primitive p = attr->attr.name[0] == 'i' ? HARDEN_IBPB : HARDEN_L1D;

	return sysfs_emit(buf, "%llu\n", kvm_harden_flush_cost(p));
}

#define T(name_, desc)							\
static ssize_t name_##_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf) \
{									\
	u64 sum = 0;							\
	int cpu;							\
									\
	for_each_possible_cpu(cpu)					\
		sum += READ_ONCE(per_cpu_ptr(&harden_totals, cpu)->name_); \
	return sysfs_emit(buf, "%llu\n", sum);				\
}									\
static struct kobj_attribute name_##_attr = __ATTR_RO(name_);
KVM_HARDEN_COUNTERS(T)
#undef T

static struct kobj_attribute available_attr = __ATTR_RO(available);
static struct kobj_attribute kvm_attr = __ATTR_RO(kvm);
static struct kobj_attribute mode_attr = __ATTR_RW(mode);
static struct kobj_attribute default_attr = __ATTR_RW(default);
static struct kobj_attribute ibpb_cost_attr = __ATTR(ibpb_cost_ns, 0444, cost_show, NULL);
static struct kobj_attribute l1d_cost_attr = __ATTR(l1d_cost_ns, 0444, cost_show, NULL);

#define T(name, desc) &name##_attr.attr,
static struct attribute *flush_attrs[] = {
	&available_attr.attr,
	&kvm_attr.attr,
	&mode_attr.attr,
	&default_attr.attr,
	&ibpb_cost_attr.attr,
	&l1d_cost_attr.attr,
	KVM_HARDEN_COUNTERS(T)
	NULL
};

#undef T

/* What the CPU does not have has no cost either. */
static umode_t flush_visible(struct kobject *kobj, struct attribute *attr, int i)
{
	if (attr == &ibpb_cost_attr.attr && !(kvm_harden_flush_available() & KVM_HARDEN_IBPB))
		return 0;
	if (attr == &l1d_cost_attr.attr && !(kvm_harden_flush_available() & KVM_HARDEN_L1D))
		return 0;
	return attr->mode;
}

static const struct attribute_group flush_group = {
	.name = "flush",
	.attrs = flush_attrs,
	.is_visible = flush_visible,
};

static ssize_t kvm_harden_vm_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", kvm_harden_map_id());
}

static struct kobj_attribute kvm_harden_vm_attr = __ATTR_RO(kvm_harden_vm);
static struct attribute *map_attrs[] = { &kvm_harden_vm_attr.attr, NULL };
static const struct attribute_group map_group = { .name = "maps", .attrs = map_attrs };

static const struct attribute_group *groups[] = {
	&root_group,
	&flush_group,
	&map_group,
	NULL
};

int kvm_harden_sysfs_init(void)
{
	int ret;

	harden_root = kobject_create_and_add("kvm_harden", kernel_kobj);
	if (!harden_root)
		return -ENOMEM;
	ret = sysfs_create_groups(harden_root, groups);
	if (ret)
		goto err_root;
	harden_vms_dir = kobject_create_and_add("vms", harden_root);
	if (!harden_vms_dir) {
		ret = -ENOMEM;
		goto err_groups;
	}
	return 0;

err_groups:
	sysfs_remove_groups(harden_root, groups);
err_root:
	kobject_put(harden_root);
	return ret;
}

void kvm_harden_sysfs_exit(void)
{
	kobject_put(harden_vms_dir);
	sysfs_remove_groups(harden_root, groups);
	kobject_put(harden_root);
}
