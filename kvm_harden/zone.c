// SPDX-License-Identifier: GPL-2.0
#include "zone.h"

#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include <kvm_meter/guard.h>

#include "hook_mmu.h"
#include "shield.h"
#include "zone_slots.h"
#include "zone_vm.h"

#define LOG_OPEN_MS	10	/* a log zone stays open after a violation, */
#define WATCH_MS	1000	/* how often the hooks are looked at */
#define LOG_CLOSED_MS	100	/* and then closed at least this long */

DEFINE_MUTEX(zone_mutex); /* see zone.h */

static u64 last_id;
static unsigned int zone_count;
static char why[160] = "none";
static void check_fn(struct work_struct *work);
static DECLARE_WORK(check_work, check_fn);
static void watch_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch_work, watch_fn);
static unsigned int stuck_count;	/* zones that could not be lifted, and stay closed */
static bool leaving;

/**
 * kvm_harden_zone_refuse() - Note why something was refused
 * @err: returned
 * @fmt: reason, for zones/last_error
 *
 * Context: process; where zone_mutex is held, or by a worker that its holder
 * waits for.
 */
int kvm_harden_zone_refuse(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vscnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err;
}

const char *kvm_harden_zone_why(void)
{
	return why;
}

u64 kvm_harden_zone_last_id(void)
{
	return READ_ONCE(last_id);
}

/* Ways that stay open for what a zone denies; see Documentation/design.rst. */
static u32 open_ways(u32 deny)
{
	if (deny & ZONE_R)
		return deny & ZONE_X ? 0 : ZONE_EMULATOR | ZONE_PARAVIRT | ZONE_DEVICE | ZONE_ALIAS;
	return deny & ZONE_X ? ZONE_EMULATOR | ZONE_ALIAS : 0;
}

static int check_spec(const struct zone_spec *spec)
{
	u32 open = open_ways(spec->deny) & ~spec->allow;
	const char *unfit = kvm_harden_hook_mmu_unfit(spec->deny);
	char ways[64], *p;

	if (unfit)
		return kvm_harden_zone_refuse(-EOPNOTSUPP, "%s", unfit);
	if (zone_count >= ZONES_MAX)
		return kvm_harden_zone_refuse(-ENOSPC, "there are %u zones already", zone_count);
	if (!open)
		return 0;
	zone_print_ways(ways, sizeof(ways), open);
	for (p = ways; (p = strchr(p, ' ')); )
		*p = ',';
	return kvm_harden_zone_refuse(-EPERM, "this leaves a way open: say so with allow=%s",
				      ways);
}

static void log_fn(struct work_struct *work);

static struct nogo *zone_new(const struct zone_spec *spec, struct zone_vm *vm)
{
	struct nogo *zone = kzalloc(sizeof(*zone), GFP_KERNEL);

	if (!zone)
		return NULL;
	zone->spec = *spec;
	zone->start = spec->gpa >> PAGE_SHIFT;
	zone->end = zone->start + (spec->size >> PAGE_SHIFT);
	zone->state = ZONE_ARMING;
	zone->next = ZONE_ARMED;
	zone->vm = vm;
	zone->last_vcpu = -1;
	raw_spin_lock_init(&zone->lock);
	INIT_DELAYED_WORK(&zone->log_work, log_fn);
	return zone;
}

/* Entries of the second-level tables that were made before the zone changed. */
static int settle_entries(struct kvm *kvm, struct nogo *zone)
{
	int ret = kvm_harden_slots_small(kvm, zone->vm);

	kvm_harden_slots_zap(kvm, zone->start, zone->end);
	return ret;
}

/* If the VM has ended, so have its entries. */
static int settle_vm(struct nogo *zone)
{
	struct kvm *kvm = READ_ONCE(zone->vm->kvm);
	struct file *file = kvm_meter_guard_reopen(kvm);
	int ret = 0;

	if (IS_ERR(file))
		return READ_ONCE(zone->vm->kvm) ? PTR_ERR(file) : 0;
	if (READ_ONCE(zone->vm->kvm) == kvm)
		ret = settle_entries(kvm, zone);
	fput(file);
	return ret;
}

/* As publish(), for what must not fail: where memory is short, it waits for some. */
static void publish_surely(struct zone_vm *vm)
{
	while (kvm_harden_zone_vm_publish(vm))
		schedule_timeout_uninterruptible(HZ / 10);
}

/* What was moved goes back before the guest goes on. */
static void disarm(struct kvm *kvm, struct nogo *zone)
{
	struct zone_vm *vm = zone->vm;

	list_del_rcu(&zone->link);
	settle_entries(kvm, zone);
	if (kvm_harden_zone_vm_shield(vm, true))
		pr_warn("VM %llu: memory at %#llx could not be opened again yet\n", vm->id,
			zone->spec.gpa);
	publish_surely(vm);
	zone_count--;
}

static int arm(struct kvm *kvm, struct nogo *zone)
{
	struct zone_vm *vm = zone->vm;
	int ret;

	/* From here on the guest waits at its next access that is denied. */
	zone->id = last_id + 1;
	list_add_tail_rcu(&zone->link, &vm->zones);
	zone_count++;
	ret = kvm_harden_zone_vm_publish(vm) ?:
	      settle_entries(kvm, zone) ?:
	      kvm_harden_zone_vm_shield(vm, false);
	if (ret) {
		disarm(kvm, zone);
		return ret;
	}
	WRITE_ONCE(zone->state, ZONE_ARMED);
	publish_surely(vm);
	return 0;
}

static int create(struct kvm *kvm, const struct zone_spec *spec)
{
	struct zone_vm *vm;
	struct nogo *zone;
	int ret = kvm_harden_hook_mmu_vm_fit(kvm);

	if (ret)
		return ret;
	vm = kvm_harden_zone_vm_get(kvm, spec->vm);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	zone = zone_new(spec, vm);
	ret = zone ? kvm_harden_slots_behind(kvm, zone, true) : -ENOMEM;
	if (!ret)
		ret = arm(kvm, zone);
	if (ret) {
		kvm_harden_zone_vm_drop(vm);
		synchronize_rcu();
		if (zone)
			kfree(zone->behind);
		kfree(zone);
		return ret;
	}
	ret = kvm_harden_zone_show(zone);
	if (!ret) {
		WRITE_ONCE(last_id, zone->id);
		return 0;
	}
	disarm(kvm, zone);
	kvm_harden_zone_vm_drop(vm);
	synchronize_rcu();
	cancel_delayed_work_sync(&zone->log_work);
	kobject_put(&zone->kobj);
	return ret;
}

/**
 * kvm_harden_zone_create() - Make a zone
 * @spec: what is asked for
 *
 * Context: process.
 * Return: 0, or why not; kvm_harden_zone_why() has it in words, and nothing has
 * changed.
 */
int kvm_harden_zone_create(const struct zone_spec *spec)
{
	struct file *file;
	struct kvm *kvm;
	int ret;

	mutex_lock(&zone_mutex);
	ret = leaving ? -ENODEV : check_spec(spec);
	if (ret)
		goto unlock;
	file = kvm_meter_guard_open(spec->vm, &kvm);
	if (IS_ERR(file)) {
		ret = kvm_harden_zone_refuse(PTR_ERR(file), "there is no VM %llu", spec->vm);
		goto unlock;
	}
	why[0] = '\0';
	ret = kvm_harden_hook_mmu_get();
	if (!ret) {
		ret = create(kvm, spec);
		if (ret)
			kvm_harden_hook_mmu_put();
	}
	fput(file);
	if (ret && !why[0])
		kvm_harden_zone_refuse(ret, ret == -ENOMEM ? "out of memory" : "error %d", ret);
	if (!ret) {
		kvm_harden_zone_refuse(0, "none");
		schedule_delayed_work(&watch_work, msecs_to_jiffies(WATCH_MS));
	}
unlock:
	mutex_unlock(&zone_mutex);
	return ret;
}

/* Let the hooks forget it. Its directory, and so the zone itself, is still there. */
static void unlink_zone(struct nogo *zone)
{
	settle_vm(zone);
	publish_surely(zone->vm);
	zone_count--;
	kvm_harden_zone_vm_drop(zone->vm);
	kvm_harden_hook_mmu_put();
}

/*
 * Its memory first, and only then the hooks: until then the guest waits. If it
 * cannot be opened it stays what it is, or with @drop it stays closed.
 */
static int lift(struct nogo *zone, bool drop)
{
	enum zone_state before = zone->state;
	struct zone_vm *vm = zone->vm;
	int ret;

	if (before == ZONE_ARMED) {
		WRITE_ONCE(zone->state, ZONE_ARMING);
		publish_surely(vm);
	}
	/* Out of what the mapping is made by, not yet out of what the hooks go by. */
	list_del_rcu(&zone->link);
	ret = kvm_harden_zone_vm_shield(vm, true);
	if (ret && !drop) {
		list_add_tail_rcu(&zone->link, &vm->zones);
		WRITE_ONCE(zone->state, before);
		kvm_harden_zone_vm_shield(vm, true);
		publish_surely(vm);
		return ret;
	}
	if (ret) {
		stuck_count++;
		pr_warn("VM %llu: memory at %#llx cannot be opened and stays closed (%s)\n",
			vm->id, zone->spec.gpa, why);
	}
	unlink_zone(zone);
	return 0;
}

/* zone_mutex held; the caller hides its directory afterwards. */
static int remove(struct nogo *zone, bool drop)
{
	int ret;

	if (zone->taken)
		return -ENOENT;
	ret = lift(zone, drop);
	if (!ret)
		zone->taken = true;
	return ret;
}

/* After remove(), without the mutex: a hook may just have asked for the work. */
static void bury(struct nogo *zone)
{
	synchronize_rcu_expedited();
	cancel_delayed_work_sync(&zone->log_work);
	kvm_harden_zone_hide(zone);
}

/**
 * kvm_harden_zone_remove() - Give a zone's memory back, with its contents
 * @zone: zone
 *
 * Context: process.
 * Return: 0; -ENOENT if somebody else has; or why not, and the zone stands.
 */
int kvm_harden_zone_remove(struct nogo *zone)
{
	int ret;

	mutex_lock(&zone_mutex);
	ret = remove(zone, false);
	mutex_unlock(&zone_mutex);
	if (ret)
		return ret;
	bury(zone);
	return 0;
}

/* Meanwhile the guest waits, and who reads the state is not told of its end. */
static int set_state(struct nogo *zone, enum zone_state state)
{
	enum zone_state before = zone->state;
	int ret;

	if (before == state)
		return 0;
	WRITE_ONCE(zone->state, ZONE_ARMING);
	publish_surely(zone->vm);
	zone->next = state;
	/* What is denied by now; what is opened is entered when it is. */
	ret = settle_vm(zone) ?: kvm_harden_zone_vm_shield(zone->vm, true);
	if (ret) {
		zone->next = before;
		kvm_harden_zone_vm_shield(zone->vm, true);
	}
	WRITE_ONCE(zone->state, zone->next);
	publish_surely(zone->vm);
	settle_vm(zone);
	return ret;
}

/**
 * kvm_harden_zone_suspend() - Open a zone for a snapshot, or close it again
 * @zone: zone
 * @suspend: open it
 *
 * Context: process.
 */
int kvm_harden_zone_suspend(struct nogo *zone, bool suspend)
{
	int ret = -ENOENT;

	mutex_lock(&zone_mutex);
	if (!zone->taken && zone->state != ZONE_OPEN)
		ret = set_state(zone, suspend ? ZONE_SUSPENDED : ZONE_ARMED);
	mutex_unlock(&zone_mutex);
	return ret;
}

/* A log zone that was violated: open it, and some time later close it. */
static void log_fn(struct work_struct *work)
{
	struct nogo *zone = container_of(to_delayed_work(work), struct nogo, log_work);

	mutex_lock(&zone_mutex);
	if (zone->taken || zone->state == ZONE_SUSPENDED) {
		WRITE_ONCE(zone->opening, false);
	} else if (zone->state == ZONE_ARMED) {
		set_state(zone, ZONE_OPEN);
		schedule_delayed_work(&zone->log_work, msecs_to_jiffies(LOG_OPEN_MS));
	} else if (set_state(zone, ZONE_ARMED)) {
		/* Pages are pinned, which the guest can bring about: it is not left so. */
		kvm_harden_zone_event(zone, "open");
		schedule_delayed_work(&zone->log_work, msecs_to_jiffies(LOG_CLOSED_MS));
	} else {
		zone->log_next = jiffies + msecs_to_jiffies(LOG_CLOSED_MS);
		WRITE_ONCE(zone->opening, false);
	}
	mutex_unlock(&zone_mutex);
}

/*
 * From the hook: any number of vCPUs may come at once, and wait. Return: whether
 * it is this one for which the zone is opened.
 */
bool kvm_harden_zone_log(struct nogo *zone)
{
	if (xchg(&zone->opening, true))
		return false;
	schedule_delayed_work(&zone->log_work, time_is_after_jiffies(zone->log_next) ?
			      zone->log_next - jiffies : 0);
	return true;
}

static struct nogo *pick_zone(bool (*which)(const struct nogo *zone))
{
	struct zone_vm *vm;
	struct nogo *zone;

	list_for_each_entry(vm, &kvm_harden_zone_vms, link)
		list_for_each_entry(zone, &vm->zones, link)
			if (!zone->tried && which(zone))
				return zone;
	return NULL;
}

/* Zones that could not be removed once may be tried again. */
static void forget_tries(void)
{
	struct zone_vm *vm;
	struct nogo *zone;

	list_for_each_entry(vm, &kvm_harden_zone_vms, link)
		list_for_each_entry(zone, &vm->zones, link)
			zone->tried = false;
}

/*
 * One after the other, as its directory has to go without the mutex. With @drop,
 * what cannot be opened is forgotten and stays closed.
 */
static int remove_which(bool (*which)(const struct nogo *zone), bool drop)
{
	struct nogo *zone;
	int ret = 0, err;

	do {
		mutex_lock(&zone_mutex);
		zone = pick_zone(which);
		err = zone ? remove(zone, drop) : 0;
		if (err) {
			zone->tried = true;
			ret = err;
		} else if (zone) {
			kobject_get(&zone->kobj);
		} else {
			forget_tries();
		}
		mutex_unlock(&zone_mutex);
		if (!zone || err)
			continue;
		bury(zone);
		kobject_put(&zone->kobj);
	} while (zone);
	return ret;
}

static bool any(const struct nogo *zone)
{
	return true;
}

static bool of_ended(const struct nogo *zone)
{
	return !READ_ONCE(zone->vm->kvm);
}

/** kvm_harden_zone_disarm() - Remove all zones; those that cannot be stay closed */
int kvm_harden_zone_disarm(void)
{
	return remove_which(any, false) ? -EBUSY : 0;
}

/* New slots over zones: what is behind them, and what entries may be huge. */
static int follow_slots(struct zone_vm *vm)
{
	struct kvm *kvm = READ_ONCE(vm->kvm);
	struct file *file = kvm_meter_guard_reopen(kvm);
	struct nogo *zone;
	int ret = 0, err;

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (READ_ONCE(vm->kvm) != kvm)
		goto put;
	ret = kvm_harden_slots_small(kvm, vm);
	list_for_each_entry(zone, &vm->zones, link) {
		err = kvm_harden_slots_behind(kvm, zone, false);
		ret = ret ?: err;
		kvm_harden_slots_zap(kvm, zone->start, zone->end);
	}
put:
	fput(file);
	return ret;
}

/*
 * A VM's slots, or a VMM's mappings, are not what they were. What cannot be done
 * now is tried again with the next look at the hooks.
 */
static void recheck(struct zone_vm *vm)
{
	bool slots = xchg(&vm->slots_changed, false);
	int ret = 0;

	if (!slots && !READ_ONCE(vm->shield->disturbed))
		return;
	if (slots)
		ret = follow_slots(vm);
	ret = kvm_harden_zone_vm_shield(vm, true) ?: ret;
	if (!ret || !READ_ONCE(vm->kvm)) {
		vm->warned = false;
		return;
	}
	WRITE_ONCE(vm->slots_changed, true);
	if (vm->warned)
		return;
	vm->warned = true;
	pr_warn("VM %llu: its memory has changed, and a zone in it cannot be closed yet (%s)\n",
		vm->id, why);
}

/* Hooks that somebody has taken off: the mapping still stands. */
static void watch_hooks(void)
{
	static const char *known;
	const char *trouble = kvm_harden_hook_mmu_trouble();
	struct zone_vm *vm;
	struct nogo *zone;

	if (trouble == known)
		return;
	known = trouble;
	if (trouble)
		pr_alert("%s() of KVM is not hooked any more: zones are enforced by the VMM's mapping only\n",
			 trouble);
	list_for_each_entry(vm, &kvm_harden_zone_vms, link)
		list_for_each_entry(zone, &vm->zones, link)
			kvm_harden_zone_event(zone, trouble ?: "none");
}

static void check_fn(struct work_struct *work)
{
	struct zone_vm *vm, *next;

	kvm_harden_hook_mmu_look();
	remove_which(of_ended, true);
	mutex_lock(&zone_mutex);
	list_for_each_entry_safe(vm, next, &kvm_harden_zone_vms, link) {
		recheck(vm);
		/* It has stayed for a change that had been given up. */
		kvm_harden_zone_vm_drop(vm);
	}
	mutex_unlock(&zone_mutex);
}

/* As long as there are zones. */
static void watch_fn(struct work_struct *work)
{
	struct zone_vm *vm;

	mutex_lock(&zone_mutex);
	watch_hooks();
	list_for_each_entry(vm, &kvm_harden_zone_vms, link) {
		if (vm->shield->holes)
			WRITE_ONCE(vm->shield->disturbed, true);
		recheck(vm);
	}
	if (zone_count)
		schedule_delayed_work(&watch_work, msecs_to_jiffies(WATCH_MS));
	mutex_unlock(&zone_mutex);
}

static unsigned int count_state(enum zone_state state)
{
	struct zone_vm *vm;
	struct nogo *zone;
	unsigned int n = 0;

	list_for_each_entry(vm, &kvm_harden_zone_vms, link)
		list_for_each_entry(zone, &vm->zones, link)
			n += zone->state == state;
	return n;
}

/** kvm_harden_zone_status() - One line for zones/status */
int kvm_harden_zone_status(char *buf)
{
	const char *trouble;
	int len;

	mutex_lock(&zone_mutex);
	trouble = kvm_harden_hook_mmu_trouble();
	len = sysfs_emit(buf, "armed=%u suspended=%u open=%u stuck=%u hooks=%s\n",
			 count_state(ZONE_ARMED), count_state(ZONE_SUSPENDED),
			 count_state(ZONE_OPEN), stuck_count,
			 trouble ?: zone_count ? "live" : "none");
	mutex_unlock(&zone_mutex);
	return len;
}

/* Look after the zones soon. Any context. */
void kvm_harden_zone_check(void)
{
	schedule_work(&check_work);
}

int kvm_harden_zone_init(void)
{
	kvm_harden_shield_disturbed = kvm_harden_zone_check;
	kvm_harden_hook_mmu_look();
	return kvm_harden_shield_init();
}

static bool all_dropped(void)
{
	struct zone_vm *vm, *next;
	bool none;

	cancel_work_sync(&check_work);
	mutex_lock(&zone_mutex);
	list_for_each_entry_safe(vm, next, &kvm_harden_zone_vms, link)
		kvm_harden_zone_vm_drop(vm);
	none = list_empty(&kvm_harden_zone_vms);
	mutex_unlock(&zone_mutex);
	return none;
}

/* After this no zone is made, and none is left but those that stay closed. */
void kvm_harden_zone_exit(void)
{
	mutex_lock(&zone_mutex);
	leaving = true;
	mutex_unlock(&zone_mutex);
	remove_which(any, true);
	cancel_delayed_work_sync(&watch_work);
	/* A change of mappings that had been given up ends first. */
	while (!all_dropped())
		kvm_harden_shield_flush();
	kvm_harden_shield_exit();
}

/* Nobody asks for a check any more. */
void kvm_harden_zone_quiet(void)
{
	cancel_work_sync(&check_work);
	kvm_harden_hook_mmu_exit();
}
