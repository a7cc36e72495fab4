// SPDX-License-Identifier: GPL-2.0
/* Memory that cannot be shielded: a zone is refused, and then nothing has changed. */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGEPAGES	"/proc/sys/vm/nr_hugepages"
#define EXTRA_GPA	0x10000000ull
#define EXTRA_SIZE	0x200000ull
#define EXTRA_ZONE	0x100000ull
#define EXTRA_SLOT	1

#ifndef SYS_mseal
#define SYS_mseal	462
#endif

static void expect_refused(struct scene *s, int error, const char *what)
{
	int ret = scene_try_zone(s, "rwx", "stop");

	if (s->no_zones)
		return;
	EXPECT(ret == -error, "%s: %s, expected %s (%s)", what, strerror(-ret), strerror(error),
	       zone_last_error());
	EXPECT(ret || !scene_guest_steals(s, s->gpa), "%s: it was taken, and does not hold", what);
	if (!ret) {
		scene_unzone(s);
		return;
	}
	EXPECT(strcmp(zone_last_error(), "none"), "%s: no reason given", what);
	scene_expect_intact(s, what);
	EXPECT(scene_guest_steals(s, s->gpa), "%s: refused, and the guest cannot read it", what);
	memcpy(s->secret, s->before, s->size);
}

/* Copied pages of a private mapping are like anonymous ones; either it holds or not. */
static void test_memfd_private(void)
{
	struct scene *s = scene_create(BACK_MEMFD_PRIVATE, 0);
	int ret = scene_try_zone(s, "rwx", "stop");

	if (s->no_zones)
		scene_over(s);
	tap_diag("a private mapping of a memfd: %s", ret ? zone_last_error() : "taken");
	EXPECT(!ret || ret == -EOPNOTSUPP, "zone: %s", strerror(-ret));
	if (ret) {
		expect_refused(s, EOPNOTSUPP, "a private mapping");
	} else {
		scene_unzone(s);
		scene_prove(s, "rwx");
	}
	scene_over(s);
}

/* A scene whose secret is in a slot of @mem, EXTRA_SIZE bytes. */
static struct scene *extra(void *mem)
{
	struct scene *s = scene_create(BACK_SHARED, 0);

	vm_add_memory(s->vm, EXTRA_SLOT, EXTRA_GPA, mem, EXTRA_SIZE);
	s->gpa = EXTRA_GPA + EXTRA_ZONE;
	s->secret = (char *)mem + EXTRA_ZONE;
	scene_fill(s);
	EXPECT(scene_guest_steals(s, s->gpa), "the guest does not read it without a zone");
	scene_fill(s);
	return s;
}

static void hugepages_end(void)
{
	write_file(HUGEPAGES, "0\n");
}

static void test_hugetlbfs(void)
{
	struct scene *s;
	void *mem;

	tap_at_end(hugepages_end);
	write_file(HUGEPAGES, "4\n");
	mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		tap_skip("no page of hugetlbfs: %s", strerror(errno));
	s = extra(mem);
	expect_refused(s, EOPNOTSUPP, "hugetlbfs");
	scene_over(s);
}

/* A file of a disk's file system. */
static void test_file(void)
{
	char path[] = "/var/tmp/kvm_harden.XXXXXX";
	int fd = mkstemp(path);
	struct scene *s;
	void *mem;

	REQUIRE(fd >= 0 && !ftruncate(fd, EXTRA_SIZE), "%s: %s", path, strerror(errno));
	unlink(path);
	mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	s = extra(mem);
	expect_refused(s, EOPNOTSUPP, "a file");
	close(fd);
	scene_over(s);
}

/* Memory of the kernel's, mapped by a driver: KVM's own run page. */
static void test_driver(void)
{
	struct scene *s = scene_create(BACK_SHARED, 0);
	int ret;

	vm_add_memory(s->vm, EXTRA_SLOT, EXTRA_GPA, s->v->run, 4096);
	s->gpa = EXTRA_GPA;
	s->size = 4096;
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(s->no_zones || ret == -EOPNOTSUPP, "zone: %s (%s)", strerror(-ret),
	       zone_last_error());
	EXPECT(!vmm_poke(&s->v->run->immediate_exit, 0), "the page of the driver is closed");
	scene_over(s);
}

/* Part of the range has no mapping in the VMM. */
static void test_hole(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);
	int ret;

	munmap(s->secret + 4096, 4096);
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(ret, "a zone over a hole");
	tap_diag("a hole: %s (%s)", strerror(-ret), zone_last_error());
	EXPECT(!memcmp(s->secret, s->before, 4096), "contents changed");
	EXPECT(!vmm_poke(s->secret, GUEST_MARK), "what is beside the hole is closed");
	s->no_zones = ret == -ENOENT;
	scene_over(s);
}

/* Nobody answers for the range: to ask would be to wait for ever. */
static void prove_uffd(bool touched, __u64 mode)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = mode };
	struct scene *s = scene_create(BACK_PRIVATE, 0);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), ret;

	if (fd < 0)
		tap_skip("userfaultfd: %s", strerror(errno));
	if (mode == UFFDIO_REGISTER_MODE_WP)
		api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
	if (ioctl(fd, UFFDIO_API, &api))
		tap_skip("UFFDIO_API: %s", strerror(errno));
	if (!touched)
		madvise(s->secret, s->size, MADV_DONTNEED);
	reg.range.start = (unsigned long)s->secret;
	reg.range.len = s->size;
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		tap_skip("UFFDIO_REGISTER: %s", strerror(errno));
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(s->no_zones || ret == -EOPNOTSUPP, "zone: %s (%s)", strerror(-ret),
	       zone_last_error());
	REQUIRE(!ioctl(fd, UFFDIO_UNREGISTER, &reg.range), "UFFDIO_UNREGISTER: %s",
		strerror(errno));
	close(fd);
	if (!touched)
		scene_fill(s);
	scene_expect_intact(s, "userfaultfd");
	scene_prove(s, "rwx");
	scene_over(s);
}

static void test_uffd(void) { prove_uffd(true, UFFDIO_REGISTER_MODE_MISSING); }
static void test_uffd_missing(void) { prove_uffd(false, UFFDIO_REGISTER_MODE_MISSING); }
static void test_uffd_wp(void) { prove_uffd(true, UFFDIO_REGISTER_MODE_WP); }

static void test_sealed(void)
{
	struct scene *s = scene_create(BACK_PRIVATE, 0);

	if (syscall(SYS_mseal, s->secret, s->size, 0))
		tap_skip("no mseal: %s", strerror(errno));
	expect_refused(s, EOPNOTSUPP, "sealed memory");
	scene_over(s);
}

/* --- guest_memfd: KVM reads such memory from the file, not from the mapping --- */
#define GUEST_MEMFD_CAP		234
#define GUEST_MEMFD_SLOT	4	/* KVM_MEM_GUEST_MEMFD */
#define GUEST_MEMFD_SHARED	3	/* can be mapped, and is shared at first */
#define VM_TYPE_PROTECTED	1	/* KVM_X86_SW_PROTECTED_VM */

struct guest_memfd_create {
	__u64 size, flags, reserved[6];
};

struct guest_memfd_region {
	__u32 slot, flags;
	__u64 gpa, size, hva, offset;
	__u32 fd, pad1;
	__u64 pad2[14];
};

#define GUEST_MEMFD_CREATE	_IOWR(KVMIO, 0xd4, struct guest_memfd_create)
#define GUEST_MEMFD_REGION	_IOW(KVMIO, 0x49, struct guest_memfd_region)

static void test_guest_memfd(void)
{
	struct scene *s = scene_create(BACK_SHARED, 0);
	struct guest_memfd_create create = { .size = EXTRA_SIZE, .flags = GUEST_MEMFD_SHARED };
	struct guest_memfd_region region = {
		.slot = EXTRA_SLOT, .flags = GUEST_MEMFD_SLOT, .gpa = EXTRA_GPA, .size = EXTRA_SIZE,
	};
	char *mem = MAP_FAILED;
	int fd, ret;

	if (ioctl(s->vm->fd, KVM_CHECK_EXTENSION, GUEST_MEMFD_CAP) <= 0)
		tap_skip("no guest_memfd for VMs of this type");
	fd = ioctl(s->vm->fd, GUEST_MEMFD_CREATE, &create);
	if (fd >= 0)
		mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED) {
		create.flags = 0;
		fd = ioctl(s->vm->fd, GUEST_MEMFD_CREATE, &create);
		mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			   0);
	}
	REQUIRE(fd >= 0 && mem != MAP_FAILED, "guest_memfd: %s", strerror(errno));
	region.fd = fd;
	region.hva = (unsigned long)mem;
	REQUIRE(!ioctl(s->vm->fd, GUEST_MEMFD_REGION, &region), "a slot of guest_memfd: %s",
		strerror(errno));
	s->gpa = EXTRA_GPA + EXTRA_ZONE;
	s->secret = mem + EXTRA_ZONE;
	scene_fill(s);
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(s->no_zones || ret == -EOPNOTSUPP, "zone: %s (%s)", strerror(-ret),
	       zone_last_error());
	scene_over(s);
}

static const struct tap_test tests[] = {
	{ "a private mapping of a memfd", test_memfd_private, 0 },
	{ "hugetlbfs is refused", test_hugetlbfs, 0 },
	{ "a file is refused", test_file, 0 },
	{ "a driver's page is refused", test_driver, 0 },
	{ "a hole in the VMM is refused", test_hole, 0 },
	{ "userfaultfd is refused", test_uffd, 0 },
	{ "userfaultfd with nothing there is refused", test_uffd_missing, 0 },
	{ "userfaultfd for writes is refused", test_uffd_wp, 0 },
	{ "sealed memory is refused", test_sealed, 0 },
	{ "guest_memfd is refused", test_guest_memfd, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
