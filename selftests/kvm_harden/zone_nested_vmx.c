// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against what a nested hypervisor has KVM read and write for it, on
 * Intel: a VMCS, the lists of MSRs, the virtual-APIC page.
 */
#include "nested.h"

#include <errno.h>
#include <string.h>

#define MSR_EFER	0xc0000080
#define TPR		0x80		/* in a virtual-APIC page */
#define FIELDS		16		/* a VMCS of KVM's has some by there */

static struct scene *start(unsigned int flags)
{
	if (!kvm_is_intel())
		tap_skip("Intel's nested guests only");
	need_nested();
	return scene_create(BACK_SHARED, flags);
}

/* The secret as a VMCS, which KVM knows by its first four bytes. */
static void disguise(struct scene *s)
{
	__u32 revision = nested_vmx_revision(s);

	memcpy(s->secret, &revision, sizeof(revision));
	memset(s->secret + sizeof(revision), 0, FIELDS - sizeof(revision));
	scene_remember(s);
}

static bool vmcs_leaks(struct scene *s)
{
	enum scene_end end = nested_vmx_run(s, guest_vmptrld, s->gpa);
	__u64 loot = s->v->data->loot;

	if (end != SCENE_RAN || !s->v->data->progress)
		tap_diag("VMPTRLD: %s", scene_end_text(s, end));
	return scene_leaked(&loot, sizeof(loot));
}

/* VMREAD has its bytes. */
static void test_vmptrld(void)
{
	struct scene *s = start(0);

	disguise(s);
	EXPECT(vmcs_leaks(s), "without a zone nothing of it is in the VMCS");
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	EXPECT(!vmcs_leaks(s), "the secret can be had by VMREAD");
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	EXPECT(vmcs_leaks(s), "the zone is gone, and nothing of it is in the VMCS");
	scene_over(s);
}

/* VMCLEAR writes the launch state. */
static void test_vmclear(void)
{
	struct scene *s = start(0);

	nested_vmx_run(s, guest_vmclear, s->gpa);
	EXPECT(!scene_intact(s), "without a zone VMCLEAR writes nothing");
	scene_fill(s);
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	tap_diag("VMCLEAR in the zone: %s",
		 scene_end_text(s, nested_vmx_run(s, guest_vmclear, s->gpa)));
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	nested_vmx_run(s, guest_vmclear, s->gpa);
	EXPECT(!scene_intact(s), "the zone is gone, and VMCLEAR writes nothing");
	scene_over(s);
}

/* An exit stores the MSR that the list names. */
static enum scene_end store_msr(struct scene *s)
{
	struct nested n = { .program = guest_nested_read, .at = GUEST_CODE };

	nested_vmx_field(&n, VMX_EXIT_MSR_STORE, s->gpa);
	nested_vmx_field(&n, VMX_EXIT_MSR_STORE_COUNT, 1);
	return nested_run(s, &n);
}

static void test_msr_list(void)
{
	__u64 entry[] = { MSR_EFER, ~0ull };
	struct scene *s = start(0);

	memcpy(s->secret, entry, sizeof(entry));
	scene_remember(s);
	EXPECT(nested_ended_well(s, store_msr(s)), "without a zone the nested guest does not run");
	EXPECT(!scene_intact(s), "without a zone the exit stores nothing");
	memcpy(s->secret, s->before, s->size);
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	tap_diag("an exit with its list in the zone: %s", scene_end_text(s, store_msr(s)));
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	store_msr(s);
	EXPECT(!scene_intact(s), "the zone is gone, and the exit stores nothing");
	scene_over(s);
}

/*
 * CR8 of the nested guest is in the virtual-APIC page, which no page table leads to;
 * where KVM has the APIC, as it keeps CR8 to itself otherwise.
 */
static enum scene_end use_tpr(struct scene *s, const char *program)
{
	struct nested n = { .program = program };

	nested_vmx_field(&n, VMX_PROC_CONTROLS, VMX_PROC_TPR_SHADOW);
	nested_vmx_field(&n, VMX_VIRTUAL_APIC, s->gpa);
	return nested_run(s, &n);
}

static void test_virtual_apic(void)
{
	struct scene *s = start(VM_IRQCHIP);

	s->secret[TPR] = 0xa0;
	scene_remember(s);
	EXPECT(nested_ended_well(s, use_tpr(s, guest_nested_tpr)),
	       "without a zone the nested guest does not run");
	EXPECT_EQ(s->v->data->loot, 0xaull, "CR8 without a zone");
	EXPECT(!scene_intact(s), "without a zone CR8 is not in the page");
	memcpy(s->secret, s->before, s->size);
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	tap_diag("with the page in the zone: %s",
		 scene_end_text(s, use_tpr(s, guest_nested_tpr)));
	EXPECT(s->v->data->loot != 0xa, "the secret can be had by CR8");
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	use_tpr(s, guest_nested_tpr);
	EXPECT_EQ(s->v->data->loot, 0xaull, "CR8, the zone is gone");
	scene_over(s);
}

/* A nested guest has the page, by an address that the CPU keeps. */
static void test_in_use(void)
{
	struct scene *s = start(VM_IRQCHIP);
	int ret;

	EXPECT_EQ(use_tpr(s, guest_nested_done), SCENE_RAN, "the nested guest");
	ret = scene_try_zone(s, "rwx", "fault");
	if (s->no_zones)
		scene_over(s);
	tap_diag("a zone on a virtual-APIC page in use: %s (%s)", strerror(-ret),
		 zone_last_error());
	EXPECT_EQ(ret, -EBUSY, "a zone on a page that the CPU uses by itself");
	scene_expect_intact(s, "after the refusal");
	/* The nested guest is over, and with it what KVM held. */
	nested_vmx_run(s, guest_done, 0);
	if (scene_zone(s, "rwx", "fault"))
		scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	scene_over(s);
}

static const struct tap_test tests[] = {
	{ "a VMCS that is read", test_vmptrld, 0 },
	{ "a VMCS that is cleared", test_vmclear, 0 },
	{ "a list of MSRs that an exit stores", test_msr_list, 0 },
	{ "a virtual-APIC page", test_virtual_apic, 0 },
	{ "a virtual-APIC page that is in use", test_in_use, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
