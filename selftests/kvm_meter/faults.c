// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations that fail: each one of the module's init, those of KVM while a VM
 * is made, and those of the module's worker. The module loads or refuses, says
 * that it was for want of memory, leaves nothing behind, and counts exactly
 * afterwards. Only where the kernel has fault injection: the rig's debug kernel.
 */
#include "inject.h"
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than any of these tests allocates. */
#define NEVER		10000000
/* As many of them fail, evenly spread; with FAULTS_ALL=1 every single one. */
#define INIT_ROUNDS	60
#define VM_ROUNDS	40
#define WORKER_ROUNDS	24
#define EXITS		50

/* Where a function of the kernel is. */
static void find_function(const char *name, unsigned long long *start, unsigned long long *end)
{
	unsigned long long addr;
	char line[512], sym[256];
	FILE *f;

	*start = 0;
	*end = ~0ull;
	for (int pass = 0; pass < 2; pass++) {
		f = fopen("/proc/kallsyms", "r");
		REQUIRE(f, "no /proc/kallsyms");
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, "%llx %*c %255s", &addr, sym) != 2)
				continue;
			if (!pass && !strcmp(sym, name))
				*start = addr;
			if (pass && addr > *start && addr < *end)
				*end = addr;
		}
		fclose(f);
		REQUIRE(*start, "no %s in /proc/kallsyms", name);
	}
}

static void expect_exact(const char *when)
{
	struct vm *vm = vm_create(1, 0);
	struct vcpu *v = &vm->vcpus[0];
	__u64 id;

	vcpu_program(v, guest_io, EXITS, 0);
	vcpu_run(v);
	id = meter_wait_tid(getpid());
	EXPECT(meter_u64("vms/%llu/exits", id) == kvm_stat(v->fd, "exits"),
	       "%s: %llu exits, KVM has %llu", when, meter_u64("vms/%llu/exits", id),
	       kvm_stat(v->fd, "exits"));
	EXPECT(meter_reason_count(id, METER_VM, R_IO) == EXITS + 1, "%s: %llu port exits", when,
	       meter_reason_count(id, METER_VM, R_IO));
	vm_destroy(vm);
	EXPECT(meter_wait_gone(id), "%s: vms/%llu is still there", when, id);
}

static unsigned int step_of(unsigned int nr, unsigned int rounds)
{
	unsigned int step = getenv("FAULTS_ALL") ? 1 : nr / rounds + 1;

	tap_diag("%u allocations, every %u. fails", nr, step);
	return step;
}

/* insmod with the @nth allocation of its init failing; what it said. */
static int load_failing(unsigned int nth, unsigned int *left)
{
	int ret;

	fail_nth(nth);
	ret = meter_load(NULL);
	*left = fail_left();
	return ret;
}

static void test_init(void)
{
	unsigned long long start, end;
	unsigned int n, nr, step, left, refused = 0, loaded = 0;
	char when[64];
	int ret;

	need_injection();
	meter_cleanup();
	find_function("do_one_initcall", &start, &end);
	inject_only(start, end);
	ret = load_failing(NEVER, &left);
	REQUIRE(!ret, "insmod: %s", strerror(-ret));
	nr = NEVER - left;
	REQUIRE(nr > 20 && nr < 5000, "%u allocations in init", nr);
	step = step_of(nr, INIT_ROUNDS);
	for (n = 1;; n += step) {
		meter_cleanup();
		ret = load_failing(n, &left);
		if (left)
			break;
		snprintf(when, sizeof(when), "allocation %u of init failed", n);
		if (ret) {
			refused++;
			/* bpf(2) itself says EINVAL for some of its allocations. */
			EXPECT(ret == -ENOMEM || ret == -EINVAL, "%s: insmod says %s", when,
			       strerror(-ret));
			EXPECT(!meter_loaded(), "%s: the module is loaded", when);
			EXPECT(!file_exists(METER_SYSFS), "%s: " METER_SYSFS " is there", when);
			continue;
		}
		loaded++;
		if (loaded <= 20 || !(loaded % 16))
			expect_exact(when);
		meter_expect_healthy(NULL);
	}
	tap_diag("insmod refused %u times, worked all the same %u times", refused, loaded);
	EXPECT(!ret, "insmod with none left to fail: %s", strerror(-ret));
	EXPECT(refused, "no failure had a consequence");
	stop_injecting();
	meter_reload(NULL);
	expect_exact("afterwards");
	meter_expect_healthy(NULL);
}

struct attempt {		/* shared with the child, which has ended when it is read */
	unsigned int nth, left;
};

/* Whatever fails here ends this process; that is as it should be. */
static void make_vm(void *arg)
{
	struct attempt *a = arg;
	struct vcpu *v;

	tap_do_not_count();
	fail_nth(a->nth);
	v = &vm_create(1, 0)->vcpus[0];
	vcpu_program(v, guest_io, EXITS, 0);
	vcpu_run(v);
	a->left = fail_left();
}

static void test_vm(void)
{
	struct attempt *a = shared_page();
	unsigned int step, died = 0, lived = 0;
	__u64 ids[8];
	pid_t pid;

	need_injection();
	meter_reload(NULL);
	inject_only(0, ~0ull);
	a->nth = NEVER;
	pid = spawn(make_vm, a);
	EXPECT_EQ(wait_child(pid), 0, "status of a VMM without a fault");
	step = step_of(NEVER - a->left, VM_ROUNDS);
	for (a->nth = 1;; a->nth += step) {
		a->left = 0;
		pid = spawn(make_vm, a);
		if (wait_child(pid))
			died++;
		else
			lived++;
		EXPECT(WAIT_FOR(!meter_vms(pid, ids, 8), METER_APPEARS_MS),
		       "allocation %u failed: the VM is still there", a->nth);
		if (a->left)
			break;
	}
	tap_diag("%u VMs died of it, %u lived", died, lived);
	EXPECT(died, "no failure had a consequence");
	stop_injecting();
	expect_exact("afterwards");
	meter_expect_healthy(NULL);
}

/* The worker makes a VM's directories; its final record does not need them. */
static void test_worker(void)
{
	unsigned long long start, end;
	struct kvm_meter_vm record;
	struct meter_map ended;
	unsigned int hit = 0;
	struct vcpu *v;
	struct vm *vm;
	__u64 exits;

	need_injection();
	meter_reload(NULL);
	meter_map_open(&ended, "kvm_meter_ended");
	find_module(METER, &start, &end);
	inject_only(start, end);
	for (unsigned int i = 1; i <= WORKER_ROUNDS; i++) {
		inject("failslab", "interval", i);
		inject("failslab", "times", 1);
		inject("failslab", "probability", 100);
		vm = vm_create(1, 0);
		v = &vm->vcpus[0];
		vcpu_program(v, guest_io, EXITS, 0);
		vcpu_run(v);
		exits = kvm_stat(v->fd, "exits");
		EXPECT(WAIT_FOR(meter_exists("vms/%u/vcpus/0/exits", i), METER_APPEARS_MS),
		       "vms/%u does not appear any more", i);
		vm_destroy(vm);
		/* Ids count up from 1, and this is the only VMM with a vCPU. */
		meter_wait_ended(&ended, i, &record);
		EXPECT_EQ(record.exits + record.synthetic_exits, exits, "exits on record");
		inject("failslab", "probability", 0);
		hit += !inject_left("failslab");
	}
	tap_diag("an allocation failed in %u of %u VMs", hit, WORKER_ROUNDS);
	EXPECT(hit, "no allocation failed");
	stop_injecting();
	expect_exact("afterwards");
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "allocations of init fail in turn", test_init, 600 },
	{ "allocations fail while a VM is made", test_vm, 300 },
	{ "allocations of the worker fail", test_worker, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
