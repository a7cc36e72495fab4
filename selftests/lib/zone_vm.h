/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM with memory to make zones in, and what can be done with that memory from
 * the guest, and by its VMM through system calls.
 */
#ifndef SELFTESTS_ZONE_VM_H
#define SELFTESTS_ZONE_VM_H

#include "vmm.h"
#include "zone.h"

#define ZONE_PAGE	0x1000ull
#define ZONE_HUGE	0x200000ull
#define ZONE_GPA	0x10000000ull	/* where that memory begins */

enum zone_backing {
	ZONE_ANON,		/* private, as most VMMs have it */
	ZONE_THP,		/* the same in huge pages, if they can be had */
	ZONE_SHARED,		/* anonymous and shared */
	ZONE_MEMFD,
};

struct zone_vm {
	struct vm *vm;
	__u64 id;
	char *mem;
	__u64 size;
	int memfd;		/* or -1 */
};

/* Skips the test where there are no zones. */
void need_zones(void);
/* With every word of its memory filled with its own guest-physical address. */
struct zone_vm *zone_vm_new(unsigned int nr_vcpus, __u64 size, enum zone_backing backing);
/* Another VM, over the memory of @z. */
struct zone_vm *zone_vm_twin(struct zone_vm *z);
/* The VM ends, its memory stays. */
void zone_vm_end(struct zone_vm *z);
void zone_vm_free(struct zone_vm *z);
char *zone_mem(struct zone_vm *z, __u64 gpa);

/* The memory at @gpa holds what it was filled with. */
void zone_expect_filled(struct zone_vm *z, __u64 gpa, __u64 size, const char *when);

#define MAY_READ	1
#define MAY_WRITE	2
/* What a system call of this process may do with the byte at @p. */
unsigned int may(void *p);
void zone_expect_may(struct zone_vm *z, __u64 gpa, unsigned int want, const char *when);

/* One access of the guest's: 0, or what KVM_RUN gave in its place. */
int zone_guest_read(struct zone_vm *z, __u64 gpa);
int zone_guest_write(struct zone_vm *z, __u64 gpa);

/* A zone that has to be had: its id. */
__u64 zone_must(struct zone_vm *z, __u64 gpa, __u64 size, const char *deny, const char *extra);
void zone_must_remove(__u64 id);
/* Its directory goes within a while. */
void zone_expect_gone(__u64 id, const char *when);

/*
 * Every vCPU but for the first @from sweeps over the pages at @gpa + n * @stride
 * for as long as it is let; zone_sweep_stop() says if one found them other than
 * filled.
 */
void zone_sweep_start(struct zone_vm *z, unsigned int from, __u64 gpa, __u64 pages, __u64 stride);
void zone_sweep_stop(struct zone_vm *z, unsigned int from, const char *when);
bool zone_sweep_moves(struct zone_vm *z, unsigned int from);

#endif /* SELFTESTS_ZONE_VM_H */
