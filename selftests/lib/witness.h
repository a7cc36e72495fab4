/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An independent witness of flushes: the kernel's own trace of MSR writes, in
 * order with the VM-entries.
 *
 * It has to begin after the guard is on. On each CPU the module's probe then
 * runs before the entry's line is written, so that all it wrote since the line
 * of the entry before belongs to this one.
 */
#ifndef SELFTESTS_WITNESS_H
#define SELFTESTS_WITNESS_H

#include <linux/types.h>

#include "util.h"

#define MSR_PRED_CMD	0x49
#define MSR_FLUSH_CMD	0x10b

enum witness_kind {
	WITNESS_ENTRY,
	WITNESS_EXIT,
	WITNESS_MSR,
	WITNESS_SWITCH,
	WITNESS_MARK,
};

struct witness_event {
	enum witness_kind kind;
	int cpu;
	pid_t tid;
	__u64 ns;		/* of the trace's clock */
	unsigned int vcpu;	/* entry, switch */
	__u32 msr;
	__u64 value;		/* of the MSR */
	__u64 vm, to, from, from_vm, took;	/* switch */
	__u32 flush, covered;
	char mark[40];
};

struct witness {
	struct witness_event *events;
	unsigned int nr, max;
};

/* @exits: those of KVM as well. */
void witness_start(bool exits);
/* A line of the test's own, in order with the others of this CPU. */
void witness_mark(const char *fmt, ...) TAP_PRINTF(1, 2);
/* Nothing was lost, or the test fails. */
void witness_stop(struct witness *w);
void witness_free(struct witness *w);

#endif /* SELFTESTS_WITNESS_H */
