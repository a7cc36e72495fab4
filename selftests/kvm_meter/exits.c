// SPDX-License-Identifier: GPL-2.0
/*
 * Exits are exact: a guest makes a known number of each kind, and sysfs, the
 * map and KVM's own statistic say that number, no more and no less.
 *
 * Timer ticks of the host make the guest exit as well, at any moment, under
 * reasons of their own; so do first touches of memory. The reasons that the
 * guest chooses are therefore compared one by one.
 */
#include "meter.h"
#include "vmm.h"

#include <string.h>
#include <unistd.h>

#define N	1000

static struct vm *vm;
static struct vcpu *v;
static __u64 id;

/* A VM that runs and is in sysfs, with all that is touched already touched. */
static void start(unsigned int flags)
{
	vm = vm_create(1, flags);
	v = &vm->vcpus[0];
	vcpu_program(v, guest_io, 10, 0);
	vcpu_run(v);
	vcpu_program(v, guest_mmio, 10, 0);
	vcpu_run(v);
	id = meter_wait_tid(getpid());
}

static __u64 count(const char *names)
{
	return meter_reason_count(id, 0, names);
}

/* Run @program for N rounds: reason @names grows by N + @more. */
static void exact(const char *program, const char *names, __u64 more)
{
	__u64 before = count(names);

	vcpu_program(v, program, N, 0);
	vcpu_run(v);
	EXPECT_EQ(v->data->progress, N, "rounds that the guest made");
	EXPECT_EQ(count(names) - before, N + more, names);
	meter_expect_healthy(NULL);
}

static void test_io(void)
{
	start(0);
	exact(guest_io, R_IO, 1);	/* and one that says the end */
	EXPECT_EQ(v->io, N + 10, "port exits that the VMM saw");
}

static void test_cpuid(void)
{
	start(0);
	exact(guest_cpuid, R_CPUID, 0);
}

static void test_rdmsr(void)
{
	start(0);
	exact(guest_rdmsr, "msr|MSR_READ", 0);
}

static void test_wrmsr(void)
{
	start(0);
	exact(guest_wrmsr, "msr|MSR_WRITE", 0);
}

static void test_mmio(void)
{
	start(0);
	exact(guest_mmio, R_MMIO, 0);
	EXPECT_EQ(v->mmio, N + 10, "MMIO exits that the VMM saw");
}

static void test_hlt_user(void)
{
	start(0);
	exact(guest_hlt, R_HLT, 0);
	EXPECT_EQ(v->hlts, N, "HLT exits that the VMM saw");
}

/* HLT that KVM handles, ended by the guest's own timer. */
static void test_hlt_irqchip(void)
{
	__u64 hlts, msrs, irqs;

	start(VM_IRQCHIP);
	hlts = count(R_HLT);
	msrs = count(R_MSR);
	vcpu_program(v, guest_timer, 200, 300000);
	vcpu_run(v);
	/* KVM may deliver one that had expired already; each has its EOI. */
	irqs = v->data->irqs;
	EXPECT(irqs >= 200 && irqs <= 202, "timer interrupts: %llu", irqs);
	/* A timer that fires before the HLT makes the guest skip it or repeat it. */
	EXPECT_NEAR(count(R_HLT) - hlts, 200, 20, R_HLT);
	if (!kvm_is_intel())
		EXPECT_EQ(count(R_MSR) - msrs, 200 + irqs + 3, R_MSR);
	meter_expect_healthy(NULL);
}

/* The sum over reasons, entries, and what KVM itself counts. */
static void test_kvm_stat(void)
{
	struct meter_reason r[KVM_METER_REASONS];
	struct meter_counters c;
	unsigned int n;
	__u64 sum = 0;

	start(VM_IRQCHIP);
	vcpu_program(v, guest_io, N, 0);
	vcpu_run(v);
	vcpu_program(v, guest_cpuid, N, 0);
	vcpu_run(v);
	meter_counters(id, 0, &c);
	n = meter_reasons(id, 0, r, ARRAY_SIZE(r));
	for (unsigned int i = 0; i < n; i++)
		sum += r[i].count;
	EXPECT_EQ(sum, c.exits, "sum over reasons");
	EXPECT_EQ(c.exits + c.synthetic_exits, kvm_stat(v->fd, "exits"),
		  "exits + synthetic_exits, by KVM's statistic");
	EXPECT_EQ(c.entries, c.exits, "entries of a vCPU that is out of its guest");
	EXPECT_EQ(c.synthetic_exits, 0, "synthetic_exits of a guest that has none");
}

/* One store: the VM's files, the vCPU's and the map agree to the last count. */
static void test_one_store(void)
{
	struct meter_counters c, sum;
	struct meter_map vcpus, info;
	const struct kvm_meter_vcpu *rec;
	const struct kvm_meter_info *names;
	__u64 counts = 0;

	start(0);
	vcpu_program(v, guest_io, N, 0);
	vcpu_run(v);
	meter_map_open(&vcpus, "kvm_meter_vcpu");
	meter_map_open(&info, "kvm_meter_info");
	rec = meter_vcpu(&vcpus, id, 0);
	names = meter_map_at(&info, 0);
	meter_counters(id, 0, &c);
	meter_counters(id, METER_VM, &sum);
	EXPECT_EQ(c.exits, rec->exits, "exits in sysfs and map");
	EXPECT_EQ(c.entries, rec->entries, "entries in sysfs and map");
	EXPECT_EQ(c.guest_ns, rec->guest_ns, "guest_ns in sysfs and map");
	EXPECT_EQ(sum.exits, c.exits, "exits of the VM and its one vCPU");
	EXPECT_EQ(sum.guest_ns, c.guest_ns, "guest_ns of the VM and its one vCPU");
	for (unsigned int i = 0; i < KVM_METER_REASONS; i++) {
		const struct kvm_meter_reason *r = &rec->reasons[i];
		__u64 hist = 0;

		for (unsigned int b = 0; b < KVM_METER_HIST; b++)
			hist += r->hist[b];
		counts += r->count;
		if (!r->count)
			continue;
		EXPECT(names->names[i].name[0], "reason %u was met and has no name", i);
		/* The time of the last exit is not known before the next entry. */
		EXPECT(hist == r->count || hist + 1 == r->count,
		       "histogram of %s sums up to %llu, count is %llu", names->names[i].name,
		       hist, r->count);
		EXPECT_EQ(meter_reason_count(id, 0, names->names[i].name), r->count,
			  names->names[i].name);
	}
	EXPECT_EQ(counts, rec->exits, "sum over reasons in the map");
}

/*
 * The time of port exits, by the VMM's clock around all of them. All times of all
 * reasons are host, steal or idle time.
 */
static void test_reason_time(void)
{
	struct meter_reason before[KVM_METER_REASONS], r[KVM_METER_REASONS];
	unsigned int n, nb;
	struct meter_counters c;
	__u64 t0, t1, io = 0, all = 0, burn = 200000;

	start(0);
	/* The time of the last exit before the loop begins here, too. */
	vcpu_program(v, guest_done, 0, 0);
	t0 = raw_ns();
	vcpu_run(v);
	nb = meter_reasons(id, 0, before, ARRAY_SIZE(before));
	v->burn_ns = burn;
	vcpu_program(v, guest_io, N, 0);
	vcpu_run(v);
	/* Another entry, so that the last exit has its time. */
	vcpu_program(v, guest_done, 0, 0);
	vcpu_run(v);
	t1 = raw_ns();
	n = meter_reasons(id, 0, r, ARRAY_SIZE(r));
	meter_counters(id, 0, &c);
	for (unsigned int i = 0; i < n; i++) {
		all += r[i].time_ns;
		if (strstr(R_IO, r[i].name))
			io += r[i].time_ns;
	}
	for (unsigned int i = 0; i < nb; i++)
		if (strstr(R_IO, before[i].name))
			io -= before[i].time_ns;
	EXPECT(io >= N * burn, "time of %u exits of at least %llu ns each: %llu", N, burn, io);
	EXPECT(io <= t1 - t0, "time of port exits %llu, of the loop %llu", io, t1 - t0);
	EXPECT(all <= c.host_ns + c.steal_ns + c.idle_ns,
	       "time of all exits %llu, time outside the guest %llu", all,
	       c.host_ns + c.steal_ns + c.idle_ns);
}

/* Several vCPUs with different numbers, sums in the VM's files. */
static void test_many_vcpus(void)
{
	struct meter_counters c, sum;
	__u64 exits = 0;

	vm = vm_create(5, 0);
	for (unsigned int i = 0; i < vm->nr; i++) {
		vcpu_program(&vm->vcpus[i], guest_io, 100 * (i + 1), 0);
		vcpu_start(&vm->vcpus[i], -1);
	}
	id = meter_wait_tid(vm->vcpus[4].tid);
	for (unsigned int i = 0; i < vm->nr; i++)
		vcpu_join(&vm->vcpus[i]);
	for (unsigned int i = 0; i < vm->nr; i++) {
		EXPECT_EQ(meter_reason_count(id, i, R_IO), 100 * (i + 1) + 1, "port exits");
		meter_counters(id, i, &c);
		EXPECT_EQ(c.exits + c.synthetic_exits, kvm_stat(vm->vcpus[i].fd, "exits"),
			  "exits by KVM's statistic");
		exits += c.exits;
	}
	meter_counters(id, METER_VM, &sum);
	EXPECT_EQ(sum.exits, exits, "exits of the VM");
	EXPECT_EQ(meter_reason_count(id, METER_VM, R_IO), 100 * 15 + 5, "port exits of the VM");
}

static const struct tap_test tests[] = {
	{ "port I/O", test_io, 0 },
	{ "CPUID", test_cpuid, 0 },
	{ "RDMSR", test_rdmsr, 0 },
	{ "WRMSR", test_wrmsr, 0 },
	{ "MMIO", test_mmio, 0 },
	{ "HLT to user space", test_hlt_user, 0 },
	{ "HLT in the kernel, timer", test_hlt_irqchip, 0 },
	{ "sums, and KVM's own statistic", test_kvm_stat, 0 },
	{ "sysfs and map are one store", test_one_store, 0 },
	{ "time per reason", test_reason_time, 0 },
	{ "several vCPUs", test_many_vcpus, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
