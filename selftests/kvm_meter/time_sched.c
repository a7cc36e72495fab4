// SPDX-License-Identifier: GPL-2.0
/*
 * What the scheduler does to vCPU threads: throttling, preemption, migration,
 * threads that change their vCPU and vCPUs that change their thread.
 */
#include "cgroup.h"
#include "meter.h"
#include "vmm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct meter_map map;

static void start(int cpus)
{
	need_cpus(cpus);
	pin_thread(0, 0);
	meter_map_open(&map, "kvm_meter_vcpu");
}

static const struct kvm_meter_vcpu *record(struct vcpu *v)
{
	return meter_vcpu(&map, meter_wait_tid(v->tid), v->id);
}

static struct vcpu *spinner(const char *program, int cpu)
{
	struct vcpu *v = &vm_create(1, 0)->vcpus[0];

	vcpu_program(v, program, 1, 0);
	vcpu_start(v, cpu);
	return v;
}

static void child_spins(void *tid)
{
	struct vcpu *v = spinner(guest_spin, 1);

	*(volatile pid_t *)tid = v->tid;
	vcpu_join(v);
}

/* 20 ms in 100 ms: the cgroup's own account of throttling is met. */
static void test_throttled(void)
{
	const struct kvm_meter_vcpu *rec;
	volatile pid_t *tid = shared_page();
	struct meter_snap a, b;
	__u64 usec_a, usec_b, wall;
	pid_t pid;

	start(2);
	cgroup_create("kvm_meter_throttled");
	pid = spawn(child_spins, (void *)tid);
	REQUIRE(WAIT_FOR(*tid, 5000), "the guest did not start");
	rec = meter_vcpu(&map, meter_wait_tid(*tid), 0);
	cgroup_enter(pid);
	cgroup_set("cpu.max", "20000 100000");
	sleep_ms(500);
	usec_a = cgroup_stat("cpu.stat", "throttled_usec");
	meter_snap(rec, &a);
	sleep_ms(4000);
	usec_b = cgroup_stat("cpu.stat", "throttled_usec");
	meter_snap(rec, &b);
	end_child(pid);
	meter_diag_delta("20 % of a CPU", &a, &b);
	meter_check_pair(&a.h, &b.h);
	wall = b.raw - a.raw;
	tap_diag("by the cgroup: throttled for %llu us", usec_b - usec_a);
	EXPECT(SNAP_DELTA(a, b, throttled_ns) > wall / 2, "throttled_ns under half of wall");
	/* The cgroup counts a span of up to 80 ms when it is over. */
	EXPECT_NEAR(SNAP_DELTA(a, b, throttled_ns), (usec_b - usec_a) * 1000,
		    160 * NSEC_PER_MSEC + wall / 20, "throttled_ns by the cgroup's account");
	EXPECT(SNAP_DELTA(a, b, steal_ns) >= SNAP_DELTA(a, b, throttled_ns),
	       "throttled_ns is not within steal_ns");
	EXPECT(SNAP_DELTA(a, b, guest_ns) < wall * 2 / 5, "guest_ns over 40 %% of wall");
}

/* Without a limit nothing is throttled, however much is stolen. */
static void test_not_throttled(void)
{
	struct vcpu *x, *y;
	struct meter_snap s;

	start(2);
	x = spinner(guest_spin, 1);
	y = spinner(guest_spin, 1);
	meter_wait_tid(y->tid);
	sleep_ms(1000);
	meter_snap(record(x), &s);
	EXPECT(s.h.steal_ns > 100 * NSEC_PER_MSEC, "steal_ns %llu", s.h.steal_ns);
	EXPECT_EQ(s.h.throttled_ns, 0, "throttled_ns");
}

#define MOVES	20

static void test_migrations(void)
{
	const struct kvm_meter_vcpu *rec;
	struct meter_snap a, b;
	struct vcpu *v;

	start(2);
	v = spinner(guest_spin_io, 0);
	rec = record(v);
	meter_snap(rec, &a);
	EXPECT_EQ(a.h.cpu, 0, "cpu");
	for (int i = 1; i <= MOVES; i++) {
		pin_thread(v->tid, i & 1);
		REQUIRE(WAIT_FOR(__kvm_meter_load(&rec->cpu) == (__u32)(i & 1), 5000),
			"the guest did not get to CPU %d", i & 1);
	}
	sleep_ms(100);
	meter_snap(rec, &b);
	meter_diag_delta("moved 20 times", &a, &b);
	meter_check_pair(&a.h, &b.h);
	EXPECT_EQ(SNAP_DELTA(a, b, migrations), MOVES, "migrations");
	EXPECT_EQ(meter_u64("vms/%llu/vcpus/0/cpu", b.h.vm_id), MOVES & 1, "cpu in sysfs");
}

static __u64 involuntary(pid_t tid)
{
	char path[64], buf[8192], *p;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0, "%s", path);
	p = strstr(buf, "nonvoluntary_ctxt_switches:");
	REQUIRE(p, "no nonvoluntary_ctxt_switches");
	return strtoull(strchr(p, ':') + 1, NULL, 10);
}

static void test_preemptions(void)
{
	const struct kvm_meter_vcpu *rec;
	struct meter_snap a, b;
	__u64 switches;
	struct vcpu *x;

	start(2);
	x = spinner(guest_spin, 1);
	spinner(guest_spin, 1);
	rec = record(x);
	switches = involuntary(x->tid);
	meter_snap(rec, &a);
	sleep_ms(2000);
	meter_snap(rec, &b);
	switches = involuntary(x->tid) - switches;
	meter_diag_delta("two on a CPU", &a, &b);
	EXPECT(switches > 10, "the scheduler switched %llu times only", switches);
	/* A switch or two may fall between the two reads. */
	EXPECT_NEAR(SNAP_DELTA(a, b, preemptions), switches, 3,
		    "preemptions, by involuntary context switches");
}

/* A thread ends and another one takes its vCPU over. */
static void test_takeover(void)
{
	const struct kvm_meter_vcpu *rec;
	struct meter_snap s[4];
	struct vcpu *v;

	start(1);
	v = spinner(guest_spin_cpuid, -1);
	rec = record(v);
	sleep_ms(300);
	meter_snap(rec, &s[0]);
	v->data->stop = 1;
	vcpu_join(v);
	sleep_ms(20);
	/* Nobody runs it. */
	meter_snap(rec, &s[1]);
	sleep_ms(500);
	meter_snap(rec, &s[2]);
	EXPECT_EQ(SNAP_DELTA(s[1], s[2], idle_ns), SNAP_DELTA(s[1], s[2], wall_ns),
		  "idle_ns of a vCPU whose thread has ended");
	EXPECT_EQ(SNAP_DELTA(s[1], s[2], blocked_ns), 0, "blocked_ns");
	/* This thread has its own past on the CPU; none of it is the vCPU's. */
	burn_ns(300 * NSEC_PER_MSEC);
	vcpu_program(v, guest_io, 1000, 0);
	vcpu_run(v);
	meter_snap(rec, &s[3]);
	meter_diag_delta("taken over", &s[2], &s[3]);
	for (int i = 0; i < 3; i++)
		meter_check_pair(&s[i].h, &s[i + 1].h);
	EXPECT(SNAP_DELTA(s[2], s[3], idle_ns) >= 290 * NSEC_PER_MSEC,
	       "idle_ns while nobody ran it: %llu", SNAP_DELTA(s[2], s[3], idle_ns));
	EXPECT_EQ(meter_u64("vms/%llu/vcpus/0/tid", s[3].h.vm_id), getpid(), "tid");
	EXPECT_EQ(s[3].h.tid, getpid(), "tid in the map");
	EXPECT_EQ(s[3].h.exits + s[3].h.synthetic_exits, kvm_stat(v->fd, "exits"), "exits");
	meter_expect_healthy(NULL);
}

static void *run_other(void *arg)
{
	vcpu_run(arg);
	return NULL;
}

/* The thread that ran it lives on, and burns CPU for itself. */
static void test_handed_over(void)
{
	const struct kvm_meter_vcpu *rec;
	struct meter_snap a, b;
	pthread_t thread;
	struct vcpu *v;
	struct vm *vm;

	start(2);
	unpin_thread(0);
	vm = vm_create(1, VM_IRQCHIP);
	v = &vm->vcpus[0];
	vcpu_program(v, guest_io, 100, 0);
	vcpu_run(v);
	rec = meter_vcpu(&map, meter_wait_tid(getpid()), 0);
	vcpu_program(v, guest_timer, 1000000, 20000000);
	REQUIRE(!pthread_create(&thread, NULL, run_other, v), "pthread_create");
	sleep_ms(200);
	meter_snap(rec, &a);
	burn_ns(NSEC_PER_SEC);
	meter_snap(rec, &b);
	meter_diag_delta("handed over, the first thread burns CPU", &a, &b);
	meter_check_pair(&a.h, &b.h);
	EXPECT(SNAP_DELTA(a, b, idle_ns) > (b.raw - a.raw) / 2,
	       "CPU time of a thread that does not run the vCPU was charged to it");
	v->data->stop = 1;
	pthread_join(thread, NULL);
}

/* One thread, two vCPUs of two VMs in turn. */
static void test_in_turn(void)
{
	struct vcpu *v[2];
	const struct kvm_meter_vcpu *rec[2];
	struct meter_snap a[2], b[2];
	__u64 ids[4];

	start(1);
	for (int i = 0; i < 2; i++) {
		v[i] = &vm_create(1, 0)->vcpus[0];
		vcpu_program(v[i], guest_io, 10, 0);
		vcpu_run(v[i]);
	}
	REQUIRE(WAIT_FOR(meter_vms(getpid(), ids, 4) == 2, METER_APPEARS_MS),
		"two VMs of one process");
	for (int i = 0; i < 2; i++)
		rec[i] = meter_vcpu(&map, ids[i], 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 2; i++) {
			vcpu_program(v[i], guest_io, 50 * (i + 1), 0);
			vcpu_run(v[i]);
		}
	}
	for (int i = 0; i < 2; i++) {
		meter_snap(rec[i], &a[i]);
		EXPECT_EQ(meter_reason_count(ids[i], 0, R_IO), 11 + 20 * (50 * (i + 1) + 1),
			  "port exits");
		EXPECT_EQ(a[i].h.exits + a[i].h.synthetic_exits, kvm_stat(v[i]->fd, "exits"),
			  "exits");
	}
	/* While the second is run, the first has no CPU time. */
	v[1]->burn_ns = NSEC_PER_MSEC;
	vcpu_program(v[1], guest_io, 500, 0);
	vcpu_run(v[1]);
	for (int i = 0; i < 2; i++) {
		meter_snap(rec[i], &b[i]);
		meter_diag_delta(i ? "run" : "not run", &a[i], &b[i]);
		meter_check_pair(&a[i].h, &b[i].h);
	}
	EXPECT(SNAP_DELTA(a[0], b[0], idle_ns) > 450 * NSEC_PER_MSEC,
	       "idle_ns of the vCPU that is not run: %llu", SNAP_DELTA(a[0], b[0], idle_ns));
	EXPECT(SNAP_DELTA(a[1], b[1], host_ns) > 250 * NSEC_PER_MSEC,
	       "host_ns of the one that is run: %llu", SNAP_DELTA(a[1], b[1], host_ns));
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "throttling by cpu.max", test_throttled, 0 },
	{ "steal without a limit is not throttling", test_not_throttled, 0 },
	{ "20 migrations", test_migrations, 0 },
	{ "preemptions", test_preemptions, 0 },
	{ "another thread takes a vCPU over", test_takeover, 0 },
	{ "the thread that handed it over is not charged", test_handed_over, 0 },
	{ "one thread runs two vCPUs in turn", test_in_turn, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
