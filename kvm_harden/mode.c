// SPDX-License-Identifier: GPL-2.0
#include "mode.h"

#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include <kvm_meter/guard.h>

#include "core.h"
#include "covered.h"
#include "flush.h"
#include "hook_mmu.h"
#include "switch.h"

enum mode {
	MODE_OFF,
	MODE_DRY_RUN,
	MODE_ON,
};

static const char * const names[] = {
	[MODE_OFF] = "off",
	[MODE_DRY_RUN] = "dry-run",
	[MODE_ON] = "on",
};

static DEFINE_MUTEX(mode_mutex);
static enum mode mode;
static bool open;		/* the meter has the guard: sysfs comes before it, and goes after */

/*
 * From off, and from dry-run, nothing is known of what the cores hold: it has
 * not been flushed. Entries that come after the return of this are judged anew.
 */
static int start(enum mode next)
{
	int cpu;

	lockdep_assert_held(&mode_mutex);
	kvm_harden_covered_refresh();
	WRITE_ONCE(harden_dry_run, next == MODE_DRY_RUN);
	if (mode == MODE_OFF) {
		kvm_harden_core_reset();
		return kvm_meter_guard_enable();
	}
	kvm_harden_forget(TOKEN_FOREIGN);
	for_each_possible_cpu(cpu)
		kvm_meter_guard_revoke(cpu);
	return 0;
}

static int set_locked(int next)
{
	int ret = 0;

	lockdep_assert_held(&mode_mutex);
	if (next == mode)
		return 0;
	if (!open)
		return -ENODEV;
	if (next == MODE_OFF)
		kvm_meter_guard_disable();
	else
		ret = start(next);
	if (!ret)
		WRITE_ONCE(mode, next);
	else
		pr_err("mode %s: kvm_meter is not armed and sees no VM-entry; see /sys/kernel/kvm_meter/status\n",
		       names[next]);
	return ret;
}

/**
 * kvm_harden_mode_set() - Start or stop to guard
 * @name: off, dry-run or on
 *
 * Context: process.
 * Return: 0; -EINVAL if there is no such mode; -ENODEV if the meter sees no
 * entries, so that nothing could be guarded, or the module comes or goes.
 */
int kvm_harden_mode_set(const char *name)
{
	int next = sysfs_match_string(names, name), ret;

	if (next < 0)
		return -EINVAL;
	mutex_lock(&mode_mutex);
	ret = set_locked(next);
	mutex_unlock(&mode_mutex);
	return ret;
}

const char *kvm_harden_mode_name(void)
{
	return names[READ_ONCE(mode)];
}

int kvm_harden_status(char *buf)
{
	enum mode now = READ_ONCE(mode);
	const char *but = "", *trouble;

	if (now != MODE_OFF && !kvm_meter_guard_armed())
		but = ", NOT PROTECTED: kvm_meter is disarmed and sees no VM-entry";
	else if (kvm_harden_flush_assumed())
		but = ", NOT PROTECTED: the CPU does not announce what assume= takes for present";
	trouble = kvm_harden_hook_mmu_trouble();
	return sysfs_emit(buf, "%s%s%s%s\n", names[now], but,
			  trouble ? ", ZONES NOT WATCHED: KVM does not call us from " : "",
			  trouble ?: "");
}

/**
 * kvm_harden_mode_init() - The guard is there: modes can be set
 * @name: mode to begin with
 *
 * Context: process.
 */
int kvm_harden_mode_init(const char *name)
{
	int ret;

	kvm_harden_covered_refresh();
	mutex_lock(&mode_mutex);
	open = true;
	mutex_unlock(&mode_mutex);
	ret = kvm_harden_mode_set(name);
	if (ret == -EINVAL)
		pr_err("mode=%s: must be off, dry-run or on\n", name);
	if (ret)
		kvm_harden_mode_exit();
	return ret;
}

/* Off, for good: the guard goes next, and sysfs only after it. */
void kvm_harden_mode_exit(void)
{
	mutex_lock(&mode_mutex);
	set_locked(MODE_OFF);
	open = false;
	mutex_unlock(&mode_mutex);
	kvm_harden_covered_exit();
}
