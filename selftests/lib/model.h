/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of kvm_harden: from the VM-entries alone, and from what the test has
 * told the module, it says of each entry what has to be flushed. What the
 * module did by the witness, what it said by its tracepoint and what it counted
 * has to be exactly that. Between model_begin() and model_end().
 *
 * For cores of one CPU each; siblings that enter at once have no order in a
 * trace.
 */
#ifndef SELFTESTS_MODEL_H
#define SELFTESTS_MODEL_H

#include "harden.h"
#include "witness.h"

#define MODEL_VMS	96
#define MODEL_CPUS	16
#define MODEL_VCPUS	8	/* ids of a VM's vCPUs: index * MODEL_VCPUS + i */
#define MODEL_NOBODY	(-1)

struct model_vm {
	struct vm *vm;
	struct vcpu *v;			/* the first vCPU */
	__u64 id;			/* 0: the module has no slot for it */
	__u32 domain, policy;
	bool gone;
	struct harden_counters before, want, end;
};

struct model_cpu {
	bool stale;			/* a sibling has made a switch that this CPU has not */
	__u32 left;			/* what those who were left then had asked for */
	__u32 missing;			/* what the last switch here did not flush */
};

struct model_core {
	int vm;				/* that was in a guest last, or MODEL_NOBODY */
	__u64 token;
	__u32 policy;			/* what it asked for when it entered */
	__u32 earlier;			/* and VMs of its domain before it */
	bool moved;			/* it has been given another domain since */
};

struct model {
	struct model_vm vms[MODEL_VMS];
	unsigned int nr;
	__u32 def;
	bool dry;
	bool on;			/* from model_begin() on */
	struct model_core cores[MODEL_CPUS];
	struct model_cpu cpus[MODEL_CPUS];
	struct harden_counters before, want, got;
	__u64 entries;
	unsigned int msr_writes;	/* that the witness saw */
};

struct model *model_new(void);
/* A VM that has run a little, so that it is known by its id in sysfs. */
struct model_vm *model_vm(struct model *m, unsigned int nr_vcpus, unsigned int flags);
/* @nr of one vCPU each. */
void model_many(struct model *m, unsigned int nr);
/* The same after model_begin(): its domain and policy are those of birth. */
struct model_vm *model_vm_bare(struct model *m, unsigned int nr_vcpus, unsigned int flags);
void model_vm_find(struct model *m, struct model_vm *vm);
/* It ends; its counters have to be right up to here, if @m is over. */
void model_vm_end(struct model *m, struct model_vm *vm);

/* mode, and the witness; no guest may be running. */
void model_begin(struct model *m, const char *mode);
/* In order with entries on this CPU, if nothing gets between: see model_urgent(). */
void model_domain(struct model *m, struct model_vm *vm, __u32 domain);
void model_policy(struct model *m, struct model_vm *vm, __u32 policy);
void model_default(struct model *m, __u32 policy);
/* dry-run to on, or back */
void model_mode(struct model *m, const char *mode);
/* The calling thread runs on @cpu, and no other one while it does. */
void model_urgent(int cpu);
/* All guests stand; compares everything, and switches the mode off. */
void model_end(struct model *m);

#endif /* SELFTESTS_MODEL_H */
