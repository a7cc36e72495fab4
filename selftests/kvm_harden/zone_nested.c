// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against a nested guest, which a guest runs to reach its own memory
 * by page tables that are not its own: without and with nested paging below it, and
 * by its control block, which KVM reads and writes. AMD's only: a few dozen lines.
 *
 * Source of the layouts: AMD64 Architecture Programmer's Manual, volume 2, appendix
 * B (VMCB) and 5.3 (page tables).
 */
#include "scene.h"

#include <stdio.h>
#include <string.h>

#define VMCB		GUEST_SPARE
#define NPT		(GUEST_SPARE + 0x1000)	/* PML4, PDPT, PD, PT */
#define OTHER		(GUEST_SPARE + 0x8000)	/* what lies at the zone's address in NPT */
#define NESTED_ALIAS	0x40000000ull		/* where NPT maps all memory once more */
#define OFFSET		0x100			/* of what is attacked, in the zone */

/* Control area */
#define INTERCEPT_3	0x0c
#define INTERCEPT_4	0x10
#define ASID		0x58
#define TLB_CONTROL	0x5c
#define EXIT_CODE	0x70
#define NP_ENABLE	0x90
#define N_CR3		0xb0
/* State save area */
#define SEGMENTS	0x400
#define SAVE_EFER	0x4d0
#define SAVE_CR4	0x548
#define SAVE_CR3	0x550
#define SAVE_CR0	0x558
#define SAVE_DR7	0x560
#define SAVE_DR6	0x568
#define SAVE_RFLAGS	0x570
#define SAVE_RIP	0x578
#define SAVE_RSP	0x5d8
#define SAVE_PAT	0x668

#define EXIT_VMMCALL	0x81
#define EFER_SVME	0x1000
#define PTE_TABLE	0x7
#define PTE_LARGE	0x87

static void put(struct scene *s, unsigned int offset, __u64 value)
{
	memcpy(s->mem + VMCB + offset, &value, sizeof(value));
}

static void put_segment(struct scene *s, unsigned int nr, const struct kvm_segment *seg)
{
	__u64 attributes = seg->type | seg->s << 4 | seg->dpl << 5 | seg->present << 7 |
			   seg->avl << 8 | seg->l << 9 | seg->db << 10 | seg->g << 11;

	put(s, SEGMENTS + nr * 16, seg->selector | attributes << 16 | (__u64)seg->limit << 32);
	put(s, SEGMENTS + nr * 16 + 8, seg->base);
}

/* All memory one to one and at NESTED_ALIAS; at the zone's address is OTHER. */
static void make_npt(struct scene *s)
{
	__u64 *pml4 = (__u64 *)(s->mem + NPT), *pdpt = pml4 + 512, *pd = pdpt + 512;
	__u64 *pt = pd + 512, *alias = pt + 512;
	unsigned int split = s->gpa >> 21;

	memset(pml4, 0, 5 * 0x1000);
	pml4[0] = (NPT + 0x1000) | PTE_TABLE;
	pdpt[0] = (NPT + 0x2000) | PTE_TABLE;
	pdpt[NESTED_ALIAS >> 30] = (NPT + 0x4000) | PTE_TABLE;
	for (__u64 i = 0; i < 512; i++) {
		alias[i] = i << 21 | PTE_LARGE;
		pd[i] = i << 21 | PTE_LARGE;
		pt[i] = (__u64)split << 21 | i << 12 | PTE_TABLE;
	}
	pd[split] = (NPT + 0x3000) | PTE_TABLE;
	pt[s->gpa >> 12 & 511] = OTHER | PTE_TABLE;
}

static void make_vmcb(struct scene *s, const char *program, bool npt)
{
	const struct kvm_sregs *r = &s->sregs;
	const struct kvm_segment *segments[] = { &r->es, &r->cs, &r->ss, &r->ds, &r->fs, &r->gs };

	memset(s->mem + VMCB, 0, 0x1000);
	put(s, INTERCEPT_3, 1ull << 31 | 1 << 24);	/* shutdown, HLT */
	put(s, INTERCEPT_4, 3);				/* VMRUN, VMMCALL */
	put(s, ASID, 1 | 1ull << (8 * (TLB_CONTROL - ASID)));
	put(s, NP_ENABLE, npt);
	put(s, N_CR3, npt ? NPT : 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++)
		put_segment(s, i, segments[i]);
	put(s, SEGMENTS + 6 * 16, (__u64)r->gdt.limit << 32);
	put(s, SEGMENTS + 6 * 16 + 8, r->gdt.base);
	put(s, SEGMENTS + 8 * 16, (__u64)r->idt.limit << 32);
	put(s, SEGMENTS + 8 * 16 + 8, r->idt.base);
	put(s, SAVE_EFER, r->efer | EFER_SVME);
	put(s, SAVE_CR4, r->cr4);
	put(s, SAVE_CR3, r->cr3);
	put(s, SAVE_CR0, r->cr0);
	put(s, SAVE_DR7, 0x400);
	put(s, SAVE_DR6, 0xffff0ff0);
	put(s, SAVE_RFLAGS, 2);
	put(s, SAVE_RIP, GUEST_CODE + (program - guest_start));
	put(s, SAVE_RSP, GUEST_DATA + 0xf00);
	put(s, SAVE_PAT, 0x0007040600070406ull);
}

static enum scene_end nested(struct scene *s, const char *program, bool npt, __u64 at)
{
	if (npt)
		make_npt(s);
	make_vmcb(s, program, npt);
	return scene_run(s, guest_vmrun, at, VMCB);
}

static bool ended_well(struct scene *s, enum scene_end end)
{
	return end == SCENE_RAN && s->v->data->progress &&
	       *(__u64 *)(s->mem + VMCB + EXIT_CODE) == EXIT_VMMCALL;
}

static bool reads(struct scene *s, bool npt)
{
	__u64 at = s->gpa + OFFSET + (npt ? NESTED_ALIAS : 0);
	enum scene_end end = nested(s, guest_nested_read, npt, at);
	__u64 loot = s->v->data->loot;

	if (!ended_well(s, end))
		tap_diag("a nested guest reads: %s, exit code 0x%llx", scene_end_text(s, end),
			 *(__u64 *)(s->mem + VMCB + EXIT_CODE));
	return !memcmp(&loot, s->before + OFFSET, sizeof(loot));
}

/* Whether it worked the memory shows. */
static void writes(struct scene *s, bool npt)
{
	nested(s, guest_nested_write, npt, s->gpa + OFFSET + (npt ? NESTED_ALIAS : 0));
}

static void need_nested(void)
{
	char buf[8];

	if (kvm_is_intel())
		tap_skip("AMD's nested guests only");
	if (read_file("/sys/module/kvm_amd/parameters/nested", buf, sizeof(buf)) < 0 ||
	    (buf[0] != '1' && buf[0] != 'Y'))
		tap_skip("kvm_amd.nested is off");
}

static void prove(enum backing backing, bool npt)
{
	struct scene *s;

	need_nested();
	s = scene_create(backing, 0);
	EXPECT(reads(s, npt), "without a zone the nested guest cannot read");
	writes(s, npt);
	EXPECT(!scene_intact(s), "without a zone the nested guest cannot write");
	scene_fill(s);
	if (!scene_zone(s, "rwx", "fault"))
		scene_over(s);
	EXPECT(!reads(s, npt), "the nested guest reads the secret");
	writes(s, npt);
	EXPECT(!reads(s, npt), "the nested guest reads the secret then");
	scene_unzone(s);
	scene_expect_intact(s, "after the zone");
	EXPECT(reads(s, npt), "the zone is gone, and the nested guest cannot read");
	scene_over(s);
}

static void test_no_npt(void)
{
	prove(BACK_SHARED, false);
}

static void test_private(void)
{
	prove(BACK_PRIVATE, false);
}

static void test_npt(void)
{
	prove(BACK_SHARED, true);
}

static void test_npt_huge(void)
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
	memset(s->mem + OTHER, 0x22, 0x1000);
	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	id = s->zone;
	for (int i = 0; i < 2; i++) {
		enum scene_end end = nested(s, guest_nested_read, true, s->gpa + OFFSET);

		EXPECT(ended_well(s, end), "a page beside the zone: %s", scene_end_text(s, end));
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
	{ "a nested guest without nested paging", test_no_npt, 0 },
	{ "a nested guest in private memory", test_private, 0 },
	{ "a nested guest with nested paging", test_npt, 0 },
	{ "a nested guest with nested paging, huge pages", test_npt_huge, 0 },
	{ "the zone's address in a nested guest", test_other_address, 0 },
	{ "a control block", test_vmcb, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
