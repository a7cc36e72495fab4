// SPDX-License-Identifier: GPL-2.0
#include "sysfs.h"

#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/sysfs.h>

#include "active.h"
#include "control.h"
#include "health.h"
#include "maps.h"
#include "sysfs_energy.h"

struct kobject *meter_vms_dir;
static struct kobject *root;

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", THIS_MODULE->version);
}

static ssize_t abi_version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", KVM_METER_ABI_VERSION);
}

static ssize_t armed_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", kvm_meter_armed());
}

static ssize_t armed_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t len)
{
	unsigned int on;
	int ret = kstrtouint(buf, 10, &on);

	if (ret || on > 1)
		return -EINVAL;
	if (on)
		ret = kvm_meter_arm();
	else
		ret = kvm_meter_disarm();
	return ret ?: len;
}

static ssize_t status_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return kvm_meter_status(buf);
}

static struct kobj_attribute version_attr = __ATTR_RO(version);
static struct kobj_attribute abi_version_attr = __ATTR_RO(abi_version);
static struct kobj_attribute armed_attr = __ATTR_RW(armed);
static struct kobj_attribute status_attr = __ATTR_RO(status);

static struct attribute *root_attrs[] = {
	&version_attr.attr,
	&abi_version_attr.attr,
	&armed_attr.attr,
	&status_attr.attr,
	NULL
};

static const struct attribute_group root_group = { .attrs = root_attrs };

/* Numbers of events: health/ and active/, one file per line of their tables. */
struct count_attr {
	struct kobj_attribute attr;
	const atomic64_t *count;
};

static ssize_t count_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const atomic64_t *count = container_of(attr, struct count_attr, attr)->count;

	return sysfs_emit(buf, "%lld\n", atomic64_read(count));
}

#define COUNT(dir, name, counter)					\
	static struct count_attr dir##_##name = {			\
		.attr = __ATTR(name, 0444, count_show, NULL),		\
		.count = &(counter),					\
	};

#define H(name, desc) COUNT(health, name, meter_health[HEALTH_##name])
METER_HEALTH(H)
#undef H
#define A(name, desc) COUNT(active, name, meter_active[ACTIVE_##name])
METER_ACTIVE(A)
#undef A

#define H(name, desc) &health_##name.attr.attr,
static struct attribute *health_attrs[] = { METER_HEALTH(H) NULL };
#undef H
#define A(name, desc) &active_##name.attr.attr,
static struct attribute *active_attrs[] = { METER_ACTIVE(A) NULL };
#undef A

static const struct attribute_group health_group = { .name = "health", .attrs = health_attrs };
static const struct attribute_group active_group = { .name = "active", .attrs = active_attrs };

/* maps/: the BPF maps' ids */
static ssize_t map_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	enum meter_map map;

	for (map = 0; map < METER_MAPS; map++)
		if (!strcmp(attr->attr.name, kvm_meter_map_name(map)))
			return sysfs_emit(buf, "%u\n", kvm_meter_map_id(map));
	return -ENOENT;
}

static struct kobj_attribute map_attr[METER_MAPS];
static struct attribute *map_attrs[METER_MAPS + 1];
static const struct attribute_group map_group = { .name = "maps", .attrs = map_attrs };

static const struct attribute_group *groups[] = {
	&root_group,
	&health_group,
	&active_group,
	&map_group,
	&meter_energy_group,
	NULL
};

int kvm_meter_sysfs_init(void)
{
	int i, ret;

	for (i = 0; i < METER_MAPS; i++) {
		sysfs_attr_init(&map_attr[i].attr);
		map_attr[i].attr.name = kvm_meter_map_name(i);
		map_attr[i].attr.mode = 0444;
		map_attr[i].show = map_show;
		map_attrs[i] = &map_attr[i].attr;
	}

	root = kobject_create_and_add("kvm_meter", kernel_kobj);
	if (!root)
		return -ENOMEM;
	ret = sysfs_create_groups(root, groups);
	if (ret)
		goto err_root;
	meter_vms_dir = kobject_create_and_add("vms", root);
	if (!meter_vms_dir) {
		ret = -ENOMEM;
		goto err_groups;
	}
	return 0;

err_groups:
	sysfs_remove_groups(root, groups);
err_root:
	kobject_put(root);
	return ret;
}

void kvm_meter_sysfs_exit(void)
{
	kobject_put(meter_vms_dir);
	sysfs_remove_groups(root, groups);
	kobject_put(root);
}
