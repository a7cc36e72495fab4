// SPDX-License-Identifier: GPL-2.0
/*
 * Active memory against guests that touch as many pages as the test says. Each
 * estimate may be off by twice its error: beyond that is one of ten thousand. The
 * mean of many must be as much closer as their number makes it.
 */
#include "active.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE		(64 * MIB)
#define WINDOW_MS	400
/* Windows that are looked at; fewer where the host is emulated. */
static int rounds = 12;
/* What a guest uses beside what it was told to: its code, data and page tables. */
#define OWN_PAGES	6

static unsigned int window_ms(void)
{
	return WINDOW_MS * slowness();
}

static void start(struct active_guest *g, enum backing backing)
{
	char params[128];

	snprintf(params, sizeof(params),
		 "active_budget_ppm=1000000 active_window_ms=%u active_slow_windows=8",
		 window_ms());
	meter_reload(params);
	active_guest(g, backing, SIZE);
}

/*
 * The next estimate of a window in which the guest has gone over all of its pages.
 * Machines are shared: it may not get that far in some.
 */
static void next_full(struct active_guest *g, struct active_state *s)
{
	__u64 from, sweeps, began, took;

	for (int tries = 0; tries < 100; tries++) {
		from = g->v->data->progress;
		began = raw_ns();
		active_next(g->id, s);
		sweeps = g->v->data->progress - from;
		took = raw_ns() - began;
		/* In the window alone, if they came as often in it as since the last. */
		if (sweeps * s->active_window_ms * NSEC_PER_MSEC >= 3 * took)
			return;
	}
	REQUIRE(false, "the guest does not get over its pages in %u ms", window_ms());
}

static void expect_estimates(struct active_guest *g, __u64 truth, __u64 slack)
{
	double sum = 0, error = 0;
	struct active_state s;

	active_next(g->id, &s);	/* may have begun before */
	for (int i = 0; i < rounds; i++) {
		next_full(g, &s);
		EXPECT_NEAR(s.active_bytes, truth, 2 * s.active_error_bytes + slack,
			    "active_bytes");
		EXPECT(s.active_error_bytes && s.active_error_bytes < SIZE / 10,
		       "error: %llu of %llu", s.active_error_bytes, SIZE);
		EXPECT_EQ(s.memory_bytes, SIZE, "memory_bytes");
		EXPECT_EQ(s.active_samples, 384, "active_samples");
		EXPECT(s.active_window_ms >= window_ms() &&
		       s.active_window_ms < 20 * window_ms(), "active_window_ms: %llu",
		       s.active_window_ms);
		sum += s.active_bytes;
		error += s.active_error_bytes;
	}
	/* The error is that of 1.96 standard deviations; allow 4.5. */
	error = error / rounds / sqrt(rounds) * 2.3;
	EXPECT_NEAR(sum / rounds, truth, error + slack, "mean of active_bytes");
	tap_diag("truth %llu, mean of %d %.0f, each +- %llu", truth, rounds, sum / rounds,
		 s.active_error_bytes);
}

static void check_share(enum backing backing, __u64 pages)
{
	struct active_guest g;

	start(&g, backing);
	active_sweep(&g, pages, PAGE_4K);
	expect_estimates(&g, pages * PAGE_4K, OWN_PAGES * PAGE_4K);
	active_stop(&g);
	meter_expect_healthy(NULL);
}

static void test_little(void)
{
	check_share(BACKING_ANON, 600);
}

static void test_much(void)
{
	check_share(BACKING_ANON, 13000);
}

static void test_memfd(void)
{
	check_share(BACKING_MEMFD, 4000);
}

/* Every fourth page: a sample that is not random would see all or none. */
static void test_strided(void)
{
	struct active_guest g;

	start(&g, BACKING_ANON);
	active_sweep(&g, 3900, 4 * PAGE_4K);
	expect_estimates(&g, 3900 * PAGE_4K, OWN_PAGES * PAGE_4K);
	active_stop(&g);
}

static __u64 smaps_huge(void)
{
	long long kb = file_key("/proc/self/smaps_rollup", "AnonHugePages:");

	REQUIRE(kb >= 0, "no AnonHugePages");
	return kb << 10;
}

/* One access in each of ten huge pages counts for all of them, and splits none. */
static void test_huge(void)
{
	struct active_guest g;
	struct active_state s;
	__u64 host, kvm;

	start(&g, BACKING_HUGE);
	host = smaps_huge();
	if (host < SIZE)
		tap_skip("%llu of %llu bytes came in huge pages", host, SIZE);
	active_sweep(&g, 10, PAGE_2M);
	kvm = kvm_stat(g.vm->fd, "pages_2m");
	EXPECT(kvm >= 10, "KVM maps %llu huge pages", kvm);
	/* The first 2 MiB may be mapped by small pages. */
	expect_estimates(&g, 11 * PAGE_2M, PAGE_2M);
	EXPECT_EQ(kvm_stat(g.vm->fd, "pages_2m"), kvm, "huge pages that KVM maps, afterwards");
	EXPECT_EQ(smaps_huge(), host, "huge pages of the process, afterwards");
	active_next(g.id, &s);
	EXPECT_EQ(s.huge_bytes, kvm * PAGE_2M, "huge_bytes");
	active_stop(&g);
}

static void test_idle(void)
{
	struct active_guest g;
	struct active_state s;
	struct timespec now;
	__u64 stopped;

	start(&g, BACKING_ANON);
	active_sweep(&g, 8000, PAGE_4K);
	next_full(&g, &s);
	EXPECT(s.active_bytes > 6000 * PAGE_4K, "active_bytes while it runs: %llu", s.active_bytes);
	active_stop(&g);
	clock_gettime(CLOCK_REALTIME, &now);
	stopped = now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
	active_next(g.id, &s);	/* began before */
	for (int i = 0; i < 3; i++) {
		active_next(g.id, &s);
		EXPECT(!s.active_bytes, "window %d of %llu ms, %llu ns after the stop: %llu", i,
		       s.active_window_ms, s.active_as_of_ns - stopped, s.active_bytes);
		EXPECT(s.active_error_bytes > 0 && s.active_error_bytes < SIZE / 50,
		       "active_error_bytes: %llu", s.active_error_bytes);
	}
}

/* The slow window keeps what was accessed once, whatever the fast ones clear. */
static void check_slow(enum backing backing, __u64 pages, __u64 stride, __u64 slack)
{
	__u64 truth = pages * stride, begun;
	struct active_guest g;
	struct active_state s;

	start(&g, backing);
	if (backing == BACKING_HUGE && smaps_huge() < SIZE)
		tap_skip("no huge pages");
	active_sweep_once(&g, pages, stride);
	for (int i = 0; i < 3; i++) {
		begun = active_read(g.id, &s) ? s.active_slow_as_of_ns : 0;
		REQUIRE(WAIT_FOR(active_read(g.id, &s) && s.active_slow_as_of_ns != begun, 60000),
			"no slow window ends");
		/*
		 * Now the next one begins. Touch all once, and see the fast ones forget it;
		 * not while the sampler looks at pages, when a bit may be cleared unseen.
		 */
		active_next(g.id, &s);
		active_settle();
		active_sweep_once(&g, pages, stride);
		begun = s.active_slow_as_of_ns;
		/* Where it takes long, one more window has a part of it. */
		for (int n = 0; n < 3; n++)
			active_next(g.id, &s);
		EXPECT_EQ(s.active_bytes, 0, "active_bytes of a guest that sleeps again");
		REQUIRE(s.active_slow_as_of_ns == begun, "too slow: the slow window has ended");
		REQUIRE(WAIT_FOR(active_read(g.id, &s) && s.active_slow_as_of_ns != begun, 60000),
			"the slow window does not end");
		EXPECT_NEAR(s.active_slow_bytes, truth, 2 * s.active_slow_error_bytes + slack,
			    "active_slow_bytes");
		EXPECT(s.active_slow_window_ms >= 8 * window_ms(),
		       "active_slow_window_ms: %llu", s.active_slow_window_ms);
		/* What is known of the next one is of a guest that slept. */
	}
}

static void test_slow(void)
{
	check_slow(BACKING_ANON, 5000, PAGE_4K, OWN_PAGES * PAGE_4K);
}

static void test_slow_huge(void)
{
	check_slow(BACKING_HUGE, 12, PAGE_2M, PAGE_2M);
}

static void test_rss(void)
{
	struct active_guest g;
	struct active_state s;
	char buf[256];
	unsigned long long resident;

	start(&g, BACKING_ANON);
	active_sweep_once(&g, 9000, PAGE_4K);
	active_next(g.id, &s);
	active_next(g.id, &s);
	REQUIRE(read_file("/proc/self/statm", buf, sizeof(buf)) > 0 &&
		sscanf(buf, "%*u %llu", &resident) == 1, "statm");
	/* Either may lag by what a CPU has not added up yet. */
	EXPECT_NEAR(s.rss_bytes, resident * PAGE_4K, 64 * 3 * PAGE_4K * nr_cpus_online(),
		    "rss_bytes");
	EXPECT(s.rss_bytes > 9000 * PAGE_4K, "rss_bytes: %llu", s.rss_bytes);
	EXPECT_EQ(s.huge_bytes, 0, "huge_bytes");
}

/* Slots come and go between two windows, and in the middle of one. */
static void test_slots(void)
{
	struct active_guest g;
	struct active_state s;
	void *mem;

	start(&g, BACKING_ANON);
	mem = active_memory(BACKING_ANON, 32 * MIB);
	active_sweep(&g, 4000, PAGE_4K);
	for (int i = 0; i < 4; i++) {
		vm_add_memory(g.vm, 1, 1024 * MIB, mem, 32 * MIB);
		active_next(g.id, &s);
		next_full(&g, &s);
		EXPECT_EQ(s.memory_bytes, SIZE + 32 * MIB, "memory_bytes with another slot");
		EXPECT_NEAR(s.active_bytes, 4000 * PAGE_4K, 2 * s.active_error_bytes,
			    "active_bytes with another slot");
		REQUIRE(!vm_set_slot(g.vm, 1, 0, 1024 * MIB, mem, 0), "the slot stays");
		next_full(&g, &s);
		EXPECT_EQ(s.memory_bytes, SIZE, "memory_bytes at the end of that window");
		/* Pages of the slot that has gone are not accessed. */
		EXPECT_NEAR(s.active_bytes, 4000 * PAGE_4K, 2 * s.active_error_bytes + MIB,
			    "active_bytes of the window that a slot went in");
		next_full(&g, &s);
		EXPECT_EQ(s.memory_bytes, SIZE, "memory_bytes without it");
	}
	EXPECT(active_count("gone"), "no page went with its slot");
	active_stop(&g);
}

#define TOO_MANY	2060
#define KEPT		2000

/* Slots that come between two windows, or within one. */
static void test_many_slots(void)
{
	struct active_guest g;
	struct active_state s;
	void *mem;

	start(&g, BACKING_ANON);
	mem = active_memory(BACKING_ANON, TOO_MANY * PAGE_4K);
	active_sweep(&g, 4000, PAGE_4K);
	active_next(g.id, &s);
	for (int i = 1; i <= TOO_MANY; i++)
		vm_add_memory(g.vm, i, 1024 * MIB + i * PAGE_4K, mem + (i - 1) * PAGE_4K, PAGE_4K);
	EXPECT(WAIT_FOR(!meter_exists("vms/%llu/active_bytes", g.id), 30000),
	       "an estimate with %u slots", TOO_MANY);
	for (int i = KEPT + 1; i <= TOO_MANY; i++)
		REQUIRE(!vm_set_slot(g.vm, i, 0, 1024 * MIB + i * PAGE_4K, mem, 0),
			"slot %d stays", i);
	/* The end of the first may have begun when more were there. */
	active_next(g.id, &s);
	active_next(g.id, &s);
	EXPECT_EQ(s.memory_bytes, SIZE + KEPT * PAGE_4K, "memory_bytes with 2001 slots");
	active_stop(&g);
	meter_expect_healthy(NULL);
}

static void test_map(void)
{
	struct kvm_meter_vm rec;
	struct active_guest g;
	struct active_state s;
	struct meter_map map;
	bool found = false;

	start(&g, BACKING_ANON);
	active_sweep(&g, 3000, PAGE_4K);
	active_next(g.id, &s);
	/* The window under way takes a minute from now on. */
	active_param("active_window_ms", 60000);
	sleep_ms(2500);
	REQUIRE(active_read(g.id, &s), "no estimate");
	meter_map_open(&map, "kvm_meter_vm");
	for (__u32 i = 0; i < map.max_entries && !found; i++)
		found = meter_vm_read(meter_map_at(&map, i), &rec) && rec.vm_id == g.id;
	REQUIRE(found, "VM %llu is not in kvm_meter_vm", g.id);
#define SAME(type, name, desc) EXPECT_EQ(rec.name, s.name, #name);
	KVM_METER_VM_MEMORY(SAME)
	KVM_METER_VM_MEMORY_SLOW(SAME)
	active_stop(&g);
	vm_destroy(g.vm);
	meter_map_close(&map);
	meter_map_open(&map, "kvm_meter_ended");
	meter_wait_ended(&map, g.id, &rec);
	KVM_METER_VM_MEMORY(SAME)
	KVM_METER_VM_MEMORY_SLOW(SAME)
#undef SAME
}

static const struct tap_test tests[] = {
	{ "a guest that uses little", test_little, 300 },
	{ "a guest that uses most", test_much, 300 },
	{ "a guest that uses every fourth page", test_strided, 300 },
	{ "a guest in a memfd", test_memfd, 300 },
	{ "a guest in huge pages, and none is split", test_huge, 300 },
	{ "a guest that sleeps uses nothing", test_idle, 300 },
	{ "the slow window keeps what fast ones forget", test_slow, 300 },
	{ "so it does in huge pages", test_slow_huge, 300 },
	{ "rss_bytes is the process's", test_rss, 300 },
	{ "memory slots come and go", test_slots, 300 },
	{ "a VM of too many slots is left alone", test_many_slots, 300 },
	{ "map and final record say the same", test_map, 300 },
};

int main(int argc, char **argv)
{
	const char *accel = getenv("RIG_ACCEL");

	if (accel && strcmp(accel, "kvm"))
		rounds = strcmp(accel, "bochs") ? 6 : 4;
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
