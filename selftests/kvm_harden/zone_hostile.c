// SPDX-License-Identifier: GPL-2.0
/*
 * What a VMM does to memory of its own that a zone is in, before and while it
 * stands: it hurts itself at most. Nothing hangs, and no guest gets through.
 */
#include "zone_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal	462
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define SMALL		(2 * ZONE_HUGE)
#define RACES		repeats(100)
/* What has to come to an end at all: the last zone of all waits for RCU's tasks. */
#define BOUND_MS	30000

static const enum zone_backing backings[] = { ZONE_ANON, ZONE_SHARED, ZONE_MEMFD };

static __u64 began;

static void clock_starts(void)
{
	began = raw_ns();
}

static void expect_soon(const char *what)
{
	__u64 ms = (raw_ns() - began) / NSEC_PER_MSEC;

	tap_diag("%s took %llu ms", what, ms);
	EXPECT(ms < BOUND_MS * slowness(), "%s took %llu ms", what, ms);
}

/* It ends, and the VM can be used beside it. */
static void expect_ends(struct zone_vm *z, __u64 id, const char *when)
{
	int ret;

	clock_starts();
	ret = zone_remove(id);
	expect_soon("remove");
	EXPECT(!ret, "%s: remove: %s: %s", when, strerror(-ret), zone_last_error());
	if (!ret)
		zone_expect_gone(id, when);
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA + ZONE_HUGE), 0, when);
	zone_expect_filled(z, ZONE_GPA + ZONE_HUGE, ZONE_HUGE, when);
}

static void test_munmap(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, SMALL, backings[i]);
		__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);

		EXPECT(!munmap(z->mem + ZONE_PAGE, 2 * ZONE_PAGE), "munmap: %s", strerror(errno));
		for (unsigned int k = 0; k < 4; k++)
			EXPECT(zone_guest_read(z, ZONE_GPA + k * ZONE_PAGE) != 0,
			       "the guest reads page %u", k);
		expect_ends(z, id, "munmap");
		zone_expect_filled(z, ZONE_GPA, ZONE_PAGE, "below what was unmapped");
		zone_expect_filled(z, ZONE_GPA + 3 * ZONE_PAGE, ZONE_PAGE, "above it");
		EXPECT(!may(zone_mem(z, ZONE_GPA + ZONE_PAGE)), "what was unmapped is back");
		zone_vm_free(z);
	}
}

/* New memory in its place is in the zone as well, at once for the guest. */
static void test_map_over(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, SMALL, backings[i]);
		__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);
		char *over = z->mem + ZONE_PAGE;

		EXPECT(mmap(over, ZONE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == over,
		       "mmap: %s", strerror(errno));
		for (unsigned int k = 0; k < 4; k++)
			EXPECT(zone_guest_read(z, ZONE_GPA + k * ZONE_PAGE) != 0,
			       "the guest reads page %u", k);
		EXPECT(WAIT_FOR(!may(over), METER_APPEARS_MS), "new memory stays open");
		EXPECT(zone_guest_write(z, ZONE_GPA + ZONE_PAGE) != 0, "the guest writes it");
		expect_ends(z, id, "mmap over it");
		zone_expect_filled(z, ZONE_GPA, ZONE_PAGE, "below what was mapped");
		zone_expect_filled(z, ZONE_GPA + 2 * ZONE_PAGE, 2 * ZONE_PAGE, "above it");
		zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ | MAY_WRITE, "removed");
		EXPECT_EQ(zone_guest_write(z, ZONE_GPA + ZONE_PAGE), 0, "removed");
		zone_vm_free(z);
	}
}

/* Moved or doubled, it stays closed where it comes to lie. */
static void test_mremap(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, SMALL, backings[i]);
		__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);
		char *p[3];

		p[0] = mremap(z->mem, 0, ZONE_PAGE, MREMAP_MAYMOVE);
		p[1] = mremap(z->mem + ZONE_PAGE, ZONE_PAGE, ZONE_PAGE,
			      MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
		p[2] = mremap(z->mem + 2 * ZONE_PAGE, ZONE_PAGE, 2 * ZONE_PAGE, MREMAP_MAYMOVE);
		for (unsigned int k = 0; k < 3; k++) {
			if (p[k] == MAP_FAILED) {
				tap_diag("mremap %u: %s", k, strerror(errno));
				continue;
			}
			EXPECT(!may(p[k]), "mremap %u opens it", k);
			EXPECT(mprotect(p[k], ZONE_PAGE, PROT_READ) && errno == EACCES,
			       "mprotect after mremap %u", k);
		}
		for (unsigned int k = 0; k < 4; k++)
			EXPECT(zone_guest_read(z, ZONE_GPA + k * ZONE_PAGE) != 0,
			       "the guest reads page %u", k);
		expect_ends(z, id, "mremap");
		zone_expect_filled(z, ZONE_GPA + 3 * ZONE_PAGE, ZONE_PAGE, "beside what was moved");
		zone_vm_free(z);
	}
}

/* What would take the contents away or the protection off. */
static void test_madvise(void)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DOFORK, MADV_DODUMP, MADV_HUGEPAGE,
		MADV_MERGEABLE, MADV_COLD, MADV_PAGEOUT,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, SMALL, backings[i]);
		__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);

		for (unsigned int k = 0; k < ARRAY_SIZE(advices); k++)
			madvise(z->mem, 4 * ZONE_PAGE, advices[k]);
		EXPECT(mprotect(z->mem, ZONE_PAGE, PROT_READ) && errno == EACCES, "mprotect r");
		EXPECT(mprotect(z->mem, SMALL, PROT_READ | PROT_WRITE) && errno == EACCES,
		       "mprotect rw");
		mlock(z->mem, 4 * ZONE_PAGE);
		munlock(z->mem, 4 * ZONE_PAGE);
		EXPECT(WAIT_FOR(!may(z->mem), METER_APPEARS_MS), "it is open");
		EXPECT(zone_guest_read(z, ZONE_GPA) != 0, "the guest reads it");
		expect_ends(z, id, "madvise");
		zone_expect_filled(z, ZONE_GPA, SMALL, "madvise");
		zone_vm_free(z);
	}
}

static volatile bool stop;

static void *mprotect_for_ever(void *arg)
{
	struct zone_vm *z = arg;
	__u64 done = 0;

	while (!stop)
		done += !mprotect(z->mem, 4 * ZONE_PAGE, PROT_READ | PROT_WRITE);
	tap_diag("%llu times mprotect", done);
	return NULL;
}

/* There is no moment at which it would help. */
static void test_mprotect_race(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_SHARED);
	pthread_t th;

	/* With one that stands, making another is a matter of the mapping only. */
	zone_must(z, ZONE_GPA + ZONE_HUGE, ZONE_PAGE, "w", NULL);
	REQUIRE(!pthread_create(&th, NULL, mprotect_for_ever, z), "pthread_create");
	for (unsigned int i = 0; i < RACES && !tap_failed(); i++) {
		__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);

		for (unsigned int k = 0; k < 4; k++)
			zone_expect_may(z, ZONE_GPA + k * ZONE_PAGE, 0, "mprotect all the time");
		EXPECT(zone_guest_read(z, ZONE_GPA) != 0, "the guest reads it");
		harden_set("suspend\n", "zones/%llu/state", id);
		harden_set("arm\n", "zones/%llu/state", id);
		zone_expect_may(z, ZONE_GPA, 0, "armed again");
		zone_must_remove(id);
	}
	stop = true;
	pthread_join(th, NULL);
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
}

static int uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (!file_exists("/proc/sys/vm/unprivileged_userfaultfd"))
		tap_skip("no userfaultfd");
	REQUIRE(fd >= 0 && !ioctl(fd, UFFDIO_API, &api), "userfaultfd: %s", strerror(errno));
	return fd;
}

static int uffd_register(int fd, void *p, __u64 size)
{
	struct uffdio_register reg = {
		.range = { (unsigned long)p, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

/* Whoever waits for what nobody serves waits for ever. */
static void test_userfaultfd(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	int fd = uffd_open();
	long long id;

	EXPECT_EQ(-uffd_register(fd, z->mem, ZONE_HUGE), 0, "register");
	REQUIRE(!madvise(z->mem, ZONE_PAGE, MADV_DONTNEED), "madvise");
	for (unsigned int k = 0; k < 3; k++) {
		/* What is missing, what is not, and half of each kind of mapping. */
		static const __u64 at[] = { 0, ZONE_PAGE, ZONE_HUGE - ZONE_PAGE };

		clock_starts();
		id = zone_create(z->id, ZONE_GPA + at[k], 2 * ZONE_PAGE, "rwx", "stop", NULL);
		expect_soon("create");
		EXPECT(id == -EOPNOTSUPP, "case %u: %s", k, id < 0 ? strerror(-id) : "made");
		EXPECT(strlen(zone_last_error()) > 5, "last_error: %s", zone_last_error());
	}
	zone_must_remove(zone_must(z, ZONE_GPA + ZONE_HUGE, ZONE_PAGE, "rwx", NULL));
	zone_expect_filled(z, ZONE_GPA + ZONE_PAGE, SMALL - ZONE_PAGE, "refused");
	close(fd);
	zone_must_remove(zone_must(z, ZONE_GPA + ZONE_PAGE, ZONE_PAGE, "rwx", NULL));
	zone_expect_filled(z, ZONE_GPA + ZONE_PAGE, SMALL - ZONE_PAGE, "removed");
}

/* Registered while the zone stands: its end does not ask the VMM. */
static void test_userfaultfd_late(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_SHARED);
	__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);
	int fd = uffd_open(), ret;

	ret = uffd_register(fd, z->mem, 4 * ZONE_PAGE);
	tap_diag("register of a zone's memory: %s", strerror(-ret));
	EXPECT_EQ(-uffd_register(fd, z->mem + 4 * ZONE_PAGE, ZONE_HUGE), 0, "register beside it");
	EXPECT(!may(z->mem), "it is open");
	expect_ends(z, id, "userfaultfd");
	close(fd);
	zone_expect_filled(z, ZONE_GPA, SMALL, "userfaultfd");
}

static void test_sealed(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	long long id;

	if (syscall(SYS_mseal, z->mem, ZONE_PAGE, 0ul))
		tap_skip("mseal: %s", strerror(errno));
	id = zone_create(z->id, ZONE_GPA, ZONE_PAGE, "rwx", "stop", NULL);
	EXPECT(id == -EOPNOTSUPP, "sealed memory: %s", id < 0 ? strerror(-id) : "made");
	id = zone_create(z->id, ZONE_GPA, 2 * ZONE_PAGE, "w", "stop", NULL);
	EXPECT(id == -EOPNOTSUPP, "half of it: %s", id < 0 ? strerror(-id) : "made");
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ | MAY_WRITE, "refused");
	zone_must_remove(zone_must(z, ZONE_GPA + ZONE_PAGE, ZONE_PAGE, "rwx", NULL));
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
}

static void test_forked(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	pid_t pid = fork();
	long long id;

	if (!pid) {
		for (;;)
			pause();
	}
	id = zone_create(z->id, ZONE_GPA, ZONE_PAGE, "rwx", "stop", NULL);
	EXPECT(id == -EBUSY, "shared with a child: %s", id < 0 ? strerror(-id) : "made");
	tap_diag("%s", zone_last_error());
	zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "refused");
	zone_expect_filled(z, ZONE_GPA, SMALL, "refused");
	end_child(pid);
	zone_must_remove(zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL));
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
}

/* A page that lies in a pipe can be read there later. */
static void test_pinned(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, SMALL, backings[i]);
		struct iovec iov = { z->mem + ZONE_PAGE, ZONE_PAGE };
		char buf[ZONE_PAGE];
		int ends[2];
		long long id;

		REQUIRE(!pipe(ends), "pipe");
		EXPECT_EQ(vmsplice(ends[1], &iov, 1, 0), ZONE_PAGE, "vmsplice");
		id = zone_create(z->id, ZONE_GPA, 4 * ZONE_PAGE, "rwx", "stop", NULL);
		EXPECT(id == -EBUSY, "in a pipe: %s", id < 0 ? strerror(-id) : "made");
		zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "refused");
		zone_expect_filled(z, ZONE_GPA, SMALL, "refused");
		EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, "refused");
		EXPECT_EQ(read(ends[0], buf, sizeof(buf)), ZONE_PAGE, "read");
		close(ends[0]);
		close(ends[1]);
		zone_must_remove(zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL));
		zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
		zone_vm_free(z);
	}
}

/* Never touched, nowhere, or only partly there: the guest would have got it too. */
static void test_untouched(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 id;

	REQUIRE(!madvise(z->mem, ZONE_PAGE, MADV_DONTNEED), "madvise");
	id = zone_must(z, ZONE_GPA, 2 * ZONE_PAGE, "rwx", NULL);
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA), KVM_EXIT_INTERNAL_ERROR, "a read");
	zone_must_remove(id);
	EXPECT_EQ(*(volatile __u64 *)z->mem, 0, "a page that was never written");
	zone_expect_filled(z, ZONE_GPA + ZONE_PAGE, SMALL - ZONE_PAGE, "removed");
	REQUIRE(!munmap(z->mem, ZONE_PAGE), "munmap");
	EXPECT(zone_create(z->id, ZONE_GPA, 2 * ZONE_PAGE, "rwx", "stop", NULL) < 0,
	       "a zone over nothing");
	zone_expect_filled(z, ZONE_GPA + ZONE_PAGE, SMALL - ZONE_PAGE, "refused");
	REQUIRE(!mprotect(z->mem + ZONE_PAGE, ZONE_PAGE, PROT_READ), "mprotect");
	clock_starts();
	id = zone_create(z->id, ZONE_GPA + ZONE_PAGE, 2 * ZONE_PAGE, "rwx", "stop", NULL);
	expect_soon("create");
	tap_diag("memory that is read-only: %s", (long long)id < 0 ? zone_last_error() : "made");
	if ((long long)id > 0)
		zone_must_remove(id);
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ, "it was read-only");
	zone_expect_filled(z, ZONE_GPA + ZONE_PAGE, SMALL - ZONE_PAGE, "removed");
}

/* The slot goes and comes, with other memory: the zone is of the address too. */
static void test_slots(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON), other = *z;
	__u64 id = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "rwx", NULL);

	vm_add_memory(z->vm, 1, ZONE_GPA, z->mem, 0);
	zone_expect_may(z, ZONE_GPA, 0, "the slot is gone");
	EXPECT(harden_exists("zones/%llu", id), "the zone went with its slot");
	vm_add_memory(z->vm, 1, ZONE_GPA, z->mem, SMALL);
	EXPECT(zone_guest_read(z, ZONE_GPA) != 0, "a read, the slot came back");
	zone_expect_may(z, ZONE_GPA, 0, "the slot came back");

	other.mem = mmap(NULL, SMALL, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	REQUIRE(other.mem != MAP_FAILED, "mmap");
	vm_add_memory(z->vm, 1, ZONE_GPA, z->mem, 0);
	vm_add_memory(z->vm, 1, ZONE_GPA, other.mem, SMALL);
	EXPECT(zone_guest_read(z, ZONE_GPA) != 0, "a read of other memory");
	EXPECT(WAIT_FOR(!may(other.mem), METER_APPEARS_MS), "other memory stays open");
	zone_expect_may(z, ZONE_GPA, 0, "the memory that was there");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA + ZONE_HUGE), 0, "beside it");
	zone_must_remove(id);
	zone_expect_may(&other, ZONE_GPA, MAY_READ | MAY_WRITE, "removed");
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, "removed");
	EXPECT_EQ(*(volatile __u64 *)other.mem, ZONE_GPA, "what the guest wrote");
}

static const struct tap_test tests[] = {
	{ "munmap", test_munmap, 0 },
	{ "mmap over a zone", test_map_over, 0 },
	{ "mremap", test_mremap, 0 },
	{ "madvise and mprotect", test_madvise, 0 },
	{ "mprotect all the time", test_mprotect_race, 300 },
	{ "userfaultfd that nobody serves", test_userfaultfd, 0 },
	{ "userfaultfd on a zone that stands", test_userfaultfd_late, 0 },
	{ "sealed memory", test_sealed, 0 },
	{ "memory shared with a forked child", test_forked, 0 },
	{ "memory in a pipe", test_pinned, 0 },
	{ "memory that is not there", test_untouched, 0 },
	{ "slots go and come", test_slots, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
