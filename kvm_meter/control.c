// SPDX-License-Identifier: GPL-2.0
#include "control.h"

#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/suspend.h>
#include <linux/sysfs.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "active.h"
#include "clock.h"
#include "energy.h"
#include "fold.h"
#include "guard_calls.h"
#include "hooks.h"
#include "maps.h"
#include "process.h"
#include "reason.h"
#include "registry.h"
#include "retire.h"
#include "tapfile.h"
#include "vendor.h"

static DEFINE_MUTEX(control_mutex);
static bool open;		/* between init and exit of this file */
static bool wanted;		/* what the user asked for */
static bool armed;
static bool asleep;		/* between suspend and resume */
static const char *why = "disarmed";
static const char *trouble;

/* Returns 0 when armed, or when it will be as soon as KVM's vendor module comes. */
static int arm_locked(void)
{
	enum kvm_meter_vendor vendor;
	const char *text;
	int ret = -ENODEV;

	lockdep_assert_held(&control_mutex);
	if (!open)
		return -ENODEV;
	if (armed || asleep)
		return 0;
	text = kvm_meter_clock_trouble();
	if (!text)
		text = kvm_meter_vendor_check(&vendor, &ret);
	if (text) {
		why = text;
		if (ret)
			pr_err("%s\n", why);
		else
			pr_info("%s\n", why);
		return ret;
	}
	kvm_meter_reason_set_vendor(vendor);

	kvm_meter_energy_start();
	ret = kvm_meter_hook_sched_add();
	if (ret)
		goto err;
	kvm_meter_guard_restart();
	ret = kvm_meter_hook_exit_add(vendor);
	if (ret)
		goto err_sched;
	armed = true;
	why = "armed";
	kvm_meter_map_info()->armed = 1;
	kvm_meter_discover();
	kvm_meter_fold_start();
	return 0;

err_sched:
	kvm_meter_hook_sched_del();
err:
	kvm_meter_energy_stop();
	why = "unavailable: a hook could not be installed, see the kernel log";
	return ret;
}

static void disarm_locked(const char *text)
{
	lockdep_assert_held(&control_mutex);
	why = text;
	if (!armed)
		return;
	kvm_meter_fold_stop();
	kvm_meter_hook_exit_del();
	kvm_meter_process_close_all();
	kvm_meter_hook_sched_del();
	/* From then on the hook on a VM's end knows nobody for whom it could wait. */
	kvm_meter_active_pause();
	kvm_meter_vm_end_all(KVM_METER_VM_DISARMED);
	kvm_meter_active_resume();
	kvm_meter_retire_all();
	kvm_meter_energy_stop();
	armed = false;
	kvm_meter_map_info()->armed = 0;
}

/**
 * kvm_meter_arm() - Start to meter
 *
 * Return: 0, also while KVM's vendor module is still to come; or an error, and
 * the status says why.
 */
int kvm_meter_arm(void)
{
	int ret;

	mutex_lock(&control_mutex);
	wanted = true;
	ret = arm_locked();
	if (ret)
		wanted = false;
	mutex_unlock(&control_mutex);
	return ret;
}

/**
 * kvm_meter_disarm() - Stop to meter; every VM gets its final record
 *
 * Return: 0, or -EBUSY while a guard depends on the meter's hooks.
 */
int kvm_meter_disarm(void)
{
	int ret = 0;

	mutex_lock(&control_mutex);
	if (kvm_meter_guard_enabled()) {
		ret = -EBUSY;
	} else {
		wanted = false;
		disarm_locked("disarmed");
	}
	mutex_unlock(&control_mutex);
	return ret;
}

/* See kvm_meter_guard_enable() and kvm_meter_guard_disable(). */
int kvm_meter_control_guard(bool on)
{
	int cpu, ret = 0;

	mutex_lock(&control_mutex);
	if (!on) {
		static_branch_disable(&meter_guard_key);
		tracepoint_synchronize_unregister();
	} else if (!armed || !meter_guard) {
		ret = -ENODEV;
	} else {
		static_branch_enable(&meter_guard_key);
		/* Entries that passed the guard before, and took their key after. */
		tracepoint_synchronize_unregister();
		for_each_possible_cpu(cpu)
			kvm_meter_cpu_tag(per_cpu_ptr(&meter_cpu, cpu));
	}
	mutex_unlock(&control_mutex);
	return ret;
}

bool kvm_meter_armed(void)
{
	return READ_ONCE(armed);
}

int kvm_meter_status(char *buf)
{
	const char *made_up = kvm_meter_energy_made_up() ?
			      " (energy is made up: energy_source=test)" : "";

	return sysfs_emit(buf, "%s%s\n", READ_ONCE(why), made_up);
}

static void trouble_fn(struct work_struct *work)
{
	mutex_lock(&control_mutex);
	wanted = false;
	disarm_locked(trouble);
	mutex_unlock(&control_mutex);
	pr_err("disarmed: %s\n", trouble);
}

static DECLARE_WORK(trouble_work, trouble_fn);

/**
 * kvm_meter_trouble() - The meter found that it can no longer be trusted
 * @text: why; a string constant, shown as the status
 *
 * Context: process. What was metered so far is kept in final records.
 */
void kvm_meter_trouble(const char *text)
{
	trouble = text;
	schedule_work(&trouble_work);
}

/* KVM's vendor module may come later, and it may be exchanged. */
static int on_module(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct module *mod = data;

	if (event == MODULE_STATE_LIVE && !strcmp(mod->name, "tun"))
		kvm_meter_tun_learn();
	else if (event == MODULE_STATE_GOING && !strcmp(mod->name, "tun"))
		kvm_meter_tun_forget();
	if (strcmp(mod->name, "kvm_amd") && strcmp(mod->name, "kvm_intel"))
		return NOTIFY_DONE;
	mutex_lock(&control_mutex);
	if (event == MODULE_STATE_LIVE && wanted)
		arm_locked();
	else if (event == MODULE_STATE_GOING && armed)
		disarm_locked("waiting: KVM's vendor module was unloaded");
	mutex_unlock(&control_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block module_nb = { .notifier_call = on_module };

/*
 * The TSC may stop or start again from zero: records end before the host
 * sleeps and new ones begin when it wakes.
 */
static int on_suspend(struct notifier_block *nb, unsigned long event, void *data)
{
	mutex_lock(&control_mutex);
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
		disarm_locked("waiting: the host is suspended");
		asleep = true;
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
		asleep = false;
		if (wanted)
			arm_locked();
		break;
	}
	mutex_unlock(&control_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block pm_nb = { .notifier_call = on_suspend };

/*
 * The attribute "armed" is there before the last step of init and after the
 * first of exit, and nobody may arm then.
 */
static void close_control(void)
{
	mutex_lock(&control_mutex);
	open = false;
	wanted = false;
	disarm_locked("disarmed");
	mutex_unlock(&control_mutex);
}

int kvm_meter_control_init(bool arm)
{
	int ret;

	mutex_lock(&control_mutex);
	open = true;
	mutex_unlock(&control_mutex);
	ret = register_module_notifier(&module_nb);
	if (ret)
		goto err_close;
	ret = register_pm_notifier(&pm_nb);
	if (ret)
		goto err_module;
	if (arm)
		ret = kvm_meter_arm();
	if (ret)
		goto err_pm;
	return 0;

err_pm:
	unregister_pm_notifier(&pm_nb);
err_module:
	unregister_module_notifier(&module_nb);
err_close:
	close_control();
	cancel_work_sync(&trouble_work);
	return ret;
}

void kvm_meter_control_exit(void)
{
	close_control();
	unregister_pm_notifier(&pm_nb);
	unregister_module_notifier(&module_nb);
	cancel_work_sync(&trouble_work);
}
