// SPDX-License-Identifier: GPL-2.0
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harden.h"

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/kvm_harden_test"
#define BUFFER_KB	24576		/* of each CPU */

static int marker = -1;

static void set(const char *file, const char *text)
{
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), INSTANCE "/%s", file);
	ret = write_file(path, text);
	REQUIRE(!ret, "%s to %s: %s", text, path, strerror(-ret));
}

static void quiet(void)
{
	write_file(INSTANCE "/tracing_on", "0\n");
	write_file(INSTANCE "/events/enable", "0\n");
}

static void drop(void)
{
	if (marker >= 0)
		close(marker);
	marker = -1;
	if (file_exists(INSTANCE)) {
		quiet();
		rmdir(INSTANCE);
	}
}

void witness_start(bool exits)
{
	char kb[16];

	if (!file_exists(TRACEFS "/instances"))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	drop();		/* of a test that was killed */
	REQUIRE(!mkdir(INSTANCE, 0700), "%s: %s", INSTANCE, strerror(errno));
	tap_at_end(drop);
	set("tracing_on", "0\n");
	/* The debug kernel has fewer events, and takes minutes to read a large one. */
	snprintf(kb, sizeof(kb), "%u\n", BUFFER_KB / slowness());
	set("buffer_size_kb", kb);
	set("trace_clock", "global\n");
	set("events/msr/write_msr/filter", "msr == 0x49 || msr == 0x10b\n");
	set("events/msr/write_msr/enable", "1\n");
	set("events/kvm_harden/kvm_harden_switch/enable", "1\n");
	set("events/kvm/kvm_entry/enable", "1\n");
	if (exits)
		set("events/kvm/kvm_exit/enable", "1\n");
	marker = open(INSTANCE "/trace_marker", O_WRONLY | O_CLOEXEC);
	REQUIRE(marker >= 0, "trace_marker: %s", strerror(errno));
	set("tracing_on", "1\n");
}

void witness_mark(const char *fmt, ...)
{
	char text[64];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	REQUIRE(write(marker, text, len) == len, "trace_marker: %s", strerror(errno));
}

/* "ibpb+l1d" */
static bool flush_bits(const char *args, const char *key, __u32 *bits)
{
	const char *at = strstr(args, key);
	char text[32];

	if (!at)
		return false;
	at += strlen(key);
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, " "), at);
	*bits = (strstr(text, "ibpb") ? KVM_HARDEN_IBPB : 0) |
		(strstr(text, "l1d") ? KVM_HARDEN_L1D : 0);
	return true;
}

/* A value of a switch's line may be empty. */
static bool parse_switch(const char *args, struct witness_event *e)
{
	const char *at;

	if (sscanf(args, "vm=%llu vcpu=%u domain=%lli from=%lli from_vm=%llu", &e->vm, &e->vcpu,
		   (long long *)&e->to, (long long *)&e->from, &e->from_vm) != 5)
		return false;
	if (!flush_bits(args, " flush=", &e->flush) || !flush_bits(args, " covered=", &e->covered))
		return false;
	at = strstr(args, " ns=");
	return at && sscanf(at, " ns=%llu", &e->took) == 1;
}

/* "  comm-12  [001] d..2. 123.456789: event: arguments" */
static bool parse(const char *line, struct witness_event *e)
{
	unsigned long long sec, frac;
	const char *at = line, *args;
	char name[48];
	int skip;

	memset(e, 0, sizeof(*e));
	for (at = strstr(at, " ["); at; at = strstr(at + 1, " ["))
		if (sscanf(at, " [%3d] %*s %llu.%llu: %47[^:]:%n", &e->cpu, &sec, &frac, name,
			   &skip) == 4)
			break;
	if (!at)
		return false;
	args = at + skip;
	while (at > line && at[-1] == ' ')
		at--;
	while (at > line && at[-1] >= '0' && at[-1] <= '9')
		at--;
	e->tid = atoi(at);
	e->ns = sec * NSEC_PER_SEC + frac * 1000;
	args += *args == ' ';
	if (!strcmp(name, "kvm_entry")) {
		e->kind = WITNESS_ENTRY;
		return sscanf(args, "vcpu %u", &e->vcpu) == 1;
	}
	if (!strcmp(name, "kvm_exit")) {
		e->kind = WITNESS_EXIT;
		return sscanf(args, "vcpu %u", &e->vcpu) == 1;
	}
	if (!strcmp(name, "write_msr")) {
		e->kind = WITNESS_MSR;
		return sscanf(args, "%x, value %llx", &e->msr, &e->value) == 2;
	}
	if (!strcmp(name, "kvm_harden_switch")) {
		e->kind = WITNESS_SWITCH;
		return parse_switch(args, e);
	}
	if (!strcmp(name, "tracing_mark_write")) {
		e->kind = WITNESS_MARK;
		snprintf(e->mark, sizeof(e->mark), "%s", args);
		e->mark[strcspn(e->mark, "\n")] = 0;
		return true;
	}
	return false;
}

static void expect_nothing_lost(void)
{
	static const char *const keys[] = { "overrun:", "commit overrun:", "dropped events:" };
	char path[PATH_MAX], buf[1024], *at;

	for (int cpu = 0;; cpu++) {
		snprintf(path, sizeof(path), INSTANCE "/per_cpu/cpu%d/stats", cpu);
		if (read_file(path, buf, sizeof(buf)) < 0) {
			REQUIRE(cpu, "no %s", path);
			return;
		}
		for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
			at = strstr(buf, keys[i]);
			REQUIRE(at && !atoi(at + strlen(keys[i])), "the trace of CPU %d lost: %s",
				cpu, buf);
		}
	}
}

void witness_stop(struct witness *w)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f;

	quiet();
	expect_nothing_lost();
	memset(w, 0, sizeof(*w));
	f = fopen(INSTANCE "/trace", "re");
	REQUIRE(f, "no " INSTANCE "/trace");
	while (getline(&line, &size, f) > 0) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (w->nr == w->max) {
			w->max = w->max ? w->max * 2 : 4096;
			w->events = realloc(w->events, w->max * sizeof(*w->events));
			REQUIRE(w->events, "out of memory");
		}
		REQUIRE(parse(line, &w->events[w->nr]), "not understood in the trace: %s", line);
		w->nr++;
	}
	fclose(f);
	free(line);
	drop();
}

void witness_free(struct witness *w)
{
	free(w->events);
	memset(w, 0, sizeof(*w));
}
