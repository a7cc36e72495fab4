// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against the VMM and what works for it: its threads, system calls
 * as of virtual devices, a debugger, its children.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define LEN	64		/* of what is read and written */
#define AT	0x1100		/* where, within the secret */

#define FORK	'f'		/* access of a child, which gets no zone whatever it denies */

/* True: it read what is there, or what it wrote can be there. */
struct way {
	const char *name;
	bool (*attack)(struct scene *s);
	char access;
};

static bool is_secret(struct scene *s, const void *bytes)
{
	return !memcmp(bytes, s->before + AT, LEN);
}

static bool load(struct scene *s)
{
	__u64 value = 0;

	return !vmm_peek(s->secret + AT, &value) && !memcmp(&value, s->before + AT, sizeof(value));
}

static bool store(struct scene *s)
{
	return !vmm_poke(s->secret + AT, GUEST_MARK);
}

static void *io_thread(void *arg)
{
	return load(arg) ? arg : NULL;
}

static bool thread_load(struct scene *s)
{
	pthread_t thread;
	void *got;

	REQUIRE(!pthread_create(&thread, NULL, io_thread, s), "pthread_create");
	pthread_join(thread, &got);
	return got;
}

/* A device that sends: the kernel reads the guest's memory. */
static bool sys_write(struct scene *s)
{
	char buf[LEN] = "";
	int fds[2];
	bool got;

	REQUIRE(!pipe(fds), "pipe: %s", strerror(errno));
	got = write(fds[1], s->secret + AT, LEN) == LEN && read(fds[0], buf, LEN) == LEN;
	close(fds[0]);
	close(fds[1]);
	return got && is_secret(s, buf);
}

/* A device that receives. */
static bool sys_read(struct scene *s)
{
	int fd = open("/dev/zero", O_RDONLY);
	bool got = read(fd, s->secret + AT, LEN) == LEN;

	close(fd);
	return got;
}

/* The pages themselves, as for zero-copy I/O. */
static bool pin(struct scene *s)
{
	struct iovec iov = { s->secret + AT, LEN };
	char buf[LEN] = "";
	int fds[2];
	bool got;

	REQUIRE(!pipe(fds), "pipe: %s", strerror(errno));
	got = vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) == LEN && read(fds[0], buf, LEN) == LEN;
	close(fds[0]);
	close(fds[1]);
	return got && is_secret(s, buf);
}

static bool vm_readv(struct scene *s)
{
	char buf[LEN] = "";
	struct iovec to = { buf, LEN }, from = { s->secret + AT, LEN };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == LEN && is_secret(s, buf);
}

static bool vm_writev(struct scene *s)
{
	char buf[LEN] = "";
	struct iovec from = { buf, LEN }, to = { s->secret + AT, LEN };

	return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == LEN;
}

static bool mem_read_of(pid_t pid, struct scene *s)
{
	char path[64], buf[LEN] = "";
	bool got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = pread(fd, buf, LEN, (long)s->secret + AT) == LEN;
	close(fd);
	return got && is_secret(s, buf);
}

static bool mem_read(struct scene *s)
{
	return mem_read_of(getpid(), s);
}

/* With the rights of a debugger, which pass the mapping's protection. */
static bool mem_write(struct scene *s)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char buf[LEN] = "";
	bool got = pwrite(fd, buf, LEN, (long)s->secret + AT) == LEN;

	close(fd);
	return got;
}

struct peer {
	struct scene *s;
	pid_t pid;
};

static void debugger(void *arg)
{
	struct peer *p = arg;
	char buf[LEN] = "";
	struct iovec to = { buf, LEN }, from = { p->s->secret + AT, LEN };

	if (mem_read_of(p->pid, p->s))
		_exit(1);
	if (process_vm_readv(p->pid, &to, 1, &from, 1, 0) == LEN && is_secret(p->s, buf))
		_exit(1);
}

/* By another process, which needs its own copy of nothing but the address. */
static bool debug(struct scene *s)
{
	struct peer p = { s, getpid() };

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	return wait_child(spawn(debugger, &p)) == 1;
}

static void child_reads(void *arg)
{
	struct scene *s = arg;

	_exit(load(s) ? 1 : 0);
}

/* What a child inherits. Private memory would be shared with it then. */
static bool child(struct scene *s)
{
	return wait_child(spawn(child_reads, s)) == 1;
}

static bool child_again(struct scene *s)
{
	madvise(s->secret, s->size, MADV_DOFORK);
	return child(s);
}

static bool unprotect_read(struct scene *s)
{
	errno = 0;
	if (mprotect(s->secret, s->size, PROT_READ) && errno != EACCES)
		EXPECT(false, "mprotect: %s", strerror(errno));
	return load(s);
}

static bool unprotect_write(struct scene *s)
{
	errno = 0;
	if (mprotect(s->secret, s->size, PROT_READ | PROT_WRITE) && errno != EACCES)
		EXPECT(false, "mprotect: %s", strerror(errno));
	return store(s);
}

/* Page by page, as its protection may differ by then. */
static bool unprotect_page(struct scene *s)
{
	mprotect(s->secret + 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	return load(s);
}

/* The mapping elsewhere, and a second one of the same pages. */
static bool duplicate(struct scene *s)
{
	char *copy = mremap(s->secret, 0, s->size, MREMAP_MAYMOVE);
	__u64 value = 0;
	bool got;

	if (copy == MAP_FAILED)
		return false;
	mprotect(copy, s->size, PROT_READ | PROT_WRITE);
	got = !vmm_peek(copy + AT, &value) && !memcmp(&value, s->before + AT, sizeof(value));
	munmap(copy, s->size);
	return got;
}

/* /proc/self/map_files: the file behind a mapping, for those who may. */
static bool reopen(struct scene *s)
{
	char path[128], buf[512], *line = NULL;
	unsigned long from, to, at = (unsigned long)s->secret;
	unsigned long long offset;
	FILE *f = fopen("/proc/self/maps", "re");
	size_t size = 0;
	bool got = false;
	int fd;

	while (f && getline(&line, &size, f) > 0) {
		if (sscanf(line, "%lx-%lx %*s %llx", &from, &to, &offset) != 3 || at < from || at >= to)
			continue;
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", from, to);
		fd = open(path, O_RDWR | O_CLOEXEC);
		got = fd >= 0 && pread(fd, buf, LEN, at - from + offset + AT) == LEN &&
		      is_secret(s, buf);
		if (fd >= 0)
			close(fd);
	}
	free(line);
	if (f)
		fclose(f);
	return got;
}

static const struct way ways[] = {
	{ "a load", load, 'r' },
	{ "a load by another thread", thread_load, 'r' },
	{ "write(2) from it", sys_write, 'r' },
	{ "vmsplice(2) from it", pin, 'r' },
	{ "process_vm_readv(2)", vm_readv, 'r' },
	{ "read of /proc/self/mem", mem_read, 'r' },
	{ "another process that debugs", debug, 'r' },
	{ "a child", child, FORK },
	{ "a child after MADV_DOFORK", child_again, 'r' },
	{ "mprotect(2) and a load", unprotect_read, 'r' },
	{ "mprotect(2) of a page and a load", unprotect_page, 'r' },
	{ "a second mapping by mremap(2)", duplicate, 'r' },
	{ "a store", store, 'w' },
	{ "read(2) into it", sys_read, 'w' },
	{ "process_vm_writev(2)", vm_writev, 'w' },
	{ "write to /proc/self/mem", mem_write, 'w' },
	{ "mprotect(2) and a store", unprotect_write, 'w' },
};

/* What root gets at all the same, see the guide. */
static const struct way reopening = { "the file in /proc/self/map_files", reopen, 'r' };

static void prove(struct scene *s, const struct way *w, const char *deny)
{
	bool got;

	/* The one before may have changed it. */
	mprotect(s->secret, s->size, PROT_READ | PROT_WRITE);
	scene_fill(s);
	EXPECT(w->attack(s) && (w->access != 'w' || !scene_intact(s)),
	       "%s does not work without a zone", w->name);
	/* Forking has shared private pages with a child that is gone by now. */
	mprotect(s->secret, s->size, PROT_READ | PROT_WRITE);
	scene_fill(s);
	if (!scene_zone(s, deny, "stop"))
		return;
	got = w->attack(s);
	if (w->access == FORK || strchr(deny, w->access))
		EXPECT(!got, "%s works with deny=%s", w->name, deny);
	else
		EXPECT(got, "%s does not work with deny=%s", w->name, deny);
	EXPECT(!zone_u64(s->zone, "violations"), "%s counts as a violation", w->name);
	scene_unzone(s);
	scene_expect_intact(s, w->name);
	EXPECT(w->attack(s) && (w->access != 'w' || !scene_intact(s)),
	       "%s does not work after the zone", w->name);
}

static void prove_all(enum backing backing, const char *deny)
{
	struct scene *s = scene_create(backing, 0);

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		/* Private pages have no second mapping. */
		if (ways[i].attack == duplicate && backing != BACK_SHARED && backing != BACK_MEMFD)
			continue;
		prove(s, &ways[i], deny);
	}
	scene_over(s);
}

static void test_shared(void) { prove_all(BACK_SHARED, "rwx"); }
static void test_shared_w(void) { prove_all(BACK_SHARED, "w"); }
static void test_private(void) { prove_all(BACK_PRIVATE, "rwx"); }
static void test_private_w(void) { prove_all(BACK_PRIVATE, "w"); }
static void test_huge(void) { prove_all(BACK_HUGE, "rwx"); }
static void test_memfd(void) { prove_all(BACK_MEMFD, "rwx"); }
static void test_memfd_w(void) { prove_all(BACK_MEMFD, "w"); }

static void test_reopen(void)
{
	struct scene *s = scene_create(BACK_SHARED, 0);

	prove(s, &reopening, "rwx");
	scene_over(s);
}

/* System calls say EFAULT, and mprotect() EACCES. */
static void test_errors(void)
{
	struct scene *s = scene_create(BACK_SHARED, 0);
	char path[] = "/proc/self/mem", buf[LEN] = "";
	struct iovec here = { buf, LEN }, there = { s->secret + AT, LEN };
	int fds[2], fd = open(path, O_RDWR | O_CLOEXEC);

	REQUIRE(!pipe(fds), "pipe: %s", strerror(errno));
	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
#define EXPECT_ERROR(call, error)						\
	EXPECT((errno = 0, call) == -1 && errno == (error), #call ": %s", strerror(errno))
	EXPECT_ERROR(write(fds[1], s->secret + AT, LEN), EFAULT);
	EXPECT(write(fds[1], buf, LEN) == LEN, "write: %s", strerror(errno));
	EXPECT_ERROR(read(fds[0], s->secret + AT, LEN), EFAULT);
	EXPECT_ERROR(process_vm_readv(getpid(), &here, 1, &there, 1, 0), EFAULT);
	EXPECT_ERROR(process_vm_writev(getpid(), &here, 1, &there, 1, 0), EFAULT);
	EXPECT_ERROR(pread(fd, buf, LEN, (long)s->secret), EIO);
	EXPECT_ERROR(pwrite(fd, buf, LEN, (long)s->secret), EIO);
	EXPECT_ERROR(mprotect(s->secret, 4096, PROT_READ), EACCES);
	EXPECT_ERROR(mprotect(s->secret, 4096, PROT_WRITE), EACCES);
	EXPECT_ERROR(mprotect(s->secret, s->size, PROT_READ | PROT_WRITE), EACCES);
	EXPECT_ERROR(mprotect(s->secret, s->size, PROT_EXEC), EACCES);
#undef EXPECT_ERROR
	scene_unzone(s);
	scene_expect_intact(s, "after all that");
	scene_over(s);
}

static const struct tap_test tests[] = {
	{ "memory that is shared", test_shared, 0 },
	{ "memory that is shared, deny=w", test_shared_w, 0 },
	{ "memory that is private", test_private, 0 },
	{ "memory that is private, deny=w", test_private_w, 0 },
	{ "memory in huge pages", test_huge, 0 },
	{ "memory of a memfd", test_memfd, 0 },
	{ "memory of a memfd, deny=w", test_memfd_w, 0 },
	{ "what system calls say", test_errors, 0 },
	{ "a file of /proc/self/map_files", test_reopen, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
