// SPDX-License-Identifier: GPL-2.0
/*
 * Waits for a CPU: how many, how long, what the guest could know of them, and
 * who spins meanwhile. The truth comes from the scheduler, from competitors with
 * known slices and from the guest's own steal clock.
 */
#include "cgroup.h"
#include "meter.h"
#include "vmm.h"

#include <asm/kvm_para.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RT_RUNTIME	"/proc/sys/kernel/sched_rt_runtime_us"

static struct meter_map map;
static char rt_runtime[32];

static void start(void)
{
	need_cpus(2);
	pin_thread(0, 0);
	meter_map_open(&map, "kvm_meter_vcpu");
}

static const struct kvm_meter_vcpu *record(struct vcpu *v)
{
	return meter_vcpu(&map, meter_wait_tid(v->tid), v->id);
}

static struct vcpu *spinner(struct vm *vm, unsigned int nr, const char *program, int cpu)
{
	struct vcpu *v = &vm->vcpus[nr];

	vcpu_program(v, program, ~0u, 0);
	vcpu_start(v, cpu);
	return v;
}

static void rt_unlimit_end(void)
{
	write_file(RT_RUNTIME, rt_runtime);
}

/* Real-time threads may have all of a CPU. */
static void rt_unlimit(void)
{
	REQUIRE(read_file(RT_RUNTIME, rt_runtime, sizeof(rt_runtime)) > 0, RT_RUNTIME);
	tap_at_end(rt_unlimit_end);
	REQUIRE(!write_file(RT_RUNTIME, "-1\n"), "-1 to " RT_RUNTIME);
}

static void set_policy(pid_t tid, int policy)
{
	struct sched_param param = { .sched_priority = policy == SCHED_OTHER ? 0 : 1 };

	REQUIRE(!sched_setscheduler(tid, policy, &param), "sched_setscheduler: %s",
		strerror(errno));
}

static void compete(void *policy)
{
	set_policy(0, (long)policy);
	pin_thread(0, 1);
	for (;;)
		;
}

/* What the scheduler knows of a thread: ns that it waited, times that it got a CPU. */
static void schedstat(pid_t tid, __u64 *wait, __u64 *slices)
{
	char path[64], buf[128];
	unsigned long long run, w, n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0 &&
		sscanf(buf, "%llu %llu %llu", &run, &w, &n) == 3, "%s", path);
	*wait = w;
	*slices = n;
}

static bool waiting(const struct meter_raw *r)
{
	return r->h.state == KVM_METER_STEAL || r->h.state == KVM_METER_THROTTLED;
}

/* The histogram, the counters and the times tell of the same waits. */
static void check_hist(const struct meter_raw *r)
{
	__u64 low = 0, high = 0, sum = meter_hist_sum(r->wait_hist);

	EXPECT_EQ(sum, r->h.waits, "entries in wait_hist");
	EXPECT_EQ(r->h.waits + waiting(r), r->h.preemptions + r->h.wakeups,
		  "waits that have begun");
	for (int i = 0; i < KVM_METER_HIST; i++) {
		low += i ? r->wait_hist[i] << (i + KVM_METER_HIST_SHIFT) : 0;
		high += r->wait_hist[i] << (i + KVM_METER_HIST_SHIFT + 1);
	}
	EXPECT(low <= r->h.steal_ns, "waits of %llu ns at least, steal_ns %llu", low,
	       r->h.steal_ns);
	EXPECT(r->wait_hist[KVM_METER_HIST - 1] || high >= r->h.steal_ns,
	       "waits of %llu ns at most, steal_ns %llu", high, r->h.steal_ns);
	EXPECT(meter_hist_sum(r->wake_hist) <= r->h.wakeups, "%llu in wake_hist, %llu wake-ups",
	       meter_hist_sum(r->wake_hist), r->h.wakeups);
}

/* Histogram of what happened between two moments. */
static void hist_delta(__u64 *delta, const __u64 *a, const __u64 *b)
{
	char text[512];
	int len = 0;

	for (int i = 0; i < KVM_METER_HIST; i++) {
		delta[i] = b[i] - a[i];
		if (delta[i])
			len += snprintf(text + len, sizeof(text) - len, " %llu:%llu",
					1ull << (i + KVM_METER_HIST_SHIFT), delta[i]);
	}
	tap_diag("histogram:%s", len ? text : " empty");
}

static int bucket_of(__u64 ns)
{
	return kvm_meter_hist_bucket(ns);
}

static void test_scheduler(void)
{
	__u64 wait[2], slices[2], delta[KVM_METER_HIST];
	const struct kvm_meter_vcpu *rec;
	struct meter_raw a, b;
	struct vcpu *v;

	start();
	v = spinner(vm_create(1, 0), 0, guest_spin, 1);
	rec = record(v);
	spawn(compete, (void *)SCHED_OTHER);
	sleep_ms(200);
	schedstat(v->tid, &wait[0], &slices[0]);
	meter_read_raw(rec, &a);
	sleep_ms(3000);
	schedstat(v->tid, &wait[1], &slices[1]);
	meter_read_raw(rec, &b);
	check_hist(&a);
	check_hist(&b);
	hist_delta(delta, a.wait_hist, b.wait_hist);
	EXPECT(b.h.waits - a.h.waits > 20, "%llu waits only", b.h.waits - a.h.waits);
	/* One may fall between the two reads, at either end. */
	EXPECT_NEAR(b.h.waits - a.h.waits, slices[1] - slices[0], 2,
		    "waits, by how often the scheduler gave it a CPU");
	EXPECT_NEAR(b.h.steal_ns - a.h.steal_ns, wait[1] - wait[0],
		    (wait[1] - wait[0]) / 50 + 100 * NSEC_PER_MSEC, "steal_ns by schedstat");
	EXPECT_EQ(b.h.wakeups, a.h.wakeups, "wake-ups of a guest that never sleeps");
}

/* Two threads take turns, each for a slice that the scheduler tells. */
static void test_slices(void)
{
	__u64 delta[KVM_METER_HIST], slice, steal, wrong = 0;
	const struct kvm_meter_vcpu *rec;
	struct meter_raw a, b;
	struct timespec ts;
	struct vcpu *v;
	int right;

	start();
	rt_unlimit();
	v = spinner(vm_create(1, 0), 0, guest_spin, 1);
	rec = record(v);
	spawn(compete, (void *)SCHED_RR);
	set_policy(v->tid, SCHED_RR);
	REQUIRE(!sched_rr_get_interval(v->tid, &ts), "sched_rr_get_interval");
	slice = ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
	right = bucket_of(slice);
	sleep_ms(500);
	meter_read_raw(rec, &a);
	sleep_ms(4000);
	meter_read_raw(rec, &b);
	check_hist(&b);
	hist_delta(delta, a.wait_hist, b.wait_hist);
	steal = b.h.steal_ns - a.h.steal_ns;
	tap_diag("slices of %llu us", slice / 1000);
	for (int i = 0; i < KVM_METER_HIST; i++)
		wrong += i >= 18 && i != right ? delta[i] : 0;
	/* Half of the time, in waits of one length; others have a little of it. */
	EXPECT_NEAR(delta[right], 4000 * NSEC_PER_MSEC / slice / 2, 4, "waits of a slice each");
	EXPECT_NEAR(steal, delta[right] * slice, steal / 8 + slice, "steal_ns by the slices");
	EXPECT(wrong <= 2, "%llu long waits of another length", wrong);
}

static void child_spins(void *tid)
{
	struct vcpu *v = spinner(vm_create(1, 0), 0, guest_spin, 1);

	*(volatile pid_t *)tid = v->tid;
	vcpu_join(v);
}

/* 20 ms in 100 ms: a wait of 80 ms in each period. */
static void test_throttled(void)
{
	__u64 delta[KVM_METER_HIST], periods;
	const struct kvm_meter_vcpu *rec;
	volatile pid_t *tid = shared_page();
	struct meter_raw a, b;
	pid_t pid;

	start();
	cgroup_create("kvm_meter_waits");
	pid = spawn(child_spins, (void *)tid);
	REQUIRE(WAIT_FOR(*tid, 5000), "the guest did not start");
	rec = meter_vcpu(&map, meter_wait_tid(*tid), 0);
	cgroup_enter(pid);
	cgroup_set("cpu.max", "20000 100000");
	sleep_ms(500);
	periods = cgroup_stat("cpu.stat", "nr_throttled");
	meter_read_raw(rec, &a);
	sleep_ms(4000);
	periods = cgroup_stat("cpu.stat", "nr_throttled") - periods;
	meter_read_raw(rec, &b);
	end_child(pid);
	check_hist(&b);
	hist_delta(delta, a.wait_hist, b.wait_hist);
	EXPECT(periods > 20, "throttled %llu times only", periods);
	EXPECT_NEAR(delta[bucket_of(80 * NSEC_PER_MSEC)], periods, 2 + periods / 10,
		    "waits of 80 ms, by the cgroup's account");
}

struct burst {
	volatile int go;	/* how many have been asked for */
	volatile int begun;
	volatile int over;
};

/* Has the CPU for 50 ms each time that it is asked to. */
static void burst(void *arg)
{
	struct burst *b = arg;

	set_policy(0, SCHED_FIFO);
	pin_thread(0, 1);
	for (int i = 1;; i++) {
		while (b->go < i)
			sleep_ms(1);
		b->begun = i;
		burn_ns(50 * NSEC_PER_MSEC);
		b->over = i;
	}
}

#define BURSTS	10

/* How often a thread has gone to sleep. */
static __u64 sleeps(pid_t tid)
{
	char path[64], buf[4096], *line;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0, "%s", path);
	line = strstr(buf, "\nvoluntary_ctxt_switches:");
	REQUIRE(line, "no voluntary_ctxt_switches in %s", path);
	return strtoull(strchr(line, ':') + 1, NULL, 10);
}

/* Woken while somebody else has the CPU for a known time. */
static void test_wake(void)
{
	__u64 waits[KVM_METER_HIST], wakes[KVM_METER_HIST];
	const struct kvm_meter_vcpu *rec;
	struct burst *b = shared_page();
	struct meter_raw x, y;
	struct vcpu *v;
	__u64 slept;
	int right = bucket_of(45 * NSEC_PER_MSEC);

	start();
	rt_unlimit();
	v = spinner(vm_create(1, 0), 0, guest_spin_io, 1);
	rec = record(v);
	vcpu_pause_at_exit(v);
	sleep_ms(20);
	spawn(burst, b);
	meter_read_raw(rec, &x);
	slept = sleeps(v->tid);
	for (int i = 1; i <= BURSTS; i++) {
		b->go = i;
		REQUIRE(WAIT_FOR(b->begun == i, 5000), "the competitor does not run");
		vcpu_resume(v);
		REQUIRE(WAIT_FOR(b->over == i, 5000), "the competitor does not end");
		REQUIRE(WAIT_FOR(!v->paused, 5000), "the guest does not run");
		sleep_ms(5);
		vcpu_pause_at_exit(v);
		sleep_ms(20);
	}
	meter_read_raw(rec, &y);
	check_hist(&y);
	hist_delta(waits, x.wait_hist, y.wait_hist);
	hist_delta(wakes, x.wake_hist, y.wake_hist);
	/* No signals: the kernel counts a sleep that one prevents as a sleep. */
	EXPECT_EQ(y.h.wakeups - x.h.wakeups, sleeps(v->tid) - slept, "wake-ups");
	EXPECT(y.h.wakeups - x.h.wakeups >= BURSTS, "%llu wake-ups", y.h.wakeups - x.h.wakeups);
	EXPECT_EQ(meter_hist_sum(wakes), BURSTS, "wake-ups that led to an entry");
	/* Both are from 33 to 67 ms: the rest of a burst, and the way to the entry. */
	EXPECT(waits[right] >= BURSTS, "%llu waits of a burst, in %d", waits[right], BURSTS);
	EXPECT_EQ(wakes[right], BURSTS, "latencies of a burst");
}

/* The guest halts all the time: what it waits for then, it cannot see running. */
static void test_idle(void)
{
	const struct kvm_meter_vcpu *rec;
	struct meter_snap a, b;
	struct vcpu *v;

	start();
	v = &vm_create(1, VM_IRQCHIP)->vcpus[0];
	vcpu_program(v, guest_timer, ~0u, 2000000);
	vcpu_start(v, 1);
	rec = record(v);
	spawn(compete, (void *)SCHED_OTHER);
	sleep_ms(200);
	meter_snap(rec, &a);
	sleep_ms(2000);
	meter_snap(rec, &b);
	meter_diag_delta("halts beside a competitor", &a, &b);
	meter_check_pair(&a.h, &b.h);
	EXPECT(SNAP_DELTA(a, b, wakeups) > 20, "%llu wake-ups", SNAP_DELTA(a, b, wakeups));
	/* The scheduler lets it preempt the competitor: it waits often, and for little. */
	EXPECT(SNAP_DELTA(a, b, steal_ns) > NSEC_PER_MSEC, "steal_ns %llu",
	       SNAP_DELTA(a, b, steal_ns));
	EXPECT(SNAP_DELTA(a, b, steal_idle_ns) >= SNAP_DELTA(a, b, steal_ns) * 9 / 10,
	       "steal_idle_ns %llu, of steal_ns %llu", SNAP_DELTA(a, b, steal_idle_ns),
	       SNAP_DELTA(a, b, steal_ns));
	EXPECT(b.h.steal_idle_ns <= b.h.steal_ns, "steal_idle_ns over steal_ns");
}

/* It computes, and looks as if it went on; until it has a steal clock. */
static void test_starved(void)
{
	const struct kvm_meter_vcpu *rec;
	volatile struct kvm_steal_time *st;
	struct meter_snap a, b, c, d;
	struct vcpu *v;
	struct vm *vm;
	__u64 told;

	start();
	vm = vm_create(1, VM_IRQCHIP);
	v = spinner(vm, 0, guest_spin, 1);
	rec = record(v);
	st = (void *)(vm->mem + GUEST_SPARE);
	spawn(compete, (void *)SCHED_OTHER);
	sleep_ms(1000);
	meter_snap(rec, &a);
	meter_check_pair(&a.h, &a.h);
	EXPECT(a.h.steal_ns > 100 * NSEC_PER_MSEC, "steal_ns %llu", a.h.steal_ns);
	EXPECT_EQ(a.h.starved_ns, a.h.steal_ns, "starved_ns without a steal clock");
	EXPECT_EQ(a.h.starved, a.h.waits, "starved without a steal clock");
	EXPECT_EQ(a.h.steal_idle_ns, 0, "steal_idle_ns of a guest that never halted");

	vcpu_pause(v);
	sleep_ms(20);
	vcpu_set_msr(v, MSR_KVM_STEAL_TIME, GUEST_SPARE | 1);
	meter_snap(rec, &b);
	vcpu_resume(v);
	/* At first KVM tells of all that the thread has ever waited. */
	sleep_ms(200);
	meter_snap(rec, &d);
	told = st->steal;
	sleep_ms(1500);
	meter_snap(rec, &c);
	told = st->steal - told;
	meter_diag_delta("with a steal clock", &b, &c);
	tap_diag("the guest was told of %llu us", told / 1000);
	EXPECT(told > 100 * NSEC_PER_MSEC, "the guest was told of %llu ns", told);
	EXPECT_EQ(SNAP_DELTA(b, c, starved_ns), 0, "starved_ns of a guest that is told");
	EXPECT_EQ(SNAP_DELTA(b, c, starved), 0, "starved of a guest that is told");
	EXPECT_NEAR(SNAP_DELTA(d, c, steal_ns), told, told / 20 + 100 * NSEC_PER_MSEC,
		    "steal_ns by the guest's steal clock");
}

/* A VM's histograms are its vCPUs', and its final record keeps them. */
static void test_vm(void)
{
	struct kvm_meter_vm end;
	struct meter_map ended;
	struct meter_raw r[2];
	__u64 id, sum = 0, was[KVM_METER_HIST];
	char buf[1024], *at = buf;
	struct vm *vm;

	start();
	meter_map_open(&ended, "kvm_meter_ended");
	vm = vm_create(2, 0);
	for (int i = 0; i < 2; i++)
		spinner(vm, i, guest_spin, 1);
	id = meter_wait_tid(vm->vcpus[0].tid);
	sleep_ms(500);
	for (int i = 0; i < 2; i++) {
		vcpu_pause(&vm->vcpus[i]);
		sleep_ms(20);
	}
	for (int i = 0; i < 2; i++) {
		meter_read_raw(record(&vm->vcpus[i]), &r[i]);
		check_hist(&r[i]);
		sum += r[i].h.waits;
	}
	EXPECT(sum > 10, "%llu waits", sum);
	REQUIRE(meter_file(buf, sizeof(buf), "vms/%llu/wait_hist", id) > 0, "wait_hist");
	for (int i = 0; i < KVM_METER_HIST; i++) {
		was[i] = strtoull(at, &at, 10);
		EXPECT_EQ(was[i], r[0].wait_hist[i] + r[1].wait_hist[i], "a bucket of wait_hist");
	}
	EXPECT(!*at || *at == '\n', "more than %d counts in wait_hist", KVM_METER_HIST);
	vm_destroy(vm);
	meter_wait_ended(&ended, id, &end);
	EXPECT_EQ(meter_hist_sum(end.wait_hist), end.waits, "waits in the final record");
	for (int i = 0; i < KVM_METER_HIST; i++)
		EXPECT(end.wait_hist[i] >= was[i], "bucket %d: %llu in the final record, was %llu",
		       i, end.wait_hist[i], was[i]);
}

/* --- exits for PAUSE --- */
static void need_pause_exits(void)
{
	char buf[16384];

	if (kvm_is_intel()) {
		if (read_file("/sys/module/kvm_intel/parameters/ple_gap", buf, sizeof(buf)) <= 0 ||
		    !atoi(buf))
			tap_skip("no PAUSE-loop exiting: kvm_intel has ple_gap=0");
		return;
	}
	REQUIRE(read_file("/proc/cpuinfo", buf, sizeof(buf)) > 0, "/proc/cpuinfo");
	if (!strstr(buf, " pausefilter") || !strstr(buf, " pfthreshold"))
		tap_skip("this CPU has no pause filter: KVM lets guests PAUSE");
}

static void spins(const struct kvm_meter_vcpu *rec, const char *when, __u64 *exits, __u64 *on)
{
	struct meter_snap a, b;

	sleep_ms(50);
	meter_snap(rec, &a);
	sleep_ms(600);
	meter_snap(rec, &b);
	meter_diag_delta(when, &a, &b);
	*exits = SNAP_DELTA(a, b, spin_exits);
	*on = SNAP_DELTA(a, b, spin_on_preempted);
	/* KVM makes its window longer with each of them. */
	EXPECT(*exits > 2, "%s: %llu exits for PAUSE", when, *exits);
}

static void test_pause(void)
{
	const struct kvm_meter_vcpu *rec;
	struct vcpu *v, *other, *stranger;
	struct meter_snap s, was;
	__u64 exits, on, waits;
	struct vm *vm;
	pid_t pid;

	start();
	need_pause_exits();
	rt_unlimit();
	vm = vm_create(2, 0);
	v = spinner(vm, 0, guest_pause, 0);
	other = spinner(vm, 1, guest_spin, 1);
	rec = record(v);
	/* The other one runs; what the kernel does on its CPU may get between. */
	meter_snap(record(other), &was);
	spins(rec, "the other vCPU runs", &exits, &on);
	meter_snap(record(other), &s);
	waits = SNAP_DELTA(was, s, waits);
	EXPECT(on <= exits / 20 + 1 + 2 * waits,
	       "%llu of %llu while the other vCPU runs, and waits %llu times", on, exits, waits);
	/* It has no CPU but for the 5 % that newer kernels keep for such threads. */
	pid = spawn(compete, (void *)SCHED_FIFO);
	spins(rec, "the other vCPU waits", &exits, &on);
	EXPECT(on >= exits * 85 / 100, "%llu of %llu while the other vCPU waits", on, exits);
	end_child(pid);
	vcpu_pause(other);
	spins(rec, "the other vCPU sleeps", &exits, &on);
	EXPECT_EQ(on, 0, "spin_on_preempted while the other vCPU sleeps");
	/*
	 * Of another VM: nothing that this guest could wait for. It starts before its
	 * CPU is taken: what makes a VM may wait for a worker there.
	 */
	stranger = spinner(vm_create(1, 0), 0, guest_spin, 1);
	REQUIRE(WAIT_FOR(record(stranger)->guest_ns, 5000), "the other VM does not run");
	spawn(compete, (void *)SCHED_FIFO);
	spins(rec, "another VM's vCPU waits", &exits, &on);
	EXPECT_EQ(on, 0, "spin_on_preempted while another VM's vCPU waits");
	vcpu_pause(v);
	meter_snap(rec, &s);
	EXPECT_EQ(s.h.spin_exits, meter_reason_count(s.h.vm_id, 0, R_PAUSE),
		  "spin_exits by the exit reasons");
}

static const struct tap_test tests[] = {
	{ "waits are those that the scheduler knows", test_scheduler, 0 },
	{ "waits of known slices", test_slices, 0 },
	{ "waits of a cgroup without quota", test_throttled, 0 },
	{ "wake-ups while the CPU is taken for a known time", test_wake, 0 },
	{ "waits that look idle to the guest", test_idle, 0 },
	{ "waits that the guest is told of, and others", test_starved, 0 },
	{ "a VM's histograms are its vCPUs', to the end", test_vm, 0 },
	{ "spinning on a vCPU that waits", test_pause, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
