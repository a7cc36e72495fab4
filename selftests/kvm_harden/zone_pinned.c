// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones on pages that somebody else has: in a pipe, registered for I/O, with
 * I/O under way, in a DMA buffer, in a child. A zone is refused as long as they could be
 * read there.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

#define DIRECT_FILE	"/var/tmp/kvm_harden_direct"
#define DIRECT_SIZE	4096
#define DIRECT_ROUNDS	40

/* A thread that reads a disk into the secret's first page, two contents in turn. */
struct direct {
	struct scene *s;
	int fd;
	volatile int stop, hold;	/* hold: 1 asked for, 2 it does */
	volatile __u8 landed;		/* what the last read that succeeded has left there */
	volatile unsigned int done, refused, odd;
};

static void *read_direct(void *arg)
{
	struct direct *d = arg;

	for (unsigned int i = 0; !d->stop; i++) {
		ssize_t got = pread(d->fd, d->s->secret, DIRECT_SIZE, (i & 1) * DIRECT_SIZE);

		if (got == DIRECT_SIZE) {
			d->landed = 1 + (i & 1);
			d->done++;
		} else if (got < 0 && errno == EFAULT) {
			d->refused++;
		} else {
			d->odd++;
		}
		if (d->hold) {
			d->hold = 2;
			while (d->hold && !d->stop)
				sleep_ms(1);
		}
	}
	return NULL;
}

static int direct_file(void)
{
	static __u8 page[DIRECT_SIZE] __attribute__((aligned(DIRECT_SIZE)));
	int fd = open(DIRECT_FILE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600);

	if (fd < 0)
		tap_skip("no O_DIRECT in /var/tmp: %s", strerror(errno));
	unlink(DIRECT_FILE);
	for (int i = 0; i < 2; i++) {
		memset(page, 1 + i, sizeof(page));
		if (pwrite(fd, page, sizeof(page), i * DIRECT_SIZE) != DIRECT_SIZE)
			tap_skip("write by O_DIRECT: %s", strerror(errno));
	}
	return fd;
}

/* The page has what was read last, all of it: no read went to a page that was left. */
static void expect_landed(struct direct *d, int round)
{
	for (unsigned int i = 0; i < DIRECT_SIZE; i++) {
		EXPECT((__u8)d->s->secret[i] == d->landed, "round %d, byte %u: %u, expected %u",
		       round, i, (__u8)d->s->secret[i], d->landed);
		if ((__u8)d->s->secret[i] != d->landed)
			return;
	}
}

/* Reads are under way when the zone comes. It is refused, or they have landed in it. */
static void prove_direct(enum backing backing)
{
	struct scene *s = scene_create(backing, 0);
	struct direct d = { .s = s, .fd = direct_file() };
	unsigned int made = 0, busy = 0, from;
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, read_direct, &d), "pthread_create");
	REQUIRE(WAIT_FOR(d.done > 2, 10000), "O_DIRECT: nothing is read (%u odd)", d.odd);
	for (int i = 0; i < DIRECT_ROUNDS && !s->no_zones; i++) {
		int ret = scene_try_zone(s, "rwx", "stop");

		if (s->no_zones)
			break;
		EXPECT(!ret || ret == -EBUSY, "zone: %s (%s)", strerror(-ret), zone_last_error());
		busy += !!ret;
		if (ret)
			continue;
		made++;
		from = d.refused;
		EXPECT(WAIT_FOR(d.refused > from + 1, 10000), "reads into a zone go on");
		d.hold = 1;
		REQUIRE(WAIT_FOR(d.hold == 2, 10000), "the reader does not stand");
		scene_unzone(s);
		expect_landed(&d, i);
		from = d.done;
		d.hold = 0;
		EXPECT(WAIT_FOR(d.done > from + i % 3, 10000), "no read after the zone");
	}
	d.stop = 1;
	pthread_join(thread, NULL);
	close(d.fd);
	tap_diag("%u zones came under reads, %u were refused; %u reads, %u into zones", made, busy,
		 d.done, d.refused);
	EXPECT(s->no_zones || made, "no zone came between reads");
	EXPECT_EQ(d.odd, 0, "reads that failed otherwise");
	scene_fill(s);
	scene_prove(s, "rwx");
	scene_over(s);
}

/* A disk whose reads take longer than creating a zone waits. */
#define SLOW_DISK	"/dev/nullb0"
#define SLOW_MS		5000

static void slow_disk_end(void)
{
	run_shell(NULL, 0, "rmmod null_blk 2>/dev/null");
}

static void *read_slowly(void *arg)
{
	struct direct *d = arg;

	if (pread(d->fd, d->s->secret, DIRECT_SIZE, 0) != DIRECT_SIZE)
		d->odd = errno ?: 1;
	d->done = 1;
	return NULL;
}

static void prove_slow(enum backing backing)
{
	struct scene *s;
	struct direct d = {};
	pthread_t thread;
	int ret;

	tap_at_end(slow_disk_end);
	slow_disk_end();
	if (run_shell(NULL, 0, "modprobe null_blk nr_devices=1 gb=1 irqmode=2 completion_nsec=%llu "
		      "2>/dev/null", SLOW_MS * NSEC_PER_MSEC))
		tap_skip("no null_blk");
	REQUIRE(WAIT_FOR(file_exists(SLOW_DISK), 10000), "no " SLOW_DISK);
	d.fd = open(SLOW_DISK, O_RDONLY | O_DIRECT | O_CLOEXEC);
	REQUIRE(d.fd >= 0, SLOW_DISK ": %s", strerror(errno));
	s = scene_create(backing, 0);
	d.s = s;
	REQUIRE(!pthread_create(&thread, NULL, read_slowly, &d), "pthread_create");
	sleep_ms(500);
	ret = scene_try_zone(s, "rwx", "stop");
	EXPECT(!d.done, "the read was over too soon");
	EXPECT(s->no_zones || ret == -EBUSY, "zone: %s (%s)", strerror(-ret), zone_last_error());
	pthread_join(thread, NULL);
	EXPECT_EQ(d.odd, 0, "errno of the read");
	close(d.fd);
	scene_fill(s);
	scene_prove(s, "rwx");
	scene_over(s);
}

static void test_slow(void) { prove_slow(BACK_PRIVATE); }
static void test_slow_memfd(void) { prove_slow(BACK_MEMFD); }

static void test_direct(void) { prove_direct(BACK_PRIVATE); }
static void test_direct_shared(void) { prove_direct(BACK_SHARED); }
static void test_direct_memfd(void) { prove_direct(BACK_MEMFD); }

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
	{ "I/O by O_DIRECT under way", test_direct, 120 },
	{ "I/O by O_DIRECT under way to shared pages", test_direct_shared, 120 },
	{ "I/O by O_DIRECT under way to a memfd", test_direct_memfd, 120 },
	{ "a read by O_DIRECT that takes long is refused", test_slow, 120 },
	{ "the same into a memfd", test_slow_memfd, 120 },
	{ "pages shared with a child are refused", test_fork, 0 },
	{ "huge pages shared with a child are refused", test_fork_huge, 0 },
	{ "a child with the same shared memory", test_fork_shared, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
