/* SPDX-License-Identifier: GPL-2.0 */
/* Guests that use a known part of their memory, and what the meter says of it. */
#ifndef SELFTESTS_ACTIVE_H
#define SELFTESTS_ACTIVE_H

#include "meter.h"
#include "vmm.h"

#define MIB		0x100000ull
#define PAGE_4K		4096ull
#define PAGE_2M		(2 * MIB)

enum backing { BACKING_ANON, BACKING_HUGE, BACKING_MEMFD };

/* Not those that were there before: all or nothing, and aligned to 2 MiB. */
void *active_memory(enum backing backing, __u64 size);

struct active_guest {
	struct vm *vm;
	struct vcpu *v;
	__u64 id;
};

/* A guest in such memory that the meter knows. */
void active_guest(struct active_guest *g, enum backing backing, __u64 size);
/* Let it touch @pages pages, @stride apart, from the second 2 MiB on, again and again. */
void active_sweep(struct active_guest *g, __u64 pages, __u64 stride);
void active_stop(struct active_guest *g);
/* The same once, in the calling thread. */
void active_sweep_once(struct active_guest *g, __u64 pages, __u64 stride);

/* What the files of a VM say, all of the same window. */
struct active_state {
	KVM_METER_VM_MEMORY(__KVM_METER_F)
	KVM_METER_VM_MEMORY_SLOW(__KVM_METER_F)
};

/* False while there is no estimate. */
bool active_read(__u64 vm, struct active_state *s);
/* That of the first window that ends from now on. */
void active_next(__u64 vm, struct active_state *s);

void active_param(const char *name, unsigned int value);
__u64 active_count(const char *name);	/* a file in active/ */
/* Wait until the sampler looks at nothing. */
void active_settle(void);
/* CPU time of the sampler's thread, by the scheduler. */
__u64 active_cpu_ns(void);

#endif /* SELFTESTS_ACTIVE_H */
