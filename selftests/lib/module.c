// SPDX-License-Identifier: GPL-2.0
#include "meter.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm.h"

/*
 * $KVM_METER_KO and $KVM_HARDEN_KO, or where the tree has them as seen from
 * selftests/out/.
 */
static const char *module_path(const char *name)
{
	static char path[PATH_MAX + 64];
	const char *env = getenv(strcmp(name, METER) ? "KVM_HARDEN_KO" : "KVM_METER_KO");
	char self[PATH_MAX];
	ssize_t len;

	if (env)
		return env;
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[len < 0 ? 0 : len] = 0;
	snprintf(path, sizeof(path), "%s/../../%s/%s.ko", dirname(self), name, name);
	return path;
}

bool module_loaded(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return file_exists(path);
}

/* Beside guests that compute on all CPUs: in turn with them it takes twice as long. */
static void hurry(bool on)
{
	setpriority(PRIO_PROCESS, 0, on ? -20 : 0);
}

int module_load(const char *name, const char *params)
{
	const char *path = module_path(name);
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0, "%s: %s", path, strerror(errno));
	hurry(true);
	ret = syscall(SYS_finit_module, fd, params ? params : "", 0) ? -errno : 0;
	hurry(false);
	close(fd);
	return ret;
}

int module_unload(const char *name)
{
	int ret;

	hurry(true);
	ret = syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
	hurry(false);
	return ret;
}

bool meter_loaded(void)
{
	return module_loaded(METER);
}

int meter_load(const char *params)
{
	return module_load(METER, params);
}

int meter_unload(void)
{
	return module_unload(METER);
}

void meter_reload(const char *params)
{
	char status[256];
	int ret;

	if (meter_loaded()) {
		ret = meter_unload();
		REQUIRE(!ret, "rmmod: %s", strerror(-ret));
	}
	ret = meter_load(params);
	REQUIRE(!ret, "insmod kvm_meter %s: %s", params ? params : "", strerror(-ret));
	if (params && strstr(params, "armed=0"))
		return;
	REQUIRE(meter_file(status, sizeof(status), "status") >= 0, "no status");
	REQUIRE(!strcmp(status, "armed"), "status after insmod: %s", status);
}

void meter_setup(void)
{
	need_kvm();
	meter_reload(NULL);
}

void meter_cleanup(void)
{
	int ret = meter_loaded() ? meter_unload() : 0;

	REQUIRE(!ret, "rmmod: %s", strerror(-ret));
}

/*
 * A VM without vCPUs, held for as long as the program runs: KVM patches the
 * scheduler's text when the first VM comes and when the last one goes, and an
 * emulated host does not survive thousands of those.
 */
void hold_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		ioctl(fd, KVM_CREATE_VM, 0);
}

int meter_main(const struct tap_test *tests, unsigned int nr, int argc, char **argv)
{
	const struct tap_suite suite = { tests, nr, meter_setup, meter_cleanup };

	hold_kvm();
	return tap_main(&suite, argc, argv);
}
