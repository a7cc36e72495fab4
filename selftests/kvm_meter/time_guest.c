// SPDX-License-Identifier: GPL-2.0
/*
 * Time of vCPUs that run: guest, host and steal, and that what is read is of
 * this moment.
 *
 * The hosts are emulated and the machine below is shared, so a share of a CPU
 * has a wide tolerance, said at each place. The scheduler's own account of the
 * thread (/proc/.../schedstat) is met closely, and identities exactly.
 */
#include "meter.h"
#include "vmm.h"

#include <stdio.h>
#include <unistd.h>

static struct meter_map map;

struct spinner {
	struct vm *vm;
	struct vcpu *v;
	__u64 id;
	const struct kvm_meter_vcpu *rec;
	struct meter_snap a, b;
	__u64 run_a, run_b, wait_a, wait_b;	/* schedstat */
};

static void schedstat(struct spinner *s, __u64 *run, __u64 *wait)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", s->v->tid);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0 &&
		sscanf(buf, "%llu %llu", run, wait) == 2, "%s", path);
}

static void spin_start(struct spinner *s, const char *program, int cpu)
{
	s->vm = vm_create(1, 0);
	s->v = &s->vm->vcpus[0];
	vcpu_program(s->v, program, 1, 0);
	vcpu_start(s->v, cpu);
	s->id = meter_wait_tid(s->v->tid);
	s->rec = meter_vcpu(&map, s->id, 0);
}

static void spin_begin(struct spinner *s)
{
	schedstat(s, &s->run_a, &s->wait_a);
	meter_snap(s->rec, &s->a);
}

static void spin_end(struct spinner *s, const char *what)
{
	meter_snap(s->rec, &s->b);
	schedstat(s, &s->run_b, &s->wait_b);
	meter_diag_delta(what, &s->a, &s->b);
	meter_check_pair(&s->a.h, &s->b.h);
}

static void start(int cpus)
{
	need_cpus(cpus);
	pin_thread(0, 0);
	meter_map_open(&map, "kvm_meter_vcpu");
}

static void test_alone(void)
{
	struct spinner s;
	__u64 wall;

	start(2);
	spin_start(&s, guest_spin, 1);
	sleep_ms(200);
	spin_begin(&s);
	sleep_ms(3000);
	spin_end(&s, "alone on a CPU");
	wall = s.b.raw - s.a.raw;
	EXPECT_NEAR(SNAP_DELTA(s.a, s.b, wall_ns), wall,
		    wall / 1000 + s.a.slack + s.b.slack + 100000, "wall_ns");
	/* Ticks of an emulated host cost some per cent. */
	EXPECT(SNAP_DELTA(s.a, s.b, guest_ns) > wall * 3 / 4, "guest_ns under 75 %% of wall");
	EXPECT(SNAP_DELTA(s.a, s.b, steal_ns) < wall / 10, "steal_ns over 10 %% of wall");
	EXPECT_EQ(SNAP_DELTA(s.a, s.b, idle_ns), 0, "idle_ns");
	EXPECT_EQ(SNAP_DELTA(s.a, s.b, migrations), 0, "migrations");
	s.v->data->stop = 1;
	vcpu_join(s.v);
}

/* Thousands of reads while the guest runs, most with no exit in between. */
static void test_reads(void)
{
	struct kvm_meter_vcpu_head prev = {}, raw, now;
	__u64 grown = 0, reads = 0, back = 0, end;
	struct spinner s;

	start(2);
	spin_start(&s, guest_spin, 1);
	end = raw_ns() + 3 * NSEC_PER_SEC;
	while (raw_ns() < end || reads < 5000) {
		meter_read(s.rec, &raw);
		EXPECT_EQ(raw.guest_ns + raw.host_ns + raw.steal_ns + raw.idle_ns, raw.wall_ns,
			  "sum of the four");
		now = raw;
		kvm_meter_monotonic(&now, &prev);
		meter_check_pair(&prev, &now);
		if (raw.guest_ns < prev.guest_ns)
			back++;
		if (now.exits == prev.exits && now.entries == prev.entries &&
		    now.guest_ns > prev.guest_ns)
			grown++;
		prev = now;
		if (++reads % 64 == 0)
			sleep_ms(1);
	}
	tap_diag("%llu reads, %llu grew without an exit, %llu were corrected", reads, grown, back);
	EXPECT(grown > 100, "guest_ns grew %llu times without an exit in between", grown);
}

/* The same through sysfs, where a file is read after the other. */
static void test_sysfs_reads(void)
{
	struct meter_counters prev = {}, c;
	__u64 sum, off, t0;
	struct spinner s;

	start(2);
	spin_start(&s, guest_spin_io, 1);
	sleep_ms(1000);
	for (int i = 0; i < 500; i++) {
		t0 = raw_ns();
		meter_counters(s.id, i & 1 ? METER_VM : 0, &c);
		sum = c.guest_ns + c.host_ns + c.steal_ns + c.idle_ns;
		off = sum > c.wall_ns ? sum - c.wall_ns : c.wall_ns - sum;
		EXPECT(off <= c.wall_ns / 1000 + (raw_ns() - t0),
		       "the four add up to %llu, wall_ns is %llu", sum, c.wall_ns);
#define MONOTONIC(name, desc)						\
		EXPECT(c.name >= prev.name, #name " went back, %llu to %llu", prev.name, c.name);
		KVM_METER_COUNTERS(MONOTONIC)
#undef MONOTONIC
		prev = c;
	}
}

static void check_schedstat(struct spinner *s, const char *name)
{
	__u64 wall = s->b.raw - s->a.raw;

	/*
	 * Both are of the same switches; the reads are some moments apart, and
	 * the scheduler counts a wait when it ends: up to a slice is missing,
	 * which on an emulated host is 100 ms and more.
	 */
	tap_diag("%s: by the scheduler %llu us on a CPU, %llu us waiting", name,
		 (s->run_b - s->run_a) / 1000, (s->wait_b - s->wait_a) / 1000);
	EXPECT_NEAR(SNAP_DELTA(s->a, s->b, steal_ns), s->wait_b - s->wait_a,
		    wall / 20 + 50 * NSEC_PER_MSEC, "steal_ns by the scheduler's account");
	EXPECT_NEAR(SNAP_DELTA(s->a, s->b, guest_ns) + SNAP_DELTA(s->a, s->b, host_ns),
		    s->run_b - s->run_a, wall / 20 + 50 * NSEC_PER_MSEC,
		    "guest_ns + host_ns by the scheduler's account");
}

static void test_two_on_one(void)
{
	struct spinner s[3];
	__u64 wall, on_cpu = 0;

	start(2);
	spin_start(&s[0], guest_spin, 1);
	spin_start(&s[1], guest_spin, 1);
	spin_start(&s[2], guest_spin, 0);
	sleep_ms(200);
	for (int i = 0; i < 3; i++)
		spin_begin(&s[i]);
	sleep_ms(4000);
	spin_end(&s[0], "first of two");
	spin_end(&s[1], "second of two");
	spin_end(&s[2], "alone on the other CPU");
	for (int i = 0; i < 2; i++) {
		wall = s[i].b.raw - s[i].a.raw;
		/* Half each; the scheduler's fairness over 4 s is good to some 10 %. */
		EXPECT_NEAR(SNAP_DELTA(s[i].a, s[i].b, steal_ns), wall / 2, wall / 8, "steal_ns");
		/*
		 * Where emulated CPUs take turns, those of the other one may fall into
		 * each of its exits, for as long as ticks and turns keep step: half of
		 * its time on a CPU was seen to be host time so.
		 */
		EXPECT(SNAP_DELTA(s[i].a, s[i].b, guest_ns) > wall / 8,
		       "guest_ns is %llu of %llu", SNAP_DELTA(s[i].a, s[i].b, guest_ns), wall);
		EXPECT_EQ(SNAP_DELTA(s[i].a, s[i].b, idle_ns), 0, "idle_ns");
		EXPECT(SNAP_DELTA(s[i].a, s[i].b, preemptions) > 10, "preemptions: %llu",
		       SNAP_DELTA(s[i].a, s[i].b, preemptions));
		on_cpu += SNAP_DELTA(s[i].a, s[i].b, guest_ns) +
			  SNAP_DELTA(s[i].a, s[i].b, host_ns);
		check_schedstat(&s[i], "one of two");
	}
	wall = s[0].b.raw - s[0].a.raw;
	EXPECT(on_cpu <= wall + wall / 50 + 20 * NSEC_PER_MSEC,
	       "two vCPUs had %llu ns of %llu ns of one CPU", on_cpu, wall);
	/* This program's own reads are on that CPU, no more. */
	EXPECT(SNAP_DELTA(s[2].a, s[2].b, steal_ns) < wall / 8, "steal_ns of the one alone: %llu",
	       SNAP_DELTA(s[2].a, s[2].b, steal_ns));
	check_schedstat(&s[2], "alone");
}

static void test_vmm_burns(void)
{
	struct meter_snap a, b;
	const struct kvm_meter_vcpu *rec;
	struct vm *vm;
	struct vcpu *v;
	__u64 loop, cpu;

	start(1);
	vm = vm_create(1, 0);
	v = &vm->vcpus[0];
	vcpu_program(v, guest_io, 10, 0);
	vcpu_run(v);
	rec = meter_vcpu(&map, meter_wait_tid(getpid()), 0);
	v->burn_ns = NSEC_PER_MSEC;
	vcpu_program(v, guest_io, 1000, 0);
	meter_snap(rec, &a);
	cpu = thread_cpu_ns();
	vcpu_run(v);
	cpu = thread_cpu_ns() - cpu;
	meter_snap(rec, &b);
	meter_diag_delta("VMM burns 1 ms after each of 1000 exits", &a, &b);
	meter_check_pair(&a.h, &b.h);
	loop = b.raw - a.raw;
	/* Of the second that was burnt some may have been steal. */
	EXPECT(SNAP_DELTA(a, b, host_ns) + SNAP_DELTA(a, b, steal_ns) >= NSEC_PER_SEC,
	       "host_ns and steal_ns of 1000 x 1 ms");
	EXPECT(SNAP_DELTA(a, b, host_ns) > loop / 2, "host_ns under half of the loop");
	EXPECT_NEAR(SNAP_DELTA(a, b, host_ns) + SNAP_DELTA(a, b, guest_ns), cpu,
		    loop / 20 + 20 * NSEC_PER_MSEC, "host_ns + guest_ns by the thread's CPU clock");
	EXPECT(SNAP_DELTA(a, b, guest_ns) < loop / 4, "guest_ns over a quarter of the loop");
}

static const struct tap_test tests[] = {
	{ "a guest alone on a CPU has guest time", test_alone, 0 },
	{ "reads within a guest run are up to date and add up", test_reads, 0 },
	{ "reads of sysfs add up and never go back", test_sysfs_reads, 0 },
	{ "two guests on a CPU steal half from each other", test_two_on_one, 0 },
	{ "a VMM that burns CPU is host time", test_vmm_burns, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
