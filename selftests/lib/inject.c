// SPDX-License-Identifier: GPL-2.0
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define INJECT		"/sys/kernel/debug"
#define FAIL_NTH	"/proc/thread-self/fail-nth"

static const char *const kinds[] = { "failslab", "fail_page_alloc" };

void inject(const char *kind, const char *file, unsigned long long value)
{
	char path[128], text[32];
	int ret;

	snprintf(path, sizeof(path), INJECT "/%s/%s", kind, file);
	snprintf(text, sizeof(text), "%llu", value);
	ret = write_file(path, text);
	REQUIRE(!ret, "%s to %s: %s", text, path, strerror(-ret));
}

unsigned int inject_left(const char *kind)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), INJECT "/%s/times", kind);
	REQUIRE(read_file(path, text, sizeof(text)) > 0, "cannot read %s", path);
	return atoi(text);
}

void inject_only(unsigned long long start, unsigned long long end)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		inject(kinds[i], "probability", 0);
		inject(kinds[i], "verbose", 0);
		inject(kinds[i], "task-filter", 0);
		inject(kinds[i], "ignore-gfp-wait", 0);
		inject(kinds[i], "stacktrace-depth", 32);
		inject(kinds[i], "require-start", start);
		inject(kinds[i], "require-end", end);
	}
	inject("fail_page_alloc", "ignore-gfp-highmem", 0);
	inject("fail_page_alloc", "min-order", 0);
}

/* Of this thread, and open all the time: opening it would be among what fails. */
static int fail_nth_fd(void)
{
	static pid_t owner;
	static int fd;

	if (owner != gettid()) {
		fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
		REQUIRE(fd >= 0, FAIL_NTH ": %s", strerror(errno));
		owner = gettid();
	}
	return fd;
}

void fail_nth(unsigned int nth)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%u", nth);

	REQUIRE(pwrite(fail_nth_fd(), text, len, 0) == len, "%s to " FAIL_NTH ": %s", text,
		strerror(errno));
}

unsigned int fail_left(void)
{
	char text[32] = "";

	REQUIRE(pread(fail_nth_fd(), text, sizeof(text) - 1, 0) > 0, "cannot read " FAIL_NTH);
	fail_nth(0);
	return strtoul(text, NULL, 10);
}

void stop_injecting(void)
{
	fail_nth(0);
	inject_only(0, ~0ull);
}

void need_injection(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		char path[128];

		snprintf(path, sizeof(path), INJECT "/%s/require-start", kinds[i]);
		if (!file_exists(path))
			tap_skip("this kernel cannot make allocations fail: no %s", path);
	}
	tap_at_end(stop_injecting);
}

void find_module(const char *name, unsigned long long *start, unsigned long long *end)
{
	unsigned long long size;
	char line[512], head[64];
	FILE *f = fopen("/proc/modules", "r");

	REQUIRE(f, "no /proc/modules");
	*start = 0;
	snprintf(head, sizeof(head), "%s ", name);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, head, strlen(head)))
			sscanf(line, "%*s %llu %*s %*s %*s %llx", &size, start);
	fclose(f);
	REQUIRE(*start, "%s is not in /proc/modules", name);
	*end = *start + size;
}
