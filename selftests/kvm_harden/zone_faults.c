// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations that fail while a zone is made, suspended, armed and removed: it is
 * refused for want of memory and nothing has changed, or it works. Only where the
 * kernel has fault injection: the rig's debug kernel.
 */
#include "inject.h"
#include "zone_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALL		(2 * ZONE_HUGE)
#define AROUND		128
/* More than making a zone allocates. */
#define NEVER		1000000
/* As many of them fail, evenly spread; with FAULTS_ALL=1 every single one. */
#define ROUNDS		20
/* With the first zone come KVM's hooks, and go with the last: that takes long. */
#define ROUNDS_HOOKS	8

static struct zone_vm *z;

/* A zone of another VM's, that keeps the hooks, where no test takes all zones away. */
static struct zone_vm *keeper;
static __u64 kept;

/*
 * One write(2), and its @nth allocation fails. The file is open before, so that
 * its opening is not among them.
 */
static int put_failing(const char *file, const char *text, unsigned int nth, unsigned int *left)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), HARDEN_SYSFS "/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0, "%s: %s", path, strerror(errno));
	fail_nth(nth);
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	*left = fail_left();
	close(fd);
	return ret;
}

static unsigned int step_of(unsigned int nr)
{
	unsigned int rounds = keeper ? ROUNDS : ROUNDS_HOOKS;
	unsigned int step = getenv("FAULTS_ALL") ? 1 : nr / rounds + 1;

	tap_diag("%u allocations, every %u. fails", nr, step);
	return step;
}

static void keep_hooks(void)
{
	need_injection();
	keeper = zone_vm_new(1, SMALL, ZONE_ANON);
	kept = zone_must(keeper, ZONE_GPA, ZONE_PAGE, "rwx", NULL);
}

static void start(enum zone_backing backing)
{
	need_injection();
	z = zone_vm_new(3, SMALL, backing);
	inject_only(0, ~0ull);
	zone_sweep_start(z, 1, ZONE_GPA + ZONE_PAGE, AROUND, 2 * ZONE_PAGE);
}

static void finish(const char *when)
{
	stop_injecting();
	zone_sweep_stop(z, 1, when);
	zone_expect_filled(z, ZONE_GPA, SMALL, when);
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, when);
	zone_must_remove(zone_must(z, ZONE_GPA, SMALL, "rwx", NULL));
	zone_expect_filled(z, ZONE_GPA, SMALL, when);
	meter_expect_healthy(NULL);
	zone_vm_free(z);
	if (keeper) {
		EXPECT(zone_guest_read(keeper, ZONE_GPA) != 0, "%s: the other VM's zone", when);
		zone_must_remove(kept);
		zone_vm_free(keeper);
		keeper = NULL;
	}
}

static void expect_nothing(const char *when, __u64 last)
{
	EXPECT(harden_u64("zones/last_id") == last, "%s: last_id has changed", when);
	EXPECT(!run_shell(NULL, 0, "! ls " HARDEN_SYSFS "/zones | grep '^[0-9]' | grep -qvx %llu",
			  kept),
	       "%s: a zone is there", when);
	zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, when);
	zone_expect_may(z, ZONE_GPA + ZONE_HUGE, MAY_READ | MAY_WRITE, when);
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, when);
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA + ZONE_HUGE), 0, when);
}

/* Part of two huge pages, and of the mapping. */
static void zone_text_of(char *text, size_t size, const char *deny, unsigned int pages)
{
	snprintf(text, size, "vm=%llu gpa=%llx size=%llx deny=%s action=stop\n", z->id,
		 pages == 1 ? ZONE_GPA : ZONE_GPA + ZONE_HUGE - pages / 2 * ZONE_PAGE,
		 pages * ZONE_PAGE, deny);
}

static void create(enum zone_backing backing, const char *deny, unsigned int pages)
{
	unsigned int left, step, refused = 0, made = 0;
	char text[256], when[64];
	__u64 last;
	int ret;

	start(backing);
	zone_text_of(text, sizeof(text), deny, pages);
	ret = put_failing("zones/create", text, NEVER, &left);
	REQUIRE(!ret, "without a fault: %s: %s", strerror(-ret), zone_last_error());
	zone_must_remove(harden_u64("zones/last_id"));
	step = step_of(NEVER - left);
	for (unsigned int n = 1;; n += step) {
		last = harden_u64("zones/last_id");
		ret = put_failing("zones/create", text, n, &left);
		snprintf(when, sizeof(when), "allocation %u failed", n);
		if (ret) {
			refused++;
			EXPECT(ret == -ENOMEM || ret == -EBUSY, "%s: %s: %s", when, strerror(-ret),
			       zone_last_error());
			expect_nothing(when, last);
		} else {
			made++;
			zone_must_remove(harden_u64("zones/last_id"));
		}
		EXPECT(zone_sweep_moves(z, 1), "%s: the guest stands still", when);
		if (left || tap_failed())
			break;
	}
	tap_diag("refused %u times, made %u times", refused, made);
	EXPECT(refused, "no failure had a consequence");
	finish("allocations failed");
}

static void test_create(void)
{
	create(ZONE_ANON, "rwx", 1);
}

static void test_create_large(void)
{
	keep_hooks();
	create(ZONE_THP, "rwx", 64);
	keep_hooks();
	create(ZONE_MEMFD, "w", 64);
}

/* Of pages: all that come while the module is at it, some of them. */
static void test_pages(void)
{
	unsigned long long from, to;
	unsigned int refused = 0, made = 0;
	char text[256], when[64];
	int ret;

	keep_hooks();
	start(ZONE_ANON);
	find_module(HARDEN, &from, &to);
	inject_only(from, to);
	zone_text_of(text, sizeof(text), "rwx", 256);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		__u64 last = harden_u64("zones/last_id");

		inject("fail_page_alloc", "interval", i);
		inject("fail_page_alloc", "times", 1 + i % 3);
		inject("fail_page_alloc", "probability", 100);
		ret = harden_write(text, "zones/create");
		inject("fail_page_alloc", "probability", 0);
		snprintf(when, sizeof(when), "page %u", i);
		if (ret) {
			refused++;
			EXPECT(ret == -ENOMEM || ret == -EBUSY, "%s: %s: %s", when, strerror(-ret),
			       zone_last_error());
			expect_nothing(when, last);
		} else {
			made++;
			zone_must_remove(harden_u64("zones/last_id"));
		}
	}
	tap_diag("refused %u times, made %u times", refused, made);
	finish("pages failed");
}

/*
 * What takes a zone away may be refused for want of memory, but the zone then is
 * there as before, and the next one does it.
 */
static void again(const char *file, const char *text, __u64 id, unsigned int *failures)
{
	unsigned int left = 0;
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "zones/%llu/%s", id, file);
	for (unsigned int n = 1; !left; n++) {
		ret = put_failing(path, text, n, &left);
		if (!ret)
			return;
		++*failures;
		EXPECT(ret == -ENOMEM || ret == -EBUSY, "%s, allocation %u: %s", file, n,
		       strerror(-ret));
		EXPECT(harden_exists("zones/%llu", id), "%s failed, and the zone is gone", file);
	}
	EXPECT(!ret, "%s, none left to fail: %s", file, strerror(-ret));
}

static void test_end(void)
{
	static const enum zone_backing backings[] = { ZONE_ANON, ZONE_MEMFD };

	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		unsigned int failures = 0;
		__u64 id;

		start(backings[i]);
		for (unsigned int k = 0; k < 5; k++) {
			id = zone_must(z, ZONE_GPA, ZONE_PAGE, k & 1 ? "w" : "rwx", NULL);
			zone_must(z, ZONE_GPA + ZONE_HUGE, 8 * ZONE_PAGE, "rwx", NULL);
			again("state", "suspend\n", id, &failures);
			zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "suspended");
			again("state", "arm\n", id, &failures);
			zone_expect_may(z, ZONE_GPA, k & 1 ? MAY_READ : 0, "armed");
			again("remove", "1\n", id, &failures);
			zone_expect_gone(id, "removed");
			zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "removed");
			EXPECT_EQ(-zone_disarm(), 0, "disarm");
		}
		tap_diag("%u failures", failures);
		finish("ends that failed");
	}
}

/* The guest's own faults, its slots, and the module's looking after them. */
static void test_slots(void)
{
	unsigned long long from, to;
	__u64 id;

	start(ZONE_SHARED);
	find_module(HARDEN, &from, &to);
	inject_only(from, to);
	id = zone_must(z, ZONE_GPA + ZONE_HUGE, 4 * ZONE_PAGE, "rwx", NULL);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		char *over;

		inject("failslab", "interval", i % 16 + 1);
		inject("failslab", "times", 4);
		inject("failslab", "probability", 100);
		over = mmap(z->mem + ZONE_HUGE, ZONE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		EXPECT(over == z->mem + ZONE_HUGE, "mmap: %s", strerror(errno));
		for (unsigned int k = 0; k < 4; k++)
			EXPECT(zone_guest_read(z, ZONE_GPA + ZONE_HUGE + k * ZONE_PAGE) != 0,
			       "round %u: the guest reads page %u", i, k);
		inject("failslab", "probability", 0);
	}
	stop_injecting();
	zone_must_remove(id);
	for (__u64 at = ZONE_HUGE; at < ZONE_HUGE + ZONE_PAGE; at += 8)
		*(volatile __u64 *)(z->mem + at) = ZONE_GPA + at;
	finish("mappings that changed");
}

static const struct tap_test tests[] = {
	{ "allocations fail while a zone is made", test_create, 300 },
	{ "allocations fail while a large zone is made", test_create_large, 600 },
	{ "pages fail while a zone is made", test_pages, 300 },
	{ "allocations fail while a zone ends", test_end, 300 },
	{ "allocations fail while mappings change", test_slots, 300 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
