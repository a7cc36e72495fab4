// SPDX-License-Identifier: GPL-2.0
/* Many VMs, CPUs that come and go, VMs that do: against the model. */
#include "model.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPU1_ONLINE	"/sys/devices/system/cpu/cpu1/online"
/* While they all start, they run, and each event takes its time in the end. */
#define CROWD		(slowness() > 1 ? 16 : 64)
#define DOMAINS		8
#define SLOTS		16

static struct model *m;

/* The model wants cores of one CPU each. */
static void need_cores(void)
{
	need_cpus(2);
	if (cpu_core(0) == cpu_core(1))
		tap_skip("CPUs 0 and 1 are siblings");
	m = model_new();
}

static void run_once(struct model_vm *vm)
{
	int reason = vcpu_run_once(vm->v);

	REQUIRE(!vcpu_handle(vm->v, reason), "the guest has ended");
	REQUIRE(reason == KVM_EXIT_IO, "KVM_RUN gave %d", reason);
}

static void program(struct model_vm *vm)
{
	vcpu_program(vm->v, guest_io, ~0ull, 0);
}

static void start(struct model_vm *vm, int cpu)
{
	vcpu_program(vm->v, guest_spin_io, 0, 0);
	vm->v->yield = true;
	vcpu_start(vm->v, cpu);
}

static void stop_all(void)
{
	for (unsigned int i = 0; i < m->nr; i++)
		if (m->vms[i].vm)
			m->vms[i].v->data->stop = 1;
	for (unsigned int i = 0; i < m->nr; i++)
		if (m->vms[i].vm)
			vcpu_join(m->vms[i].v);
}

/* A core remembers for itself: a vCPU that comes back to a core is no switch. */
static void test_migration(void)
{
	need_cores();
	model_vm(m, 1, 0);
	model_begin(m, "on");
	program(&m->vms[0]);
	for (int i = 0; i < 100; i++) {
		pin_thread(0, i & 1);
		run_once(&m->vms[0]);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 2, "switches");
}

/* Two VMs that exchange their CPUs: each finds the other's traces. */
static void test_exchange(void)
{
	need_cores();
	model_vm(m, 1, 0);
	model_vm(m, 1, 0);
	model_begin(m, "on");
	program(&m->vms[0]);
	program(&m->vms[1]);
	for (int i = 0; i < 100; i++) {
		pin_thread(0, i & 1);
		run_once(&m->vms[0]);
		pin_thread(0, !(i & 1));
		run_once(&m->vms[1]);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 200, "switches");
}

/* A thread moves while it runs, another one stays. */
static void test_moving(void)
{
	need_cores();
	for (int i = 0; i < 3; i++)
		model_vm(m, 1, 0);
	model_begin(m, "on");
	for (int i = 0; i < 3; i++)
		start(&m->vms[i], i & 1);
	for (int i = 0; i < 100; i++) {
		pin_thread(m->vms[0].v->tid, i & 1);
		sleep_ms(10);
	}
	stop_all();
	model_end(m);
	EXPECT(m->got.switches > 50, "%llu switches only", m->got.switches);
}

static void test_successor(void)
{
	need_cores();
	model_vm(m, 1, 0);
	pin_thread(0, 1);
	model_begin(m, "on");
	program(&m->vms[0]);
	run_once(&m->vms[0]);
	run_once(&m->vms[0]);
	for (int i = 1; i <= 20; i++) {
		model_vm_end(m, &m->vms[i - 1]);
		model_vm_bare(m, 1, 0);
		program(&m->vms[i]);
		run_once(&m->vms[i]);
		run_once(&m->vms[i]);
		model_vm_find(m, &m->vms[i]);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 21, "switches");
}

/* The domain survives a VM of it: the next one in it is no stranger. */
static void test_successor_domain(void)
{
	need_cores();
	model_vm(m, 1, 0);
	model_vm(m, 1, 0);
	model_domain(m, &m->vms[0], 3);
	model_domain(m, &m->vms[1], 3);
	pin_thread(0, 1);
	model_begin(m, "on");
	program(&m->vms[0]);
	run_once(&m->vms[0]);
	model_vm_end(m, &m->vms[0]);
	program(&m->vms[1]);
	run_once(&m->vms[1]);
	model_end(m);
	EXPECT_EQ(m->got.switches, 1, "switches");
}

/* But for the last one: the domain's number may be somebody else's then. */
static void test_successor_number(void)
{
	need_cores();
	model_vm(m, 1, 0);
	model_vm(m, 1, 0);
	model_domain(m, &m->vms[0], 3);
	pin_thread(0, 1);
	model_begin(m, "on");
	program(&m->vms[0]);
	run_once(&m->vms[0]);
	model_vm_end(m, &m->vms[0]);
	/* At once: whatever of it is still to be read. */
	witness_mark("empty 3");
	model_domain(m, &m->vms[1], 3);
	program(&m->vms[1]);
	run_once(&m->vms[1]);
	model_end(m);
	EXPECT_EQ(m->got.switches, 2, "switches");
}

/* What the one that is gone had asked for still counts. */
static void test_successor_policy(void)
{
	need_cores();
	model_vm(m, 1, 0);
	model_vm(m, 1, 0);
	model_policy(m, &m->vms[0], KVM_HARDEN_L1D);
	model_policy(m, &m->vms[1], 0);
	pin_thread(0, 1);
	model_begin(m, "on");
	program(&m->vms[0]);
	run_once(&m->vms[0]);
	model_vm_end(m, &m->vms[0]);
	program(&m->vms[1]);
	run_once(&m->vms[1]);
	model_end(m);
	EXPECT_EQ(m->got.switches, 2, "switches");
	if (!harden_kvm_flushes())
		EXPECT_EQ(m->got.l1d, 2, "L1D flushes");
}

/* But for @left of them. */
static void no_slots(int left)
{
	struct vm *filler;

	harden_reload("max_vcpus=16", HARDEN_ASSUME);
	need_cores();
	filler = vm_create_ids(SLOTS - left, 2048, 0);
	for (int i = 0; i < SLOTS - left; i++) {
		vcpu_program(&filler->vcpus[i], guest_io, 2, 0);
		vcpu_run(&filler->vcpus[i]);
	}
	pin_thread(0, 1);
}

/* Without a slot a VM is a domain for itself, of the default policy. */
static void test_no_slot(void)
{
	no_slots(0);
	for (int i = 0; i < 2; i++) {
		model_vm_bare(m, 1, 0);
		program(&m->vms[i]);
		run_once(&m->vms[i]);
	}
	model_begin(m, "on");
	for (int i = 0; i < 50; i++) {
		run_once(&m->vms[0]);
		run_once(&m->vms[0]);
		run_once(&m->vms[1]);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 100, "switches");
	if (!harden_kvm_flushes())
		EXPECT_EQ(m->msr_writes, 200, "MSR writes that the kernel saw");
	harden_reload(NULL, HARDEN_ASSUME);
}

/* Of a VM that has one, it is guarded as that. */
static void test_no_slot_vcpu(void)
{
	no_slots(1);
	model_vm(m, 3, 0);
	model_vm_bare(m, 1, 0);
	EXPECT(!meter_exists("vms/%llu/vcpus/1", m->vms[0].id), "the second vCPU has a slot");
	model_begin(m, "on");
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 3; k++) {
			vcpu_program(&m->vms[0].v[k], guest_io, 2, 0);
			vcpu_run(&m->vms[0].v[k]);
		}
	}
	program(&m->vms[1]);
	run_once(&m->vms[1]);
	vcpu_program(&m->vms[0].v[2], guest_io, 2, 0);
	vcpu_run(&m->vms[0].v[2]);
	model_end(m);
	EXPECT_EQ(m->got.switches, 3, "switches");
	harden_reload(NULL, HARDEN_ASSUME);
}

/* Its address may be used again. */
static void test_no_slot_successor(void)
{
	no_slots(0);
	model_vm_bare(m, 1, 0);
	model_begin(m, "on");
	program(&m->vms[0]);
	run_once(&m->vms[0]);
	for (int i = 1; i <= 20; i++) {
		model_vm_end(m, &m->vms[i - 1]);
		model_vm_bare(m, 1, 0);
		program(&m->vms[i]);
		run_once(&m->vms[i]);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 21, "switches");
	harden_reload(NULL, HARDEN_ASSUME);
}

/* Two that share a domain, and one that has no slot to say so. */
static void test_no_slot_mixed(void)
{
	harden_reload("max_vcpus=16", HARDEN_ASSUME);
	need_cores();
	model_many(m, SLOTS);
	for (int i = 0; i < SLOTS; i++)
		model_domain(m, &m->vms[i], 1);
	model_vm_bare(m, 1, 0);
	program(&m->vms[SLOTS]);
	model_begin(m, "on");
	pin_thread(0, 1);
	for (int i = 0; i < SLOTS; i++) {
		program(&m->vms[i]);
		run_once(&m->vms[i]);
	}
	run_once(&m->vms[SLOTS]);
	for (int i = 0; i < SLOTS; i++)
		run_once(&m->vms[i]);
	model_end(m);
	EXPECT_EQ(m->got.switches, 3, "switches");
	harden_reload(NULL, HARDEN_ASSUME);
}

/*
 * Many VMs in 8 domains, one of them everybody's own, are moved about at random.
 */
static void test_crowd(void)
{
	__u64 end;
	unsigned int seed = 12345;

	need_cores();
	model_many(m, CROWD);
	for (int i = 0; i < CROWD; i++) {
		model_domain(m, &m->vms[i], i % DOMAINS);
		if (i % 5 == 1)
			model_policy(m, &m->vms[i], KVM_HARDEN_IBPB);
		else if (i % 5 == 2)
			model_policy(m, &m->vms[i], KVM_HARDEN_L1D);
		else if (i % 5 == 3)
			model_policy(m, &m->vms[i], 0);
	}
	model_begin(m, "on");
	for (int i = 0; i < CROWD; i++)
		start(&m->vms[i], i & 1);
	tap_diag("all have started");
	end = raw_ns() + repeats(3000) / slowness() * NSEC_PER_MSEC;
	while (raw_ns() < end) {
		int i = rand_r(&seed) % CROWD;

		if (rand_r(&seed) % 4)
			pin_thread(m->vms[i].v->tid, rand_r(&seed) & 1);
		else
			unpin_thread(m->vms[i].v->tid);
		sleep_ms(1);
	}
	tap_diag("all are told to stop");
	stop_all();
	model_end(m);
	EXPECT(m->got.switches > 500 / slowness(), "%llu switches only", m->got.switches);
	EXPECT(m->entries > m->got.switches + 50 / slowness(), "hardly an entry without a switch");
	meter_expect_healthy(NULL);
}

/* The same over again, as a dry run: nothing is done, all is counted. */
static void test_crowd_dry(void)
{
	need_cores();
	model_many(m, 16);
	for (int i = 0; i < 16; i++)
		model_domain(m, &m->vms[i], i % 4);
	model_begin(m, "dry-run");
	for (int i = 0; i < 16; i++)
		start(&m->vms[i], -1);
	sleep_ms(300 / slowness());
	stop_all();
	model_end(m);
	EXPECT_EQ(m->msr_writes, 0, "MSR writes");
	EXPECT(m->got.predicted_ns, "predicted_ns is 0");
}

static void cpu1_on(void)
{
	write_file(CPU1_ONLINE, "1\n");
}

/* A CPU goes and comes back; its core remembers what was there. */
static void test_hotplug(void)
{
	int ret;

	need_cores();
	if (!file_exists(CPU1_ONLINE))
		tap_skip("no " CPU1_ONLINE);
	tap_at_end(cpu1_on);
	for (int i = 0; i < 4; i++)
		model_vm(m, 1, 0);
	model_domain(m, &m->vms[2], 1);
	model_domain(m, &m->vms[3], 1);
	model_begin(m, "on");
	for (int i = 0; i < 4; i++)
		start(&m->vms[i], -1);
	for (int i = 0; i < 4; i++) {
		sleep_ms(200);
		ret = write_file(CPU1_ONLINE, "0\n");
		if (!i && ret == -EBUSY)
			tap_skip("CPU 1 cannot go offline");
		REQUIRE(!ret, "0 to " CPU1_ONLINE ": %s", strerror(-ret));
		sleep_ms(200);
		cpu1_on();
	}
	sleep_ms(200);
	stop_all();
	model_end(m);
	EXPECT(m->got.switches > 20, "%llu switches only", m->got.switches);
	meter_expect_healthy(NULL);
}

/* The module finds one CPU only, and the other one comes later. */
static void test_hotplug_late(void)
{
	int ret;

	need_cores();
	if (!file_exists(CPU1_ONLINE))
		tap_skip("no " CPU1_ONLINE);
	tap_at_end(cpu1_on);
	ret = write_file(CPU1_ONLINE, "0\n");
	if (ret == -EBUSY)
		tap_skip("CPU 1 cannot go offline");
	REQUIRE(!ret, "0 to " CPU1_ONLINE ": %s", strerror(-ret));
	harden_reload(NULL, HARDEN_ASSUME);
	m = model_new();
	model_vm(m, 1, 0);
	model_vm(m, 1, 0);
	model_begin(m, "on");
	cpu1_on();
	pin_thread(0, 1);
	program(&m->vms[0]);
	program(&m->vms[1]);
	for (int i = 0; i < 50; i++) {
		run_once(&m->vms[0]);
		run_once(&m->vms[1]);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 100, "switches");
}

static const struct tap_test tests[] = {
	{ "a vCPU goes from core to core", test_migration, 0 },
	{ "two vCPUs exchange their cores", test_exchange, 0 },
	{ "a vCPU moves while it runs", test_moving, 0 },
	{ "a VM takes the place of one that ended", test_successor, 0 },
	{ "a domain outlives its VM", test_successor_domain, 0 },
	{ "the number of a domain that nobody is left in", test_successor_number, 0 },
	{ "the policy of a VM that is gone", test_successor_policy, 0 },
	{ "VMs without a slot", test_no_slot, 0 },
	{ "a vCPU without a slot", test_no_slot_vcpu, 0 },
	{ "VMs without a slot after each other", test_no_slot_successor, 0 },
	{ "a VM without a slot among others", test_no_slot_mixed, 0 },
	{ "many VMs in 8 domains on 2 CPUs", test_crowd, 180 },
	{ "16 VMs in a dry run", test_crowd_dry, 0 },
	{ "a CPU goes and comes back", test_hotplug, 120 },
	{ "a CPU comes after the module", test_hotplug_late, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
