// SPDX-License-Identifier: GPL-2.0
/* kvm_meter: what every VM and vCPU of this host does, measured below the guest. */
#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <linux/module.h>

#include <kvm_meter/ladder.h>

#include "active.h"
#include "clock.h"
#include "control.h"
#include "energy.h"
#include "hooks.h"
#include "identity.h"
#include "maps.h"
#include "owner.h"
#include "place.h"
#include "registry.h"
#include "retire.h"
#include "sysfs.h"

#define MIN_VCPUS	16
#define MAX_VCPUS	16384
#define MAX_ENDED	65536

static int max_vcpus;
module_param(max_vcpus, int, 0444);
MODULE_PARM_DESC(max_vcpus, "vCPUs that there is room for, 16 to 16384 (default 0: 8 for each CPU, at least 128)");

static int max_ended = 4096;
module_param(max_ended, int, 0444);
MODULE_PARM_DESC(max_ended, "final records that are kept, 1 to 65536 (default 4096)");

static bool armed = true;
module_param(armed, bool, 0444);
MODULE_PARM_DESC(armed, "start to meter at once (default Y); later by the attribute of the same name");

static int fail_init_step;
module_param(fail_init_step, int, 0);
MODULE_PARM_DESC(fail_init_step, "for tests: fail at this step of the initialization (default 0: do not)");

static int init_registry(void)
{
	return kvm_meter_registry_init(max_vcpus);
}

static int init_maps(void)
{
	return kvm_meter_maps_init(max_vcpus, max_ended);
}

static int init_owner(void)
{
	return kvm_meter_owner_init(max_ended);
}

static int init_control(void)
{
	return kvm_meter_control_init(armed);
}

static const struct ladder_step steps[] = {
	{ "clock", kvm_meter_clock_init },
	{ "identity", kvm_meter_ident_init },
	{ "topology", kvm_meter_place_init },
	{ "maps", init_maps, kvm_meter_maps_exit },
	{ "registry", init_registry, kvm_meter_registry_exit },
	{ "energy", kvm_meter_energy_init, kvm_meter_energy_exit },
	{ "owners", init_owner, kvm_meter_owner_exit },
	{ "active memory", kvm_meter_active_init, kvm_meter_active_exit },
	{ "worker", kvm_meter_retire_init, kvm_meter_retire_exit },
	{ "sysfs", kvm_meter_sysfs_init, kvm_meter_sysfs_exit },
	{ "end of VMs", kvm_meter_hook_destroy_add, kvm_meter_hook_destroy_del },
	{ "control", init_control, kvm_meter_control_exit },
};

static int __init kvm_meter_init(void)
{
	if (max_vcpus && (max_vcpus < MIN_VCPUS || max_vcpus > MAX_VCPUS)) {
		pr_err("max_vcpus=%d: must be 0 or %d to %d\n", max_vcpus, MIN_VCPUS, MAX_VCPUS);
		return -EINVAL;
	}
	if (max_ended < 1 || max_ended > MAX_ENDED) {
		pr_err("max_ended=%d: must be 1 to %d\n", max_ended, MAX_ENDED);
		return -EINVAL;
	}
	if (!max_vcpus)
		max_vcpus = clamp(8 * (int)num_possible_cpus(), 128, MAX_VCPUS);
	return ladder_up(steps, ARRAY_SIZE(steps), fail_init_step);
}

static void __exit kvm_meter_exit(void)
{
	ladder_down(steps, ARRAY_SIZE(steps));
}

module_init(kvm_meter_init);
module_exit(kvm_meter_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kvm_meter authors");
MODULE_DESCRIPTION("Meters every KVM guest from below");
MODULE_VERSION("0.1.0");
