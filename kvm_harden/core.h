/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Physical cores: what ran last in a guest on one, and what runs now on each of
 * its CPUs. See Documentation/design.rst, "Trust domains on a core".
 */
#ifndef _KVM_HARDEN_CORE_H
#define _KVM_HARDEN_CORE_H

#include <linux/bits.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct harden_vm;
struct kvm_meter_vcpu;
struct kvm_vcpu;

/*
 * Token of a trust domain. 0 stands for "someone else", whoever asks: what the
 * core held before the guard came, or a mixture of domains.
 */
typedef u64 harden_token;
#define TOKEN_FOREIGN	0ull
#define TOKEN_OWN	BIT_ULL(62)	/* | id of the VM */
#define TOKEN_NO_SLOT	BIT_ULL(61)	/* | a hash; for the tracepoint */

struct harden_cpu {
	struct harden_core *core;	/* NULL until the CPU was online */
	struct harden_cpu *next;	/* ring of the core's CPUs */
	int cpu;
	/* under core->lock: */
	struct kvm_vcpu *vcpu;		/* entered last here; compared, not followed */
	struct harden_vm *vm;		/* NULL: it has no slot */
	u64 vm_id;			/* whose slot it was when it entered */
	struct kvm_meter_vcpu *rec;	/* the meter's record of it; or NULL */
	harden_token token;
	bool in_guest;
	bool fast;			/* in_guest is not kept up: see rec */
	bool stale;			/* a sibling made a switch that this CPU has not */
	u32 left;			/* what those who were left then had asked for */
	u32 missing;			/* what the last switch here did not flush */
	/* this CPU only, or at the exit of what it entered: */
	bool check_l1d;			/* KVM is trusted to flush at this entry */
	u64 l1d_seen;			/* its statistic before */
};

struct harden_core {
	raw_spinlock_t lock;
	unsigned int cpus;
	harden_token last;		/* domain that was in a guest last */
	int last_cpu;			/* by which CPU alone; -1: by several */
	u32 last_policy;		/* what its VM asked for when it entered; all, if several */
	u32 earlier_policy;		/* and VMs of its domain before it, since the switch */
	struct harden_vm *last_vm;	/* and who it was, */
	u64 last_vm_id;			/* as long as this is its id */
	u32 owed;			/* flushes that KVM was trusted with, and were not done */
	u64 stamp;			/* until when conflicts are accounted for */
};

DECLARE_PER_CPU_ALIGNED(struct harden_cpu, harden_cpu);
DECLARE_PER_CPU(struct harden_core, harden_cores);	/* one may have no CPU */

int kvm_harden_core_init(void);
void kvm_harden_core_exit(void);
void kvm_harden_core_reset(void);

/* All CPUs of the core but @c itself. */
#define for_each_sibling(s, c) \
	for ((s) = (c)->next; (s) != (c); (s) = (s)->next)

#endif /* _KVM_HARDEN_CORE_H */
