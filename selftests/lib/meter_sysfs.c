// SPDX-License-Identifier: GPL-2.0
#include "meter.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS_SIZE	65536

static void meter_path(char *path, size_t size, const char *fmt, va_list ap)
{
	int len = snprintf(path, size, METER_SYSFS "/");

	vsnprintf(path + len, size - len, fmt, ap);
}

/* The file without its newline: length, or -errno. */
int meter_file(char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	ssize_t len;
	va_list ap;

	va_start(ap, fmt);
	meter_path(path, sizeof(path), fmt, ap);
	va_end(ap);
	len = read_file(path, buf, size);
	if (len > 0 && buf[len - 1] == '\n')
		buf[--len] = 0;
	return len;
}

bool meter_exists(const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	meter_path(path, sizeof(path), fmt, ap);
	va_end(ap);
	return file_exists(path);
}

__u64 meter_u64(const char *fmt, ...)
{
	char path[PATH_MAX], buf[64];
	va_list ap;
	char *end;
	__u64 v;

	va_start(ap, fmt);
	meter_path(path, sizeof(path), fmt, ap);
	va_end(ap);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0, "cannot read %s", path);
	v = strtoull(buf, &end, 10);
	REQUIRE(end != buf && *end == '\n', "%s is no number: %s", path, buf);
	return v;
}

void meter_expect_healthy(const char *except)
{
	char status[256] = "", path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	EXPECT(meter_file(status, sizeof(status), "status") > 0 && !strcmp(status, "armed"),
	       "status: %s", status);
	dir = opendir(METER_SYSFS "/health");
	REQUIRE(dir, "no health/");
	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), "health/%s", e->d_name);
		if (e->d_name[0] == '.' || (except && strstr(except, e->d_name)))
			continue;
		/* A CPU that was taken away in an update: the host's doing. */
		if (!strcmp(e->d_name, "torn_reads"))
			continue;
		EXPECT_EQ(meter_u64("%s", path), 0, path);
	}
	closedir(dir);
}

/* Call @fn for each entry of a directory that is a number, until it is true. */
static bool each_number(const char *path, bool (*fn)(__u64 nr, void *arg), void *arg)
{
	bool found = false;
	struct dirent *e;
	char *end;
	DIR *dir;
	__u64 nr;

	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		nr = strtoull(e->d_name, &end, 10);
		if (end != e->d_name && !*end)
			found = fn(nr, arg);
	}
	closedir(dir);
	return found;
}

struct find_tid {
	pid_t tid;
	__u64 vm;
	unsigned int vcpu;
};

static bool find_tid_vcpu(__u64 nr, void *arg)
{
	struct find_tid *f = arg;
	char buf[32];

	if (meter_file(buf, sizeof(buf), "vms/%llu/vcpus/%llu/tid", f->vm, nr) <= 0 ||
	    atoi(buf) != f->tid)
		return false;
	f->vcpu = nr;
	return true;
}

static bool find_tid_vm(__u64 nr, void *arg)
{
	struct find_tid *f = arg;
	char path[PATH_MAX];

	f->vm = nr;
	snprintf(path, sizeof(path), METER_SYSFS "/vms/%llu/vcpus", nr);
	return each_number(path, find_tid_vcpu, f);
}

__u64 meter_find_tid(pid_t tid, unsigned int *vcpu)
{
	struct find_tid f = { .tid = tid };

	if (!each_number(METER_SYSFS "/vms", find_tid_vm, &f))
		return 0;
	if (vcpu)
		*vcpu = f.vcpu;
	return f.vm;
}

__u64 meter_wait_tid(pid_t tid)
{
	__u64 vm = 0;

	REQUIRE(WAIT_FOR((vm = meter_find_tid(tid, NULL)), METER_APPEARS_MS),
		"the VM of thread %d did not appear in sysfs", tid);
	return vm;
}

bool meter_wait_gone(__u64 vm)
{
	return WAIT_FOR(!meter_exists("vms/%llu", vm), METER_APPEARS_MS);
}

struct find_vms {
	pid_t pid;
	__u64 *ids;
	unsigned int nr, max;
};

static bool find_vms_add(__u64 nr, void *arg)
{
	struct find_vms *f = arg;
	char buf[32];

	if (meter_file(buf, sizeof(buf), "vms/%llu/pid", nr) > 0 && atoi(buf) == f->pid &&
	    f->nr < f->max)
		f->ids[f->nr++] = nr;
	return false;
}

static int compare_u64(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

unsigned int meter_vms(pid_t pid, __u64 *ids, unsigned int max)
{
	struct find_vms f = { .pid = pid, .ids = ids, .max = max };

	each_number(METER_SYSFS "/vms", find_vms_add, &f);
	qsort(ids, f.nr, sizeof(*ids), compare_u64);
	return f.nr;
}

__u64 meter_wait_pid(pid_t pid)
{
	__u64 vm = 0;

	REQUIRE(WAIT_FOR(meter_vms(pid, &vm, 1), METER_APPEARS_MS),
		"the VM of process %d did not appear in sysfs", pid);
	return vm;
}

static void meter_dir(char *buf, size_t size, __u64 vm, int vcpu)
{
	if (vcpu == METER_VM)
		snprintf(buf, size, "vms/%llu", vm);
	else
		snprintf(buf, size, "vms/%llu/vcpus/%d", vm, vcpu);
}

/* A counter that not every host has is 0 in the maps and no file. */
static __u64 read_counter(const char *dir, const char *name)
{
	bool optional = !strncmp(name, "smt_", 4) || !strcmp(name, "remote_ns");

	return optional && !meter_exists("%s/%s", dir, name) ? 0 : meter_u64("%s/%s", dir, name);
}

void meter_counters(__u64 vm, int vcpu, struct meter_counters *c)
{
	char dir[64];

	meter_dir(dir, sizeof(dir), vm, vcpu);
#define READ(name, desc)	c->name = read_counter(dir, #name);
	KVM_METER_COUNTERS(READ)
#undef READ
}

unsigned int meter_reasons(__u64 vm, int vcpu, struct meter_reason *r, unsigned int max)
{
	static char text[REASONS_SIZE];
	unsigned int n = 0;
	char dir[64], *line;

	meter_dir(dir, sizeof(dir), vm, vcpu);
	/* The last file of a directory that is just being made. */
	REQUIRE(WAIT_FOR(meter_file(text, sizeof(text), "%s/exit_reasons", dir) >= 0,
			 METER_APPEARS_MS), "cannot read %s/exit_reasons", dir);
	for (line = strtok(text, "\n"); line && n < max; line = strtok(NULL, "\n")) {
		int end = 0;

		EXPECT(sscanf(line, "%39s %llu %llu%n", r[n].name, &r[n].count, &r[n].time_ns,
			      &end) == 3 && !line[end], "%s/exit_reasons: %s", dir, line);
		n++;
	}
	return n;
}

static bool name_in(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = names; p; p = strchr(p, '|')) {
		p += *p == '|';
		if (!strncmp(p, name, len) && (!p[len] || p[len] == '|'))
			return true;
	}
	return false;
}

__u64 meter_reason_count(__u64 vm, int vcpu, const char *names)
{
	struct meter_reason r[KVM_METER_REASONS];
	unsigned int n = meter_reasons(vm, vcpu, r, ARRAY_SIZE(r));
	__u64 count = 0;

	for (unsigned int i = 0; i < n; i++)
		if (name_in(names, r[i].name))
			count += r[i].count;
	return count;
}
