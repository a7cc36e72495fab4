// SPDX-License-Identifier: GPL-2.0
/* The sampler itself: what it costs, what it is told, and VMs that end under it. */
#include "active.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MANY		200

/*
 * What begins with credit left may end without: at the least what it takes to begin
 * a window of one VM, with its slow one, and all of a second's credit.
 */
#define SLACK_NS	(60 * NSEC_PER_MSEC)

/* Loaded with a budget, and windows as much longer as they take here. */
static void reload(unsigned int budget_ppm, unsigned int window_ms, const char *more)
{
	char params[160];

	snprintf(params, sizeof(params), "active_budget_ppm=%u active_window_ms=%u %s",
		 budget_ppm, window_ms * slowness(), more);
	meter_reload(params);
}

struct spent {
	__u64 raw, cpu, time, windows;
};

static void take(struct spent *s)
{
	s->raw = raw_ns();
	s->cpu = active_cpu_ns();
	s->time = active_count("time_ns");
	s->windows = active_count("windows");
}

/* A guest that uses its memory now and then: to do so all the time takes the CPU. */
static void use_memory(struct active_guest *g, unsigned int ms)
{
	__u64 end = raw_ns() + ms * slowness() * NSEC_PER_MSEC;

	for (; raw_ns() < end; sleep_ms(200 * slowness()))
		if (g)
			active_sweep_once(g, 3000, PAGE_4K);
}

/* For @ms from now on: no more than the budget, by the scheduler's own account. */
static void expect_budget(struct active_guest *g, unsigned int ppm, unsigned int ms)
{
	struct spent a, b;
	__u64 wall, may;

	take(&a);
	use_memory(g, ms);
	take(&b);
	wall = b.raw - a.raw;
	may = wall / 1000000 * ppm + SLACK_NS * slowness();
	tap_diag("%llu ms: %llu us of CPU, %llu us by its own account, %llu windows",
		 wall / NSEC_PER_MSEC, (b.cpu - a.cpu) / 1000, (b.time - a.time) / 1000,
		 b.windows - a.windows);
	EXPECT(b.cpu - a.cpu <= may, "%llu ns of CPU in %llu ns, with %u ppm", b.cpu - a.cpu, wall,
	       ppm);
	EXPECT(b.windows > a.windows, "no window has ended");
	/* It may say more than it was: interrupts are in it. */
	EXPECT(b.cpu - a.cpu <= b.time - a.time + 10 * NSEC_PER_MSEC,
	       "%llu ns of CPU, %llu by its own account", b.cpu - a.cpu, b.time - a.time);
}

static void test_budget_one(void)
{
	struct active_guest g;

	reload(10000, 500, "");
	active_guest(&g, BACKING_ANON, 64 * MIB);
	use_memory(&g, 2000);
	expect_budget(&g, 10000, 15000);
	/* Less from now on, and what was begun before is paid for. */
	active_param("active_budget_ppm", 2000);
	use_memory(&g, 3000);
	expect_budget(&g, 2000, 15000);
}

/* The defaults: nobody has set anything. */
static void test_budget_default(void)
{
	struct active_guest g;
	struct active_state s;

	meter_reload(NULL);
	active_guest(&g, BACKING_ANON, 64 * MIB);
	expect_budget(&g, 1000, 25000);
	active_next(g.id, &s);
	EXPECT(s.active_window_ms >= 10000, "active_window_ms: %llu", s.active_window_ms);
}

static struct active_guest many[MANY];

static void start_many(void)
{
	unsigned int found;
	__u64 ids[MANY];

	for (int i = 0; i < MANY; i++) {
		many[i].vm = vm_create(1, 0);
		many[i].v = &many[i].vm->vcpus[0];
		vcpu_program(many[i].v, guest_io, 5, 0);
		vcpu_run(many[i].v);
	}
	REQUIRE(WAIT_FOR(meter_vms(getpid(), ids, MANY) == MANY, 60000), "not all VMs appear");
	found = meter_vms(getpid(), ids, MANY);
	for (unsigned int i = 0; i < found; i++)
		many[i].id = ids[i];
}

static unsigned int have_estimates(void)
{
	unsigned int nr = 0;

	for (int i = 0; i < MANY; i++)
		nr += meter_exists("vms/%llu/active_bytes", many[i].id);
	return nr;
}

static void test_budget_many(void)
{
	__u64 samples, error, waits;
	struct active_state s;

	reload(10000, 500, "max_vcpus=256");
	start_many();
	sleep_ms(2000);
	waits = active_count("waits");
	expect_budget(NULL, 10000, 20000);
	EXPECT(active_count("waits") > waits, "nothing was put off");
	/* With more, all of them, and those who have one know less than a single VM. */
	active_param("active_budget_ppm", 200000);
	REQUIRE(WAIT_FOR(have_estimates() == MANY, 120000), "%u of %u VMs have an estimate",
		have_estimates(), MANY);
	REQUIRE(active_read(many[0].id, &s), "no estimate");
	samples = s.active_samples;
	error = s.active_error_bytes;
	EXPECT(samples >= 32, "%llu samples", samples);
	for (int i = 1; i < MANY; i++)
		vm_destroy(many[i].vm);
	active_param("active_window_ms", 1000 * slowness());
	REQUIRE(WAIT_FOR(active_read(many[0].id, &s) && s.active_samples == 384, 60000),
		"%llu samples when the others have gone", s.active_samples);
	EXPECT(samples == 384 || error > s.active_error_bytes,
	       "error %llu of %llu samples, %llu of %llu", error, samples, s.active_error_bytes,
	       s.active_samples);
	meter_expect_healthy(NULL);
}

#define ALIASES		2000

/* One whose pages are dear, as they are in many slots, beside one that is like others. */
static void test_dear(void)
{
	struct active_guest dear, g;
	struct active_state s;
	unsigned int windows = 0;
	void *mem;

	reload(1000000, 200, "");
	active_guest(&g, BACKING_ANON, 16 * MIB);
	for (int i = 0; i < 10; i++)
		active_next(g.id, &s);
	mem = active_memory(BACKING_ANON, PAGE_4K);
	dear.vm = vm_create_in(active_memory(BACKING_ANON, 4 * MIB), 4 * MIB, 0);
	for (int i = 1; i <= ALIASES; i++)
		vm_add_memory(dear.vm, i, 1024 * MIB + i * PAGE_4K, mem, PAGE_4K);
	dear.v = &dear.vm->vcpus[0];
	vcpu_program(dear.v, guest_io, 1, 0);
	vcpu_run(dear.v);
	for (__u64 end = raw_ns() + 20 * slowness() * NSEC_PER_SEC; raw_ns() < end; windows++) {
		active_next(g.id, &s);
		EXPECT_EQ(s.active_samples, 384, "active_samples beside a dear VM");
	}
	tap_diag("%u windows in %u s beside a dear VM", windows, 20 * slowness());
	EXPECT(windows >= 25, "only %u windows", windows);
	meter_expect_healthy(NULL);
}

static void test_params(void)
{
	static const struct {
		const char *name, *value;
	} bad[] = {
		{ "active_budget_ppm", "-1" }, { "active_budget_ppm", "1000001" },
		{ "active_budget_ppm", "x" }, { "active_budget_ppm", "" },
		{ "active_window_ms", "0" }, { "active_window_ms", "49" },
		{ "active_window_ms", "3600001" }, { "active_window_ms", "1 1" },
		{ "active_samples", "0" }, { "active_samples", "4097" },
		{ "active_slow_windows", "0" }, { "active_slow_windows", "10001" },
	};
	char path[128], text[64];
	struct active_guest g;
	struct active_state s;
	__u64 windows;
	int ret;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(path, sizeof(path), METER_PARAMS "/%s", bad[i].name);
		snprintf(text, sizeof(text), "%s\n", bad[i].value);
		ret = write_file(path, text);
		EXPECT(ret == -EINVAL || ret == -ERANGE, "%s to %s: %s", bad[i].value,
		       bad[i].name, strerror(-ret));
	}
	reload(0, 300, "");
	active_guest(&g, BACKING_ANON, 16 * MIB);
	active_sweep(&g, 1000, PAGE_4K);
	sleep_ms(2000 * slowness());
	EXPECT(!meter_exists("vms/%llu/active_bytes", g.id), "an estimate without a budget");
	EXPECT_EQ(active_count("touches"), 0, "pages looked at without a budget");

	active_param("active_budget_ppm", 1000000);
	active_next(g.id, &s);
	active_next(g.id, &s);
	EXPECT(s.active_window_ms >= 300 * slowness() && s.active_window_ms < 3000 * slowness(),
	       "active_window_ms: %llu", s.active_window_ms);
	EXPECT_EQ(s.active_samples, 384, "active_samples");
	active_param("active_samples", 100);
	active_param("active_window_ms", 1000 * slowness());
	active_next(g.id, &s);
	active_next(g.id, &s);
	EXPECT_EQ(s.active_samples, 100, "active_samples");
	EXPECT(s.active_window_ms >= 1000 * slowness(), "active_window_ms: %llu", s.active_window_ms);
	/* All pages there are: nothing is left to chance. */
	active_param("active_samples", 4096);
	active_next(g.id, &s);
	active_next(g.id, &s);
	EXPECT_EQ(s.active_samples, 4096, "active_samples");
	EXPECT_EQ(s.active_error_bytes, 0, "error of a sample of all pages");
	EXPECT(s.active_bytes >= 1000 * PAGE_4K && s.active_bytes <= 1006 * PAGE_4K,
	       "active_bytes, counted: %llu", s.active_bytes);

	/* A long window gives way to a short one. */
	active_param("active_window_ms", 3600000);
	sleep_ms(500);
	active_param("active_window_ms", 200);
	active_next(g.id, &s);
	active_param("active_budget_ppm", 0);
	EXPECT(WAIT_FOR(!meter_exists("vms/%llu/active_bytes", g.id), 10000),
	       "an estimate stays without a budget");
	windows = active_count("windows");
	sleep_ms(1000);
	EXPECT_EQ(active_count("windows"), windows, "windows without a budget");
	active_stop(&g);
	meter_expect_healthy(NULL);
}

/* A process whose VMs live for a moment, or until it is killed. */
static void short_lives(void *arg)
{
	struct active_guest g = {};

	(void)arg;
	tap_do_not_count();
	for (;;) {
		g.vm = vm_create_in(active_memory(BACKING_ANON, 16 * MIB), 16 * MIB, 0);
		g.v = &g.vm->vcpus[0];
		active_sweep(&g, 1000, PAGE_4K);
		sleep_ms(120);
		active_stop(&g);
		vm_destroy(g.vm);
	}
}

static void check_deaths(unsigned int kills)
{
	struct kvm_meter_vm rec;
	unsigned int known = 0;
	struct meter_map map;

	meter_reload("active_budget_ppm=1000000 active_window_ms=50 active_slow_windows=2");
	for (unsigned int i = 0; i < kills; i++) {
		pid_t a = spawn(short_lives, NULL), b = spawn(short_lives, NULL);

		sleep_ms(1500 + 37 * i);
		kill(a, SIGKILL);
		kill(b, SIGKILL);
		wait_child(a);
		wait_child(b);
	}
	REQUIRE(WAIT_FOR(!run_shell(NULL, 0, "! ls -d " METER_SYSFS "/vms/[0-9]* 2>/dev/null"),
			 20000), "VMs stay");
	meter_map_open(&map, "kvm_meter_ended");
	for (__u32 i = 0; i < map.max_entries; i++) {
		if (!meter_vm_read(meter_map_at(&map, i), &rec) || !rec.vm_id)
			continue;
		if (!rec.active_window_ms)
			continue;
		known++;
		EXPECT_EQ(rec.memory_bytes, 16 * MIB, "memory_bytes of a final record");
		EXPECT(rec.active_bytes <= 16 * MIB, "active_bytes: %llu", rec.active_bytes);
	}
	EXPECT(known >= kills, "%u final records with an estimate", known);
	meter_expect_healthy(NULL);
}

static void test_deaths(void)
{
	check_deaths(repeats(20));
}

static void test_unload(void)
{
	struct active_guest g[3];
	struct active_state s;

	meter_reload("active_budget_ppm=1000000 active_window_ms=50");
	for (int i = 0; i < 3; i++) {
		g[i].vm = vm_create_in(active_memory(BACKING_ANON, 16 * MIB), 16 * MIB, 0);
		g[i].v = &g[i].vm->vcpus[0];
		active_sweep(&g[i], 1000, PAGE_4K);
	}
	for (unsigned int i = 0; i < repeats(50); i++) {
		if (i & 1)
			sleep_ms(7 * i % 100);
		meter_reload("active_budget_ppm=1000000 active_window_ms=50");
	}
	g[0].id = meter_wait_tid(g[0].v->tid);
	active_next(g[0].id, &s);
	/* Disarmed: no VM is known, nothing is looked at. */
	REQUIRE(!write_file(METER_SYSFS "/armed", "0\n"), "cannot be disarmed");
	s.active_samples = active_count("touches");
	sleep_ms(500);
	EXPECT_EQ(active_count("touches"), s.active_samples, "pages looked at while disarmed");
	REQUIRE(!write_file(METER_SYSFS "/armed", "1\n"), "cannot be armed");
	g[0].id = meter_wait_tid(g[0].v->tid);
	active_next(g[0].id, &s);
	EXPECT(s.active_bytes, "active_bytes after arming");
	for (int i = 0; i < 3; i++)
		active_stop(&g[i]);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "parameters, at any time", test_params, 300 },
	{ "one VM, within the budget", test_budget_one, 300 },
	{ "one VM, within the default budget", test_budget_default, 300 },
	{ "200 VMs, within the budget", test_budget_many, 500 },
	{ "a VM whose pages are dear, beside another", test_dear, 300 },
	{ "VMs that end under the sampler", test_deaths, 500 },
	{ "the module leaves under the sampler", test_unload, 300 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
