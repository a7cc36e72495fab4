// SPDX-License-Identifier: GPL-2.0
/* More vCPUs than slots, and users who take all that they can get. */
#include "meter.h"
#include "vmm.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#define SLOTS	16
#define NOBODY	65534

/* Of @vm, the vCPUs on record; each of them has to be exact. */
static unsigned int exact_vcpus(struct vm *vm, __u64 id)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < vm->nr; i++) {
		if (!meter_exists("vms/%llu/vcpus/%u", id, i))
			continue;
		nr++;
		EXPECT_EQ(meter_reason_count(id, i, R_IO), vm->vcpus[i].io + 1, "port exits");
		EXPECT_EQ(meter_u64("vms/%llu/vcpus/%u/exits", id, i) +
			  meter_u64("vms/%llu/vcpus/%u/synthetic_exits", id, i),
			  kvm_stat(vm->vcpus[i].fd, "exits"), "exits");
	}
	return nr;
}

static void run_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr; i++) {
		vcpu_program(&vm->vcpus[i], guest_io, 20 * (i + 1), 0);
		vcpu_run(&vm->vcpus[i]);
	}
}

static void test_overflow(void)
{
	struct kvm_meter_vm rec;
	struct meter_map ended;
	struct vm *vm;
	char buf[256];
	__u64 id;

	meter_reload("max_vcpus=16");
	meter_map_open(&ended, "kvm_meter_ended");
	vm = vm_create(40, 0);
	run_all(vm);
	id = meter_wait_pid(getpid());
	EXPECT_EQ(exact_vcpus(vm, id), SLOTS, "vCPUs on record");
	EXPECT_EQ(meter_u64("health/vcpu_overflows"), 40 - SLOTS, "health/vcpu_overflows");
	meter_file(buf, sizeof(buf), "status");
	EXPECT(!strcmp(buf, "armed"), "status: %s", buf);
	vm_destroy(vm);
	meter_wait_ended(&ended, id, &rec);
	EXPECT(rec.flags & KVM_METER_VM_PARTIAL, "flags of the final record: %x", rec.flags);
	EXPECT(meter_wait_gone(id), "vms/%llu is still there", id);

	/* Slots that became free serve again, with nothing of the dead in them. */
	for (int i = 0; i < 3; i++) {
		vm = vm_create(SLOTS, 0);
		run_all(vm);
		id = meter_wait_pid(getpid());
		REQUIRE(WAIT_FOR(meter_exists("vms/%llu/vcpus/15", id), METER_APPEARS_MS), "vcpus/15");
		EXPECT_EQ(exact_vcpus(vm, id), SLOTS, "vCPUs on record");
		vm_destroy(vm);
		EXPECT(meter_wait_gone(id), "vms/%llu is still there", id);
	}
	EXPECT_EQ(meter_u64("health/vcpu_overflows"), 40 - SLOTS, "health/vcpu_overflows");
	meter_expect_healthy("vcpu_overflows");
}

/* The kernel log says it once, not 24 times. */
static void test_said_once(void)
{
	char buf[32];
	struct vm *vm;

	meter_reload("max_vcpus=16");
	run_shell(NULL, 0, "dmesg -C");
	vm = vm_create(40, 0);
	run_all(vm);
	run_all(vm);
	meter_wait_pid(getpid());
	sleep_ms(1500);
	run_shell(buf, sizeof(buf), "dmesg | grep -c kvm_meter");
	EXPECT(!strcmp(buf, "1\n"), "lines of kvm_meter in the kernel log: %s", buf);
}

static void become_nobody(void)
{
	REQUIRE(!setgid(NOBODY) && !setuid(NOBODY), "setuid");
	/* setuid() takes it off. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void open_kvm_to_all(void)
{
	struct stat st;

	REQUIRE(!stat("/dev/kvm", &st) && !chmod("/dev/kvm", 0666), "chmod of /dev/kvm");
}

static void close_kvm(void)
{
	chmod("/dev/kvm", 0660);
}

static void nobody_takes_all(void *arg)
{
	struct vm *vm;

	become_nobody();
	vm = vm_create(40, 0);
	run_all(vm);
	*(volatile int *)arg = 1;
	for (;;)
		pause();
}

/* Three quarters at most for one that is not root. */
static void test_share(void)
{
	volatile int *ready = shared_page();
	__u64 id, ids[4];
	unsigned int nr = 0;
	struct vm *vm;
	pid_t pid;

	meter_reload("max_vcpus=16");
	tap_at_end(close_kvm);
	open_kvm_to_all();
	pid = spawn(nobody_takes_all, (void *)ready);
	REQUIRE(WAIT_FOR(*ready, 20000), "the user's VM did not run");
	REQUIRE(WAIT_FOR(meter_vms(pid, ids, 4), METER_APPEARS_MS), "the user's VM");
	for (int i = 0; i < 40; i++)
		nr += meter_exists("vms/%llu/vcpus/%d", ids[0], i);
	EXPECT_EQ(nr, SLOTS * 3 / 4, "vCPUs of a user on record");
	vm = vm_create(SLOTS / 4, 0);
	run_all(vm);
	id = meter_wait_pid(getpid());
	EXPECT_EQ(exact_vcpus(vm, id), SLOTS / 4, "vCPUs of root on record");
	EXPECT_EQ(meter_u64("vms/%llu/uid", ids[0]), NOBODY, "uid");
	end_child(pid);
	EXPECT(meter_wait_gone(ids[0]), "vms/%llu is still there", ids[0]);
	meter_expect_healthy("vcpu_overflows");
}

static void nobody_bombs(void *arg)
{
	volatile __u64 *vms = arg;

	become_nobody();
	for (;;) {
		struct vm *vm = vm_create(2, 0);

		run_all(vm);
		vm_destroy(vm);
		__atomic_add_fetch(vms, 1, __ATOMIC_SEQ_CST);
	}
}

/* Tiny VMs without end beside root's: its record is exact, and remains. */
static void test_bomb(void)
{
	struct kvm_meter_vm rec;
	struct meter_map ended;
	volatile __u64 *vms = shared_page();
	__u64 id, exits = 0;
	struct vm *vm;
	pid_t pid[3];

	meter_reload("max_vcpus=16");
	meter_map_open(&ended, "kvm_meter_ended");
	tap_at_end(close_kvm);
	open_kvm_to_all();
	for (int i = 0; i < 3; i++)
		pid[i] = spawn(nobody_bombs, (void *)vms);
	REQUIRE(WAIT_FOR(*vms > 20, 20000), "the bomb did not go off");
	vm = vm_create(SLOTS / 4, 0);
	run_all(vm);
	id = meter_wait_pid(getpid());
	EXPECT_EQ(exact_vcpus(vm, id), SLOTS / 4, "vCPUs of root on record");
	run_all(vm);
	for (unsigned int i = 0; i < vm->nr; i++)
		exits += kvm_stat(vm->vcpus[i].fd, "exits");
	vm_destroy(vm);
	meter_wait_ended(&ended, id, &rec);
	sleep_ms(3000);
	for (int i = 0; i < 3; i++)
		end_child(pid[i]);
	tap_diag("%llu VMs of a user beside it", *vms);
	meter_wait_ended(&ended, id, &rec);
	EXPECT_EQ(rec.exits + rec.synthetic_exits, exits, "exits in root's final record");
	EXPECT_EQ(rec.uid, 0, "uid of root's final record");
	meter_expect_healthy("vcpu_overflows vm_overflows");
}

static const struct tap_test tests[] = {
	{ "40 vCPUs in 16 slots", test_overflow, 0 },
	{ "it is said once", test_said_once, 0 },
	{ "a user has three quarters at most", test_share, 0 },
	{ "a bomb of tiny VMs pushes no other record out", test_bomb, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
