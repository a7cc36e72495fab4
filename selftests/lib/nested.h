/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest of a guest, by whichever means the host has: SVM or VMX. It runs in the
 * memory and with the page tables of the guest around it, and HLT ends it.
 */
#ifndef SELFTESTS_NESTED_H
#define SELFTESTS_NESTED_H

#include "scene.h"

/* Guest-physical, all in what nothing else uses. */
#define NESTED_CONTROL	GUEST_SPARE		/* VMCB; or VMXON, VMCS and its fields */
#define NESTED_TABLES	(GUEST_SPARE + 0x4000)	/* five pages */
#define NESTED_OTHER	(GUEST_SPARE + 0x9000)	/* is at the zone's address in them */
#define NESTED_ALIAS	0x40000000ull		/* where they map all memory once more */

#define NESTED_FIELDS	64
struct nested {
	const char *program;	/* guest_nested_*() */
	bool paging;		/* by NPT or EPT of the guest's making */
	__u64 at;		/* for the program */
	/* VMX only: what else is in the VMCS. */
	unsigned int nr_fields;
	__u64 fields[NESTED_FIELDS][2];
};

struct nested_ops {
	const char *module;
	/* Everything that a nested guest needs is in memory then; run is to be run. */
	enum scene_end (*run)(struct scene *s, const struct nested *n);
	/* Did it get as far as its HLT? */
	bool (*halted)(struct scene *s);
	__u64 pte_table, pte_page, pte_large;
};

extern const struct nested_ops nested_svm, nested_vmx;

void need_nested(void);
enum scene_end nested_run(struct scene *s, const struct nested *n);
/* It came to its end, and so did the guest around it. */
bool nested_ended_well(struct scene *s, enum scene_end end);

/* --- nested_vmx.c --- */
/* A field and its value, or'ed into what is there. */
void nested_vmx_field(struct nested *n, __u64 field, __u64 value);
/* One of guest_vmptrld() and the like, with @count. */
enum scene_end nested_vmx_run(struct scene *s, const char *program, __u64 count);
__u32 nested_vmx_revision(struct scene *s);

#define VMX_EXIT_MSR_STORE		0x2006
#define VMX_VIRTUAL_APIC		0x2012
#define VMX_PROC_CONTROLS		0x4002
#define VMX_EXIT_MSR_STORE_COUNT	0x400e
#define VMX_PROC_TPR_SHADOW		0x200000

#endif /* SELFTESTS_NESTED_H */
