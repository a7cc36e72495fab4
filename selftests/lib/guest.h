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
#define GUEST_MMIO	0xd0000000	/* no memory slot there */

#define GUEST_PORT	0x10		/* the VMM counts these */
#define GUEST_PORT_DONE	0x99		/* the guest program has ended */
#define GUEST_VECTOR	0x20		/* timer interrupt */
#define GUEST_MSR	0x4b564d02	/* KVM emulates it and takes 0 */

/* struct guest_data, what %rdi points to */
#define GUEST_COUNT	0
#define GUEST_ARG	8
#define GUEST_STOP	16
#define GUEST_PROGRESS	24
#define GUEST_IRQS	32

#ifndef __ASSEMBLER__
#include <linux/types.h>

struct guest_data {
	volatile __u64 count;		/* how often */
	volatile __u64 arg;
	volatile __u64 stop;		/* set: the endless ones end */
	volatile __u64 progress;	/* counted up by the guest */
	volatile __u64 irqs;		/* timer interrupts taken */
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
extern const char guest_spin_io[];	/* OUTs, until stop */
extern const char guest_spin_cpuid[];	/* CPUIDs, until stop */
extern const char guest_work_io[];	/* count times: arg loops of work, an OUT */
extern const char guest_touch[];	/* load from the address in arg */
extern const char guest_irq[];		/* interrupt handler */
#endif

#endif /* SELFTESTS_GUEST_H */
