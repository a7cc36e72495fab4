// SPDX-License-Identifier: GPL-2.0
#include "zone.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/kvm_harden_zones"
#define EVENT		"kvm_harden_violation: "

const char *zone_allow(const char *deny)
{
	if (!strcmp(deny, "x") || !strcmp(deny, "wx"))
		return " allow=emulator,alias";
	if (!strcmp(deny, "rw"))
		return " allow=emulator,paravirt,device,alias";
	return "";
}

bool zone_supported(const char *deny)
{
	char buf[256] = "", *word, *rest;

	if (harden_file(buf, sizeof(buf), "zones/available") < 0)
		return false;
	if (strstr(buf, "unavailable"))
		return false;
	for (word = strtok_r(buf, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		if (!strcmp(word, deny))
			return true;
	return false;
}

long long zone_create(__u64 vm, __u64 gpa, __u64 size, const char *deny, const char *action,
		      const char *extra)
{
	char text[256];
	int ret;

	snprintf(text, sizeof(text), "vm=%llu gpa=%llx size=%llx deny=%s action=%s%s\n", vm, gpa,
		 size, deny, action, extra ? extra : "");
	ret = harden_write(text, "zones/create");
	return ret ? ret : (long long)harden_u64("zones/last_id");
}

const char *zone_last_error(void)
{
	static char buf[256];

	buf[0] = 0;
	harden_file(buf, sizeof(buf), "zones/last_error");
	return buf;
}

int zone_remove(__u64 id)
{
	return harden_write("1\n", "zones/%llu/remove", id);
}

int zone_disarm(void)
{
	return harden_write("1\n", "disarm");
}

bool zone_exists(__u64 id)
{
	return harden_exists("zones/%llu", id);
}

__u64 zone_u64(__u64 id, const char *file)
{
	char path[64], buf[64], *end;
	__u64 v;

	snprintf(path, sizeof(path), "zones/%llu/%s", id, file);
	REQUIRE(harden_file(buf, sizeof(buf), "%s", path) > 0, "cannot read %s", path);
	v = strtoull(buf, &end, 0);
	REQUIRE(end != buf && !*end, "%s is no number: %s", path, buf);
	return v;
}

const char *zone_text(__u64 id, const char *file)
{
	static char buf[256];

	buf[0] = 0;
	harden_file(buf, sizeof(buf), "zones/%llu/%s", id, file);
	return buf;
}

int zone_set_state(__u64 id, const char *state)
{
	return harden_write(state, "zones/%llu/state", id);
}

void zone_expect_state(__u64 id, const char *state)
{
	const char *now = zone_text(id, "state");
	size_t len = strlen(state);

	EXPECT(!strncmp(now, state, len) && (!now[len] || now[len] == ';'),
	       "zone %llu is \"%s\", expected \"%s\"", id, now, state);
}

static int trace_set(const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), INSTANCE "/%s", file);
	return write_file(path, text);
}

static void trace_drop(void)
{
	if (!file_exists(INSTANCE))
		return;
	trace_set("tracing_on", "0\n");
	trace_set("events/enable", "0\n");
	rmdir(INSTANCE);
}

void zone_trace_start(void)
{
	static bool ends;
	int ret;

	if (!file_exists(TRACEFS "/instances"))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	trace_drop();
	REQUIRE(!mkdir(INSTANCE, 0700), "%s: %s", INSTANCE, strerror(errno));
	if (!ends)
		tap_at_end(trace_drop);
	ends = true;
	ret = trace_set("events/kvm_harden/kvm_harden_violation/enable", "1\n");
	REQUIRE(!ret, "no tracepoint kvm_harden_violation: %s", strerror(-ret));
}

unsigned int zone_trace_stop(struct zone_violation *v)
{
	unsigned int nr = 0;
	char *line = NULL, *at;
	size_t size = 0;
	FILE *f;

	trace_set("tracing_on", "0\n");
	f = fopen(INSTANCE "/trace", "re");
	REQUIRE(f, "no " INSTANCE "/trace");
	while (getline(&line, &size, f) > 0) {
		at = strstr(line, EVENT);
		if (line[0] == '#' || !at || nr == ZONE_VIOLATIONS)
			continue;
		memset(&v[nr], 0, sizeof(v[nr]));
		REQUIRE(sscanf(at + strlen(EVENT),
			       "vm=%llu vcpu=%u gpa=%llx access=%3s rip=%llx zone=%llu action=%7s",
			       &v[nr].vm, &v[nr].vcpu, &v[nr].gpa, v[nr].access, &v[nr].rip,
			       &v[nr].zone, v[nr].action) == 7,
			"not understood in the trace: %s", line);
		nr++;
	}
	fclose(f);
	free(line);
	trace_drop();
	return nr;
}

static __thread sigjmp_buf caught;

static void on_fault(int sig)
{
	siglongjmp(caught, sig);
}

static int touch(volatile void *p, __u64 *value, bool write)
{
	struct sigaction sa = { .sa_handler = on_fault }, segv, bus;
	volatile __u64 *word = p;
	int sig;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(caught, 1);
	if (!sig) {
		if (write)
			*word = *value;
		else
			*value = *word;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return !sig ? 0 : sig == SIGSEGV ? -EFAULT : -EIO;
}

int vmm_peek(const volatile void *p, __u64 *value)
{
	return touch((volatile void *)p, value, false);
}

int vmm_poke(volatile void *p, __u64 value)
{
	return touch(p, &value, true);
}
