// SPDX-License-Identifier: GPL-2.0
/*
 * Source of the encodings and layouts: Intel's Software Developer's Manual, volume 3,
 * chapters "Virtual-Machine Control Structures" and "VMX Support for Address
 * Translation", appendices A (capability MSRs) and B (field encodings).
 */
#include "nested.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define VMCS			(NESTED_CONTROL + 0x1000)
#define TABLE			(NESTED_CONTROL + 0x2000)

#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_VMX		0x5		/* locked, VMX outside of SMX */
#define MSR_VMX_BASIC		0x480
#define MSR_VMX_CR0_FIXED0	0x486
#define MSR_VMX_CR4_FIXED0	0x488
#define MSR_VMX_PROC2		0x48b
#define MSR_VMX_TRUE_PIN	0x48d
#define MSR_VMX_TRUE_PROC	0x48e
#define MSR_VMX_TRUE_EXIT	0x48f
#define MSR_VMX_TRUE_ENTRY	0x490

#define PROC_HLT_EXITING	0x80
#define PROC_SECONDARY		0x80000000
#define PROC2_EPT		0x2
#define EXIT_HOST_64		0x200
#define EXIT_LOAD_EFER		0x200000
#define ENTRY_GUEST_64		0x200
#define ENTRY_LOAD_EFER		0x8000

#define PIN_CONTROLS		0x4000
#define EXIT_CONTROLS		0x400c
#define ENTRY_CONTROLS		0x4012
#define PROC2_CONTROLS		0x401e
#define EPT_POINTER		0x201a
#define EPTP_WB_4_LEVELS	(6 | 3 << 3)
#define LINK_POINTER		0x2800
/* Of ES; CS, SS, DS, FS, GS, LDTR and TR follow, two apart. */
#define GUEST_SELECTORS		0x800
#define GUEST_LIMITS		0x4800
#define GUEST_RIGHTS		0x4814
#define GUEST_BASES		0x6806
#define LDTR			6
#define TR			7
#define RIGHTS_UNUSABLE		0x10000
#define RIGHTS_TSS		0x8b
#define TSS_LIMIT		0x67
#define GUEST_EFER		0x2806
#define GUEST_GDTR_LIMIT	0x4810
#define GUEST_IDTR_LIMIT	0x4812
#define GUEST_CR0		0x6800
#define GUEST_CR3		0x6802
#define GUEST_CR4		0x6804
#define GUEST_GDTR_BASE		0x6816
#define GUEST_IDTR_BASE		0x6818
#define GUEST_DR7		0x681a
#define GUEST_RSP		0x681c
#define GUEST_RIP		0x681e
#define GUEST_RFLAGS		0x6820
/* Of ES; CS, SS, DS, FS, GS and TR follow. */
#define HOST_SELECTORS		0xc00
#define HOST_TR			6
#define HOST_TR_SELECTOR	0x18		/* any but 0: nothing looks it up */
#define HOST_EFER		0x2c02
#define HOST_CR0		0x6c00
#define HOST_CR3		0x6c02
#define HOST_CR4		0x6c04
#define HOST_GDTR_BASE		0x6c0c
#define HOST_IDTR_BASE		0x6c0e
#define HOST_RSP		0x6c14
#define HOST_RIP		0x6c16

#define EXIT_REASON_HLT		12
#define EPT_RWX			0x7
#define EPT_WB			(6 << 3)
#define EPT_LARGE		0x80

void nested_vmx_field(struct nested *n, __u64 field, __u64 value)
{
	for (unsigned int i = 0; i < n->nr_fields; i++) {
		if (n->fields[i][0] == field) {
			n->fields[i][1] |= value;
			return;
		}
	}
	REQUIRE(n->nr_fields < NESTED_FIELDS, "too many fields");
	n->fields[n->nr_fields][0] = field;
	n->fields[n->nr_fields++][1] = value;
}

/* What has to be on is on; what is asked for has to be possible. */
static void controls(struct scene *s, struct nested *n, __u64 field, __u32 msr, __u32 want)
{
	__u64 able = vcpu_get_msr(s->v, msr);

	nested_vmx_field(n, field, want | (__u32)able);
	for (unsigned int i = 0; i < n->nr_fields; i++)
		if (n->fields[i][0] == field && (n->fields[i][1] & ~(able >> 32)))
			tap_skip("no nested VMX with 0x%llx in field 0x%llx", n->fields[i][1], field);
}

static void guest_segments(struct scene *s, struct nested *n)
{
	const struct kvm_sregs *r = &s->sregs;
	const struct kvm_segment *segments[] = { &r->es, &r->cs, &r->ss, &r->ds, &r->fs, &r->gs };

	for (unsigned int i = 0; i < ARRAY_SIZE(segments); i++) {
		const struct kvm_segment *seg = segments[i];

		nested_vmx_field(n, GUEST_SELECTORS + 2 * i, seg->selector);
		nested_vmx_field(n, HOST_SELECTORS + 2 * i, seg->selector);
		nested_vmx_field(n, GUEST_LIMITS + 2 * i, seg->limit);
		nested_vmx_field(n, GUEST_BASES + 2 * i, seg->base);
		nested_vmx_field(n, GUEST_RIGHTS + 2 * i,
				 seg->type | seg->s << 4 | seg->dpl << 5 | seg->present << 7 |
				 seg->avl << 12 | seg->l << 13 | seg->db << 14 | seg->g << 15);
	}
	nested_vmx_field(n, GUEST_RIGHTS + 2 * LDTR, RIGHTS_UNUSABLE);
	nested_vmx_field(n, GUEST_RIGHTS + 2 * TR, RIGHTS_TSS);
	nested_vmx_field(n, GUEST_LIMITS + 2 * TR, TSS_LIMIT);
	nested_vmx_field(n, HOST_SELECTORS + 2 * HOST_TR, HOST_TR_SELECTOR);
}

/* As the guest is, so is its guest. */
static void both_sides(struct scene *s, struct nested *n)
{
	const struct kvm_sregs *r = &s->sregs;
	__u64 cr0 = r->cr0 | vcpu_get_msr(s->v, MSR_VMX_CR0_FIXED0);
	__u64 cr4 = r->cr4 | vcpu_get_msr(s->v, MSR_VMX_CR4_FIXED0);
	const __u64 fields[][2] = {
		{ GUEST_CR0, cr0 }, { HOST_CR0, cr0 },
		{ GUEST_CR3, r->cr3 }, { HOST_CR3, r->cr3 },
		{ GUEST_CR4, cr4 }, { HOST_CR4, cr4 },
		{ GUEST_EFER, r->efer }, { HOST_EFER, r->efer },
		{ GUEST_GDTR_BASE, r->gdt.base }, { HOST_GDTR_BASE, r->gdt.base },
		{ GUEST_GDTR_LIMIT, r->gdt.limit },
		{ GUEST_IDTR_BASE, r->idt.base }, { HOST_IDTR_BASE, r->idt.base },
		{ GUEST_IDTR_LIMIT, r->idt.limit },
		{ GUEST_DR7, 0x400 }, { GUEST_RFLAGS, 2 },
		{ GUEST_RIP, GUEST_CODE + (n->program - guest_start) },
		{ HOST_RIP, GUEST_CODE + (guest_vmx_exit - guest_start) },
		{ GUEST_RSP, GUEST_DATA + 0xf00 }, { HOST_RSP, GUEST_DATA + 0xe00 },
		{ LINK_POINTER, ~0ull },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++)
		nested_vmx_field(n, fields[i][0], fields[i][1]);
	guest_segments(s, n);
}

static void make_fields(struct scene *s, struct nested *n)
{
	controls(s, n, PIN_CONTROLS, MSR_VMX_TRUE_PIN, 0);
	controls(s, n, VMX_PROC_CONTROLS, MSR_VMX_TRUE_PROC,
		 PROC_HLT_EXITING | (n->paging ? PROC_SECONDARY : 0));
	controls(s, n, EXIT_CONTROLS, MSR_VMX_TRUE_EXIT, EXIT_HOST_64 | EXIT_LOAD_EFER);
	controls(s, n, ENTRY_CONTROLS, MSR_VMX_TRUE_ENTRY, ENTRY_GUEST_64 | ENTRY_LOAD_EFER);
	if (n->paging) {
		controls(s, n, PROC2_CONTROLS, MSR_VMX_PROC2, PROC2_EPT);
		nested_vmx_field(n, EPT_POINTER, NESTED_TABLES | EPTP_WB_4_LEVELS);
	}
	both_sides(s, n);
}

/* Out of a nested guest and of VMX operation, wherever the last one ended. */
static void leave(struct scene *s)
{
	struct kvm_nested_state state = {
		.format = KVM_STATE_NESTED_FORMAT_VMX,
		.size = sizeof(state),
		.hdr.vmx = { .vmxon_pa = ~0ull, .vmcs12_pa = ~0ull },
	};

	/* What KVM still has to do for the last exit belongs to the nested guest. */
	s->v->run->immediate_exit = 1;
	vcpu_run_once(s->v);
	s->v->run->immediate_exit = 0;
	REQUIRE(!ioctl(s->v->fd, KVM_SET_NESTED_STATE, &state), "KVM_SET_NESTED_STATE: %s",
		strerror(errno));
}

__u32 nested_vmx_revision(struct scene *s)
{
	return vcpu_get_msr(s->v, MSR_VMX_BASIC) & 0x7fffffff;
}

enum scene_end nested_vmx_run(struct scene *s, const char *program, __u64 count)
{
	__u32 revision;

	leave(s);
	vcpu_set_msr(s->v, MSR_FEATURE_CONTROL, FEATURE_VMX);
	revision = nested_vmx_revision(s);
	memset(s->mem + NESTED_CONTROL, 0, 0x2000);
	memcpy(s->mem + NESTED_CONTROL, &revision, sizeof(revision));
	memcpy(s->mem + VMCS, &revision, sizeof(revision));
	s->v->data->bad = 0;
	return scene_run(s, program, count, NESTED_CONTROL);
}

static enum scene_end run(struct scene *s, const struct nested *asked)
{
	__u64 (*table)[2] = (void *)(s->mem + TABLE);
	struct nested n = *asked;

	make_fields(s, &n);
	memcpy(table, n.fields, n.nr_fields * sizeof(*table));
	table[n.nr_fields][0] = ~0ull;
	return nested_vmx_run(s, guest_vmlaunch, n.at);
}

static bool halted(struct scene *s)
{
	return s->v->data->bad == EXIT_REASON_HLT;
}

const struct nested_ops nested_vmx = {
	.module = "kvm_intel",
	.run = run,
	.halted = halted,
	.pte_table = EPT_RWX,
	.pte_page = EPT_RWX | EPT_WB,
	.pte_large = EPT_RWX | EPT_WB | EPT_LARGE,
};
