// SPDX-License-Identifier: GPL-2.0
/*
 * Time of vCPUs that sleep: halted, stopped by the VMM, waiting for a page.
 * A vCPU that sleeps through the whole span has no other time in it, to the
 * nanosecond.
 */
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPAN_MS		2000
#define UFFD_GPA	0x40000000ull

static struct meter_map map;
static struct vm *vm;
static struct vcpu *v;
static const struct kvm_meter_vcpu *rec;
static struct meter_snap a, b;

/* The vCPU runs @program and has got to where it sleeps. */
static void start(unsigned int flags, const char *program, __u64 count, __u64 arg)
{
	meter_map_open(&map, "kvm_meter_vcpu");
	vm = vm_create(1, flags);
	v = &vm->vcpus[0];
	vcpu_program(v, program, count, arg);
	vcpu_start(v, -1);
	rec = meter_vcpu(&map, meter_wait_tid(v->tid), 0);
	sleep_ms(200);
}

/* Nothing but idle_ns in a span; of it, blocked_ns or not. */
static void only_idle(const char *what, bool blocked)
{
	meter_snap(rec, &a);
	sleep_ms(SPAN_MS);
	meter_snap(rec, &b);
	meter_diag_delta(what, &a, &b);
	meter_check_pair(&a.h, &b.h);
	EXPECT_NEAR(SNAP_DELTA(a, b, idle_ns), b.raw - a.raw,
		    (b.raw - a.raw) / 1000 + a.slack + b.slack + 100000, "idle_ns");
	EXPECT_EQ(SNAP_DELTA(a, b, idle_ns), SNAP_DELTA(a, b, wall_ns), "idle_ns of wall_ns");
	EXPECT_EQ(SNAP_DELTA(a, b, exits), 0, "exits");
	EXPECT_EQ(SNAP_DELTA(a, b, blocked_ns), blocked ? SNAP_DELTA(a, b, idle_ns) : 0,
		  "blocked_ns");
}

static void test_halted(void)
{
	struct meter_counters c;

	start(VM_IRQCHIP, guest_hlt, 1, 0);
	only_idle("halted", false);
	EXPECT_EQ(b.h.state, KVM_METER_IDLE, "state");
	meter_counters(b.h.vm_id, 0, &c);
	EXPECT(c.idle_ns >= b.h.idle_ns, "sysfs says idle_ns %llu, the map %llu", c.idle_ns,
	       b.h.idle_ns);
	vcpu_pause(v);
	vcpu_wake(v);
	vcpu_resume(v);
	vcpu_join(v);
	EXPECT_EQ(v->data->progress, 1, "HLTs");
}

/* Woken every 20 ms by its own timer; the VMM has no part in it. */
static void test_halted_timer(void)
{
	__u64 wall;

	start(VM_IRQCHIP, guest_timer, 1000000, 20000000);
	meter_snap(rec, &a);
	sleep_ms(SPAN_MS);
	meter_snap(rec, &b);
	meter_diag_delta("halted, 50 timers a second", &a, &b);
	meter_check_pair(&a.h, &b.h);
	wall = b.raw - a.raw;
	/* An emulated wake-up takes up to a millisecond or two. */
	EXPECT(SNAP_DELTA(a, b, idle_ns) > wall * 7 / 10, "idle_ns under 70 %% of wall");
	EXPECT(SNAP_DELTA(a, b, blocked_ns) < wall / 50, "blocked_ns over 2 %% of wall");
	v->data->stop = 1;
	vcpu_join(v);
}

/* The VMM keeps the thread from KVM_RUN. */
static void test_paused(void)
{
	start(0, guest_spin, 1, 0);
	vcpu_pause(v);
	sleep_ms(50);
	only_idle("stopped by the VMM", false);
	vcpu_resume(v);
	sleep_ms(50);
	meter_snap(rec, &b);
	EXPECT(b.h.guest_ns > a.h.guest_ns, "no guest time after the pause");
	v->data->stop = 1;
	vcpu_join(v);
}

/* Without irqchip the VMM itself sleeps for the guest's HLT. */
static void test_halted_in_vmm(void)
{
	__u64 wall;

	start(0, guest_done, 1, 0);
	vcpu_join(v);
	vcpu_program(v, guest_hlt, 1, 0);
	EXPECT_EQ(vcpu_run_once(v), KVM_EXIT_HLT, "exit");
	meter_snap(rec, &a);
	sleep_ms(SPAN_MS);
	meter_snap(rec, &b);
	meter_diag_delta("HLT given to the VMM, which sleeps", &a, &b);
	meter_check_pair(&a.h, &b.h);
	wall = b.raw - a.raw;
	EXPECT(SNAP_DELTA(a, b, idle_ns) > wall * 9 / 10, "idle_ns under 90 %% of wall");
	EXPECT_EQ(SNAP_DELTA(a, b, blocked_ns), 0, "blocked_ns");
}

/* Guest memory at UFFD_GPA that is there only when the test says so. */
static int uffd_memory(char **mem)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		tap_skip("no userfaultfd: %s", strerror(errno));
	*mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(*mem != MAP_FAILED, "mmap");
	REQUIRE(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API: %s", strerror(errno));
	reg.range.start = (unsigned long)*mem;
	reg.range.len = 4096;
	REQUIRE(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s", strerror(errno));
	vm_add_memory(vm, 1, UFFD_GPA, *mem, 4096);
	return fd;
}

static void uffd_serve(int fd, char *mem)
{
	struct uffdio_zeropage zero = { .range = { (unsigned long)mem, 4096 } };

	REQUIRE(!ioctl(fd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE: %s", strerror(errno));
}

static void blocked_on_page(unsigned int flags, const char *what)
{
	char *mem;
	int fd;

	start(flags, guest_done, 1, 0);
	vcpu_join(v);
	fd = uffd_memory(&mem);
	vcpu_program(v, guest_touch, 1, UFFD_GPA);
	if (flags & VM_IRQCHIP) {
		struct kvm_regs regs;

		REQUIRE(!ioctl(v->fd, KVM_GET_REGS, &regs), "KVM_GET_REGS");
		regs.rflags |= 0x200;
		REQUIRE(!ioctl(v->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	}
	vcpu_start(v, -1);
	sleep_ms(300);
	EXPECT_EQ(v->data->progress, 0, "the guest got its page early: progress");
	only_idle(what, true);
	uffd_serve(fd, mem);
	vcpu_join(v);
	EXPECT_EQ(v->data->progress, 1, "progress");
}

/* In KVM's fault handler, in the vCPU's thread. */
static void test_blocked(void)
{
	blocked_on_page(0, "waits for a page");
}

/*
 * With interrupts on KVM takes an asynchronous page fault: a worker waits for
 * the page, and the vCPU sleeps where a halted one would. It is not halted.
 */
static void test_blocked_async(void)
{
	blocked_on_page(VM_IRQCHIP, "waits for a page, asynchronously");
}

static void test_halt_poll(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HALT_POLL, .args = { 20000000 } };
	__u64 kvm;

	start(VM_IRQCHIP, guest_done, 1, 0);
	vcpu_join(v);
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		tap_skip("KVM_CAP_HALT_POLL: %s", strerror(errno));
	vcpu_program(v, guest_timer, 300, 1000000);
	vcpu_run(v);
	/* KVM's own counter is taken over off the entry path, by the fold. */
	sleep_ms(1500);
	meter_snap(rec, &b);
	kvm = kvm_stat(v->fd, "halt_poll_success_ns") + kvm_stat(v->fd, "halt_poll_fail_ns");
	EXPECT(kvm > 0, "KVM did not poll");
	EXPECT_EQ(b.h.halt_poll_ns, kvm, "halt_poll_ns by KVM's statistics");
	EXPECT(b.h.halt_poll_ns <= b.h.host_ns, "halt_poll_ns %llu > host_ns %llu",
	       b.h.halt_poll_ns, b.h.host_ns);
	EXPECT_EQ(meter_u64("vms/%llu/halt_poll_ns", b.h.vm_id), kvm, "halt_poll_ns in sysfs");
}

static const struct tap_test tests[] = {
	{ "halted: idle, without an exit", test_halted, 0 },
	{ "halted and woken by its timer: idle", test_halted_timer, 0 },
	{ "stopped by the VMM: idle, not blocked", test_paused, 0 },
	{ "HLT given to the VMM: idle, not blocked", test_halted_in_vmm, 0 },
	{ "waiting for a page: blocked", test_blocked, 0 },
	{ "waiting for a page asynchronously: blocked", test_blocked_async, 0 },
	{ "halt polling equals KVM's statistics", test_halt_poll, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
