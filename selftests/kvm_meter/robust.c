// SPDX-License-Identifier: GPL-2.0
/* What is done to the meter from outside: hooks switched off, CPUs taken away. */
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FTRACE_ENABLED	"/proc/sys/kernel/ftrace_enabled"
#define KPROBES_ENABLED	"/sys/kernel/debug/kprobes/enabled"
#define CPU1_ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define NOBODY		65534

static bool armed(void)
{
	char buf[256] = "";

	meter_file(buf, sizeof(buf), "status");
	return !strcmp(buf, "armed");
}

/*
 * A VM's whole life with a known number of exits. As long as the meter says
 * that it is armed, all of it has to be true.
 */
static void expect_truth(const char *when)
{
	__u64 exits, id, end = raw_ns() + 3 * NSEC_PER_SEC;
	struct kvm_meter_vm rec;
	struct meter_map ended;
	struct vcpu *v;
	struct vm *vm;

	meter_map_open(&ended, "kvm_meter_ended");
	vm = vm_create(1, 0);
	v = &vm->vcpus[0];
	vcpu_program(v, guest_io, 500, 0);
	vcpu_run(v);
	exits = kvm_stat(v->fd, "exits");
	for (id = 0; !id && armed() && raw_ns() < end; sleep_ms(20))
		id = meter_find_tid(getpid(), NULL);
	vm_destroy(vm);
	/* It may take the worker some time to find the hook gone. */
	if (id && WAIT_FOR(!armed(), 3000))
		return;
	if (!armed()) {
		tap_diag("%s: disarmed, and says so", when);
		return;
	}
	REQUIRE(id, "%s: says armed and misses a VM", when);
	meter_wait_ended(&ended, id, &rec);
	EXPECT_EQ(rec.exits + rec.synthetic_exits, exits, when);
}

static void ftrace_on(void)
{
	write_file(FTRACE_ENABLED, "1\n");
}

static void test_ftrace(void)
{
	int ret;

	meter_reload(NULL);
	tap_at_end(ftrace_on);
	ret = write_file(FTRACE_ENABLED, "0\n");
	tap_diag("0 to ftrace_enabled: %s", ret ? strerror(-ret) : "taken");
	expect_truth("with ftrace switched off");
	ftrace_on();
	meter_reload(NULL);
	expect_truth("after ftrace was off");
	EXPECT(armed(), "not armed after ftrace is on again and a new insmod");
}

static void kprobes_on(void)
{
	write_file(KPROBES_ENABLED, "1\n");
}

static void test_kprobes(void)
{
	int ret;

	if (!file_exists(KPROBES_ENABLED))
		tap_skip("no " KPROBES_ENABLED);
	meter_reload(NULL);
	tap_at_end(kprobes_on);
	ret = write_file(KPROBES_ENABLED, "0\n");
	REQUIRE(!ret, "0 to " KPROBES_ENABLED ": %s", strerror(-ret));
	expect_truth("with kprobes switched off");
	kprobes_on();
	meter_reload(NULL);
	EXPECT(armed(), "not armed after kprobes are on again and a new insmod");
}

static void cpu1_on(void)
{
	write_file(CPU1_ONLINE, "1\n");
}

/* A CPU goes and comes back under running vCPUs. */
static void test_cpu_offline(void)
{
	const struct kvm_meter_vcpu *rec[3];
	struct meter_snap a[3], b[3];
	struct vcpu *v[3];
	struct meter_map map;
	int ret;

	need_cpus(2);
	if (!file_exists(CPU1_ONLINE))
		tap_skip("no " CPU1_ONLINE);
	meter_reload(NULL);
	tap_at_end(cpu1_on);
	meter_map_open(&map, "kvm_meter_vcpu");
	for (int i = 0; i < 3; i++) {
		v[i] = &vm_create(1, 0)->vcpus[0];
		vcpu_program(v[i], i ? guest_spin_io : guest_spin, 1, 0);
		vcpu_start(v[i], -1);
		rec[i] = meter_vcpu(&map, meter_wait_tid(v[i]->tid), 0);
		meter_snap(rec[i], &a[i]);
	}
	for (int i = 0; i < 3; i++) {
		ret = write_file(CPU1_ONLINE, "0\n");
		REQUIRE(!ret, "0 to " CPU1_ONLINE ": %s", strerror(-ret));
		sleep_ms(200);
		cpu1_on();
		sleep_ms(200);
	}
	for (int i = 0; i < 3; i++) {
		v[i]->data->stop = 1;
		vcpu_join(v[i]);
		meter_snap(rec[i], &b[i]);
		meter_diag_delta("CPU 1 came and went", &a[i], &b[i]);
		meter_check_pair(&a[i].h, &b[i].h);
		EXPECT_EQ(b[i].h.exits + b[i].h.synthetic_exits, kvm_stat(v[i]->fd, "exits"),
			  "exits by KVM's statistic");
		EXPECT_NEAR(SNAP_DELTA(a[i], b[i], wall_ns), b[i].raw - a[i].raw,
			    (b[i].raw - a[i].raw) / 1000 + a[i].slack + b[i].slack + 100000,
			    "wall_ns");
	}
	meter_expect_healthy(NULL);
}

static void nobody_lives(void *arg)
{
	char buf[64];

	(void)arg;
	REQUIRE(!setgid(NOBODY) && !setuid(NOBODY), "setuid");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 50; i++) {
		struct vm *vm = vm_create(1 + i % 3, i & 1 ? VM_IRQCHIP : 0);

		vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
		vcpu_run(&vm->vcpus[0]);
		vm_destroy(vm);
		/* It may look, and write nothing. */
		EXPECT(meter_file(buf, sizeof(buf), "status") > 0, "a user cannot read status");
		EXPECT_EQ(-write_file(METER_SYSFS "/armed", "0\n"), EACCES, "errno of a write");
	}
}

static void close_kvm(void)
{
	chmod("/dev/kvm", 0660);
}

/* A user makes VMs and looks around: not a line in the kernel log. */
static void test_log(void)
{
	char buf[1024];

	meter_reload(NULL);
	run_shell(NULL, 0, "dmesg -C");
	tap_at_end(close_kvm);
	REQUIRE(!chmod("/dev/kvm", 0666), "chmod of /dev/kvm");
	EXPECT_EQ(wait_child(spawn(nobody_lives, NULL)), 0, "status of the user's process");
	sleep_ms(1200);
	run_shell(buf, sizeof(buf), "dmesg | grep -iE 'kvm_meter|warn|bug|oops' | head -n 5");
	EXPECT(!buf[0], "in the kernel log: %s", buf);
	meter_expect_healthy(NULL);
}

/* A comm that tries to forge lines. */
static void test_comm(void)
{
	static const char evil[] = "a\nb\x1b[2J\\\xff\t\"";
	char buf[256];
	struct vm *vm;
	__u64 id;

	meter_reload(NULL);
	REQUIRE(!prctl(PR_SET_NAME, evil), "PR_SET_NAME");
	vm = vm_create(1, 0);
	vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
	vcpu_run(&vm->vcpus[0]);
	id = meter_wait_tid(getpid());
	REQUIRE(meter_file(buf, sizeof(buf), "vms/%llu/comm", id) > 0, "no comm");
	tap_diag("comm: %s", buf);
	EXPECT(buf[0] == 'a', "comm does not begin with a");
	for (char *p = buf; *p; p++)
		EXPECT(*p >= ' ' && *p < 0x7f, "comm has a byte %02x in it", (unsigned char)*p);
}

static const struct tap_test tests[] = {
	{ "ftrace switched off", test_ftrace, 0 },
	{ "kprobes switched off", test_kprobes, 0 },
	{ "a CPU goes and comes back", test_cpu_offline, 0 },
	{ "a user's VMs leave no line in the kernel log", test_log, 0 },
	{ "a process name is escaped", test_comm, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
