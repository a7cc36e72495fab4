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
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm.h"

/* $KVM_METER_KO, or where the tree has it as seen from selftests/out/. */
static const char *meter_path(void)
{
	static char path[PATH_MAX + 64];
	const char *env = getenv("KVM_METER_KO");
	char self[PATH_MAX];
	ssize_t len;

	if (env)
		return env;
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0)
		return "kvm_meter.ko";
	self[len] = 0;
	snprintf(path, sizeof(path), "%s/../../kvm_meter/kvm_meter.ko", dirname(self));
	return path;
}

bool meter_loaded(void)
{
	return file_exists("/sys/module/kvm_meter");
}

int meter_load(const char *params)
{
	int fd, ret;

	fd = open(meter_path(), O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0, "%s: %s", meter_path(), strerror(errno));
	ret = syscall(SYS_finit_module, fd, params ? params : "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int meter_unload(void)
{
	if (!syscall(SYS_delete_module, METER, O_NONBLOCK))
		return 0;
	return -errno;
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
static void hold_kvm(void)
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
