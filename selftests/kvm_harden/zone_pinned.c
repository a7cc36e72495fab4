// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones on pages that somebody else has: in a pipe, registered for I/O, in
 * a DMA buffer, in a child. A zone is refused as long as they could be read there.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The pages are in a pipe, where they can be read. */
static void prove_pipe(enum backing backing, unsigned int flags)
{
	struct scene *s = scene_create(backing, 0);
	struct iovec iov = { s->secret, s->size };
	char *buf = malloc(s->size);
	int fds[2], ret;

	REQUIRE(buf && !pipe(fds), "pipe: %s", strerror(errno));
	REQUIRE(vmsplice(fds[1], &iov, 1, flags) == (ssize_t)s->size, "vmsplice: %s",
		strerror(errno));
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(s->no_zones || ret == -EBUSY, "zone: %s (%s)", strerror(-ret), zone_last_error());
	scene_expect_intact(s, "pinned by a pipe");
	REQUIRE(read(fds[0], buf, s->size) == (ssize_t)s->size, "read: %s", strerror(errno));
	EXPECT(s->no_zones || ret || !scene_leaked(buf, s->size), "the pipe has the secret");
	close(fds[0]);
	close(fds[1]);
	free(buf);
	if (s->zone)
		scene_unzone(s);
	scene_prove(s, "rwx");
	scene_over(s);
}

static void test_pipe(void) { prove_pipe(BACK_PRIVATE, 0); }
static void test_pipe_gift(void) { prove_pipe(BACK_PRIVATE, SPLICE_F_GIFT); }
static void test_pipe_shared(void) { prove_pipe(BACK_SHARED, 0); }
static void test_pipe_memfd(void) { prove_pipe(BACK_MEMFD, 0); }
static void test_pipe_huge(void) { prove_pipe(BACK_HUGE, 0); }

/* Pinned by splice() of the memfd's pages, not of the mapping's. */
static void test_splice(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);
	char *buf = malloc(s->size);
	loff_t at = s->gpa;
	int fds[2], ret;

	REQUIRE(buf && !pipe(fds), "pipe: %s", strerror(errno));
	REQUIRE(splice(s->memfd, &at, fds[1], NULL, s->size, 0) == (ssize_t)s->size, "splice: %s",
		strerror(errno));
	ret = scene_try_zone(s, "rwx", "stop");
	if (!s->no_zones) {
		tap_diag("spliced: %s", ret ? zone_last_error() : "taken");
		REQUIRE(read(fds[0], buf, s->size) == (ssize_t)s->size, "read: %s", strerror(errno));
		EXPECT(ret == -EBUSY || (!ret && !scene_leaked(buf, s->size)),
		       "the pipe has the secret, the zone: %s", strerror(-ret));
	}
	close(fds[0]);
	close(fds[1]);
	free(buf);
	if (s->zone)
		scene_unzone(s);
	scene_prove(s, "rwx");
	scene_over(s);
}

#define IO_URING_REGISTER_BUFFERS	0
#define IO_URING_UNREGISTER_BUFFERS	1

/* Registered for I/O: pinned for as long as they are. */
static void prove_uring(enum backing backing)
{
	struct scene *s = scene_create(backing, 0);
	struct iovec iov = { s->secret, s->size };
	__u8 params[120] = "";
	int fd = syscall(SYS_io_uring_setup, 4, params), ret;

	if (fd < 0)
		tap_skip("io_uring: %s", strerror(errno));
	if (syscall(SYS_io_uring_register, fd, IO_URING_REGISTER_BUFFERS, &iov, 1))
		tap_skip("io_uring buffers: %s", strerror(errno));
	/* What is pinned may be all of a huge page or a new copy: ask once it is. */
	scene_fill(s);
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(s->no_zones || ret == -EBUSY, "zone: %s (%s)", strerror(-ret), zone_last_error());
	scene_expect_intact(s, "registered");
	syscall(SYS_io_uring_register, fd, IO_URING_UNREGISTER_BUFFERS, NULL, 0);
	close(fd);
	/* The kernel lets go of them a little later. */
	if (!s->no_zones && !s->zone) {
		EXPECT(WAIT_FOR(!scene_try_zone(s, "rwx", "stop"), 10000), "still refused: %s",
		       zone_last_error());
		scene_unzone(s);
	}
	scene_prove(s, "rwx");
	scene_over(s);
}

static void test_uring(void) { prove_uring(BACK_PRIVATE); }
static void test_uring_shared(void) { prove_uring(BACK_SHARED); }
static void test_uring_huge(void) { prove_uring(BACK_HUGE); }

#define UDMABUF_CREATE	_IOW('u', 0x42, struct udmabuf_create)

struct udmabuf_create {
	__u32 memfd;
	__u32 flags;
	__u64 offset;
	__u64 size;
};

/* A DMA buffer of the memfd's pages is another mapping of them. */
static void test_udmabuf(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);
	struct udmabuf_create create = { s->memfd, 0, s->gpa, s->size };
	int dev, fd, ret;
	char *mem;

	run_shell(NULL, 0, "modprobe -q udmabuf");
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		tap_skip("no /dev/udmabuf");
	fcntl(s->memfd, F_ADD_SEALS, F_SEAL_SHRINK);
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	if (fd < 0)
		tap_skip("UDMABUF_CREATE: %s", strerror(errno));
	mem = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(mem != MAP_FAILED, "mmap of a DMA buffer: %s", strerror(errno));
	EXPECT(!memcmp(mem, s->before, s->size), "the DMA buffer is no mapping of it");
	ret = scene_try_zone(s, "rwx", "stop");
	if (!s->no_zones) {
		tap_diag("with a DMA buffer: %s", ret ? zone_last_error() : "taken");
		EXPECT(ret == -EBUSY || (!ret && !scene_leaked(mem, s->size)),
		       "the secret is in the DMA buffer, the zone: %s", strerror(-ret));
		if (!ret) {
			memset(mem, 0x42, s->size);
			scene_unzone(s);
		}
		scene_expect_intact(s, "a DMA buffer");
	}
	munmap(mem, s->size);
	close(fd);
	close(dev);
	scene_over(s);
}

struct relative {
	struct scene *s;
	volatile int *phase;	/* 1: ready, 2: asked to look, 3: looked, 4: asked to end */
	volatile int *leaked;
};

static void relative(void *arg)
{
	struct relative *r = arg;
	__u64 value;

	*r->leaked = !vmm_peek(r->s->secret, &value);
	*r->phase = 1;
	while (*r->phase != 2)
		sleep_ms(1);
	*r->leaked = 0;
	if (!vmm_peek(r->s->secret + 8, &value))
		*r->leaked = scene_leaked(&value, sizeof(value));
	*r->phase = 3;
	while (*r->phase != 4)
		sleep_ms(1);
}

/* A child has the pages too, since it was forked. */
static void prove_fork(enum backing backing)
{
	struct scene *s = scene_create(backing, 0);
	struct relative r = { s, shared_page(), shared_page() };
	pid_t pid = spawn(relative, &r);
	int ret;

	REQUIRE(WAIT_FOR(*r.phase == 1, 10000), "the child does not begin");
	EXPECT(*r.leaked, "the child does not see the memory");
	ret = scene_try_zone(s, "rwx", "stop");
	tap_diag("with a child: %s", ret ? zone_last_error() : "taken");
	*r.phase = 2;
	REQUIRE(WAIT_FOR(*r.phase == 3, 10000), "the child does not look");
	if (!s->no_zones) {
		if (backing == BACK_PRIVATE)
			EXPECT(ret == -EBUSY, "zone: %s", strerror(-ret));
		EXPECT(ret == -EBUSY || (!ret && !*r.leaked), "the child sees the secret, the zone: %s",
		       strerror(-ret));
	}
	*r.phase = 4;
	wait_child(pid);
	if (s->zone)
		scene_unzone(s);
	scene_expect_intact(s, "a child");
	scene_prove(s, "rwx");
	scene_over(s);
}

static void test_fork(void) { prove_fork(BACK_PRIVATE); }
static void test_fork_huge(void) { prove_fork(BACK_HUGE); }
static void test_fork_shared(void) { prove_fork(BACK_SHARED); }

static const struct tap_test tests[] = {
	{ "pages in a pipe are refused", test_pipe, 0 },
	{ "pages given to a pipe are refused", test_pipe_gift, 0 },
	{ "shared pages in a pipe are refused", test_pipe_shared, 0 },
	{ "pages of a memfd in a pipe are refused", test_pipe_memfd, 0 },
	{ "huge pages in a pipe are refused", test_pipe_huge, 0 },
	{ "pages of a memfd spliced to a pipe", test_splice, 0 },
	{ "pages registered for I/O are refused", test_uring, 0 },
	{ "shared pages registered for I/O are refused", test_uring_shared, 0 },
	{ "huge pages registered for I/O are refused", test_uring_huge, 0 },
	{ "a DMA buffer of a memfd", test_udmabuf, 0 },
	{ "pages shared with a child are refused", test_fork, 0 },
	{ "huge pages shared with a child are refused", test_fork_huge, 0 },
	{ "a child with the same shared memory", test_fork_shared, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
