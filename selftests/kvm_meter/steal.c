// SPDX-License-Identifier: GPL-2.0
/*
 * steal_ns is what the guest itself is told: KVM writes the time that the
 * vCPU's thread waited for a CPU into the guest's memory (MSR_KVM_STEAL_TIME).
 */
#include "meter.h"
#include "vmm.h"

#include <asm/kvm_para.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct meter_map map;

static void compete(void *arg)
{
	(void)arg;
	pin_thread(0, 1);
	for (;;)
		;
}

/* KVM adds what the thread waited at its next entry: both sides at rest. */
static void test_msr(void)
{
	const struct kvm_meter_vcpu *rec;
	volatile struct kvm_steal_time *st;
	__u64 told, wall;
	struct meter_snap a, b;
	struct vcpu *v;
	struct vm *vm;
	pid_t other;

	need_cpus(2);
	pin_thread(0, 0);
	meter_map_open(&map, "kvm_meter_vcpu");
	vm = vm_create(1, VM_IRQCHIP);
	v = &vm->vcpus[0];
	st = (void *)(vm->mem + GUEST_SPARE);
	vcpu_set_msr(v, MSR_KVM_STEAL_TIME, GUEST_SPARE | 1);
	vcpu_program(v, guest_spin, 1, 0);
	vcpu_start(v, 1);
	rec = meter_vcpu(&map, meter_wait_tid(v->tid), 0);
	sleep_ms(100);
	meter_snap(rec, &a);
	told = st->steal;
	other = spawn(compete, NULL);
	sleep_ms(4000);
	end_child(other);
	sleep_ms(200);
	meter_snap(rec, &b);
	told = st->steal - told;
	meter_diag_delta("beside a competitor", &a, &b);
	tap_diag("the guest was told of %llu us", told / 1000);
	meter_check_pair(&a.h, &b.h);
	wall = b.raw - a.raw;
	EXPECT(told > wall / 4, "the guest was told of %llu ns only", told);
	/* Of the same waits; a short one may fall between the two reads. */
	EXPECT_NEAR(SNAP_DELTA(a, b, steal_ns), told, told / 50 + 10 * NSEC_PER_MSEC,
		    "steal_ns by the guest's steal clock");
}

static const struct tap_test tests[] = {
	{ "steal_ns is what the guest's steal clock says", test_msr, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
