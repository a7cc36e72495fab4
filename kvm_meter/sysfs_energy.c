// SPDX-License-Identifier: GPL-2.0
#include "sysfs_energy.h"

#include <linux/kobject.h>

#include "energy.h"
#include "maps.h"

static ssize_t source_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", kvm_meter_energy_source_name());
}

static struct kobj_attribute source_attr = __ATTR_RO(source);

/* A file per field of the table, out of kvm_meter_info. */
struct energy_attr {
	struct kobj_attribute attr;
	unsigned int offset;
};

static ssize_t field_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const struct energy_attr *a = container_of(attr, struct energy_attr, attr);
	const u64 *field = (void *)kvm_meter_map_info() + a->offset;

	return sysfs_emit(buf, "%llu\n", READ_ONCE(*field));
}

#define F(type, name_, desc)						\
	static struct energy_attr field_##name_ = {			\
		.attr = __ATTR(name_, METER_ENERGY_MODE, field_show, NULL), \
		.offset = offsetof(struct kvm_meter_info, name_),	\
	};
KVM_METER_ENERGY(F)
#undef F

#define F(type, name, desc) &field_##name.attr.attr,
static struct attribute *energy_attrs[] = { &source_attr.attr, KVM_METER_ENERGY(F) NULL };
#undef F

/* What is not known is not there. */
static umode_t energy_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	return attr == &source_attr.attr || kvm_meter_energy_known() ? attr->mode : 0;
}

const struct attribute_group meter_energy_group = {
	.name = "energy",
	.attrs = energy_attrs,
	.is_visible = energy_visible,
};
