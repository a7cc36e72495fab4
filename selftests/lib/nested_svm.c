// SPDX-License-Identifier: GPL-2.0
/*
 * Source of the layouts: AMD64 Architecture Programmer's Manual, volume 2, appendix
 * B (VMCB) and 5.3 (page tables).
 */
#include "nested.h"

#include <string.h>

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

#define EXIT_HLT	0x78
#define EFER_SVME	0x1000

static void put(struct scene *s, unsigned int offset, __u64 value)
{
	memcpy(s->mem + NESTED_CONTROL + offset, &value, sizeof(value));
}

static void put_segment(struct scene *s, unsigned int nr, const struct kvm_segment *seg)
{
	__u64 attributes = seg->type | seg->s << 4 | seg->dpl << 5 | seg->present << 7 |
			   seg->avl << 8 | seg->l << 9 | seg->db << 10 | seg->g << 11;

	put(s, SEGMENTS + nr * 16, seg->selector | attributes << 16 | (__u64)seg->limit << 32);
	put(s, SEGMENTS + nr * 16 + 8, seg->base);
}

static void make_vmcb(struct scene *s, const struct nested *n)
{
	const struct kvm_sregs *r = &s->sregs;
	const struct kvm_segment *segments[] = { &r->es, &r->cs, &r->ss, &r->ds, &r->fs, &r->gs };

	memset(s->mem + NESTED_CONTROL, 0, 0x1000);
	put(s, INTERCEPT_3, 1ull << 31 | 1 << 24);	/* shutdown, HLT */
	put(s, INTERCEPT_4, 3);				/* VMRUN, VMMCALL */
	put(s, ASID, 1 | 1ull << (8 * (TLB_CONTROL - ASID)));
	put(s, NP_ENABLE, n->paging);
	put(s, N_CR3, n->paging ? NESTED_TABLES : 0);
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
	put(s, SAVE_RIP, GUEST_CODE + (n->program - guest_start));
	put(s, SAVE_RSP, GUEST_DATA + 0xf00);
	put(s, SAVE_PAT, 0x0007040600070406ull);
}

static enum scene_end run(struct scene *s, const struct nested *n)
{
	make_vmcb(s, n);
	return scene_run(s, guest_vmrun, n->at, NESTED_CONTROL);
}

static bool halted(struct scene *s)
{
	return *(__u64 *)(s->mem + NESTED_CONTROL + EXIT_CODE) == EXIT_HLT;
}

const struct nested_ops nested_svm = {
	.module = "kvm_amd",
	.run = run,
	.halted = halted,
	.pte_table = 0x7,
	.pte_page = 0x7,
	.pte_large = 0x87,
};
