/* SPDX-License-Identifier: GPL-2.0 */
/* What the guest programs in guest.S and the VMM agree on. */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

/* Guest-physical layout; the guest runs in long mode, mapped one to one. */
#define GUEST_MEM_SIZE	0x200000
#define GUEST_GDT	0x1000
#define GUEST_IDT	0x2000
#define GUEST_PML4	0x3000		/* then the PDPT and four page directories */
#define GUEST_CODE	0x10000
#define GUEST_DATA	0x40000		/* a page per vCPU, its stack at the end */
#define GUEST_SPARE	0x180000	/* pages that nothing else uses */
#define GUEST_HSAVE	0x18e000	/* where an AMD CPU keeps the host of a nested guest */
#define GUEST_MMIO	0xd0000000	/* no memory slot there */

#define GUEST_PORT	0x10		/* the VMM counts these */
#define GUEST_PORT_DONE	0x99		/* the guest program has ended */
#define GUEST_VECTOR	0x20		/* timer interrupt */
#define GUEST_MSR	0x4b564d02	/* KVM emulates it and takes 0 */
#define GUEST_INT	0x21		/* software interrupt */
#define GUEST_MARK	0x6d61726b	/* what attacks write, and what their code returns */

/* struct guest_data, what %rdi points to */
#define GUEST_COUNT	0
#define GUEST_ARG	8
#define GUEST_STOP	16
#define GUEST_PROGRESS	24
#define GUEST_IRQS	32
#define GUEST_LOOT	40
#define GUEST_FAULTS	48
#define GUEST_PAGE_FAULTS 56
#define GUEST_FAULT_RIP	64
#define GUEST_STRIDE	72
#define GUEST_BAD	80

#ifndef __ASSEMBLER__
#include <linux/types.h>

struct guest_data {
	volatile __u64 count;		/* how often */
	volatile __u64 arg;
	volatile __u64 stop;		/* set: the endless ones end */
	volatile __u64 progress;	/* counted up by the guest */
	volatile __u64 irqs;		/* timer interrupts taken */
	volatile __u64 loot;		/* what an attack got hold of */
	volatile __u64 faults;		/* #GP taken */
	volatile __u64 page_faults;	/* #PF taken */
	volatile __u64 fault_rip;	/* of the last of either */
	volatile __u64 stride;		/* from page to page */
	volatile __u64 bad;		/* where memory held something else */
};

extern const char guest_start[], guest_end[];
extern const char guest_done[];		/* ends at once */
extern const char guest_io[];		/* count OUTs to GUEST_PORT */
extern const char guest_mmio[];		/* count stores to GUEST_MMIO */
extern const char guest_cpuid[];	/* count CPUIDs */
extern const char guest_rdmsr[];	/* count RDMSRs */
extern const char guest_wrmsr[];	/* count WRMSRs */
extern const char guest_hlt[];		/* count HLTs, interrupts off */
extern const char guest_timer[];	/* count HLTs, each ended by a timer after arg ns */
extern const char guest_spin[];		/* no exits, until stop */
extern const char guest_pause[];	/* PAUSEs, as in waiting for a lock, until stop */
extern const char guest_spin_io[];	/* OUTs, until stop */
extern const char guest_spin_cpuid[];	/* CPUIDs, until stop */
extern const char guest_work_io[];	/* count times: arg loops of work, an OUT */
extern const char guest_touch[];	/* load from the address in arg */
extern const char guest_poke[];		/* store that address to itself */
extern const char guest_sweep[];	/* count pages from arg hold their address, until stop */
extern const char guest_flood[];	/* loads and stores at arg, until stop, whatever faults */
extern const char guest_irq[];		/* interrupt handler */

/*
 * Attacks on memory, by its address in arg. A fault ends the program. Those that
 * read leave 8 bytes in loot, those that write leave GUEST_MARK in memory.
 */
extern const char guest_read[];		/* a load */
extern const char guest_read_string[];	/* REP MOVSB of 8 bytes */
extern const char guest_read_sse[];
extern const char guest_write[];	/* a store */
extern const char guest_write_string[];	/* REP STOSB, count bytes of 0x6b */
extern const char guest_write_locked[];	/* LOCK XADD: loot too */
extern const char guest_push[];		/* the stack ends there */
extern const char guest_call[];		/* run code there, loot is what it returns */
extern const char guest_idt[];		/* the IDT is there: INT GUEST_INT */
extern const char guest_int[];		/* its handler: loot is GUEST_MARK */
extern const char guest_segment[];	/* the GDT is there: load a segment */
extern const char guest_return_mark[];	/* code to be copied: GUEST_MARK, and return */
extern const char guest_return_mark_end[];
/* KVM's emulator does these. */
extern const char guest_outs[];		/* REP OUTSB, count bytes */
extern const char guest_ins[];		/* REP INSB, count bytes */
extern const char guest_from_mmio[];	/* REP MOVSB from GUEST_MMIO, count bytes */
extern const char guest_to_mmio[];	/* REP MOVSB to GUEST_MMIO, count bytes */
extern const char guest_compare[];	/* CMPSQ of GUEST_MMIO with it: is it equal? */
extern const char guest_compare_device[]; /* the other way round */
/* KVM writes on the guest's word. */
extern const char guest_set_msr[];	/* arg to the MSR in count */
extern const char guest_async_pf[];	/* the same with an APIC that is on */
extern const char guest_vmcall[];	/* hypercall count with arg */
extern const char guest_vmmcall[];
/* Nested guests: AMD's and Intel's, and what runs in either. See lib/nested.h. */
extern const char guest_vmrun[];	/* VMRUN of the VMCB at arg */
extern const char guest_vmlaunch[];	/* VMXON at arg, a VMCS behind it, and VMLAUNCH */
extern const char guest_vmx_exit[];	/* where that VMCS exits to: the reason to bad */
extern const char guest_vmptrld[];	/* VMXON at arg; the VMCS at count, a field to loot */
extern const char guest_vmclear[];	/* VMXON at arg; VMCLEAR of count */
extern const char guest_nested_read[];	/* 8 bytes at the address in count to loot */
extern const char guest_nested_write[];	/* GUEST_MARK there */
extern const char guest_nested_tpr[];	/* CR8 to loot, and change it */
extern const char guest_nested_done[];	/* end without an exit to the outer guest */
extern const char guest_gp[], guest_pf[]; /* fault handlers */
extern const char guest_rsm[];		/* what an SMI runs */
#endif

#endif /* SELFTESTS_GUEST_H */
