// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against what happens to a VMM's memory as a whole: a balloon,
 * reclaim, writes to the file behind it, a core dump.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN	64		/* of what is looked at */
#define AT	0x1100		/* where, within the secret */
#define CORE_DIR "/tmp/kvm_harden.cores"
#define CORE_MAX (64 << 20)
#define KEY	0x55		/* what is looked for is kept in other words */

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static bool is_secret(struct scene *s, const void *bytes)
{
	return !memcmp(bytes, s->before + AT, LEN);
}

struct advice {
	const char *name;
	int advice;
};

/* A balloon, reclaim and the like: nothing of it empties the zone. */
static void prove_advice(enum backing backing)
{
	static const struct advice all[] = {
		{ "MADV_DONTNEED", MADV_DONTNEED }, { "MADV_REMOVE", MADV_REMOVE },
		{ "MADV_FREE", MADV_FREE }, { "MADV_PAGEOUT", MADV_PAGEOUT },
		{ "MADV_POPULATE_READ", MADV_POPULATE_READ }, { "MADV_DODUMP", MADV_DODUMP },
		{ "MADV_WILLNEED", MADV_WILLNEED }, { "MADV_MERGEABLE", MADV_MERGEABLE },
		{ "MADV_HUGEPAGE", MADV_HUGEPAGE },
	};
	struct scene *s = scene_create(backing, 0);

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(all); i++) {
		const struct advice *a = &all[i / 2];
		const char *deny = i & 1 ? "w" : "rwx";
		__u64 value;
		int ret;

		scene_fill(s);
		if (!scene_zone(s, deny, "stop"))
			break;
		ret = madvise(s->secret, s->size, a->advice) ? errno : 0;
		tap_diag("%s, deny=%s: %s", a->name, deny, strerror(ret));
		EXPECT(!!vmm_peek(s->secret, &value) == !!strchr(deny, 'r') &&
		       vmm_poke(s->secret, 0), "%s opens it", a->name);
		scene_unzone(s);
		scene_expect_intact(s, a->name);
		scene_expect_open(s, a->name);
	}
	scene_over(s);
}

static void test_advice_shared(void) { prove_advice(BACK_SHARED); }
static void test_advice_private(void) { prove_advice(BACK_PRIVATE); }
static void test_advice_memfd(void) { prove_advice(BACK_MEMFD); }

/* The file that backs the guest: zeros while the zone stands, and no way in. */
static void test_file(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);
	char buf[LEN] = "", zeros[LEN] = "";
	__u64 at = s->gpa + AT;

	EXPECT(pread(s->memfd, buf, LEN, at) == LEN && is_secret(s, buf), "the file has it not");
	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	EXPECT(pread(s->memfd, buf, LEN, at) == LEN && !memcmp(buf, zeros, LEN),
	       "the file has 0x%02x in the zone", buf[0]);
	memset(buf, 0x42, LEN);
	EXPECT(pwrite(s->memfd, buf, LEN, at) == LEN, "pwrite: %s", strerror(errno));
	EXPECT(!fallocate(s->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, s->gpa, 4096),
	       "fallocate: %s", strerror(errno));
	scene_expect_closed(s, "after writes to the file");
	scene_unzone(s);
	scene_expect_intact(s, "after writes to the file");
	EXPECT(pread(s->memfd, buf, LEN, at) == LEN && is_secret(s, buf),
	       "the file has not got it back");
	scene_expect_open(s, "after writes to the file");
	scene_over(s);
}

/* Flags of the mapping at @at, as /proc/self/smaps has them. */
static void vm_flags(const void *at, char *flags, size_t size)
{
	unsigned long from, to, want = (unsigned long)at;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false;
	char line[512];

	flags[0] = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = want >= from && want < to;
		else if (here && !strncmp(line, "VmFlags:", 8))
			snprintf(flags, size, "%s", line + 8);
	}
	if (f)
		fclose(f);
}

/* Not in a core dump, not in a child, and never accessible again. */
static void test_flags(void)
{
	/* With deny=w only the last two. */
	static const char *const none[] = { " rd", " mr", " ex", " me", " wr", " mw" };
	static const char *const some[] = { " dd", " dc" };
	struct scene *s = scene_create(BACK_PRIVATE, 0);
	char flags[128];

	for (int w = 0; w < 2; w++) {
		if (!scene_zone(s, w ? "w" : "rwx", "stop"))
			scene_over(s);
		for (int page = 0; page < 2; page++) {
			vm_flags(s->secret + page * 4096, flags, sizeof(flags));
			for (unsigned int i = 0; i < ARRAY_SIZE(none); i++)
				EXPECT(!strstr(flags, none[i]) || (w && i < 4),
				       "deny=%s: flags%s", w ? "w" : "rwx", flags);
			for (unsigned int i = 0; i < ARRAY_SIZE(some); i++)
				EXPECT(strstr(flags, some[i]), "deny=%s: flags%s", w ? "w" : "rwx",
				       flags);
		}
		vm_flags(s->secret - 4096, flags, sizeof(flags));
		EXPECT(strstr(flags, " rd") && strstr(flags, " wr") && !strstr(flags, " dd"),
		       "beside it: flags%s", flags);
		scene_unzone(s);
		vm_flags(s->secret, flags, sizeof(flags));
		EXPECT(strstr(flags, " rd") && strstr(flags, " wr") && !strstr(flags, " dd") &&
		       !strstr(flags, " dc"), "after the zone: flags%s", flags);
	}
	scene_over(s);
}

struct crash {
	bool zone;
	bool dodump;
	volatile int *no_zones;
	volatile char *key;	/* what to look for in the dump, ^ KEY */
};

static void crash(void *arg)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct scene *s = scene_create(BACK_SHARED, 0);
	struct crash *c = arg;

	for (int i = 0; i < LEN; i++)
		c->key[i] = s->before[AT + i] ^ KEY;
	if (c->zone && !scene_zone(s, "rwx", "stop")) {
		*c->no_zones = 1;
		_exit(0);
	}
	if (c->dodump)
		madvise(s->secret, s->size, MADV_DODUMP);
	memset(s->before, 0, s->size);
	setrlimit(RLIMIT_CORE, &unlimited);
	prctl(PR_SET_DUMPABLE, 1);
	signal(SIGABRT, SIG_DFL);
	abort();
}

/* The key is never in plain sight here: the next child would have it on its stack. */
static bool is_key(const char *at, volatile char *key)
{
	for (int i = 0; i < LEN; i++)
		if ((at[i] ^ KEY) != key[i])
			return false;
	return true;
}

/* How often is the key in the dump, -1: there is no dump. */
static int count_in_core(volatile char *key)
{
	char name[128] = "", *buf;
	int found = 0, fd;
	ssize_t len = 0, got;

	run_shell(name, sizeof(name), "ls " CORE_DIR "/core.* 2>/dev/null");
	name[strcspn(name, "\n")] = 0;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	buf = malloc(CORE_MAX);
	REQUIRE(buf, "out of memory");
	while ((got = read(fd, buf + len, CORE_MAX - len)) > 0)
		len += got;
	for (ssize_t i = 0; i + LEN <= len; i++)
		found += is_key(buf + i, key);
	free(buf);
	close(fd);
	unlink(name);
	return found;
}

static int crash_once(bool zone, bool dodump)
{
	struct crash c = { zone, dodump, shared_page(), shared_page() };
	int status = wait_child(spawn(crash, &c));

	if (*c.no_zones)
		tap_skip("no zones in this kvm_harden");
	EXPECT(status == 128 + SIGABRT, "status %d", status);
	return count_in_core(c.key);
}

static char old_pattern[256];

static void cores_end(void)
{
	write_file("/proc/sys/kernel/core_pattern", old_pattern);
	run_shell(NULL, 0, "rm -rf " CORE_DIR);
}

static void test_core(void)
{
	int found;

	read_file("/proc/sys/kernel/core_pattern", old_pattern, sizeof(old_pattern));
	mkdir(CORE_DIR, 0700);
	if (write_file("/proc/sys/kernel/core_pattern", CORE_DIR "/core.%p\n"))
		tap_skip("core_pattern cannot be written");
	tap_at_end(cores_end);
	found = crash_once(false, false);
	if (found < 0)
		tap_skip("no core dump here");
	EXPECT_EQ(found, 1, "times the secret is in a core dump without a zone");
	EXPECT_EQ(crash_once(true, false), 0, "times it is there with a zone");
	EXPECT_EQ(crash_once(true, true), 0, "times it is there after MADV_DODUMP");
}

static const struct tap_test tests[] = {
	{ "advice to shared memory", test_advice_shared, 0 },
	{ "advice to private memory", test_advice_private, 0 },
	{ "advice to memory of a memfd", test_advice_memfd, 0 },
	{ "the memfd itself", test_file, 0 },
	{ "flags of the mapping", test_flags, 0 },
	{ "a core dump", test_core, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
