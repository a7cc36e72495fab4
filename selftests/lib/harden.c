// SPDX-License-Identifier: GPL-2.0
#include "harden.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool harden_loaded(void)
{
	return module_loaded(HARDEN);
}

int harden_load(const char *params)
{
	return module_load(HARDEN, params);
}

int harden_unload(void)
{
	return module_unload(HARDEN);
}

void harden_reload(const char *meter, const char *params)
{
	int ret;

	if (harden_loaded()) {
		ret = harden_unload();
		REQUIRE(!ret, "rmmod kvm_harden: %s", strerror(-ret));
	}
	meter_reload(meter);
	ret = harden_load(params);
	REQUIRE(!ret, "insmod kvm_harden %s: %s", params ? params : "", strerror(-ret));
}

void harden_setup(void)
{
	need_kvm();
	harden_reload(NULL, HARDEN_ASSUME);
}

void harden_cleanup(void)
{
	int ret = harden_loaded() ? harden_unload() : 0;

	REQUIRE(!ret, "rmmod kvm_harden: %s", strerror(-ret));
	meter_cleanup();
}

int harden_main(const struct tap_test *tests, unsigned int nr, int argc, char **argv)
{
	const struct tap_suite suite = { tests, nr, harden_setup, harden_cleanup };

	hold_kvm();
	return tap_main(&suite, argc, argv);
}

#define harden_path(path, fmt)						\
	do {								\
		int len_ = snprintf(path, sizeof(path), HARDEN_SYSFS "/"); \
		va_list ap_;						\
									\
		va_start(ap_, fmt);					\
		vsnprintf(path + len_, sizeof(path) - len_, fmt, ap_);	\
		va_end(ap_);						\
	} while (0)

/* The file without its newline: length, or -errno. */
static int read_line(const char *path, char *buf, size_t size)
{
	ssize_t len = read_file(path, buf, size);

	if (len > 0 && buf[len - 1] == '\n')
		buf[--len] = 0;
	return len;
}

int harden_file(char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];

	harden_path(path, fmt);
	return read_line(path, buf, size);
}

__u64 harden_u64(const char *fmt, ...)
{
	char path[PATH_MAX], buf[64], *end;
	__u64 v;

	harden_path(path, fmt);
	REQUIRE(read_line(path, buf, sizeof(buf)) > 0, "cannot read %s", path);
	v = strtoull(buf, &end, 10);
	REQUIRE(end != buf && !*end, "%s is no number: %s", path, buf);
	return v;
}

bool harden_exists(const char *fmt, ...)
{
	char path[PATH_MAX];

	harden_path(path, fmt);
	return file_exists(path);
}

int harden_write(const char *text, const char *fmt, ...)
{
	char path[PATH_MAX];

	harden_path(path, fmt);
	return write_file(path, text);
}

void harden_set(const char *text, const char *fmt, ...)
{
	char path[PATH_MAX];
	int ret;

	harden_path(path, fmt);
	ret = write_file(path, text);
	REQUIRE(!ret, "%s to %s: %s", text, path, strerror(-ret));
}

void harden_expect(const char *text, const char *fmt, ...)
{
	char path[PATH_MAX], buf[4096] = "";

	harden_path(path, fmt);
	read_line(path, buf, sizeof(buf));
	EXPECT(!strcmp(buf, text), "%s: \"%s\", expected \"%s\"", path, buf, text);
}

void harden_counters(__u64 vm, struct harden_counters *c)
{
	char dir[64] = "flush";

	if (vm != HARDEN_TOTALS)
		snprintf(dir, sizeof(dir), "vms/%llu", vm);
#define READ(name, desc)	c->name = harden_u64("%s/" #name, dir);
	KVM_HARDEN_COUNTERS(READ)
#undef READ
}

void harden_wait_vm(__u64 vm)
{
	/* The last file of a directory that is just being made. */
	REQUIRE(WAIT_FOR(harden_exists("vms/%llu/sibling_conflict_ns", vm), METER_APPEARS_MS),
		"VM %llu did not appear in " HARDEN_SYSFS, vm);
}

const char *harden_policy_text(__u32 policy)
{
	static char text[32];

	if (policy & KVM_HARDEN_DEFAULT)
		return "default";
	snprintf(text, sizeof(text), "%s%s%s", policy & KVM_HARDEN_IBPB ? " ibpb" : "",
		 policy & KVM_HARDEN_L1D ? " l1d" : "", policy & KVM_HARDEN_HOST ? " host" : "");
	return policy ? text + 1 : "none";
}

void harden_map_open(struct meter_map *m)
{
	map_open_id(m, harden_u64("maps/kvm_harden_vm"), "kvm_harden_vm");
}

__u32 harden_available(void)
{
	char buf[256] = "";

	harden_file(buf, sizeof(buf), "flush/available");
	return (strstr(buf, "ibpb:") ? KVM_HARDEN_IBPB : 0) |
	       (strstr(buf, "l1d:") ? KVM_HARDEN_L1D : 0);
}

bool harden_kvm_flushes(void)
{
	char buf[256] = "";

	harden_file(buf, sizeof(buf), "flush/kvm");
	return strcmp(buf, "ibpb: never\nl1d: never");
}

int cpu_core(int cpu)
{
	static int known[64];		/* 1 more; those of CPUs that were online */
	char path[PATH_MAX], buf[64];

	if (cpu < (int)ARRAY_SIZE(known) && known[cpu])
		return known[cpu] - 1;
	snprintf(path, sizeof(path),
		 "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return cpu;
	if (cpu < (int)ARRAY_SIZE(known))
		known[cpu] = atoi(buf) + 1;
	return atoi(buf);
}
