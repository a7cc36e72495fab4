// SPDX-License-Identifier: GPL-2.0
/* kvm_harden: keeps guests from each other's traces, and out of no-go zones. */
#include <linux/module.h>

#include <kvm_meter/guard.h>
#include <kvm_meter/ladder.h>

#include "core.h"
#include "flush.h"
#include "maps.h"
#include "mode.h"
#include "switch.h"
#include "sysfs.h"
#include "vm.h"
#include "zone.h"

static char *mode = "off";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "flush/mode to begin with: off, dry-run or on (default off)");

static char *assume = "";
module_param(assume, charp, 0444);
MODULE_PARM_DESC(assume, "for tests: take ibpb, l1d or ibpb,l1d for present; protects from nothing");

static int fail_init_step;
module_param(fail_init_step, int, 0);
MODULE_PARM_DESC(fail_init_step, "for tests: fail at this step of the initialization (default 0: do not)");

static void ended(const struct kvm *kvm, u32 slot, u64 vm_id)
{
	/* Its address may be the next VM's. */
	kvm_harden_forget((unsigned long)kvm);
	kvm_harden_vm_ended(slot, vm_id);
	kvm_harden_zone_vm_ended(kvm);
}

static const struct kvm_meter_guard guard = {
	.enter = kvm_harden_enter,
	.entered = kvm_harden_entered,
	.exited = kvm_harden_exited,
	.restart = kvm_harden_core_reset,
	.born = kvm_harden_vm_born,
	.ended = ended,
	.show = kvm_harden_sysfs_vm_show,
	.hide = kvm_harden_sysfs_vm_hide,
	.owner = THIS_MODULE,
};

static int init_flush(void)
{
	return kvm_harden_flush_init(assume);
}

static int init_guard(void)
{
	return kvm_meter_guard_register(&guard);
}

static void exit_guard(void)
{
	kvm_meter_guard_unregister(&guard);
	kvm_harden_zone_quiet();
}

static int init_mode(void)
{
	return kvm_harden_mode_init(mode);
}

static const struct ladder_step steps[] = {
	{ "flush", init_flush, kvm_harden_flush_exit },
	{ "maps", kvm_harden_maps_init, kvm_harden_maps_exit },
	{ "VMs", kvm_harden_vm_init, kvm_harden_vm_exit },
	{ "cores", kvm_harden_core_init, kvm_harden_core_exit },
	{ "sysfs", kvm_harden_sysfs_init, kvm_harden_sysfs_exit },
	{ "guard", init_guard, exit_guard },
	{ "mode", init_mode, kvm_harden_mode_exit },
	{ "zones", kvm_harden_zones_init, kvm_harden_zones_exit },
};

static int __init kvm_harden_init(void)
{
	return ladder_up(steps, ARRAY_SIZE(steps), fail_init_step);
}

static void __exit kvm_harden_exit(void)
{
	ladder_down(steps, ARRAY_SIZE(steps));
}

module_init(kvm_harden_init);
module_exit(kvm_harden_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kvm_meter authors");
MODULE_DESCRIPTION("Keeps KVM guests apart, from below");
MODULE_VERSION("0.1.0");
