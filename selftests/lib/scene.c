// SPDX-License-Identifier: GPL-2.0
#include "scene.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define HUGE_SIZE	0x200000ull
#define HUGE_MEM	(4 * HUGE_SIZE)
#define HUGE_ZONE	(2 * HUGE_SIZE + 0x80000)
#define RUNS_MAX	100000
#define KEEP_MS		60000
#define SUBERROR_ZONE	4
#define BESIDE_BYTE	0x11
#define SERVED_BYTE	0x6b		/* what ports and MMIO give the guest */

static void *map(__u64 size, int flags, int fd)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	if (size == GUEST_MEM_SIZE)
		madvise(mem, size, MADV_NOHUGEPAGE);
	return mem;
}

/* Aligned, so that huge pages are possible. */
static void *map_huge(void)
{
	char *mem = map(HUGE_MEM + HUGE_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *at = (char *)(((unsigned long)mem + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));

	munmap(mem, at - mem);
	munmap(at + HUGE_MEM, mem + HUGE_SIZE - at);
	if (madvise(at, HUGE_MEM, MADV_HUGEPAGE))
		tap_skip("no huge pages: %s", strerror(errno));
	memset(at, 0, HUGE_MEM);
	return at;
}

/* KVM_RUN once, so that the modules know it. */
static void scene_introduce(struct scene *s)
{
	static __u64 newest;
	__u64 ids[32];
	unsigned int nr;

	vcpu_program(s->v, guest_done, 1, 0);
	vcpu_run(s->v);
	REQUIRE(WAIT_FOR((nr = meter_vms(getpid(), ids, 32)) && ids[nr - 1] > newest,
			 METER_APPEARS_MS), "the VM did not appear in " METER_SYSFS);
	newest = ids[nr - 1];
	s->id = newest;
	harden_wait_vm(s->id);
}

struct scene *scene_create_in(void *mem, __u64 size, __u64 gpa, unsigned int flags)
{
	struct scene *s = calloc(1, sizeof(*s));

	REQUIRE(s, "out of memory");
	s->vm = vm_create_in(mem, size, flags);
	s->v = &s->vm->vcpus[0];
	s->mem = mem;
	s->mem_size = size;
	s->memfd = -1;
	s->gpa = gpa;
	s->size = SCENE_ZONE_SIZE;
	s->secret = s->mem + gpa;
	s->before = calloc(1, s->size);
	REQUIRE(s->before, "out of memory");
	vm_gate(s->vm, GUEST_IDT, 13, guest_gp);
	vm_gate(s->vm, GUEST_IDT, 14, guest_pf);
	REQUIRE(!ioctl(s->v->fd, KVM_GET_SREGS, &s->sregs) &&
		!ioctl(s->v->fd, KVM_GET_VCPU_EVENTS, &s->events), "state of a vCPU: %s",
		strerror(errno));
	memset(&s->mmio_in, SERVED_BYTE, sizeof(s->mmio_in));
	scene_introduce(s);
	scene_fill(s);
	return s;
}

struct scene *scene_create(enum backing backing, unsigned int flags)
{
	bool is_private = backing == BACK_MEMFD_PRIVATE;
	struct scene *s;
	int fd;

	if (backing == BACK_SHARED)
		return scene_create_in(map(GUEST_MEM_SIZE, MAP_SHARED | MAP_ANONYMOUS, -1),
				       GUEST_MEM_SIZE, SCENE_ZONE, flags);
	if (backing == BACK_PRIVATE)
		return scene_create_in(map(GUEST_MEM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1),
				       GUEST_MEM_SIZE, SCENE_ZONE, flags);
	if (backing == BACK_HUGE)
		return scene_create_in(map_huge(), HUGE_MEM, HUGE_ZONE, flags);
	fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	REQUIRE(fd >= 0 && !ftruncate(fd, GUEST_MEM_SIZE), "memfd: %s", strerror(errno));
	s = scene_create_in(map(GUEST_MEM_SIZE, is_private ? MAP_PRIVATE : MAP_SHARED, fd),
			    GUEST_MEM_SIZE, SCENE_ZONE, flags);
	s->memfd = fd;
	return s;
}

void scene_destroy(struct scene *s)
{
	vm_destroy(s->vm);
	if (s->memfd >= 0)
		close(s->memfd);
	free(s->before);
	free(s);
}

void scene_over(struct scene *s)
{
	bool no_zones = s->no_zones;

	scene_destroy(s);
	if (no_zones)
		tap_skip("no zones in this kvm_harden");
}

void scene_fill(struct scene *s)
{
	memset(s->secret - SCENE_BESIDE, BESIDE_BYTE, SCENE_BESIDE);
	memset(s->secret + s->size, BESIDE_BYTE, SCENE_BESIDE);
	for (__u64 i = 0; i < s->size; i++)
		s->secret[i] = SCENE_SECRET | ((i * 2654435761ull >> 13) & 0x7f);
	scene_remember(s);
}

void scene_remember(struct scene *s)
{
	memcpy(s->before, s->secret, s->size);
}

bool scene_intact(struct scene *s)
{
	return !memcmp(s->before, s->secret, s->size);
}

void scene_expect_intact(struct scene *s, const char *when)
{
	__u64 at = 0;

	while (at < s->size && s->before[at] == s->secret[at])
		at++;
	EXPECT(at == s->size, "%s: the memory changed at 0x%llx: 0x%02x, expected 0x%02x", when,
	       s->gpa + at, (__u8)s->secret[at], (__u8)s->before[at]);
}

bool scene_leaked(const void *bytes, size_t len)
{
	const __u8 *b = bytes;

	for (size_t i = 0; i < len; i++)
		if (b[i] & SCENE_SECRET)
			return true;
	return false;
}

int scene_try_zone(struct scene *s, const char *deny, const char *action)
{
	long long id = zone_create(s->id, s->gpa, s->size, deny, action, zone_allow(deny));

	if (id == -ENOENT)
		s->no_zones = true;
	if (id < 0)
		return id;
	s->zone = id;
	return 0;
}

bool scene_zone(struct scene *s, const char *deny, const char *action)
{
	int ret = scene_try_zone(s, deny, action);

	if (s->no_zones)
		return false;
	REQUIRE(!ret, "zone deny=%s action=%s: %s (%s)", deny, action, strerror(-ret),
		zone_last_error());
	zone_expect_state(s->zone, "armed");
	return true;
}

void scene_unzone(struct scene *s)
{
	int ret = zone_remove(s->zone);

	REQUIRE(!ret, "zone %llu cannot be removed: %s (%s)", s->zone, strerror(-ret),
		zone_last_error());
	EXPECT(!zone_exists(s->zone), "zones/%llu is still there", s->zone);
	s->zone = 0;
}

static void take(struct scene *s, const void *bytes, size_t len)
{
	if (s->nr_out + len > sizeof(s->out))
		len = sizeof(s->out) - s->nr_out;
	memcpy(s->out + s->nr_out, bytes, len);
	s->nr_out += len;
}

static void serve_port(struct scene *s)
{
	struct kvm_run *run = s->v->run;
	char *bytes = (char *)run + run->io.data_offset;
	size_t len = (size_t)run->io.size * run->io.count;

	if (run->io.direction == KVM_EXIT_IO_OUT)
		take(s, bytes, len);
	else
		memset(bytes, SERVED_BYTE, len);
}

/* False: that is no device's. */
static bool serve_mmio(struct scene *s)
{
	struct kvm_run *run = s->v->run;
	__u64 at = run->mmio.phys_addr - GUEST_MMIO;

	if (at >= 4096)
		return false;
	if (run->mmio.is_write)
		take(s, run->mmio.data, run->mmio.len);
	for (unsigned int i = 0; !run->mmio.is_write && i < run->mmio.len; i++)
		run->mmio.data[i] = ((__u8 *)&s->mmio_in)[(at + i) % 8];
	return true;
}

enum scene_end scene_go_on(struct scene *s)
{
	struct kvm_run *run = s->v->run;

	for (int i = 0; i < RUNS_MAX; i++) {
		s->reason = vcpu_run_once(s->v);
		s->error = s->reason < 0 ? -s->reason : 0;
		switch (s->reason) {
		case -EINTR:
		case -EAGAIN:
			continue;
		case KVM_EXIT_IO:
			if (run->io.port == GUEST_PORT_DONE)
				return SCENE_RAN;
			serve_port(s);
			continue;
		case KVM_EXIT_MMIO:
			if (!serve_mmio(s))
				return SCENE_MMIO;
			continue;
		case KVM_EXIT_INTERNAL_ERROR:
			if (run->internal.suberror == SUBERROR_ZONE && !run->internal.ndata)
				return SCENE_STOPPED;
			return SCENE_ODD;
		case KVM_EXIT_HYPERV:		/* that the guest has set up its SynIC */
			continue;
		default:
			return s->reason < 0 ? SCENE_FAILED : SCENE_ODD;
		}
	}
	vcpu_show(s->v);
	REQUIRE(false, "the guest does not come to an end");
	return SCENE_ODD;
}

/* Whatever the last one left undone is forgotten. */
enum scene_end scene_run(struct scene *s, const char *program, __u64 count, __u64 arg)
{
	REQUIRE(!ioctl(s->v->fd, KVM_SET_SREGS, &s->sregs) &&
		!ioctl(s->v->fd, KVM_SET_VCPU_EVENTS, &s->events), "state of a vCPU: %s",
		strerror(errno));
	vcpu_program(s->v, program, count, arg);
	s->nr_out = 0;
	return scene_go_on(s);
}

const char *scene_end_text(struct scene *s, enum scene_end end)
{
	static char text[128];

	switch (end) {
	case SCENE_RAN:
		snprintf(text, sizeof(text), "it ran (%llu #GP, %llu #PF)", s->v->data->faults,
			 s->v->data->page_faults);
		break;
	case SCENE_STOPPED:
		return "it was stopped";
	case SCENE_MMIO:
		snprintf(text, sizeof(text), "KVM_EXIT_MMIO: %s of %u bytes at 0x%llx",
			 s->v->run->mmio.is_write ? "write" : "read", s->v->run->mmio.len,
			 (__u64)s->v->run->mmio.phys_addr);
		break;
	case SCENE_FAILED:
		snprintf(text, sizeof(text), "KVM_RUN failed: %s", strerror(s->error));
		break;
	case SCENE_ODD:
		snprintf(text, sizeof(text), "exit reason %d, suberror %u, ndata %u", s->reason,
			 s->v->run->internal.suberror, s->v->run->internal.ndata);
		break;
	}
	return text;
}

bool scene_guest_reads(struct scene *s, __u64 gpa)
{
	__u64 want;

	memcpy(&want, s->before + 8, sizeof(want));
	return scene_run(s, guest_read, 1, gpa + 8) == SCENE_RAN && s->v->data->loot == want;
}

/* In the middle of the secret, not where the readers look. */
bool scene_guest_writes(struct scene *s, __u64 gpa)
{
	return scene_run(s, guest_write, 1, gpa + 0x800) == SCENE_RAN && s->v->data->progress == 1;
}

/* KVM's emulator is left with what it had begun: let it come to an end. */
static void settle(struct scene *s, enum scene_end end)
{
	for (int i = 0; i < 64 && (end == SCENE_STOPPED || end == SCENE_MMIO); i++)
		end = scene_go_on(s);
}

bool scene_guest_steals(struct scene *s, __u64 gpa)
{
	bool got = scene_guest_reads(s, gpa);
	enum scene_end end;

	got |= scene_leaked((void *)&s->v->data->loot, 8);
	s->v->data->loot = 0;
	scene_run(s, guest_write_locked, 1, gpa + 0x40);
	got |= scene_leaked((void *)&s->v->data->loot, 8);
	end = scene_run(s, guest_outs, 16, gpa + 0x100);
	settle(s, end);
	got |= scene_leaked(s->out, s->nr_out);
	end = scene_run(s, guest_to_mmio, 16, gpa + 0x1100);
	settle(s, end);
	return got | scene_leaked(s->out, s->nr_out);
}

void scene_guest_spoils(struct scene *s, __u64 gpa)
{
	scene_guest_writes(s, gpa);
	scene_run(s, guest_write_string, 0x1000, gpa);
	settle(s, scene_run(s, guest_ins, 16, gpa + 0x1100));
	settle(s, scene_run(s, guest_from_mmio, 16, gpa + 0x1200));
}

void scene_expect_open(struct scene *s, const char *when)
{
	__u64 got = 0;

	EXPECT(scene_guest_reads(s, s->gpa), "%s: the guest cannot read it", when);
	EXPECT(!vmm_peek(s->secret + 8, &got) && !memcmp(&got, s->before + 8, 8),
	       "%s: the VMM cannot read it", when);
	EXPECT(scene_guest_writes(s, s->gpa), "%s: the guest cannot write it", when);
	EXPECT(*(__u64 *)(s->secret + 0x800) == GUEST_MARK, "%s: what the guest wrote is not there",
	       when);
	memcpy(s->secret + 0x800, s->before + 0x800, 8);
}

void scene_expect_closed(struct scene *s, const char *when)
{
	__u64 got = 0;

	EXPECT(!scene_guest_reads(s, s->gpa), "%s: the guest reads it", when);
	EXPECT(!s->v->data->loot, "%s: the guest has 0x%llx of it", when, s->v->data->loot);
	EXPECT(!scene_guest_writes(s, s->gpa), "%s: the guest writes it", when);
	EXPECT(vmm_peek(s->secret + 8, &got) == -EFAULT, "%s: the VMM reads 0x%llx", when, got);
	EXPECT(vmm_poke(s->secret + 0x800, GUEST_MARK) == -EFAULT, "%s: the VMM writes it", when);
}

static __u64 sum(const char *mem, __u64 size)
{
	__u64 h = 14695981039346656037ull;

	for (__u64 i = 0; i < size; i += 8)
		h = (h ^ *(const __u64 *)(mem + i)) * 1099511628211ull;
	return h;
}

/* All but the zone, from behind what the guest programs use. */
static __u64 sum_beside(struct scene *s)
{
	__u64 from = GUEST_SPARE;

	return sum(s->mem + from, s->gpa - from) ^
	       sum(s->secret + s->size, s->mem_size - s->gpa - s->size);
}

static void fill_beside(struct scene *s)
{
	for (__u64 i = GUEST_SPARE; i < s->mem_size; i += 8)
		if (i < s->gpa || i >= s->gpa + s->size)
			*(__u64 *)(s->mem + i) = i * 0x9e3779b97f4a7c15ull;
}

/* It holds, and everything is there afterwards, and the mapping is what it was. */
void scene_prove(struct scene *s, const char *deny)
{
	__u64 before;

	fill_beside(s);
	scene_remember(s);
	EXPECT(scene_guest_steals(s, s->gpa), "the guest does not read it without a zone");
	memcpy(s->secret, s->before, s->size);
	before = sum_beside(s);
	if (!scene_zone(s, deny, "stop"))
		return;
	if (strchr(deny, 'r')) {
		EXPECT(!scene_guest_steals(s, s->gpa), "the guest gets the secret");
		scene_expect_closed(s, "a zone");
	} else {
		EXPECT(scene_guest_reads(s, s->gpa), "the guest cannot read it with deny=w");
	}
	scene_guest_spoils(s, s->gpa);
	EXPECT(sum_beside(s) == before, "the memory beside the zone changed with it");
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	EXPECT(sum_beside(s) == before, "the memory beside the zone changed after it");
	EXPECT(scene_guest_steals(s, s->gpa), "the guest does not read it after the zone");
	memcpy(s->secret, s->before, s->size);
	scene_expect_open(s, "after the zone");
}

/*
 * A VM with a zone that nobody attacks: KVM's functions are hooked with the first
 * zone of all and let go with the last, which takes much longer than a zone does.
 */
static volatile int *kept;

static void __attribute__((noreturn)) keep_hooks(void)
{
	tap_do_not_count();
	if (WAIT_FOR(harden_exists("zones/create"), KEEP_MS))
		scene_try_zone(scene_create(BACK_SHARED, 0), "rwx", "stop");
	*kept = 1;
	for (;;)
		pause();
}

/* No test begins while that zone is made: last_error is of the last one. */
static void scene_setup(void)
{
	harden_setup();
	WAIT_FOR(*kept, KEEP_MS);
}

int scene_main(const struct tap_test *tests, unsigned int nr, int argc, char **argv)
{
	const struct tap_suite suite = { tests, nr, scene_setup, harden_cleanup };
	pid_t keeper;
	int ret;

	hold_kvm();
	kept = shared_page();
	keeper = fork();
	if (!keeper) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keep_hooks();
	}
	ret = tap_main(&suite, argc, argv);
	if (keeper > 0)
		end_child(keeper);
	return ret;
}
