// SPDX-License-Identifier: GPL-2.0
#include "zone_vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_VMS		64

void need_zones(void)
{
	char what[256] = "";

	if (!harden_exists("zones"))
		tap_skip("no zones in this kvm_harden");
	harden_file(what, sizeof(what), "zones/available");
	if (!strncmp(what, "unavailable", strlen("unavailable")))
		tap_skip("zones are %s", what);
}

/* Ids only grow: a new VM has the highest one. */
static __u64 find_id(void)
{
	static pid_t owner;
	static __u64 newest;
	__u64 ids[MAX_VMS], end = raw_ns() + METER_APPEARS_MS * slowness() * NSEC_PER_MSEC;

	if (owner != getpid())
		newest = 0;
	owner = getpid();
	do {
		unsigned int nr = meter_vms(owner, ids, MAX_VMS);

		if (nr && ids[nr - 1] > newest) {
			newest = ids[nr - 1];
			return newest;
		}
		sleep_ms(5);
	} while (raw_ns() < end);
	REQUIRE(false, "a new VM did not appear in " METER_SYSFS);
	return 0;
}

static void fill(char *mem, __u64 gpa, __u64 size)
{
	for (__u64 at = 0; at < size; at += 8)
		*(volatile __u64 *)(mem + at) = gpa + at;
}

static char *map(struct zone_vm *z, enum zone_backing backing)
{
	int flags = backing == ZONE_ANON || backing == ZONE_THP ?
		    MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	char *mem;

	if (backing == ZONE_SHARED)
		flags |= MAP_ANONYMOUS;
	if (backing == ZONE_MEMFD) {
		z->memfd = memfd_create("guest", MFD_CLOEXEC);
		REQUIRE(z->memfd >= 0 && !ftruncate(z->memfd, z->size), "memfd: %s",
			strerror(errno));
	}
	/* Aligned as huge pages are; what is too much is never touched. */
	mem = mmap(NULL, z->size + ZONE_HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	mem = (char *)(((unsigned long)mem + ZONE_HUGE - 1) & ~(ZONE_HUGE - 1));
	mem = mmap(mem, z->size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, z->memfd, 0);
	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(mem, z->size, backing == ZONE_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return mem;
}

/* It has to run a little to be known by its id. */
static void begin(struct zone_vm *z, unsigned int nr_vcpus)
{
	z->vm = vm_create(nr_vcpus, 0);
	vm_add_memory(z->vm, 1, ZONE_GPA, z->mem, z->size);
	vcpu_program(&z->vm->vcpus[0], guest_io, 2, 0);
	vcpu_run(&z->vm->vcpus[0]);
	z->id = find_id();
	harden_wait_vm(z->id);
}

struct zone_vm *zone_vm_new(unsigned int nr_vcpus, __u64 size, enum zone_backing backing)
{
	struct zone_vm *z = calloc(1, sizeof(*z));

	need_zones();
	REQUIRE(z, "out of memory");
	z->size = size;
	z->memfd = -1;
	z->mem = map(z, backing);
	fill(z->mem, ZONE_GPA, size);
	begin(z, nr_vcpus);
	return z;
}

struct zone_vm *zone_vm_twin(struct zone_vm *z)
{
	struct zone_vm *twin = calloc(1, sizeof(*twin));

	REQUIRE(twin, "out of memory");
	*twin = *z;
	begin(twin, 1);
	return twin;
}

void zone_vm_end(struct zone_vm *z)
{
	vm_destroy(z->vm);
	z->vm = NULL;
}

void zone_vm_free(struct zone_vm *z)
{
	if (z->vm)
		zone_vm_end(z);
	munmap(z->mem, z->size);
	if (z->memfd >= 0)
		close(z->memfd);
	free(z);
}

char *zone_mem(struct zone_vm *z, __u64 gpa)
{
	return z->mem + (gpa - ZONE_GPA);
}

void zone_expect_filled(struct zone_vm *z, __u64 gpa, __u64 size, const char *when)
{
	for (__u64 at = gpa; at < gpa + size; at += 8) {
		__u64 is = *(volatile __u64 *)zone_mem(z, at);

		if (is == at)
			continue;
		EXPECT(false, "%s: 0x%llx holds 0x%llx", when, at, is);
		return;
	}
}

unsigned int may(void *p)
{
	unsigned int can = 0;
	int ends[2];

	REQUIRE(!pipe(ends), "pipe: %s", strerror(errno));
	if (write(ends[1], p, 1) == 1)
		can |= MAY_READ;
	/* What comes back is the byte itself. */
	if (can && read(ends[0], p, 1) == 1)
		can |= MAY_WRITE;
	close(ends[0]);
	close(ends[1]);
	return can;
}

void zone_expect_may(struct zone_vm *z, __u64 gpa, unsigned int want, const char *when)
{
	unsigned int can = may(zone_mem(z, gpa));

	EXPECT(can == want, "%s: the VMM may%s%s%s at 0x%llx", when, can & MAY_READ ? " read" : "",
	       can & MAY_WRITE ? " write" : "", can ? "" : " do nothing", gpa);
}

static int guest_access(struct zone_vm *z, const char *program, __u64 gpa)
{
	struct vcpu *v = &z->vm->vcpus[0];
	int reason;

	vcpu_program(v, program, 1, gpa);
	do {
		reason = vcpu_run_once(v);
	} while (reason == -EINTR || reason == -EAGAIN);
	if (reason == KVM_EXIT_IO && v->run->io.port == GUEST_PORT_DONE)
		return 0;
	return reason;
}

int zone_guest_read(struct zone_vm *z, __u64 gpa)
{
	return guest_access(z, guest_touch, gpa);
}

int zone_guest_write(struct zone_vm *z, __u64 gpa)
{
	return guest_access(z, guest_poke, gpa);
}

__u64 zone_must(struct zone_vm *z, __u64 gpa, __u64 size, const char *deny, const char *extra)
{
	long long id = zone_create(z->id, gpa, size, deny, "stop", extra);

	REQUIRE(id > 0, "zone of %s at 0x%llx, 0x%llx: %s: %s", deny, gpa, size, strerror(-id),
		zone_last_error());
	return id;
}

void zone_must_remove(__u64 id)
{
	int ret = zone_remove(id);

	REQUIRE(!ret, "1 to zones/%llu/remove: %s: %s", id, strerror(-ret), zone_last_error());
	zone_expect_gone(id, "after remove");
}

void zone_expect_gone(__u64 id, const char *when)
{
	EXPECT(WAIT_FOR(!harden_exists("zones/%llu", id), METER_APPEARS_MS),
	       "%s: zones/%llu is still there", when, id);
}

void zone_sweep_start(struct zone_vm *z, unsigned int from, __u64 gpa, __u64 pages, __u64 stride)
{
	for (unsigned int i = from; i < z->vm->nr; i++) {
		struct vcpu *v = &z->vm->vcpus[i];

		vcpu_program(v, guest_sweep, pages, gpa);
		v->data->stride = stride;
		vcpu_start(v, -1);
	}
}

bool zone_sweep_moves(struct zone_vm *z, unsigned int from)
{
	for (unsigned int i = from; i < z->vm->nr; i++) {
		struct guest_data *d = z->vm->vcpus[i].data;
		__u64 was = d->progress;

		if (!WAIT_FOR(d->progress > was + 1 || d->bad, 20000) || d->bad)
			return false;
	}
	return true;
}

void zone_sweep_stop(struct zone_vm *z, unsigned int from, const char *when)
{
	for (unsigned int i = from; i < z->vm->nr; i++) {
		struct vcpu *v = &z->vm->vcpus[i];

		v->data->stop = 1;
		vcpu_join(v);
		EXPECT(v->data->progress, "%s: vCPU %u came nowhere", when, i);
		EXPECT(!v->data->bad, "%s: vCPU %u found other contents at 0x%llx", when, i,
		       v->data->bad);
	}
}
