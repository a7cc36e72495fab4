// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones on memory of every kind that can be shielded: it holds, and comes
 * back as it was.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#define KSM		"/sys/kernel/mm/ksm/"
#define SWAP_FILE	"/var/tmp/kvm_harden.swap"
#define SWAP_MB		64
#define HUGE_SIZE	0x200000ull

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

static void prove_kind(enum backing backing)
{
	struct scene *s = scene_create(backing, 0);

	/* Twice: the second one is on memory that had one. */
	scene_prove(s, "rwx");
	scene_prove(s, "w");
	scene_prove(s, "rwx");
	scene_over(s);
}

static void test_shared(void) { prove_kind(BACK_SHARED); }
static void test_private(void) { prove_kind(BACK_PRIVATE); }
static void test_memfd(void) { prove_kind(BACK_MEMFD); }

/* Bytes of @at's mapping that smaps counts under @key, or -1. */
static long smaps(const void *at, const char *key)
{
	unsigned long from, to, want = (unsigned long)at;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false;
	long kb = -1;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = want >= from && want < to;
		else if (here && !strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key) + 1);
	}
	if (f)
		fclose(f);
	return kb < 0 ? -1 : kb * 1024;
}

static void test_huge(void)
{
	struct scene *s = scene_create(BACK_HUGE, 0);

	if (smaps(s->secret, "AnonHugePages") < (long)(4 * HUGE_SIZE))
		tap_skip("no huge pages to be had: %ld bytes", smaps(s->secret, "AnonHugePages"));
	scene_prove(s, "rwx");
	scene_prove(s, "w");
	scene_over(s);
}

/* From the first byte of a huge page over its end, and a whole one. */
static void test_huge_edges(void)
{
	struct scene *s = scene_create(BACK_HUGE, 0);
	static const struct { __u64 gpa, size; } zones[] = {
		{ 2 * HUGE_SIZE, 4096 }, { 3 * HUGE_SIZE - 4096, 8192 }, { 2 * HUGE_SIZE, HUGE_SIZE },
		{ HUGE_SIZE + 0x1000, 2 * HUGE_SIZE - 0x3000 },
	};
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(zones); i++) {
		free(s->before);
		s->gpa = zones[i].gpa;
		s->size = zones[i].size;
		s->secret = s->mem + s->gpa;
		s->before = calloc(1, s->size < SCENE_ZONE_SIZE ? SCENE_ZONE_SIZE : s->size);
		REQUIRE(s->before, "out of memory");
		scene_fill(s);
		if (!scene_zone(s, "rwx", "stop"))
			break;
		for (__u64 at = 0; at < s->size; at += s->size > 65536 ? 65536 - 4096 : 4096)
			n += scene_run(s, guest_read, 1, s->gpa + at) == SCENE_STOPPED;
		EXPECT(scene_run(s, guest_read, 1, s->gpa + s->size - 8) == SCENE_STOPPED,
		       "the last word of zone %u is open", i);
		EXPECT(scene_run(s, guest_read, 1, s->gpa - 8) == SCENE_RAN &&
		       scene_run(s, guest_read, 1, s->gpa + s->size) == SCENE_RAN,
		       "what is beside zone %u is closed", i);
		EXPECT(n == zone_u64(s->zone, "violations") - 1, "zone %u: %u reads were stopped, %llu",
		       i, n, zone_u64(s->zone, "violations"));
		n = 0;
		scene_unzone(s);
		scene_expect_intact(s, "a zone on huge pages");
	}
	scene_over(s);
}

/* Memory that nobody has touched: it is zeros before and after. */
static void test_untouched(void)
{
	for (int backing = BACK_SHARED; backing <= BACK_PRIVATE; backing++) {
		struct scene *s = scene_create(backing, 0);

		s->gpa += 4 * SCENE_ZONE_SIZE;
		s->secret += 4 * SCENE_ZONE_SIZE;
		memset(s->before, 0, s->size);
		if (!scene_zone(s, "rwx", "stop"))
			scene_over(s);
		EXPECT(scene_run(s, guest_read, 1, s->gpa) == SCENE_STOPPED, "a read ran");
		EXPECT(scene_run(s, guest_write, 1, s->gpa) == SCENE_STOPPED, "a write ran");
		scene_unzone(s);
		scene_expect_intact(s, "untouched");
		scene_expect_open(s, "untouched");
		scene_over(s);
	}
}

/* Either it is refused, or the protection of before comes back, and not just any. */
static void test_protection(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);
	int ret;

	REQUIRE(!mprotect(s->secret, s->size, PROT_READ), "mprotect: %s", strerror(errno));
	ret = scene_try_zone(s, "rwx", "stop");
	if (s->no_zones)
		scene_over(s);
	EXPECT(!ret || ret == -EOPNOTSUPP, "zone: %s (%s)", strerror(-ret), zone_last_error());
	if (!ret) {
		EXPECT(!scene_guest_steals(s, s->gpa), "the guest gets the secret");
		scene_unzone(s);
	}
	scene_expect_intact(s, "read-only memory");
	EXPECT(vmm_poke(s->secret, 0) == -EFAULT, "the memory was read-only, and is not");
	REQUIRE(!mprotect(s->secret, s->size, PROT_READ | PROT_WRITE), "mprotect: %s",
		strerror(errno));
	scene_expect_open(s, "made writable");
	scene_over(s);
}

static void test_mlocked(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);

	REQUIRE(!mlock(s->mem, s->mem_size), "mlock: %s", strerror(errno));
	scene_prove(s, "rwx");
	scene_over(s);
}

static void ksm_stop(void)
{
	write_file(KSM "run", "2\n");
	write_file(KSM "run", "0\n");
}

static long long ksm_value(const char *name)
{
	char path[64], buf[32] = "-1";

	snprintf(path, sizeof(path), KSM "%s", name);
	read_file(path, buf, sizeof(buf));
	return atoll(buf);
}

/* Both pages of the zone and one elsewhere are one page of the host. */
static void test_ksm(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);
	char *twin = s->secret + s->size + 4096;

	if (!file_exists(KSM "run"))
		tap_skip("no KSM");
	memcpy(s->secret + 4096, s->secret, 4096);
	memcpy(twin, s->secret, 4096);
	scene_remember(s);
	if (madvise(s->mem + GUEST_SPARE, s->mem_size - GUEST_SPARE, MADV_MERGEABLE))
		tap_skip("MADV_MERGEABLE: %s", strerror(errno));
	tap_at_end(ksm_stop);
	write_file(KSM "smart_scan", "0\n");
	write_file(KSM "sleep_millisecs", "5\n");
	write_file(KSM "pages_to_scan", "2000\n");
	if (write_file(KSM "run", "1\n"))
		tap_skip("KSM cannot be run");
	if (!WAIT_FOR(ksm_value("pages_sharing") >= 2, 20000))
		tap_skip("KSM merges nothing");
	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	EXPECT(!scene_guest_steals(s, s->gpa), "the guest gets the secret");
	scene_guest_spoils(s, s->gpa);
	scene_expect_closed(s, "merged");
	EXPECT(!memcmp(twin, s->before, 4096), "the twin changed");
	scene_unzone(s);
	scene_expect_intact(s, "merged");
	EXPECT(!memcmp(twin, s->before, 4096), "the twin changed");
	scene_expect_open(s, "merged");
	scene_over(s);
}

static void swap_end(void)
{
	swapoff(SWAP_FILE);
	unlink(SWAP_FILE);
}

static void need_swap(void)
{
	if (run_shell(NULL, 0, "dd if=/dev/zero of=" SWAP_FILE " bs=1M count=%d 2>/dev/null && "
		      "chmod 600 " SWAP_FILE " && mkswap " SWAP_FILE " >/dev/null 2>&1", SWAP_MB))
		tap_skip("no swap file can be made");
	tap_at_end(swap_end);
	if (swapon(SWAP_FILE, 0))
		tap_skip("swapon: %s", strerror(errno));
}

static bool swapped(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (pread(fd, &entry, sizeof(entry), (unsigned long)at / 4096 * 8) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry & (1ull << 62);
}

/* The secret is on disk when the zone comes; and when it goes. */
static void test_swapped(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);

	need_swap();
	for (int i = 0; i < 3; i++) {
		if (!WAIT_FOR((madvise(s->secret, s->size, MADV_PAGEOUT), i || swapped(s->secret)),
			      10000))
			tap_skip("the page is not swapped out");
		if (!scene_zone(s, "rwx", "stop"))
			scene_over(s);
		EXPECT(!scene_guest_steals(s, s->gpa), "the guest gets the secret");
		/* What a module's file has is swapped out like any. */
		madvise(s->secret, s->size, MADV_PAGEOUT);
		scene_expect_closed(s, "swapped");
		scene_unzone(s);
		scene_expect_intact(s, "swapped");
		scene_expect_open(s, "swapped");
	}
	scene_over(s);
}

/* A memfd that may not be written, or not shrink. */
static void test_memfd_seals(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);

	REQUIRE(!fcntl(s->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
		"F_ADD_SEALS: %s", strerror(errno));
	scene_prove(s, "rwx");
	scene_prove(s, "w");
	scene_over(s);
}

/* The file shrinks under the zone, and is as long as before when it ends. */
static void test_memfd_shrinks(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);

	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	REQUIRE(!ftruncate(s->memfd, s->gpa) && !ftruncate(s->memfd, s->mem_size), "ftruncate: %s",
		strerror(errno));
	scene_expect_closed(s, "the file shrank and grew");
	scene_unzone(s);
	scene_expect_intact(s, "the file shrank and grew");
	scene_expect_open(s, "the file shrank and grew");
	/* And once more, and it stays short: nothing must go wrong but that. */
	scene_fill(s);
	scene_zone(s, "rwx", "stop");
	REQUIRE(!ftruncate(s->memfd, s->gpa), "ftruncate: %s", strerror(errno));
	tap_diag("removal with a file too short: %s", strerror(-zone_remove(s->zone)));
	scene_over(s);
}

/* The VMM moves other memory over the zone; it is closed again before long. */
static void test_mapped_over(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);
	enum scene_end end;
	char *other;

	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	other = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(other != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(other, 0x22, s->size);
	REQUIRE(mremap(other, s->size, s->size, MREMAP_MAYMOVE | MREMAP_FIXED, s->secret) ==
		s->secret, "mremap: %s", strerror(errno));
	end = scene_run(s, guest_read, 1, s->gpa);
	EXPECT(end != SCENE_RAN, "the guest reads what was mapped over the zone");
	tap_diag("mapped over: %s", scene_end_text(s, end));
	tap_diag("removal: %s", strerror(-zone_remove(s->zone)));
	EXPECT(!zone_exists(s->zone), "the zone is still there");
	EXPECT((__u8)s->secret[0] == 0x22 || (__u8)s->secret[0] == (__u8)s->before[0],
	       "it has 0x%02x now", (__u8)s->secret[0]);
	scene_over(s);
}

static const struct tap_test tests[] = {
	{ "shared memory", test_shared, 0 },
	{ "private memory", test_private, 0 },
	{ "huge pages", test_huge, 0 },
	{ "edges of huge pages", test_huge_edges, 0 },
	{ "a memfd", test_memfd, 0 },
	{ "a memfd with seals", test_memfd_seals, 0 },
	{ "a memfd that shrinks", test_memfd_shrinks, 0 },
	{ "memory that was never touched", test_untouched, 0 },
	{ "memory that the VMM may only read", test_protection, 0 },
	{ "locked memory", test_mlocked, 0 },
	{ "merged memory", test_ksm, 0 },
	{ "swapped memory", test_swapped, 0 },
	{ "other memory mapped over a zone", test_mapped_over, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
