// SPDX-License-Identifier: GPL-2.0
#include "active.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* On a slow host the first window, before it is known what a page takes, costs several. */
#define APPEARS_MS	90000

void *active_memory(enum backing backing, __u64 size)
{
	char *mem;
	int fd;

	/* A place for it that begins at 2 MiB. */
	mem = mmap(NULL, size + PAGE_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	REQUIRE(mem != MAP_FAILED, "no address space: %s", strerror(errno));
	mem = (char *)(((unsigned long)mem + PAGE_2M - 1) & ~(PAGE_2M - 1));
	if (backing == BACKING_MEMFD) {
		fd = memfd_create("guest", MFD_CLOEXEC);
		REQUIRE(fd >= 0 && !ftruncate(fd, size), "memfd: %s", strerror(errno));
		mem = mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
		close(fd);
	} else {
		mem = mmap(mem, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	if (backing == BACKING_HUGE) {
		if (madvise(mem, size, MADV_HUGEPAGE))
			tap_skip("no transparent huge pages");
		memset(mem, 0, size);
	} else {
		madvise(mem, size, MADV_NOHUGEPAGE);
	}
	return mem;
}

void active_guest(struct active_guest *g, enum backing backing, __u64 size)
{
	g->vm = vm_create_in(active_memory(backing, size), size, 0);
	g->v = &g->vm->vcpus[0];
	vcpu_program(g->v, guest_io, 1, 0);
	vcpu_run(g->v);
	g->id = meter_wait_tid(getpid());
}

static void program(struct active_guest *g, __u64 pages, __u64 stride)
{
	REQUIRE(PAGE_2M + pages * stride <= g->vm->size, "the guest has no such memory");
	vcpu_program(g->v, guest_sweep, pages, PAGE_2M);
	g->v->data->stride = stride;
}

void active_sweep(struct active_guest *g, __u64 pages, __u64 stride)
{
	program(g, pages, stride);
	vcpu_start(g->v, -1);
	REQUIRE(WAIT_FOR(g->v->data->progress >= 2, 60000), "the guest does not get on");
}

void active_stop(struct active_guest *g)
{
	g->v->data->stop = 1;
	vcpu_join(g->v);
}

void active_sweep_once(struct active_guest *g, __u64 pages, __u64 stride)
{
	program(g, pages, stride);
	g->v->data->stop = 1;
	vcpu_run(g->v);
}

/* They go with the estimate: 0 then. */
static __u64 read_one(__u64 vm, const char *name)
{
	char buf[64];

	if (meter_file(buf, sizeof(buf), "vms/%llu/%s", vm, name) <= 0)
		return 0;
	return strtoull(buf, NULL, 10);
}

static bool read_all(__u64 vm, struct active_state *s)
{
#define READ(type, name, desc) s->name = read_one(vm, #name);
	KVM_METER_VM_MEMORY(READ)
	KVM_METER_VM_MEMORY_SLOW(READ)
#undef READ
	return s->active_window_ms && s->active_as_of_ns;
}

/*
 * Of one estimate: the times are read after the rest, so that they alone would not
 * tell that a window ended in between.
 */
bool active_read(__u64 vm, struct active_state *s)
{
	struct active_state again = {};

	*s = again;
	do {
		if (!read_all(vm, s) || !read_all(vm, &again))
			return false;
	} while (memcmp(s, &again, sizeof(again)));
	return true;
}

void active_next(__u64 vm, struct active_state *s)
{
	struct active_state was = {};

	active_read(vm, &was);
	REQUIRE(WAIT_FOR(active_read(vm, s) && s->active_as_of_ns != was.active_as_of_ns,
			 APPEARS_MS), "VM %llu: no window ends", vm);
}

void active_param(const char *name, unsigned int value)
{
	char path[128], text[32];
	int ret;

	snprintf(path, sizeof(path), METER_PARAMS "/%s", name);
	snprintf(text, sizeof(text), "%u\n", value);
	ret = write_file(path, text);
	REQUIRE(!ret, "%s to %s: %s", text, path, strerror(-ret));
}

__u64 active_count(const char *name)
{
	return meter_u64("active/%s", name);
}

/* A file of the sampler's thread in /proc. */
static void thread_file(const char *name, char *text, size_t size)
{
	char path[300], buf[64];
	struct dirent *e;
	DIR *dir = opendir("/proc");

	REQUIRE(dir, "/proc: %s", strerror(errno));
	*text = 0;
	while (!*text && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		if (read_file(path, buf, sizeof(buf)) <= 0 || strcmp(buf, "kvm_meter_mem\n"))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/%s", e->d_name, name);
		read_file(path, text, size);
	}
	closedir(dir);
	REQUIRE(*text, "no thread kvm_meter_mem");
}

__u64 active_cpu_ns(void)
{
	char buf[256];
	__u64 ns;

	thread_file("schedstat", buf, sizeof(buf));
	ns = strtoull(buf, NULL, 10);
	REQUIRE(ns, "kvm_meter_mem has not run");
	return ns;
}

void active_settle(void)
{
	char buf[1024];

	/* From the end of a window to the beginning of the next it does not sleep. */
	for (int i = 0; i < 20000; i++) {
		thread_file("stat", buf, sizeof(buf));
		if (strstr(buf, ") S "))
			return;
		sleep_ms(1);
	}
	REQUIRE(false, "the sampler is at work all the time");
}
