// SPDX-License-Identifier: GPL-2.0
/*
 * Energy by VM, with a source that is known: so many microwatts per busy CPU and so
 * many for a package at rest. What is compared with is the scheduler's CPU time of
 * the threads, and the kernel's idle times. Where the host has no counter of its
 * own, the attributes are not there.
 */
#include "abi_doc.h"
#include "energy.h"
#include "vmm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* By the scheduler; exact while the thread sleeps. */
static __u64 cpu_ns(pid_t tid)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", tid);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0, "%s", path);
	return strtoull(buf, NULL, 10);
}

static struct vcpu *spinner(int cpu)
{
	struct vcpu *v = &vm_create(1, 0)->vcpus[0];

	vcpu_program(v, guest_spin, 1, 0);
	vcpu_start(v, cpu);
	return v;
}

/* A VM whose vCPU is out of the guest: energy, and what its CPU time is worth. */
static void expect_energy(const char *what, struct vcpu *v, __u64 uw)
{
	__u64 id = meter_wait_tid(v->tid), truth, uj, error;
	struct energy_totals t;

	energy_wait(1, &t);
	truth = BUSY_UJ(cpu_ns(v->tid)) * uw / BUSY_UW;
	uj = meter_u64("vms/%llu/energy_uj", id);
	error = meter_u64("vms/%llu/energy_error_uj", id);
	tap_diag("%s: %llu uJ +- %llu, by its CPU time %llu", what, uj, error, truth);
	EXPECT_NEAR(uj, truth, TOLERANCE(truth), what);
	EXPECT(uj <= truth + error + truth / 100 && truth <= uj + error + truth / 100,
	       "%s: %llu +- %llu does not hold %llu", what, uj, error, truth);
	/* Other rules say the same at one frequency; but idle time may be counted in ticks. */
	EXPECT(error && error < truth / (uw == BUSY_UW ? 5 : 2) + 1000, "%s: an error of %llu",
	       what, error);
	EXPECT(uw == BUSY_UW || error > truth / 10, "%s: an error of only %llu", what, error);
	EXPECT(uj <= t.vms_uj, "%s: %llu of %llu", what, uj, t.vms_uj);
}

/* None: "auto" on a host without a counter, or if nobody wants it. */
static void expect_absent(void)
{
	static const char *const names[] = {
#define NAME(type, name, desc) #name,
		KVM_METER_ENERGY(NAME)
#undef NAME
	};
	struct kvm_meter_vm rec, end;
	struct kvm_meter_info info;
	struct meter_map map;
	struct vm *vm;
	__u64 id;

	EXPECT(meter_exists("energy/source"), "energy/source is not there");
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT(!meter_exists("energy/%s", names[i]), "energy/%s is there", names[i]);
	vm = vm_create(1, 0);
	vcpu_program(&vm->vcpus[0], guest_io, 100, 0);
	vcpu_run(&vm->vcpus[0]);
	id = meter_wait_tid(getpid());
	EXPECT(meter_exists("vms/%llu/guest_ns", id), "guest_ns is not there");
	EXPECT(!meter_exists("vms/%llu/energy_uj", id), "energy_uj is there");
	EXPECT(!meter_exists("vms/%llu/energy_error_uj", id), "energy_error_uj is there");
	meter_map_open(&map, "kvm_meter_info");
	memcpy(&info, meter_map_at(&map, 0), sizeof(info));
	EXPECT_EQ(info.energy_kind, KVM_METER_ENERGY_NONE, "energy_kind");
	EXPECT_EQ(info.package_uj, KVM_METER_NONE, "package_uj in the map");
	EXPECT_EQ(info.readings, KVM_METER_NONE, "readings in the map");
	meter_map_open(&map, "kvm_meter_vm");
	for (__u32 i = 0; i < map.max_entries; i++) {
		if (!meter_vm_read(meter_map_at(&map, i), &rec) || rec.vm_id != id)
			continue;
		EXPECT_EQ(rec.energy_uj, KVM_METER_NONE, "energy_uj in the map");
		EXPECT_EQ(rec.energy_error_uj, KVM_METER_NONE, "energy_error_uj in the map");
	}
	meter_map_open(&map, "kvm_meter_ended");
	vm_destroy(vm);
	meter_wait_ended(&map, id, &end);
	EXPECT_EQ(end.energy_uj, KVM_METER_NONE, "energy_uj in the final record");
	EXPECT(!(end.flags & KVM_METER_VM_MADE_UP), "flags %x", end.flags);
	meter_map_open(&map, "kvm_meter_owner");
	EXPECT_EQ(((const struct kvm_meter_owner *)meter_map_at(&map, 0))->energy_uj,
		  KVM_METER_NONE, "energy_uj of everybody");
	meter_expect_healthy(NULL);
}

static void test_absent(void)
{
	char text[128] = "";

	meter_reload("energy_source=none");
	meter_file(text, sizeof(text), "energy/source");
	EXPECT(!strcmp(text, "none: energy_source=none"), "source: %s", text);
	expect_absent();
	meter_reload(NULL);
	meter_file(text, sizeof(text), "energy/source");
	tap_diag("source: %s", text);
	if (strncmp(text, "none: ", 6))
		tap_skip("this host counts its energy: %s", text);
	expect_absent();
}

/* A host that has a counter: it moves, and what it says is shared out. */
static void test_counted(void)
{
	char text[128] = "";
	struct energy_totals a, b;
	struct vcpu *v;
	__u64 id;

	meter_reload("energy_interval_ms=100");
	meter_file(text, sizeof(text), "energy/source");
	if (!strncmp(text, "none: ", 6))
		tap_skip("%s", text + 6);
	energy_totals(&a);
	v = spinner(-1);
	sleep_ms(2000);
	vcpu_pause(v);
	energy_wait(1, &b);
	id = meter_wait_tid(v->tid);
	EXPECT(b.package_uj > a.package_uj, "package_uj stands still at %llu", a.package_uj);
	EXPECT(meter_u64("vms/%llu/energy_uj", id), "energy_uj of a VM that spun");
	meter_expect_healthy(NULL);
}

static void test_one(void)
{
	struct vcpu *v;

	energy_load_and_learn(QUICK);
	v = spinner(1);
	sleep_ms(1000);
	vcpu_pause(v);
	expect_energy("one busy VM", v, BUSY_UW);
	energy_expect_status();
}

/* How long a CPU has been idle by /proc/stat, which is good to 10 ms. */
static __u64 idle_ns(int cpu)
{
	unsigned long long idle, iowait;
	char buf[65536], name[16], *line;

	REQUIRE(read_file("/proc/stat", buf, sizeof(buf)) > 0, "/proc/stat");
	snprintf(name, sizeof(name), "cpu%d ", cpu);
	line = strstr(buf, name);
	REQUIRE(line && sscanf(line, "%*s %*u %*u %*u %llu %llu", &idle, &iowait) == 2,
		"%s in /proc/stat", name);
	return (idle + iowait) * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
}

static __u64 all_idle_ns(void)
{
	__u64 sum = 0;

	for (int i = 0; i < nr_cpus_online(); i++)
		sum += idle_ns(i);
	return sum;
}

static unsigned int packages(void)
{
	char buf[16];

	run_shell(buf, sizeof(buf), "cat /sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id"
		  " | sort -u | wc -l");
	return atoi(buf);
}

/* What all packages drew, and the idle part of it, from one reading to another. */
static void test_total(void)
{
	__u64 from, span, idle, busy, rest_uj, truth;
	struct energy_totals a, b;
	struct vcpu *v;

	energy_load_and_learn(QUICK);
	v = spinner(1);
	energy_wait(0, &a);
	from = clock_ns(CLOCK_MONOTONIC);
	idle = all_idle_ns();
	sleep_ms(2000);
	energy_wait(0, &b);
	span = clock_ns(CLOCK_MONOTONIC) - from;
	idle = all_idle_ns() - idle;
	vcpu_pause(v);
	busy = span * nr_cpus_online() - idle;
	rest_uj = span / 1000 * IDLE_UW * packages() / 1000000;
	truth = rest_uj + BUSY_UJ(busy);
	tap_diag("%u packages, %llu ms, CPUs busy for %llu ms: %llu uJ, by /proc/stat %llu",
		 packages(), span / 1000000, busy / 1000000, b.package_uj - a.package_uj, truth);
	EXPECT_NEAR(b.package_uj - a.package_uj, truth,
		    truth / 50 + BUSY_UJ(nr_cpus_online() * 20 * NSEC_PER_MSEC), "package_uj");
	EXPECT_NEAR(b.idle_uj - a.idle_uj, rest_uj, rest_uj / 20, "idle_uj");
	EXPECT(b.vms_uj - a.vms_uj > BUSY_UJ(span) / 2, "vms_uj grew by %llu",
	       b.vms_uj - a.vms_uj);
}

/* A counter of 32 bits that is about to wrap when the meter comes, and does. */
static void test_wrap(void)
{
	struct energy_totals t;
	__u64 span;

	span = raw_ns();
	energy_load(QUICK);
	energy_wait(4, &t);
	span = raw_ns() - span;
	/* It is 256 units from its end, of 1 / 65536 J each. */
	EXPECT(t.package_uj > 2 * 256 * 1000000 / 65536, "package_uj %llu: no wrap yet",
	       t.package_uj);
	EXPECT(t.package_uj < span / 1000 * (IDLE_UW * packages() + BUSY_UW * nr_cpus_online()) /
	       1000000, "package_uj %llu after %llu ns", t.package_uj, span);
	energy_expect_status();
}

/* Both on one CPU, in every interval, one with three times the other's share. */
static void test_two(void)
{
	__u64 ns[2], uj[2];
	struct vcpu *v[2];

	energy_load_and_learn(QUICK);
	for (int i = 0; i < 2; i++)
		v[i] = spinner(1);
	setpriority(PRIO_PROCESS, v[0]->tid, 5);
	sleep_ms(2000);
	for (int i = 0; i < 2; i++)
		vcpu_pause(v[i]);
	expect_energy("the nice one", v[0], BUSY_UW);
	expect_energy("the other one", v[1], BUSY_UW);
	for (int i = 0; i < 2; i++) {
		ns[i] = cpu_ns(v[i]->tid);
		uj[i] = meter_u64("vms/%llu/energy_uj", meter_wait_tid(v[i]->tid));
	}
	EXPECT(ns[1] > 2 * ns[0], "CPU times of %llu and %llu ns", ns[0], ns[1]);
	EXPECT_NEAR(uj[1] * 1000 / uj[0], ns[1] * 1000 / ns[0], ns[1] * 50 / ns[0],
		    "energy in thousandths of the other's");
}

/* How long all CPUs have been busy, by /proc/stat. */
static __u64 busy_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC) * nr_cpus_online() - all_idle_ns();
}

/* It is good to 10 ms, and is read a moment before or after a reading. */
#define SLACK(uj)	((uj) / 20 + BUSY_UJ(nr_cpus_online() * 20 * NSEC_PER_MSEC))

static void hog(void *cpu)
{
	pin_thread(0, (long)cpu);
	for (;;)
		;
}

static void expect_hog(const char *params, __u64 vm_uw)
{
	__u64 run, both, busy, other, host, least, most;
	struct energy_totals a, b;
	struct vcpu *v;
	pid_t pid;

	energy_load_and_learn(params);
	energy_wait(0, &a);
	busy = busy_ns();
	pid = spawn(hog, NULL);
	v = spinner(1);
	sleep_ms(1500);
	run = cpu_ns(pid);
	end_child(pid);
	vcpu_pause(v);
	expect_energy("a VM beside a hog", v, vm_uw);
	energy_totals(&b);
	busy = busy_ns() - busy;
	both = run + cpu_ns(v->tid);
	/* By two clocks: they may have been busier than all CPUs. */
	other = busy > both ? busy - both : 0;
	host = b.host_uj - a.host_uj;
	/* What else the host had to do may have been on either CPU. */
	least = BUSY_UJ(run) + BUSY_UJ(other);
	most = BUSY_UJ(run) + BUSY_UJ(other) * vm_uw / BUSY_UW;
	tap_diag("host %llu uJ; by CPU time the hog %llu, all else %llu", host, BUSY_UJ(run),
		 BUSY_UJ(other));
	EXPECT(host + SLACK(least) > least, "host_uj: %llu, at least %llu", host, least);
	EXPECT(host < most + SLACK(most), "host_uj: %llu, at most %llu", host, most);
}

static void test_hog(void)
{
	expect_hog(QUICK, BUSY_UW);
}

/* CPU 1 at twice the frequency, and with it twice the power. */
static void test_speed(void)
{
	expect_hog(SOURCE ",200 energy_interval_ms=100", 2 * BUSY_UW);
}

/* From the first moment on, when nothing is known of what the host draws at rest. */
static void test_unknown_idle(void)
{
	__u64 id, truth, uj, error;
	struct energy_totals t;
	struct vcpu *v;

	need_cpus(2);
	meter_cleanup();
	REQUIRE(!meter_load("armed=0 " QUICK), "insmod");
	EXPECT_EQ(meter_u64("energy/package_uj"), 0, "package_uj before the meter is armed");
	pin_thread(0, 0);
	v = spinner(1);
	REQUIRE(!write_file(METER_SYSFS "/armed", "1"), "armed");
	truth = cpu_ns(v->tid);
	id = meter_wait_tid(v->tid);
	sleep_ms(1000);
	vcpu_pause(v);
	energy_wait(1, &t);
	truth = BUSY_UJ(cpu_ns(v->tid) - truth);
	uj = meter_u64("vms/%llu/energy_uj", id);
	error = meter_u64("vms/%llu/energy_error_uj", id);
	tap_diag("%llu uJ +- %llu, by its CPU time %llu", uj, error, truth);
	EXPECT(uj <= truth + error + truth / 50 && truth <= uj + error + truth / 50,
	       "%llu +- %llu does not hold %llu", uj, error, truth);
	EXPECT(error > truth / 10, "an error of %llu only", error);
}

static void spin_ms(unsigned int ms, struct vm **vm)
{
	struct vcpu *v;

	*vm = vm_create(1, 0);
	v = &(*vm)->vcpus[0];
	vcpu_program(v, guest_spin, 1, 0);
	vcpu_start(v, 1);
	sleep_ms(ms);
	vcpu_pause(v);
}

/* Its share is in its final record, though no reading was due while it lived. */
static void test_short(void)
{
	__u64 id, truth, before;
	struct kvm_meter_vm end;
	struct meter_map ended;
	struct vm *vm;

	energy_load_and_learn(QUICK);
	meter_map_open(&ended, "kvm_meter_ended");
	REQUIRE(!write_file(INTERVAL, "10000"), INTERVAL);
	before = meter_u64("energy/readings");
	spin_ms(300, &vm);
	id = meter_wait_tid(vm->vcpus[0].tid);
	truth = BUSY_UJ(cpu_ns(vm->vcpus[0].tid));
	EXPECT(meter_u64("energy/readings") <= before + 1, "a reading was made meanwhile");
	EXPECT(meter_u64("vms/%llu/energy_uj", id) < truth / 2, "it has been billed already");
	vcpu_stop(&vm->vcpus[0]);
	vm_destroy(vm);
	meter_wait_ended(&ended, id, &end);
	tap_diag("%llu uJ +- %llu, by its CPU time %llu", end.energy_uj, end.energy_error_uj, truth);
	/* The one reading goes back to long before it, and what idle took of that is not exact. */
	EXPECT_NEAR(end.energy_uj, truth, end.energy_error_uj + truth / 50,
		    "energy_uj of the final record");
	EXPECT(end.energy_error_uj && end.energy_error_uj < truth / 3, "energy_error_uj %llu",
	       end.energy_error_uj);
	EXPECT(end.flags & KVM_METER_VM_MADE_UP, "flags %x", end.flags);
	energy_expect_status();
}

#define MANY	15

/* One after another, each of them a moment: what all got is what VMs got. */
static void test_many(void)
{
	__u64 id[MANY], truth = 0, sum = 0, readings, began;
	struct kvm_meter_vm end;
	struct meter_map ended;
	struct energy_totals t;
	struct vm *vm;

	energy_load_and_learn(QUICK);
	REQUIRE(!write_file(INTERVAL, "10000"), INTERVAL);
	meter_map_open(&ended, "kvm_meter_ended");
	readings = meter_u64("energy/readings");
	began = raw_ns();
	for (int i = 0; i < MANY; i++) {
		spin_ms(10, &vm);
		id[i] = meter_wait_tid(vm->vcpus[0].tid);
		truth += cpu_ns(vm->vcpus[0].tid);
		vcpu_stop(&vm->vcpus[0]);
		vm_destroy(vm);
	}
	for (int i = 0; i < MANY; i++) {
		meter_wait_ended(&ended, id[i], &end);
		EXPECT(end.energy_uj, "VM %llu of %d used nothing", id[i], MANY);
		sum += end.energy_uj;
	}
	energy_totals(&t);
	tap_diag("%llu uJ in %d records, %llu in vms_uj, by their CPU time %llu, %llu readings",
		 sum, MANY, t.vms_uj, BUSY_UJ(truth), t.readings - readings);
	EXPECT(t.readings - readings <= (raw_ns() - began) / (100 * NSEC_PER_MSEC) + 2,
	       "%llu readings for %d VMs", t.readings - readings, MANY);
	EXPECT(sum <= t.vms_uj && t.vms_uj < sum + MANY, "%llu in %d records, %llu in vms_uj", sum,
	       MANY, t.vms_uj);
	energy_expect_status();
}

#define CPU1	"/sys/devices/system/cpu/cpu1/online"

static void cpu1_online(void)
{
	write_file(CPU1, "1");
}

/* The CPU that the counter was read on goes and comes. */
static void test_offline(void)
{
	struct energy_totals a, b;
	struct vcpu *v;
	__u64 id, uj;
	int ret;

	energy_load_and_learn(QUICK);
	tap_at_end(cpu1_online);
	unpin_thread(0);
	v = spinner(-1);
	id = meter_wait_tid(v->tid);
	energy_wait(2, &a);
	ret = write_file(CPU1, "0");
	if (ret)
		tap_skip("CPU 1 stays: %s", strerror(-ret));
	for (int i = 0; i < 3; i++) {
		energy_wait(2, &a);
		uj = meter_u64("vms/%llu/energy_uj", id);
		write_file(CPU1, i & 1 ? "0" : "1");
		energy_wait(2, &b);
		EXPECT(b.package_uj > a.package_uj, "package_uj stands still");
		EXPECT(meter_u64("vms/%llu/energy_uj", id) > uj, "the VM's energy stands still");
	}
	cpu1_online();
	vcpu_pause(v);
	/* What a CPU did in an interval in which it came or went is partly unknown. */
	energy_wait(1, &b);
	uj = BUSY_UJ(cpu_ns(v->tid));
	EXPECT_NEAR(meter_u64("vms/%llu/energy_uj", id), uj, uj / 5, "energy_uj");
	energy_expect_status();
}

/* Between two readings: who is away is not busy. */
static void test_away(void)
{
	struct energy_totals a, b;
	__u64 span;
	int ret;

	energy_load_and_learn(QUICK);
	tap_at_end(cpu1_online);
	REQUIRE(!write_file(INTERVAL, "10000"), INTERVAL);
	sleep_ms(200);
	energy_totals(&a);
	span = raw_ns();
	ret = write_file(CPU1, "0");
	if (ret)
		tap_skip("CPU 1 stays: %s", strerror(-ret));
	sleep_ms(2500);
	cpu1_online();
	EXPECT_EQ(meter_u64("energy/readings"), a.readings, "readings meanwhile");
	REQUIRE(!write_file(INTERVAL, "100"), INTERVAL);
	energy_wait(0, &b);
	span = raw_ns() - span;
	tap_diag("%llu ms: host %llu uJ, a CPU all the time %llu", span / NSEC_PER_MSEC,
		 b.host_uj - a.host_uj, BUSY_UJ(span));
	EXPECT(b.host_uj - a.host_uj < BUSY_UJ(span) / 2, "host_uj grew by %llu",
	       b.host_uj - a.host_uj);
	energy_expect_status();
}

static void test_params(void)
{
	static const char *const bad[] = {
		"0\n", "9\n", "10001\n", "-1\n", "x\n", "\n", "100 100\n", "99999999999\n",
	};
	static const char *const bad_load[] = {
		"energy_source=", "energy_source=x", "energy_source=test", "energy_source=test:",
		"energy_source=test:1", "energy_source=test:1,x", "energy_source=test:1,2,3",
		"energy_source=test:1,2,100,4", "energy_source=test:100000001,2",
		"energy_source=test:1,2,401", "energy_source=tests:1,2", "energy_source=auto,",
		"energy_interval_ms=9", "energy_interval_ms=10001", "energy_interval_ms=x",
	};
	__u64 readings;
	char buf[32];
	int ret;

	meter_cleanup();
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_load); i++) {
		ret = meter_load(bad_load[i]);
		EXPECT(ret == -EINVAL, "insmod %s: %s", bad_load[i], strerror(-ret));
		if (!ret)
			meter_cleanup();
	}
	energy_load(SOURCE);
	REQUIRE(read_file(INTERVAL, buf, sizeof(buf)) > 0, INTERVAL);
	EXPECT_EQ(atoi(buf), 1000, "energy_interval_ms");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ret = write_file(INTERVAL, bad[i]);
		EXPECT(ret == -EINVAL || ret == -ERANGE, "%s to energy_interval_ms: %s", bad[i],
		       strerror(-ret));
	}
	REQUIRE(read_file(INTERVAL, buf, sizeof(buf)) > 0, INTERVAL);
	EXPECT_EQ(atoi(buf), 1000, "energy_interval_ms after all that");
	EXPECT(write_file(METER_PARAMS "/energy_source", "none") < 0, "energy_source is writable");

	/* At once, not when the interval before is over. */
	EXPECT_EQ(-write_file(INTERVAL, "10000"), 0, "10000 to energy_interval_ms");
	sleep_ms(100);
	EXPECT_EQ(-write_file(INTERVAL, "10"), 0, "10 to energy_interval_ms");
	readings = meter_u64("energy/readings");
	EXPECT(WAIT_FOR(meter_u64("energy/readings") > readings + 20, 3000),
	       "no 20 readings in 3 s");
	EXPECT_EQ(-write_file(INTERVAL, "10000"), 0, "10000 to energy_interval_ms");
	sleep_ms(100);
	readings = meter_u64("energy/readings");
	sleep_ms(1000);
	EXPECT_EQ(meter_u64("energy/readings"), readings, "readings within a second");
	energy_expect_status();
}

static const struct kvm_meter_vm *record(const struct meter_map *map, __u64 id)
{
	for (__u32 i = 0; i < map->max_entries; i++)
		if (((const struct kvm_meter_vm *)meter_map_at(map, i))->vm_id == id)
			return meter_map_at(map, i);
	return NULL;
}

/* sysfs, the maps and the final record say the same. */
static void test_maps(void)
{
	struct meter_map vms, ended, info_map;
	const struct kvm_meter_info *info;
	struct kvm_meter_vm rec, end;
	__u64 id, uj, error;
	struct energy_totals t;
	struct vcpu *v;

	energy_load_and_learn(QUICK);
	meter_map_open(&vms, "kvm_meter_vm");
	meter_map_open(&ended, "kvm_meter_ended");
	meter_map_open(&info_map, "kvm_meter_info");
	info = meter_map_at(&info_map, 0);
	v = spinner(1);
	id = meter_wait_tid(v->tid);
	sleep_ms(500);
	vcpu_pause(v);
	energy_wait(1, &t);
	uj = meter_u64("vms/%llu/energy_uj", id);
	error = meter_u64("vms/%llu/energy_error_uj", id);
	/* At rest: it may wake, for microseconds at a time. */
	REQUIRE(record(&vms, id), "no record of VM %llu", id);
	REQUIRE(WAIT_FOR(meter_vm_read(record(&vms, id), &rec) && rec.energy_uj >= uj, 5000),
		"energy_uj in the map: %llu, in sysfs %llu", rec.energy_uj, uj);
	EXPECT_NEAR(rec.energy_uj, uj, 1000, "energy_uj in the map");
	EXPECT_NEAR(rec.energy_error_uj, error, 1000, "energy_error_uj in the map");
	EXPECT(rec.flags & KVM_METER_VM_MADE_UP, "flags %x", rec.flags);
	EXPECT_EQ(info->energy_kind, KVM_METER_ENERGY_MADE_UP, "energy_kind");
	energy_totals(&t);
	EXPECT(info->package_uj >= t.package_uj, "package_uj %llu, in sysfs %llu",
	       info->package_uj, t.package_uj);
	EXPECT(info->readings >= t.readings, "readings %llu, in sysfs %llu", info->readings,
	       t.readings);
	vcpu_stop(v);
	vm_destroy(v->vm);
	meter_wait_ended(&ended, id, &end);
	EXPECT(end.energy_uj >= rec.energy_uj && end.energy_uj <= rec.energy_uj + 50000,
	       "final record: %llu, before %llu", end.energy_uj, rec.energy_uj);
	EXPECT(end.energy_error_uj >= rec.energy_error_uj, "the error went back");
	energy_expect_status();
}

/* All that there was is in the final record, and nothing grows after it. */
static void test_disarm(void)
{
	struct kvm_meter_vm end;
	struct meter_map ended;
	struct energy_totals a, b;
	struct vcpu *v;
	__u64 id, truth;

	energy_load_and_learn(QUICK);
	REQUIRE(!write_file(INTERVAL, "10000"), INTERVAL);
	meter_map_open(&ended, "kvm_meter_ended");
	v = spinner(1);
	id = meter_wait_tid(v->tid);
	sleep_ms(1000);
	REQUIRE(!write_file(METER_SYSFS "/armed", "0"), "armed");
	truth = BUSY_UJ(cpu_ns(v->tid));
	meter_wait_ended(&ended, id, &end);
	tap_diag("%llu uJ +- %llu, by its CPU time %llu", end.energy_uj, end.energy_error_uj, truth);
	EXPECT_NEAR(end.energy_uj, truth, TOLERANCE(truth) + truth / 10, "energy_uj");
	energy_totals(&a);
	EXPECT_EQ(a.vms_uj, end.energy_uj, "vms_uj");
	sleep_ms(500);
	energy_totals(&b);
	EXPECT_EQ(b.package_uj, a.package_uj, "package_uj while disarmed");
	/* Not what was drawn meanwhile. */
	REQUIRE(!write_file(METER_SYSFS "/armed", "1"), "armed");
	energy_totals(&b);
	EXPECT_EQ(b.package_uj, a.package_uj, "package_uj when armed again");
	id = meter_wait_tid(v->tid);
	vcpu_pause(v);
	REQUIRE(!write_file(INTERVAL, "10"), INTERVAL);
	energy_wait(2, &b);
	EXPECT(meter_u64("vms/%llu/energy_uj", id), "no energy after it was armed again");
	EXPECT(meter_u64("vms/%llu/energy_uj", id) < end.energy_uj, "the VM began with %llu uJ",
	       meter_u64("vms/%llu/energy_uj", id));
	energy_expect_status();
}

static void write_interval(void *arg)
{
	(void)arg;
	for (;;) {
		write_file(INTERVAL, "10");
		write_file(INTERVAL, "5000");
	}
}

static void read_energy(void *arg)
{
	(void)arg;
	run_shell(NULL, 0, "while :; do cat " METER_SYSFS "/energy/* " METER_SYSFS
		  "/vms/*/energy*; done >/dev/null 2>&1");
}

/* Away under a VM, under readers, and under who changes the interval. */
static void test_unload(void)
{
	pid_t writer, reader;
	struct vcpu *v;

	energy_load(SOURCE " energy_interval_ms=10");
	v = spinner(1);
	writer = spawn(write_interval, NULL);
	reader = spawn(read_energy, NULL);
	for (unsigned int i = 0; i < repeats(50); i++) {
		sleep_ms(50);
		energy_load(SOURCE " energy_interval_ms=10");
	}
	end_child(writer);
	end_child(reader);
	REQUIRE(!write_file(INTERVAL, "10"), INTERVAL);
	EXPECT(WAIT_FOR(meter_u64("vms/%llu/energy_uj", meter_wait_tid(v->tid)), 5000),
	       "no energy after all that");
	energy_expect_status();
}

static void test_attributes(void)
{
	static const char *const names[] = {
#define NAME(type, name, desc) "energy/" #name,
		KVM_METER_ENERGY(NAME)
#undef NAME
	};
	char path[64];
	__u64 id;

	energy_load(QUICK);
	id = meter_wait_tid(spinner(-1)->tid);
	expect_file(METER_SYSFS, "energy/source", 0444, 1);
	/* Not for everybody: see CVE-2020-8694. */
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		expect_file(METER_SYSFS, names[i], 0400, 1);
	snprintf(path, sizeof(path), "vms/%llu/energy_uj", id);
	expect_file(METER_SYSFS, path, 0400, 1);
	snprintf(path, sizeof(path), "vms/%llu/energy_error_uj", id);
	expect_file(METER_SYSFS, path, 0400, 1);
	EXPECT(!meter_exists("vms/%llu/vcpus/0/energy_uj", id), "a vCPU has energy_uj");
	/* No window has ended, not every host has siblings and nodes: see sysfs_abi.c. */
	expect_documented(METER_DOC, METER_SYSFS, "active|memory_bytes|huge_bytes|rss_bytes|"
			  "/smt_|remote_ns|/numa|_node|preferred_");
}

static const struct tap_test tests[] = {
	{ "without a counter there is no energy, not 0", test_absent, 0 },
	{ "a host's own counter", test_counted, 0 },
	{ "attributes, their modes and their documentation", test_attributes, 0 },
	{ "parameters, good and bad, and changed while it runs", test_params, 0 },
	{ "a counter that wraps", test_wrap, 0 },
	{ "one busy VM", test_one, 0 },
	{ "two VMs, one to three", test_two, 0 },
	{ "a VM beside a busy host", test_hog, 0 },
	{ "a CPU at twice the frequency", test_speed, 0 },
	{ "the packages' total", test_total, 0 },
	{ "a host whose power at rest is not known", test_unknown_idle, 0 },
	{ "a VM that is shorter than an interval", test_short, 0 },
	{ "many short VMs", test_many, 0 },
	{ "a CPU goes and comes", test_offline, 0 },
	{ "a CPU is away between two readings", test_away, 0 },
	{ "sysfs, maps and final record", test_maps, 0 },
	{ "disarmed and armed again", test_disarm, 0 },
	{ "rmmod beside readers and writers", test_unload, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
