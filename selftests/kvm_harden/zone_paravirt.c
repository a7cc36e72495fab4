// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against what KVM writes on the guest's word: a guest names an
 * address for its clock, its steal time and the like, and that address is in the
 * zone. With the zone there KVM may refuse the address or fail to write.
 *
 * The address is given while the zone stands; where KVM goes on writing by
 * itself it is also given before.
 */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define WALL_CLOCK	0x4b564d00
#define SYSTEM_TIME	0x4b564d01
#define ASYNC_PF	0x4b564d02
#define STEAL_TIME	0x4b564d03
#define PV_EOI		0x4b564d04
#define ASYNC_PF_INT	0x4b564d06
#define SMBASE		0x9e
#define HV_GUEST_OS_ID	0x40000000
#define HV_HYPERCALL	0x40000001
#define HV_REFERENCE_TSC 0x40000021
#define HV_VP_ASSIST	0x40000073
#define HV_SIEFP	0x40000082
#define HV_SIMP		0x40000083
#define XEN_PAGE_MSR	0x40000200
#define XEN_NOWHERE	(~0ull)
#define HC_CLOCK_PAIRING 9
#define SMM_SAVE	0xf000		/* the page of the state, from SMBASE */
#define SMM_ENTRY	0x8000
#define SMM_SLOT	0x10000	/* the address space of SMM */

struct word {
	const char *name;
	/* Name the address, or take it back: 0 or -errno. */
	int (*give)(struct scene *s, bool on);
	/* Let KVM write; NULL: it did when it was given. */
	void (*use)(struct scene *s);
	unsigned int flags;	/* of the VM */
	size_t zeros;		/* it has to begin with so many: a free slot, a TPR of 0 */
};

/* As the VMM: 0 or -EINVAL. */
static int host_msr(struct scene *s, __u32 msr, __u64 value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = msr, .data = value },
	};

	return ioctl(s->v->fd, KVM_SET_MSRS, &msrs) == 1 ? 0 : -EINVAL;
}

/* As the guest; what was given is taken back by the VMM, whose word counts always. */
static int guest_msr(struct scene *s, const char *program, __u32 msr, __u64 value)
{
	enum scene_end end;

	if (!value)
		return host_msr(s, msr, 0);
	end = scene_run(s, program, msr, value);
	if (end != SCENE_RAN)
		tap_diag("MSR 0x%x: %s", msr, scene_end_text(s, end));
	return end == SCENE_RAN && s->v->data->progress ? 0 : -EINVAL;
}

static void use_run(struct scene *s)
{
	for (int i = 0; i < 3; i++)
		scene_run(s, guest_done, 1, 0);
}

static int give_system_time(struct scene *s, bool on)
{
	return guest_msr(s, guest_set_msr, SYSTEM_TIME, on ? s->gpa | 1 : 0);
}

/* The clock is set, so that its page has to be written anew. */
static void use_clock(struct scene *s)
{
	struct kvm_clock_data data = { .clock = 1000 };

	REQUIRE(!ioctl(s->vm->fd, KVM_SET_CLOCK, &data), "KVM_SET_CLOCK: %s", strerror(errno));
	use_run(s);
}

static int give_wall_clock(struct scene *s, bool on)
{
	return guest_msr(s, guest_set_msr, WALL_CLOCK, on ? s->gpa : 0);
}

static int give_steal_time(struct scene *s, bool on)
{
	return guest_msr(s, guest_set_msr, STEAL_TIME, on ? s->gpa | 1 : 0);
}

/* To switch it on wakes all that waits: KVM writes that a page is there. */
static int give_async_pf(struct scene *s, bool on)
{
	host_msr(s, ASYNC_PF_INT, GUEST_VECTOR);
	return guest_msr(s, guest_async_pf, ASYNC_PF, on ? s->gpa | 9 : 0);
}

static int give_pv_eoi(struct scene *s, bool on)
{
	return guest_msr(s, guest_set_msr, PV_EOI, on ? s->gpa | 1 : 0);
}

static void use_timer(struct scene *s)
{
	scene_run(s, guest_timer, 3, 1000000);
}

static int give_vapic(struct scene *s, bool on)
{
	struct kvm_vapic_addr addr = { .vapic_addr = on ? s->gpa : 0 };

	return ioctl(s->v->fd, KVM_SET_VAPIC_ADDR, &addr) ? -errno : 0;
}

static int give_clock_pairing(struct scene *s, bool on)
{
	if (!on)
		return 0;
	scene_run(s, kvm_is_intel() ? guest_vmcall : guest_vmmcall, HC_CLOCK_PAIRING, s->gpa);
	return (int)s->v->data->loot;
}

static int give_hv_hypercall(struct scene *s, bool on)
{
	host_msr(s, HV_HYPERCALL, 0);
	host_msr(s, HV_GUEST_OS_ID, on ? 1 : 0);
	return on ? host_msr(s, HV_HYPERCALL, s->gpa | 1) : 0;
}

static int give_hv_tsc(struct scene *s, bool on)
{
	host_msr(s, HV_GUEST_OS_ID, 1);
	return host_msr(s, HV_REFERENCE_TSC, on ? s->gpa | 1 : 0);
}

static int give_hv_assist(struct scene *s, bool on)
{
	return host_msr(s, HV_VP_ASSIST, on ? s->gpa | 1 : 0);
}

/* KVM clears a page that the guest names for messages, and one for events. */
static int give_hv_messages(struct scene *s, bool on)
{
	return guest_msr(s, guest_set_msr, HV_SIMP, on ? s->gpa | 1 : 0);
}

static int give_hv_events(struct scene *s, bool on)
{
	return guest_msr(s, guest_set_msr, HV_SIEFP, on ? s->gpa | 1 : 0);
}

static int give_xen_page(struct scene *s, bool on)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = on ? XEN_PAGE_MSR : 0,
	};

	if (ioctl(s->vm->fd, KVM_XEN_HVM_CONFIG, &config))
		return -errno;
	return on ? guest_msr(s, guest_set_msr, XEN_PAGE_MSR, s->gpa) : 0;
}

static int xen_enable(struct scene *s)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = XEN_PAGE_MSR,
	};
	struct kvm_xen_hvm_attr mode = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE };

	mode.u.long_mode = 1;
	if (ioctl(s->vm->fd, KVM_XEN_HVM_CONFIG, &config) ||
	    ioctl(s->vm->fd, KVM_XEN_HVM_SET_ATTR, &mode))
		return -errno;
	return 0;
}

static int give_xen_shared(struct scene *s, bool on)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_SHARED_INFO };
	int ret = xen_enable(s);

	attr.u.shared_info.gfn = on ? s->gpa / 4096 : XEN_NOWHERE;
	return ret ? ret : ioctl(s->vm->fd, KVM_XEN_HVM_SET_ATTR, &attr) ? -errno : 0;
}

static int give_xen_vcpu(struct scene *s, unsigned int type, bool on)
{
	struct kvm_xen_vcpu_attr attr = { .type = type };
	int ret = xen_enable(s);

	attr.u.gpa = on ? s->gpa : XEN_NOWHERE;
	return ret ? ret : ioctl(s->v->fd, KVM_XEN_VCPU_SET_ATTR, &attr) ? -errno : 0;
}

static int give_xen_runstate(struct scene *s, bool on)
{
	return give_xen_vcpu(s, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, on);
}

static int give_xen_time(struct scene *s, bool on)
{
	return give_xen_vcpu(s, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, on);
}

static void begin(struct scene *s, const struct word *w)
{
	scene_fill(s);
	memset(s->secret, 0, w->zeros);
	scene_remember(s);
}

static int both(struct scene *s, const struct word *w)
{
	int ret = w->give(s, true);

	if (w->use)
		w->use(s);
	return ret;
}

static void expect_written(struct scene *s, const struct word *w, const char *when)
{
	int ret;

	begin(s, w);
	ret = both(s, w);
	EXPECT(!ret && !scene_intact(s), "%s %s: KVM wrote nothing (%s)", w->name, when,
	       strerror(-ret));
	w->give(s, false);
}

/* The address comes while the zone stands. */
static void prove_after(struct scene *s, const struct word *w, const char *deny)
{
	int ret;

	begin(s, w);
	if (!scene_zone(s, deny, "stop"))
		return;
	ret = both(s, w);
	tap_diag("%s, deny=%s: %s", w->name, deny, ret ? "refused" : "taken");
	w->give(s, false);
	scene_unzone(s);
	scene_expect_intact(s, w->name);
}

/* It was there before, and KVM goes on. */
static void prove_before(struct scene *s, const struct word *w, const char *deny)
{
	begin(s, w);
	both(s, w);
	scene_remember(s);
	if (!scene_zone(s, deny, "stop"))
		return;
	for (int i = 0; i < 3; i++)
		w->use(s);
	w->give(s, false);
	scene_unzone(s);
	scene_expect_intact(s, w->name);
}

static void prove_in(const struct word *w, enum backing backing)
{
	struct scene *s = scene_create(backing, w->flags);
	int ret;

	/* Is it here at all? */
	begin(s, w);
	ret = both(s, w);
	w->give(s, false);
	if (ret)
		tap_skip("KVM does not offer it here: %s", strerror(-ret));
	expect_written(s, w, "without a zone");
	for (int i = 0; i < 2; i++) {
		prove_after(s, w, i ? "w" : "rwx");
		if (w->use)
			prove_before(s, w, i ? "w" : "rwx");
	}
	expect_written(s, w, "after the zone");
	scene_over(s);
}

static void prove(const struct word *w)
{
	prove_in(w, BACK_SHARED);
}

#define WORD(id, text, giver, user, fl, ze)					\
	static void test_##id(void)						\
	{									\
		static const struct word w = { text, giver, user, fl, ze };	\
										\
		prove(&w);							\
	}

WORD(system_time, "kvmclock", give_system_time, use_clock, 0, 0)
WORD(wall_clock, "wall clock", give_wall_clock, NULL, 0, 0)
WORD(steal_time, "steal time", give_steal_time, use_run, 0, 0)
WORD(async_pf, "async PF", give_async_pf, NULL, VM_IRQCHIP, 64)
WORD(pv_eoi, "PV EOI", give_pv_eoi, use_timer, VM_IRQCHIP, 0)
WORD(vapic, "TPR", give_vapic, use_timer, VM_IRQCHIP, 1)
WORD(clock_pairing, "clock pairing", give_clock_pairing, NULL, 0, 0)
WORD(hv_hypercall, "hypercall page", give_hv_hypercall, NULL, 0, 0)
WORD(hv_tsc, "reference TSC", give_hv_tsc, use_clock, 0, 0)
WORD(hv_assist, "VP assist page", give_hv_assist, NULL, 0, 0)
WORD(hv_messages, "SynIC message page", give_hv_messages, NULL, VM_IRQCHIP | VM_HYPERV, 0)
WORD(hv_events, "SynIC event page", give_hv_events, NULL, VM_IRQCHIP | VM_HYPERV, 0)
WORD(xen_page, "Xen hypercall page", give_xen_page, NULL, 0, 0)
WORD(xen_shared, "Xen shared info", give_xen_shared, NULL, 0, 0)
WORD(xen_runstate, "Xen run state", give_xen_runstate, use_run, 0, 0)
WORD(xen_time, "Xen time info", give_xen_time, use_clock, 0, 0)

/* Private memory, at least of the ones that KVM keeps a mapping of. */
static void test_private(void)
{
	static const struct word w = { "steal time", give_steal_time, use_run, 0, 0 };

	prove_in(&w, BACK_PRIVATE);
}

static void test_private_clock(void)
{
	static const struct word w = { "kvmclock", give_system_time, use_clock, 0, 0 };

	prove_in(&w, BACK_PRIVATE);
}

/* An SMI saves the state at SMBASE + 0xfe00. */
static bool smi(struct scene *s)
{
	enum scene_end end;

	memcpy(s->mem + s->gpa - SMM_SAVE + SMM_ENTRY, guest_rsm, 2);
	REQUIRE(!host_msr(s, SMBASE, s->gpa - SMM_SAVE), "SMBASE refused");
	REQUIRE(!ioctl(s->v->fd, KVM_SMI), "KVM_SMI: %s", strerror(errno));
	end = scene_run(s, guest_io, 3, 0);
	tap_diag("SMI: %s", scene_end_text(s, end));
	return end == SCENE_RAN;
}

/* A VM whose state cannot be saved has to die: a VM for each. */
static void test_smm(void)
{
	static const char *const denies[] = { NULL, "rwx", "w" };

	for (unsigned int i = 0; i < ARRAY_SIZE(denies); i++) {
		struct scene *s = scene_create(BACK_SHARED, VM_IRQCHIP);

		if (ioctl(s->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM) <= 0)
			tap_skip("no KVM_CAP_X86_SMM");
		vm_add_memory(s->vm, SMM_SLOT, 0, s->mem, s->mem_size);
		if (!denies[i]) {
			EXPECT(smi(s) && !scene_intact(s), "an SMI writes nothing without a zone");
		} else if (!scene_zone(s, denies[i], "stop")) {
			scene_over(s);
		} else {
			smi(s);
			scene_unzone(s);
			scene_expect_intact(s, denies[i]);
		}
		scene_destroy(s);
	}
}

static const struct tap_test tests[] = {
	{ "kvmclock", test_system_time, 0 },
	{ "wall clock", test_wall_clock, 0 },
	{ "steal time", test_steal_time, 0 },
	{ "async page faults", test_async_pf, 0 },
	{ "PV EOI", test_pv_eoi, 0 },
	{ "the TPR of a kvmvapic", test_vapic, 0 },
	{ "clock pairing by hypercall", test_clock_pairing, 0 },
	{ "Hyper-V hypercall page", test_hv_hypercall, 0 },
	{ "Hyper-V reference TSC", test_hv_tsc, 0 },
	{ "Hyper-V VP assist page", test_hv_assist, 0 },
	{ "Hyper-V SynIC message page", test_hv_messages, 0 },
	{ "Hyper-V SynIC event page", test_hv_events, 0 },
	{ "Xen hypercall page", test_xen_page, 0 },
	{ "Xen shared info", test_xen_shared, 0 },
	{ "Xen run state", test_xen_runstate, 0 },
	{ "Xen time info", test_xen_time, 0 },
	{ "steal time in private memory", test_private, 0 },
	{ "kvmclock in private memory", test_private_clock, 0 },
	{ "an SMI", test_smm, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
