// SPDX-License-Identifier: GPL-2.0
/* zones/: each zone's directory is its kobject, which the zone lives as long as. */
#include <linux/kobject.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/wait.h>

#include "hook_mmu.h"
#include "sysfs.h"
#include "zone.h"

/* A set, so that the events of its members are sent. */
static struct kset *zones;

struct zone_attr {
	struct attribute attr;
	ssize_t (*show)(struct nogo *zone, char *buf);
	ssize_t (*store)(struct nogo *zone, const char *buf);
};

static struct nogo *to_zone(struct kobject *kobj)
{
	return container_of(kobj, struct nogo, kobj);
}

#define SHOW(name_, fmt, value)						\
static ssize_t name_##_show(struct nogo *zone, char *buf)		\
{									\
	return sysfs_emit(buf, fmt "\n", value);			\
}									\
static struct zone_attr name_##_attr = {				\
	.attr = { .name = #name_, .mode = 0444 },			\
	.show = name_##_show,						\
}

/* What the hooks change, as of one moment each. */
#define SHOW_LAST(name_, fmt)						\
static ssize_t name_##_show(struct nogo *zone, char *buf)		\
{									\
	typeof(zone->name_) value;					\
									\
	raw_spin_lock_irq(&zone->lock);					\
	value = zone->name_;						\
	raw_spin_unlock_irq(&zone->lock);				\
	return sysfs_emit(buf, fmt "\n", value);			\
}									\
static struct zone_attr name_##_attr = {				\
	.attr = { .name = #name_, .mode = 0444 },			\
	.show = name_##_show,						\
}

SHOW(vm, "%llu", zone->spec.vm);
SHOW(gpa, "0x%llx", zone->spec.gpa);
SHOW(size, "0x%llx", zone->spec.size);
SHOW(action, "%s", zone_actions[zone->spec.action]);
SHOW(name, "%s", zone->spec.name);
SHOW_LAST(violations, "%llu");
SHOW_LAST(last_gpa, "0x%llx");
SHOW_LAST(last_rip, "0x%llx");
SHOW_LAST(last_vcpu, "%d");
SHOW_LAST(last_ns, "%llu");

static ssize_t deny_show(struct nogo *zone, char *buf)
{
	int len = zone_print_deny(buf, PAGE_SIZE, zone->spec.deny);

	return len + sysfs_emit_at(buf, len, "\n");
}

static ssize_t last_access_show(struct nogo *zone, char *buf)
{
	u32 kind = READ_ONCE(zone->last_access);

	return sysfs_emit(buf, "%s\n", kind == ZONE_R ? "r" : kind == ZONE_W ? "w" :
			  kind == ZONE_X ? "x" : "-");
}

static ssize_t state_show(struct nogo *zone, char *buf)
{
	static const char * const names[] = {
		[ZONE_ARMING] = "arming",
		[ZONE_ARMED] = "armed",
		[ZONE_SUSPENDED] = "suspended",
		[ZONE_OPEN] = "open",
	};
	char ways[64];
	int len = sysfs_emit(buf, "%s", names[READ_ONCE(zone->state)]);

	if (zone_print_ways(ways, sizeof(ways), zone->spec.allow))
		len += sysfs_emit_at(buf, len, "; open: %s", ways);
	return len + sysfs_emit_at(buf, len, "\n");
}

static ssize_t state_store(struct nogo *zone, const char *buf)
{
	if (sysfs_streq(buf, "suspend"))
		return kvm_harden_zone_suspend(zone, true);
	if (sysfs_streq(buf, "arm"))
		return kvm_harden_zone_suspend(zone, false);
	return -EINVAL;
}

static struct zone_attr deny_attr = {
	.attr = { .name = "deny", .mode = 0444 },
	.show = deny_show,
};

static struct zone_attr last_access_attr = {
	.attr = { .name = "last_access", .mode = 0444 },
	.show = last_access_show,
};

static struct zone_attr state_attr = {
	.attr = { .name = "state", .mode = 0644 },
	.show = state_show,
	.store = state_store,
};

static struct zone_attr remove_attr;

/* Writers whose own directory has gone, so that sysfs does not wait for them. */
static atomic_t removers;
static DECLARE_WAIT_QUEUE_HEAD(removed);

/* The directory goes while its file is being written to. */
static ssize_t remove_store(struct nogo *zone, const char *buf)
{
	struct kernfs_node *node;
	int ret;

	if (!sysfs_streq(buf, "1"))
		return -EINVAL;
	kobject_get(&zone->kobj);
	atomic_inc(&removers);
	node = sysfs_break_active_protection(&zone->kobj, &remove_attr.attr);
	ret = node ? kvm_harden_zone_remove(zone) : -ENOENT;
	if (node)
		sysfs_unbreak_active_protection(node);
	kobject_put(&zone->kobj);
	if (atomic_dec_and_test(&removers))
		wake_up_all(&removed);
	return ret;
}

static struct zone_attr remove_attr = {
	.attr = { .name = "remove", .mode = 0200 },
	.store = remove_store,
};

static struct attribute *zone_attrs[] = {
	&vm_attr.attr,
	&gpa_attr.attr,
	&size_attr.attr,
	&deny_attr.attr,
	&action_attr.attr,
	&name_attr.attr,
	&state_attr.attr,
	&violations_attr.attr,
	&last_gpa_attr.attr,
	&last_rip_attr.attr,
	&last_access_attr.attr,
	&last_vcpu_attr.attr,
	&last_ns_attr.attr,
	&remove_attr.attr,
	NULL
};

ATTRIBUTE_GROUPS(zone);

static ssize_t zone_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	const struct zone_attr *a = container_of(attr, struct zone_attr, attr);

	return a->show ? a->show(to_zone(kobj), buf) : -EACCES;
}

/* Neither cut off by sysfs after a page, nor with an end in the middle. */
static bool whole_text(const char *buf, size_t len)
{
	return len < PAGE_SIZE && strnlen(buf, len) == len;
}

static ssize_t zone_store(struct kobject *kobj, struct attribute *attr, const char *buf,
			  size_t len)
{
	const struct zone_attr *a = container_of(attr, struct zone_attr, attr);

	if (!a->store)
		return -EACCES;
	return whole_text(buf, len) ? a->store(to_zone(kobj), buf) ?: len : -EINVAL;
}

/* The hooks may still be looking at it. */
static void zone_free(struct rcu_head *rcu)
{
	struct nogo *zone = container_of(rcu, struct nogo, rcu);

	kfree(zone->behind);
	kfree(zone);
}

static void zone_release(struct kobject *kobj)
{
	call_rcu(&to_zone(kobj)->rcu, zone_free);
}

static const struct sysfs_ops zone_ops = { .show = zone_show, .store = zone_store };

static const struct kobj_type zone_type = {
	.release = zone_release,
	.sysfs_ops = &zone_ops,
	.default_groups = zone_groups,
};

/* Whether it succeeds or not, kobject_put() frees the zone from now on. */
int kvm_harden_zone_show(struct nogo *zone)
{
	zone->kobj.kset = zones;
	return kobject_init_and_add(&zone->kobj, &zone_type, NULL, "%llu", zone->id);
}

/* Tell user space that a zone is not what it was. */
void kvm_harden_zone_event(struct nogo *zone, const char *what)
{
	char text[80];
	char *env[2] = { text };

	scnprintf(text, sizeof(text), "ZONE_TROUBLE=%s", what);
	kobject_uevent_env(&zone->kobj, KOBJ_CHANGE, env);
}

void kvm_harden_zone_hide(struct nogo *zone)
{
	kobject_del(&zone->kobj);
	kobject_put(&zone->kobj);
}

static ssize_t create_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t len)
{
	const char *why = "the line is too long, or has a NUL in it";
	struct zone_spec spec;
	int ret = -EINVAL;

	if (whole_text(buf, len))
		ret = zone_parse(buf, &spec, &why);
	if (ret) {
		mutex_lock(&zone_mutex);
		kvm_harden_zone_refuse(ret, "%s", why);
		mutex_unlock(&zone_mutex);
		return ret;
	}
	return kvm_harden_zone_create(&spec) ?: len;
}

static ssize_t last_id_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", kvm_harden_zone_last_id());
}

static ssize_t last_error_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	int len;

	mutex_lock(&zone_mutex);
	len = sysfs_emit(buf, "%s\n", kvm_harden_zone_why());
	mutex_unlock(&zone_mutex);
	return len;
}

static ssize_t available_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return kvm_harden_hook_mmu_available(buf);
}

static ssize_t disarm_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t len)
{
	if (!whole_text(buf, len) || !sysfs_streq(buf, "1"))
		return -EINVAL;
	return kvm_harden_zone_disarm() ?: len;
}

static ssize_t status_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return kvm_harden_zone_status(buf);
}

static struct kobj_attribute create_attr = __ATTR_WO(create);
static struct kobj_attribute last_id_attr = __ATTR_RO(last_id);
static struct kobj_attribute last_error_attr = __ATTR_RO(last_error);
static struct kobj_attribute available_attr = __ATTR_RO(available);
static struct kobj_attribute status_attr = __ATTR_RO(status);
static struct kobj_attribute disarm_attr = __ATTR_WO(disarm);

static struct attribute *dir_attrs[] = {
	&create_attr.attr,
	&last_id_attr.attr,
	&last_error_attr.attr,
	&available_attr.attr,
	&status_attr.attr,
	NULL
};

static const struct attribute_group dir_group = { .attrs = dir_attrs };

static int add_files(struct kobject *root)
{
	int ret = sysfs_create_group(&zones->kobj, &dir_group);

	if (ret)
		return ret;
	ret = sysfs_create_file(root, &disarm_attr.attr);
	if (ret)
		sysfs_remove_group(&zones->kobj, &dir_group);
	return ret;
}

static int add_dir(struct kobject *root)
{
	int ret;

	zones = kset_create_and_add("zones", NULL, root);
	if (!zones)
		return -ENOMEM;
	ret = add_files(root);
	if (ret)
		kset_unregister(zones);
	return ret;
}

/* Last, as it relies on being told of VMs that end. */
int kvm_harden_zones_init(void)
{
	int ret = kvm_harden_zone_init();

	if (ret)
		return ret;
	ret = add_dir(harden_root);
	if (ret)
		kvm_harden_zone_exit();
	return ret;
}

/* Zones first; then writers are waited for. */
void kvm_harden_zones_exit(void)
{
	kvm_harden_zone_exit();
	sysfs_remove_file(harden_root, &disarm_attr.attr);
	sysfs_remove_group(&zones->kobj, &dir_group);
	kset_unregister(zones);
	wait_event(removed, !atomic_read(&removers));
	synchronize_rcu_tasks();
	rcu_barrier();
}
