// SPDX-License-Identifier: GPL-2.0
/*
 * A guest whose state an Intel CPU without "unrestricted guest" cannot enter
 * with: KVM emulates it, instruction by instruction. KVM counts exits there that
 * have neither an entry nor an exit event.
 */
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REAL_CODE	0x8000
#define N		500

static const char *const unrestricted = "/sys/module/kvm_intel/parameters/unrestricted_guest";

/* Real mode: N times OUT to GUEST_PORT, then one to GUEST_PORT_DONE. */
static const unsigned char real_code[] = {
	0xb9, N & 0xff, N >> 8,			/* mov $N, %cx */
	0xba, GUEST_PORT, 0x00,			/* mov $GUEST_PORT, %dx */
	0xee,					/* out %al, %dx */
	0x49,					/* dec %cx */
	0x75, 0xfc,				/* jnz to the OUT */
	0xba, GUEST_PORT_DONE, 0x00,		/* mov $GUEST_PORT_DONE, %dx */
	0xee,					/* out %al, %dx */
};

static void need_emulation(void)
{
	char buf[8] = "";

	if (!kvm_is_intel())
		tap_skip("KVM on AMD enters with any guest state");
	if (read_file(unrestricted, buf, sizeof(buf)) <= 0 || buf[0] != 'N')
		tap_skip("this CPU has unrestricted guests, so that KVM emulates none");
}

/* Data segments of 4 GiB ("big real mode") are a state that vm86 cannot have. */
static void enter_real_mode(struct vcpu *v)
{
	struct kvm_segment code = {
		.limit = 0xffff, .type = 11, .present = 1, .s = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .type = 3, .present = 1, .s = 1, .g = 1,
	};
	struct kvm_regs regs = { .rip = REAL_CODE, .rsp = 0x7000, .rflags = 2 };
	struct kvm_sregs sregs;

	memcpy(v->vm->mem + REAL_CODE, real_code, sizeof(real_code));
	REQUIRE(!ioctl(v->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.cr0 &= ~0x80000001ull;
	sregs.cr4 = 0;
	sregs.efer = 0;
	REQUIRE(!ioctl(v->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS: %s", strerror(errno));
	REQUIRE(!ioctl(v->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS: %s", strerror(errno));
	v->done = 0;
}

static void check(struct vcpu *v, __u64 id, struct meter_counters *c)
{
	__u64 kvm = kvm_stat(v->fd, "exits");

	/* What KVM made up is seen at the next entry, or by the meter's worker. */
	WAIT_FOR((meter_counters(id, 0, c), c->exits + c->synthetic_exits == kvm),
		 METER_APPEARS_MS);
	EXPECT_EQ(c->exits + c->synthetic_exits, kvm, "exits + synthetic_exits, by KVM's statistic");
	EXPECT_EQ(c->entries, c->exits, "entries");
}

/* Exits that happened, exits that KVM made up, and each knows its own. */
static void test_emulated(void)
{
	struct meter_counters before, real;
	struct vcpu *v;
	__u64 id, host;

	need_emulation();
	v = &vm_create(1, 0)->vcpus[0];
	vcpu_program(v, guest_io, 100, 0);
	vcpu_run(v);
	id = meter_wait_tid(getpid());
	check(v, id, &before);
	EXPECT_EQ(before.synthetic_exits, 0, "synthetic_exits of a guest in long mode");

	enter_real_mode(v);
	v->io = 0;
	vcpu_run(v);
	EXPECT_EQ(v->io, N, "port exits that the VMM saw");
	check(v, id, &real);
	tap_diag("%llu exits, %llu synthetic", real.exits - before.exits,
		 real.synthetic_exits - before.synthetic_exits);
	EXPECT(real.synthetic_exits >= N, "synthetic_exits: %llu", real.synthetic_exits);
	EXPECT_EQ(real.exits - before.exits, 0, "exits of a guest that is emulated");
	EXPECT_EQ(real.guest_ns - before.guest_ns, 0, "guest_ns of a guest that is emulated");
	host = real.host_ns + real.steal_ns + real.idle_ns -
	       (before.host_ns + before.steal_ns + before.idle_ns);
	EXPECT(host > 0, "no time went by");
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "a guest that KVM emulates has synthetic exits", test_emulated, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
