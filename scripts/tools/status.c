// SPDX-License-Identifier: GPL-2.0
/* kvmmeter status: is the meter armed and healthy, how full are its maps */
#include "kvmmeter.h"
#include "out.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show(const char *label, const char *file)
{
	char path[128], val[512], esc[4 * sizeof(val)];

	snprintf(path, sizeof(path), KM_SYSFS "/%s", file);
	if (km_sysfs_str(path, val, sizeof(val)))
		printf("%-14s %s\n", label, out_escape(val, esc, sizeof(esc)));
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void use(const char *label, ull used, ull of)
{
	printf("%-14s %llu of %llu (%.0f%%)\n", label, used, of, of ? 100.0 * used / of : 0);
}

int cmd_status(int argc, char **argv)
{
	struct dirent **dir;
	char path[320];
	struct km km;
	ull val;
	int i, n;

	(void)argv;
	if (argc > 1)
		km_usage("status takes no argument");
	if (access(KM_SYSFS, F_OK))
		km_die("kvm_meter is not loaded: load it with 'modprobe kvm_meter', or 'insmod kvm_meter/kvm_meter.ko' from its tree");
	show("version", "version");
	show("abi version", "abi_version");
	show("armed", "armed");
	show("status", "status");
	show("energy", "energy/source");
	n = scandir(KM_SYSFS "/health", &dir, visible, alphasort);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "health/%s", dir[i]->d_name);
		printf("%s", i ? "" : "\nhealth (0 is well)\n");
		printf("  %-30s ", dir[i]->d_name);
		snprintf(path, sizeof(path), KM_SYSFS "/health/%s", dir[i]->d_name);
		if (km_sysfs_u64(path, &val))
			printf("%llu\n", val);
		else
			printf("?\n");
		free(dir[i]);
	}
	if (n >= 0)
		free(dir);
	if (!geteuid()) {
		km_open(&km);
		printf("\n");
		use("vCPU slots", km.info.vcpus_used, km.info.vcpu_slots);
		use("VM slots", km.info.vms_used, km.info.vm_slots);
		printf("%-14s %llu since the module came, the last %u kept\n", "VMs ended",
		       (ull)km.info.vms_ended, km.info.ended_slots);
		printf("%-14s %u\n", "exit reasons", km.info.reasons);
	}
	return km_sysfs_u64(KM_SYSFS "/armed", &val) && val == 1 ? 0 : 3;
}

/* Instead of an empty table: there is none, or none is looked at. */
void km_say_no_vms(void)
{
	char status[256] = "";
	ull armed;

	if (km_sysfs_u64(KM_SYSFS "/armed", &armed) && armed) {
		puts("No VM runs under KVM; a VM shows up at its next entry.");
		return;
	}
	km_sysfs_str(KM_SYSFS "/status", status, sizeof(status));
	printf("The meter is not armed (%s) and sees no VM: echo 1 > " KM_SYSFS "/armed\n", status);
}
