// SPDX-License-Identifier: GPL-2.0
/* Zones that come and go under guests that run, from many sides at once. */
#include "zone_vm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS		repeats(5)
#define CYCLES		repeats(25)
#define UNLOADS		repeats(10)
#define MAKERS		8
#define VCPUS		4
#define AROUND		256		/* pages that guests use, between those of zones */
#define GP_VECTOR	13
#define FLOOD_REMOVE_MS	2000
#define HUGE_PAGES	8

static struct zone_vm *z;
static volatile bool stop;
static unsigned int made, removed;

struct maker {
	pthread_t thread;
	unsigned int nr, seed;
};

static unsigned int draw(struct maker *m, unsigned int below)
{
	m->seed = m->seed * 1664525u + 1013904223u;
	return (m->seed >> 8) % below;
}

static const struct {
	const char *deny, *extra;
} kinds[] = {
	{ "rwx", NULL }, { "w", NULL }, { "rwx", " name=x" }, { "x", " allow=emulator,alias" },
	{ "wx", " allow=alias,emulator" },
};

/* With one that stands, a zone is a matter of memory only: KVM is hooked already. */
static void stand(void)
{
	zone_must(z, ZONE_GPA + z->size - ZONE_PAGE, ZONE_PAGE, "w", NULL);
}

/* Two makers share a page, and all of them a range that no guest uses. */
static long long make(struct maker *m)
{
	unsigned int kind = draw(m, ARRAY_SIZE(kinds));
	__u64 gpa = ZONE_GPA + (m->nr / 2 + 8 * draw(m, AROUND / 8)) * 2 * ZONE_PAGE;
	__u64 size = ZONE_PAGE;

	if (!draw(m, 4)) {
		gpa = ZONE_GPA + 2 * ZONE_HUGE + draw(m, 512) * ZONE_PAGE;
		size = (1 + draw(m, 512)) * ZONE_PAGE;
	}
	return zone_create(z->id, gpa, size, kinds[kind].deny, "stop", kinds[kind].extra);
}

/* last_id may be another maker's: whoever gets to it first removes it. */
static void *maker(void *arg)
{
	struct maker *m = arg;

	while (!stop) {
		long long id = make(m);
		int ret;

		EXPECT(id > 0, "a zone is refused: %s: %s", strerror(-id), zone_last_error());
		if (id <= 0)
			break;
		__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
		if (!draw(m, 3))
			sleep_ms(draw(m, 20));
		ret = zone_remove(id);
		EXPECT(!ret || ret == -ENOENT || ret == -ENODEV, "remove: %s: %s", strerror(-ret),
		       zone_last_error());
		if (!ret)
			__atomic_add_fetch(&removed, 1, __ATOMIC_RELAXED);
		/* Those that nobody got to. */
		if (!m->nr && !draw(m, 32)) {
			EXPECT_EQ(-zone_disarm(), 0, "disarm");
			stand();
		}
	}
	return NULL;
}

static void start_makers(struct maker *m)
{
	stop = false;
	for (unsigned int i = 0; i < MAKERS; i++) {
		m[i].nr = i;
		m[i].seed = 7 + i;
		REQUIRE(!pthread_create(&m[i].thread, NULL, maker, &m[i]), "pthread_create");
	}
}

static void stop_makers(struct maker *m)
{
	stop = true;
	for (unsigned int i = 0; i < MAKERS; i++)
		pthread_join(m[i].thread, NULL);
	tap_diag("%u zones made, %u removed by their maker's threads", made, removed);
}

static void stress(enum zone_backing backing)
{
	struct maker makers[MAKERS];
	__u64 end;

	z = zone_vm_new(VCPUS, 4 * ZONE_HUGE, backing);
	zone_sweep_start(z, 0, ZONE_GPA + ZONE_PAGE, AROUND, 2 * ZONE_PAGE);
	stand();
	end = raw_ns() + SECONDS * NSEC_PER_SEC;
	start_makers(makers);
	while (raw_ns() < end && !tap_failed()) {
		sleep_ms(100);
		EXPECT(zone_sweep_moves(z, 0), "a guest stands still");
	}
	stop_makers(makers);
	zone_sweep_stop(z, 0, "zones all around");
	EXPECT_EQ(-zone_disarm(), 0, "disarm");
	zone_expect_filled(z, ZONE_GPA, z->size, "after it all");
	EXPECT(made, "no zone was made");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, "a write");
	meter_expect_healthy(NULL);
}

static void test_stress_anon(void)
{
	stress(ZONE_ANON);
}

static void test_stress_thp(void)
{
	stress(ZONE_THP);
}

static void test_stress_memfd(void)
{
	stress(ZONE_MEMFD);
}

/* Whatever it is answered, or nobody there to answer. */
static void make_and_remove(__u64 vm, __u64 gpa)
{
	char text[128], id[32];

	snprintf(text, sizeof(text), "vm=%llu gpa=%llx size=1000 deny=rwx action=stop", vm, gpa);
	for (;;) {
		if (!harden_write(text, "zones/create") &&
		    harden_file(id, sizeof(id), "zones/last_id") > 0)
			harden_write("1", "zones/%s/remove", id);
	}
}

/* The module's own disarm, and unloading, among them. */
static void test_stress_unload(void)
{
	/* Private memory would be shared with the child, which is refused. */
	struct zone_vm *vm = zone_vm_new(2, 2 * ZONE_HUGE, ZONE_SHARED);

	zone_sweep_start(vm, 0, ZONE_GPA + ZONE_PAGE, AROUND, 2 * ZONE_PAGE);
	for (unsigned int i = 0; i < UNLOADS; i++) {
		pid_t pid = fork();
		int ret;

		if (!pid)
			make_and_remove(vm->id, ZONE_GPA + i % 8 * 2 * ZONE_PAGE);
		sleep_ms(i % 5 * 10);
		EXPECT_EQ(-zone_disarm(), 0, "disarm");
		/* A writer that is in the module's file keeps it for that long. */
		EXPECT(WAIT_FOR(!(ret = harden_unload()), 10000), "rmmod: %s", strerror(-ret));
		end_child(pid);
		ret = harden_load(HARDEN_ASSUME);
		REQUIRE(!ret, "insmod: %s", strerror(-ret));
		EXPECT(zone_sweep_moves(vm, 0), "a guest stands still");
		harden_wait_vm(vm->id);
	}
	zone_sweep_stop(vm, 0, "unloaded and loaded");
	EXPECT_EQ(-zone_disarm(), 0, "disarm");
	zone_expect_filled(vm, ZONE_GPA, vm->size, "after it all");
	meter_expect_healthy(NULL);
}

struct victim {
	__u64 id;
	int ready;
};

static void run_until_killed(void *arg)
{
	struct victim *v = arg;
	struct zone_vm *vm = zone_vm_new(2, 2 * ZONE_HUGE, ZONE_ANON);

	zone_sweep_start(vm, 0, ZONE_GPA + ZONE_PAGE, AROUND, 2 * ZONE_PAGE);
	v->id = vm->id;
	__atomic_store_n(&v->ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

/* The VMM dies at any moment of making and removing. */
static void test_killed_meanwhile(void)
{
	struct victim *v = shared_page();
	unsigned int late = 0;

	need_zones();
	for (unsigned int i = 0; i < CYCLES; i++) {
		unsigned int n = 0;
		long long ret = 0;
		pid_t pid, killer;

		v->ready = 0;
		pid = spawn(run_until_killed, v);
		REQUIRE(WAIT_FOR(v->ready, METER_APPEARS_MS), "a VMM does not come up");
		ret = zone_create(v->id, ZONE_GPA + ZONE_HUGE, ZONE_PAGE, "w", "stop", NULL);
		EXPECT(ret > 0, "the first zone: %s: %s", strerror(-ret), zone_last_error());
		killer = fork();
		if (!killer) {
			sleep_ms(i % 10 * 5);
			kill(pid, SIGKILL);
			_exit(0);
		}
		while (ret >= 0 && n < 100000) {
			ret = zone_create(v->id, ZONE_GPA + n % 4 * 2 * ZONE_PAGE, ZONE_PAGE,
					  n & 1 ? "w" : "rwx", "stop", NULL);
			if (ret > 0 && n & 2)
				zone_remove(ret);
			n++;
		}
		EXPECT(ret == -ESRCH || ret == -ENXIO, "a VM that dies: %s: %s", strerror(-ret),
		       zone_last_error());
		late += n;
		wait_child(killer);
		wait_child(pid);
		EXPECT(WAIT_FOR(!harden_exists("vms/%llu", v->id), METER_APPEARS_MS),
		       "vms/%llu is still there", v->id);
	}
	tap_diag("%u zones asked for of %u VMMs", late, CYCLES);
	EXPECT(WAIT_FOR(!run_shell(NULL, 0, "! ls " HARDEN_SYSFS "/zones | grep -q '^[0-9]'"),
			METER_APPEARS_MS), "zones are left");
	meter_expect_healthy(NULL);
}

static void switch_cpu(void *arg)
{
	const char *path = arg;

	for (;;) {
		write_file(path, "0\n");
		sleep_ms(20);
		write_file(path, "1\n");
		sleep_ms(20);
	}
}

static void cpus_back(void)
{
	write_file("/sys/devices/system/cpu/cpu1/online", "1\n");
}

static void test_hotplug(void)
{
	char path[] = "/sys/devices/system/cpu/cpu1/online";
	unsigned int n = 0;
	__u64 end;
	pid_t pid;

	need_cpus(2);
	if (!file_exists(path))
		tap_skip("no CPU can be taken away");
	tap_at_end(cpus_back);
	pid = spawn(switch_cpu, path);
	z = zone_vm_new(2, 2 * ZONE_HUGE, ZONE_ANON);
	zone_sweep_start(z, 0, ZONE_GPA + ZONE_PAGE, AROUND, 2 * ZONE_PAGE);
	stand();
	for (end = raw_ns() + SECONDS * NSEC_PER_SEC; raw_ns() < end && !tap_failed(); n++)
		zone_must_remove(zone_must(z, ZONE_GPA + n % 64 * 2 * ZONE_PAGE, ZONE_PAGE,
					   n & 1 ? "w" : "rwx", NULL));
	end_child(pid);
	cpus_back();
	tap_diag("%u zones", n);
	zone_sweep_stop(z, 0, "CPUs come and go");
	EXPECT_EQ(-zone_disarm(), 0, "disarm");
	zone_expect_filled(z, ZONE_GPA, z->size, "CPUs come and go");
	meter_expect_healthy(NULL);
}

static unsigned int dmesg_lines(void)
{
	char buf[32];

	run_shell(buf, sizeof(buf), "dmesg | wc -l");
	return atoi(buf);
}

static __u64 gps(void)
{
	__u64 sum = 0;

	for (unsigned int i = 0; i < z->vm->nr; i++)
		sum += z->vm->vcpus[i].data->faults;
	return sum;
}

/* After it nothing faults, and all go on. */
static void expect_quiet(void)
{
	__u64 was;

	for (unsigned int i = 0; i < z->vm->nr; i++) {
		struct guest_data *d = z->vm->vcpus[i].data;

		was = d->progress;
		EXPECT(WAIT_FOR(d->progress > was + 10, 10000), "vCPU %u stands still", i);
	}
	was = gps();
	sleep_ms(20);
	EXPECT_EQ(gps(), was, "#GPs after remove");
}

/* A guest that cannot be taught, on all vCPUs: it costs itself. */
static void test_flood(void)
{
	unsigned int lines, slowest = 0;
	__u64 was, took;
	long long id;

	z = zone_vm_new(VCPUS, 2 * ZONE_HUGE, ZONE_ANON);
	vm_gate(z->vm, GUEST_IDT, GP_VECTOR, guest_gp);
	for (unsigned int i = 0; i < VCPUS; i++) {
		vcpu_program(&z->vm->vcpus[i], guest_flood, 0, ZONE_GPA + i % 2 * ZONE_PAGE);
		vcpu_start(&z->vm->vcpus[i], -1);
	}
	stand();
	lines = dmesg_lines();
	for (unsigned int i = 0; i < CYCLES; i++) {
		was = gps();
		id = zone_create(z->id, ZONE_GPA, 2 * ZONE_PAGE, "rwx", "fault", NULL);
		REQUIRE(id > 0, "a zone under its victims: %s: %s", strerror(-id), zone_last_error());
		EXPECT(WAIT_FOR(gps() > was + 100, 20000), "no flood of #GPs: %llu", gps() - was);
		for (unsigned int k = 0; !i && k < VCPUS; k++)
			vcpu_pause(&z->vm->vcpus[k]);
		/* One of each may be on its way. */
		if (!i)
			EXPECT_NEAR(harden_u64("zones/%llu/violations", id), gps() - was, VCPUS,
				    "violations");
		for (unsigned int k = 0; !i && k < VCPUS; k++)
			vcpu_resume(&z->vm->vcpus[k]);
		took = raw_ns();
		EXPECT_EQ(-zone_remove(id), 0, "remove");
		took = (raw_ns() - took) / NSEC_PER_MSEC;
		EXPECT(took < FLOOD_REMOVE_MS * slowness(), "remove takes %llu ms", took);
		slowest = took > slowest ? took : slowest;
		expect_quiet();
	}
	tap_diag("%llu #GPs, remove takes up to %u ms", gps(), slowest);
	EXPECT_EQ(dmesg_lines(), lines, "lines on the host's console");
	for (unsigned int i = 0; i < VCPUS; i++) {
		z->vm->vcpus[i].data->stop = 1;
		vcpu_join(&z->vm->vcpus[i]);
	}
	EXPECT_EQ(-zone_disarm(), 0, "disarm");
	zone_expect_filled(z, ZONE_GPA, z->size, "after it all");
	meter_expect_healthy(NULL);
}

/* kB of huge pages in the mapping of the VM's memory. */
static unsigned int huge_kb(void)
{
	unsigned long start, from, to;
	unsigned int kb = 0, n;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");
	bool in = false;

	REQUIRE(f, "/proc/self/smaps");
	start = (unsigned long)z->mem;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			in = from >= start && to <= start + z->size;
		else if (in && sscanf(line, "AnonHugePages: %u kB", &n) == 1)
			kb += n;
	}
	fclose(f);
	return kb;
}

/* A zone costs the huge page that it is in, and no other. */
static void test_huge(void)
{
	unsigned int kb, mapped;
	__u64 id;

	z = zone_vm_new(2, HUGE_PAGES * ZONE_HUGE, ZONE_THP);
	kb = huge_kb();
	if (kb < z->size / 1024)
		tap_skip("%u kB of %llu in huge pages", kb, z->size / 1024);
	for (unsigned int i = 0; i < HUGE_PAGES; i++)
		EXPECT_EQ(zone_guest_write(z, ZONE_GPA + i * ZONE_HUGE), 0, "a write");
	mapped = kvm_stat(z->vm->fd, "pages_2m");
	if (mapped < HUGE_PAGES)
		tap_skip("KVM maps %u of %u huge pages", mapped, HUGE_PAGES);
	/* All but the last one are in use. */
	zone_sweep_start(z, 1, ZONE_GPA, (HUGE_PAGES - 1) * 64, 8 * ZONE_PAGE);
	id = zone_must(z, ZONE_GPA + (HUGE_PAGES - 1) * ZONE_HUGE + 77 * ZONE_PAGE, ZONE_PAGE,
		       "rwx", NULL);
	tap_diag("%u kB, %llu pages of 2 MiB in KVM", huge_kb(), kvm_stat(z->vm->fd, "pages_2m"));
	EXPECT(huge_kb() >= kb - 2048, "%u kB of huge pages, before %u", huge_kb(), kb);
	EXPECT(kvm_stat(z->vm->fd, "pages_2m") >= mapped - 1, "KVM has %llu huge pages, before %u",
	       kvm_stat(z->vm->fd, "pages_2m"), mapped);
	EXPECT(zone_sweep_moves(z, 1), "the guest stands still");
	zone_must_remove(id);
	EXPECT(huge_kb() >= kb - 2048, "%u kB of huge pages, removed", huge_kb());
	EXPECT(kvm_stat(z->vm->fd, "pages_2m") >= mapped - 1, "KVM has %llu huge pages, removed",
	       kvm_stat(z->vm->fd, "pages_2m"));
	zone_sweep_stop(z, 1, "beside the zone");
	zone_expect_filled(z, ZONE_GPA, z->size, "removed");
}

static const struct tap_test tests[] = {
	{ "a zone costs one huge page", test_huge, 0 },
	{ "makers under guests, private memory", test_stress_anon, 300 },
	{ "makers under guests, huge pages", test_stress_thp, 300 },
	{ "makers under guests, memfd", test_stress_memfd, 300 },
	{ "a maker while the module comes and goes", test_stress_unload, 300 },
	{ "a VMM is killed while zones are made", test_killed_meanwhile, 300 },
	{ "CPUs come and go while zones are made", test_hotplug, 300 },
	{ "a flood of violations", test_flood, 300 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
