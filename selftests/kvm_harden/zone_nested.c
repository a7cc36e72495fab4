// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against a nested guest, which a guest runs to reach its own memory
 * by page tables that are not its own: without and with nested paging below it, and
 * by its control block, which KVM reads and writes.
 */
#include "nested.h"

#include <string.h>

#define OFFSET		0x100			/* of what is attacked, in the zone */

static enum scene_end run(struct scene *s, const char *program, bool paging, __u64 at)
{
	struct nested n = { .program = program, .paging = paging, .at = at };

	return nested_run(s, &n);
}

static bool reads(struct scene *s, bool paging)
{
	__u64 at = s->gpa + OFFSET + (paging ? NESTED_ALIAS : 0);
	enum scene_end end = run(s, guest_nested_read, paging, at);
	__u64 loot = s->v->data->loot;

	if (!nested_ended_well(s, end))
		tap_diag("a nested guest reads: %s, %llx", scene_end_text(s, end),
			 s->v->data->bad);
	return !memcmp(&loot, s->before + OFFSET, sizeof(loot));
}

/* Whether it worked the memory shows. */
static void writes(struct scene *s, bool paging)
{
	run(s, guest_nested_write, paging, s->gpa + OFFSET + (paging ? NESTED_ALIAS : 0));
}

static void prove(enum backing backing, bool paging)
{
	struct scene *s;

	need_nested();
	s = scene_create(backing, 0);
	EXPECT(reads(s, paging), "without a zone the nested guest cannot read");
	writes(s, paging);
	EXPECT(!scene_intact(s), "without a zone the nested guest cannot write");
	scene_fill(s);
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	EXPECT(!reads(s, paging), "the nested guest reads the secret");
	writes(s, paging);
	EXPECT(!reads(s, paging), "the nested guest reads the secret then");
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	EXPECT(reads(s, paging), "the zone is gone, and the nested guest cannot read");
	scene_over(s);
}

static void test_no_paging(void)
{
	prove(BACK_SHARED, false);
}

static void test_private(void)
{
	prove(BACK_PRIVATE, false);
}

static void test_paging(void)
{
	prove(BACK_SHARED, true);
}

static void test_paging_huge(void)
{
	prove(BACK_HUGE, true);
}

/* What has the zone's address for the nested guest is none of the zone's. */
static void test_other_address(void)
{
	struct scene *s;
	__u64 id;

	need_nested();
	s = scene_create(BACK_SHARED, 0);
	memset(s->mem + NESTED_OTHER, 0x22, 0x1000);
	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	id = s->zone;
	for (int i = 0; i < 2; i++) {
		enum scene_end end = run(s, guest_nested_read, true, s->gpa + OFFSET);

		EXPECT(nested_ended_well(s, end), "a page beside the zone: %s",
		       scene_end_text(s, end));
		EXPECT_EQ(s->v->data->loot, 0x2222222222222222ull, "what the nested guest read");
	}
	EXPECT_EQ(zone_u64(id, "violations"), 0, "violations");
	scene_unzone(s);
	scene_over(s);
}

/* The page is the control block itself: KVM reads it, and writes why that failed. */
static void test_vmcb(void)
{
	struct scene *s;

	need_nested();
	if (kvm_is_intel())
		tap_skip("an AMD control block; Intel's: zone_nested_vmx");
	s = scene_create(BACK_SHARED, 0);
	scene_run(s, guest_vmrun, 0, s->gpa);
	EXPECT(!scene_intact(s), "without a zone KVM writes nothing to the VMCB");
	scene_fill(s);
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	tap_diag("VMRUN of a VMCB in the zone: %s",
		 scene_end_text(s, scene_run(s, guest_vmrun, 0, s->gpa)));
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	scene_run(s, guest_vmrun, 0, s->gpa);
	EXPECT(!scene_intact(s), "the zone is gone, and KVM writes nothing to the VMCB");
	scene_over(s);
}

static const struct tap_test tests[] = {
	{ "a nested guest without nested paging", test_no_paging, 0 },
	{ "a nested guest in private memory", test_private, 0 },
	{ "a nested guest with nested paging", test_paging, 0 },
	{ "a nested guest with nested paging, huge pages", test_paging_huge, 0 },
	{ "the zone's address in a nested guest", test_other_address, 0 },
	{ "a control block", test_vmcb, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
