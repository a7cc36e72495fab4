// SPDX-License-Identifier: GPL-2.0
/*
 * What runs on the other CPU of a vCPU's core, and whether vCPUs are where their
 * guest was told they are. The truth is where this test pins threads, and the CPU
 * time of the one beside the guest.
 */
#include "harden.h"
#include "meter.h"
#include "vmm.h"

#include <asm/kvm.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SPAN_MS		1200
#define CPUID_MAX	8

static struct meter_map map;
static bool siblings;

static void start(void)
{
	need_cpus(2);
	meter_map_open(&map, "kvm_meter_vcpu");
	siblings = cpu_core(0) == cpu_core(1);
}

/* A CPU of another core than that of CPU 0, or -1. */
static int other_core(void)
{
	for (int cpu = 1; cpu < nr_cpus_online(); cpu++)
		if (cpu_core(cpu) != cpu_core(0))
			return cpu;
	return -1;
}

static void need_siblings(void)
{
	start();
	if (!siblings)
		tap_skip("CPUs 0 and 1 are no siblings");
}

static struct vcpu *spinner(struct vm *vm, unsigned int nr, const char *program, int cpu)
{
	struct vcpu *v = &vm->vcpus[nr];

	vcpu_program(v, program, ~0u, 0);
	vcpu_start(v, cpu);
	return v;
}

static const struct kvm_meter_vcpu *record(struct vcpu *v)
{
	return meter_vcpu(&map, meter_wait_tid(v->tid), v->id);
}

static __u64 smt_sum(const struct kvm_meter_vcpu_head *h)
{
	__u64 sum = 0;

#define ADD(name, desc) sum += h->name;
	KVM_METER_SMT_COUNTERS(ADD)
#undef ADD
	return sum;
}

static void check_sum(const struct kvm_meter_vcpu_head *h)
{
	EXPECT_EQ(smt_sum(h), siblings ? h->guest_ns : 0, "sum of smt_*_ns");
}

/* What a vCPU did in a while; each of the four by its place in @part. */
struct span {
	struct meter_snap a, b;
	__u64 guest, idle, own, other, host;
};

static void span_end(struct span *s, const struct kvm_meter_vcpu *rec, const char *what)
{
	meter_snap(rec, &s->b);
	meter_diag_delta(what, &s->a, &s->b);
	check_sum(&s->b.h);
	s->guest = SNAP_DELTA(s->a, s->b, guest_ns);
	s->idle = SNAP_DELTA(s->a, s->b, smt_idle_ns);
	s->own = SNAP_DELTA(s->a, s->b, smt_own_ns);
	s->other = SNAP_DELTA(s->a, s->b, smt_other_ns);
	s->host = SNAP_DELTA(s->a, s->b, smt_host_ns);
}

static void span(struct span *s, const struct kvm_meter_vcpu *rec, const char *what)
{
	sleep_ms(100);
	meter_snap(rec, &s->a);
	sleep_ms(SPAN_MS);
	span_end(s, rec, what);
	EXPECT(s->guest > SPAN_MS * NSEC_PER_MSEC / 4, "%s: guest_ns %llu", what, s->guest);
}

/* The kernel's own threads, and this one, have the sibling now and then. */
#define EXPECT_MOST(s, part)							\
	EXPECT((s).part >= (s).guest * 93 / 100, "smt_" #part "_ns is %llu of guest_ns %llu", \
	       (s).part, (s).guest)

static void compete(void *arg)
{
	(void)arg;
	pin_thread(0, 1);
	for (;;)
		;
}

static void test_each(void)
{
	const struct kvm_meter_vcpu *rec;
	struct span s;
	struct vm *vm, *foe;
	pid_t pid;

	need_siblings();
	pin_thread(0, 0);
	vm = vm_create(2, 0);
	rec = record(spinner(vm, 0, guest_spin, 0));
	span(&s, rec, "beside an idle sibling");
	EXPECT_MOST(s, idle);

	pid = spawn(compete, NULL);
	span(&s, rec, "beside a process");
	EXPECT_MOST(s, host);
	end_child(pid);

	spinner(vm, 1, guest_spin, 1);
	span(&s, rec, "beside its own VM");
	EXPECT_MOST(s, own);
	vcpu_pause(&vm->vcpus[1]);

	foe = vm_create(1, 0);
	spinner(foe, 0, guest_spin, 1);
	span(&s, rec, "beside another VM");
	EXPECT_MOST(s, other);
	span(&s, record(&foe->vcpus[0]), "the other VM's side of it");
	EXPECT_MOST(s, other);
	vcpu_pause(&foe->vcpus[0]);

	span(&s, rec, "beside an idle sibling again");
	EXPECT_MOST(s, idle);
}

struct worker {
	volatile __u64 cpu_ns;
	volatile int asked, told;
};

/* Half of the time, and says how much CPU time that was. */
static void work(void *arg)
{
	struct worker *w = arg;

	pin_thread(0, 1);
	for (int i = 0;; i++) {
		burn_ns((i % 7 + 1) * NSEC_PER_MSEC);
		w->cpu_ns = thread_cpu_ns();
		w->told = w->asked;
		sleep_ms(i % 5 + 2);
	}
}

static __u64 worked(struct worker *w)
{
	w->asked++;
	REQUIRE(WAIT_FOR(w->told == w->asked, 5000), "the other thread does not answer");
	return w->cpu_ns;
}

/* It runs beside the host for as long as the host's thread has CPU time. */
static void test_share(void)
{
	struct worker *w = shared_page();
	const struct kvm_meter_vcpu *rec;
	__u64 cpu, want, out, slack;
	struct span s;

	need_siblings();
	pin_thread(0, 0);
	rec = record(spinner(vm_create(1, 0), 0, guest_spin, 0));
	spawn(work, w);
	sleep_ms(100);
	cpu = worked(w);
	meter_snap(rec, &s.a);
	sleep_ms(2500);
	cpu = worked(w) - cpu;
	span_end(&s, rec, "beside a thread that works now and then");
	tap_diag("it had %llu us of CPU time", cpu / 1000);
	/*
	 * The vCPU is out of its guest for some of it, as likely as at other times; or
	 * for all of it, where both CPUs wait for each other in the same tick.
	 */
	want = cpu * s.guest / (s.b.raw - s.a.raw);
	out = (s.b.raw - s.a.raw) - s.guest;
	slack = want / 12 + 20 * NSEC_PER_MSEC;
	EXPECT(s.host > s.guest / 10 && s.idle > s.guest / 10, "not a bit of both");
	EXPECT(s.host <= want + slack && s.host + out + slack >= cpu,
	       "smt_host_ns %llu, by the CPU time of the sibling %llu", s.host, want);
}

static void hop(void *arg)
{
	(void)arg;
	pin_thread(0, 1);
	for (;;)
		usleep(50);
}

/* Settled from the sibling while it enters and exits: nothing is lost or twice. */
static void test_busy(void)
{
	const struct kvm_meter_vcpu *rec;
	struct kvm_meter_vcpu_head h, last = {};
	__u64 end, reads = 0, back = 0, wrong = 0;

	need_siblings();
	pin_thread(0, 1);
	rec = record(spinner(vm_create(1, 0), 0, guest_spin_io, 0));
	for (int i = 0; i < 2; i++)
		spawn(hop, NULL);
	end = raw_ns() + 1500 * NSEC_PER_MSEC;
	while (raw_ns() < end) {
		meter_read(rec, &h);
		reads++;
		wrong += smt_sum(&h) != h.guest_ns;
#define BACK(name, desc) back += h.name < last.name;
		KVM_METER_SMT_COUNTERS(BACK)
#undef BACK
		last = h;
	}
	tap_diag("%llu reads", reads);
	EXPECT_EQ(wrong, 0, "reads in which the four are not guest_ns");
	/* An exit is stamped a little before it is recorded: see kvm_meter_monotonic(). */
	EXPECT(back * 200 <= reads, "%llu fields went back", back);
	EXPECT(last.smt_host_ns > 10 * NSEC_PER_MSEC, "smt_host_ns %llu", last.smt_host_ns);
}

/* There where CPUs have siblings, absent elsewhere. */
static void test_files(void)
{
	struct vcpu *v;
	__u64 id;

	start();
	pin_thread(0, 0);
	v = spinner(vm_create(1, 0), 0, guest_spin, 0);
	id = meter_wait_tid(v->tid);
#define FILES(name, desc)							\
	EXPECT(meter_exists("vms/%llu/" #name, id) == siblings, "vms/N/" #name);	\
	EXPECT(meter_exists("vms/%llu/vcpus/0/" #name, id) == siblings, "vms/N/vcpus/0/" #name);
	KVM_METER_SMT_COUNTERS(FILES)
#undef FILES
	vcpu_pause(v);
	if (siblings)
		EXPECT_EQ(meter_u64("vms/%llu/smt_idle_ns", id) +
			  meter_u64("vms/%llu/smt_own_ns", id) +
			  meter_u64("vms/%llu/smt_other_ns", id) +
			  meter_u64("vms/%llu/smt_host_ns", id),
			  meter_u64("vms/%llu/guest_ns", id), "sum of the files");
}

/* --- what the guest was told --- */
/* Cores of two threads each, by leaf 0xb; else as little as a guest can do with. */
static void promise_siblings(struct vm *vm)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_MAX * sizeof(c->entries[0]));
	struct kvm_cpuid_entry2 entries[] = {
		{ .function = 0, .eax = 0xb },
		{ .function = 0xb, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 1, .ebx = 2, .ecx = 0x100 },
		{ .function = 0xb, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 4, .ebx = vm->nr, .ecx = 0x201 },
		{ .function = 0x80000000, .eax = 0x80000008 },
		/* LM, NX, SYSCALL */
		{ .function = 0x80000001, .edx = 1u << 29 | 1u << 20 | 1u << 11 },
		{ .function = 0x80000008, .eax = 0x3028 },
	};

	REQUIRE(c, "out of memory");
	c->nent = ARRAY_SIZE(entries);
	for (unsigned int i = 0; i < vm->nr; i++) {
		entries[1].edx = vm->vcpus[i].id;
		entries[2].edx = vm->vcpus[i].id;
		memcpy(c->entries, entries, sizeof(entries));
		REQUIRE(!ioctl(vm->vcpus[i].fd, KVM_SET_CPUID2, c), "KVM_SET_CPUID2: %s",
			strerror(errno));
	}
	free(c);
}

static void topology(__u64 id, int vcpu, char *buf, size_t size)
{
	REQUIRE(meter_file(buf, size, "vms/%llu/vcpus/%d/topology", id, vcpu) > 0, "topology");
	tap_diag("vCPU %d: %s", vcpu, buf);
}

static void expect_honest(__u64 id, bool want, const char *when)
{
	EXPECT_EQ(meter_u64("vms/%llu/topology_honest", id), want, when);
	EXPECT_EQ(meter_u64("vms/%llu/vcpus/0/topology_honest", id), want, when);
}

/* Both vCPUs at once, on CPU 0 and on @cpu. */
static __u64 both(struct vm *vm, int cpu, struct span *s)
{
	__u64 id;

	pin_thread(0, 0);
	for (int i = 0; i < 2; i++)
		spinner(vm, i, guest_spin, i * cpu);
	id = meter_wait_tid(vm->vcpus[0].tid);
	span(s, record(&vm->vcpus[0]), "two vCPUs");
	return id;
}

/* Siblings that never run at once, and then do. */
static void test_promised_siblings(void)
{
	unsigned long long ns = 0;
	unsigned int other = 9;
	char buf[1024], *line;
	struct span s;
	struct vm *vm;
	__u64 id;

	start();
	vm = vm_create(2, 0);
	promise_siblings(vm);
	for (int i = 0; i < 2; i++) {
		pin_thread(0, i);
		vcpu_program(&vm->vcpus[i], guest_work_io, 20, 100000);
		vcpu_run(&vm->vcpus[i]);
	}
	id = meter_wait_pid(getpid());
	expect_honest(id, true, "topology_honest of vCPUs that never ran at once");
	topology(id, 0, buf, sizeof(buf));
	EXPECT(!strcmp(buf, "core 0 threads 2"), "topology is '%s'", buf);

	if (siblings) {
		both(vm, 1, &s);
		expect_honest(id, true, "topology_honest of siblings on siblings");
		EXPECT_EQ(s.b.h.promise_apart_ns + s.b.h.promise_crowded_ns, 0, "broken promises");
		for (int i = 0; i < 2; i++)
			vcpu_stop(&vm->vcpus[i]);
	}
	if (other_core() < 0)
		return;
	both(vm, other_core(), &s);
	topology(id, 0, buf, sizeof(buf));
	expect_honest(id, false, "topology_honest of siblings on two cores");
	/* All but what this thread and the kernel take on either CPU. */
	EXPECT(SNAP_DELTA(s.a, s.b, promise_apart_ns) >= s.guest * 9 / 10,
	       "promise_apart_ns %llu of guest_ns %llu", SNAP_DELTA(s.a, s.b, promise_apart_ns),
	       s.guest);
	line = strstr(buf, "\napart ");
	EXPECT(line && sscanf(line, "\napart %u %llu", &other, &ns) == 2, "topology is '%s'", buf);
	EXPECT_EQ(other, 1, "the vCPU it should be beside");
	EXPECT(ns >= s.b.h.promise_apart_ns && ns <= meter_u64("vms/%llu/vcpus/0/promise_apart_ns", id),
	       "%llu ns by pair, promise_apart_ns is %llu", ns, s.b.h.promise_apart_ns);
	EXPECT_EQ(s.b.h.promise_crowded_ns, 0, "promise_crowded_ns");
	/* Alone it is nobody's sibling. */
	vcpu_pause(&vm->vcpus[1]);
	span(&s, record(&vm->vcpus[0]), "the other one sleeps");
	EXPECT_EQ(SNAP_DELTA(s.a, s.b, promise_apart_ns), 0, "promise_apart_ns alone");
}

/* They run before the module comes: of what they did by then nothing is known. */
static void test_promised_before(void)
{
	struct span s;
	struct vm *vm;
	__u64 id;

	need_siblings();
	vm = vm_create(2, 0);
	promise_siblings(vm);
	pin_thread(0, 0);
	for (int i = 0; i < 2; i++)
		spinner(vm, i, guest_work_io, i);
	for (int i = 0; i < 5; i++) {
		meter_map_close(&map);
		REQUIRE(!meter_unload(), "rmmod: %s", strerror(errno));
		REQUIRE(!meter_load(""), "insmod: %s", strerror(errno));
		meter_map_open(&map, "kvm_meter_vcpu");
		id = meter_wait_tid(vm->vcpus[0].tid);
		span(&s, record(&vm->vcpus[0]), "siblings that were found");
		expect_honest(id, true, "topology_honest of siblings on siblings");
	}
}

/* A core each, as a guest without any such CPUID takes it. */
static void test_promised_cores(void)
{
	unsigned long long ns = 0;
	unsigned int other = 9;
	char buf[1024], *line;
	struct span s;
	struct vm *vm;
	__u64 id;

	start();
	vm = vm_create(2, 0);
	id = both(vm, 1, &s);
	topology(id, 0, buf, sizeof(buf));
	EXPECT(!strncmp(buf, "core 0 threads 1", 16), "topology is '%s'", buf);
	EXPECT_EQ(s.b.h.promise_apart_ns, 0, "promise_apart_ns");
	if (!siblings) {
		expect_honest(id, true, "topology_honest of cores on cores");
		EXPECT_EQ(s.b.h.promise_crowded_ns, 0, "promise_crowded_ns");
		return;
	}
	expect_honest(id, false, "topology_honest of two cores on one");
	EXPECT_EQ(SNAP_DELTA(s.a, s.b, promise_crowded_ns), s.own, "promise_crowded_ns");
	line = strstr(buf, "\ncrowded ");
	EXPECT(line && sscanf(line, "\ncrowded %u %llu", &other, &ns) == 2, "topology is '%s'", buf);
	EXPECT_EQ(other, 1, "the vCPU that is beside it");
	EXPECT(ns >= s.b.h.promise_crowded_ns, "%llu ns by pair, promise_crowded_ns was %llu", ns,
	       s.b.h.promise_crowded_ns);
}

static const struct tap_test tests[] = {
	{ "files are there where CPUs have siblings", test_files, 0 },
	{ "beside an idle, host, own and other sibling", test_each, 0 },
	{ "beside a thread with a known share of the sibling", test_share, 0 },
	{ "switches of the sibling while the guest exits", test_busy, 0 },
	{ "vCPUs that were promised as siblings", test_promised_siblings, 0 },
	{ "vCPUs that ran before the module came", test_promised_before, 0 },
	{ "vCPUs that were promised a core each", test_promised_cores, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
