/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * kvm_meter's binary interface: the records in its BPF maps and the functions
 * that read them. Included by the module and by user space alike, so that both
 * bring a record up to date in the same way.
 *
 * An agent maps kvm_meter_vcpu (BPF_F_MMAPABLE) once and then reads every vCPU
 * without a system call:
 *
 *	struct kvm_meter_vcpu_head now;
 *
 *	if (!kvm_meter_read(&vcpus[i], &now))
 *		printf("%llu ns in the guest\n", now.guest_ns);
 *
 * All times are in nanoseconds of the meter clock: (TSC * clock_mult) >> 32.
 */
#ifndef _KVM_METER_ABI_H
#define _KVM_METER_ABI_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/tsc.h>
#else
#include <string.h>
#include <x86intrin.h>
#endif

#include "metrics.h"

/* Raised whenever a layout below changes. */
#define KVM_METER_ABI_VERSION	5

/* One slot per reason in the vendor's table, the last one for unknown codes. */
#define KVM_METER_REASONS	128
#define KVM_METER_REASON_UNKNOWN (KVM_METER_REASONS - 1)

/*
 * Histogram of times: of a reason, from an exit to the next entry; others are in
 * KVM_METER_HISTS. Bucket i counts times
 * in [2^(i + 6), 2^(i + 7)) ns; the first one all that is shorter, the last
 * one (from 2^29 ns, about half a second) all that is longer.
 */
#define KVM_METER_HIST		24
#define KVM_METER_HIST_SHIFT	6

/* Places for nodes in a record. */
#define KVM_METER_NODES		16
#define KVM_METER_NODE_NONE	0xffffffffu

enum kvm_meter_vendor {
	KVM_METER_VENDOR_NONE,
	KVM_METER_VENDOR_AMD,
	KVM_METER_VENDOR_INTEL,
};

/* Where the time since since_ns belongs. */
enum kvm_meter_state {
	KVM_METER_FREE,		/* the slot is not in use */
	KVM_METER_HOST,		/* host_ns */
	KVM_METER_GUEST,	/* guest_ns */
	KVM_METER_STEAL,	/* steal_ns */
	KVM_METER_THROTTLED,	/* steal_ns and throttled_ns */
	KVM_METER_IDLE,		/* idle_ns */
	KVM_METER_BLOCKED,	/* idle_ns and blocked_ns */
	KVM_METER_ENDED,	/* nothing: the vCPU or the meter has gone */
};

/* kvm_meter_vcpu.wait_kind: how the wait looks to the guest */
#define KVM_METER_WAIT_STARVED	0x1	/* it has no steal clock: it is not told */
#define KVM_METER_WAIT_IDLE	0x2	/* it had halted the vCPU */

/*
 * kvm_meter_vcpu.place: where guest time since placed_ns belongs. What the sibling
 * of its CPU does, in the lowest bits; of several siblings, the last of these.
 */
#define KVM_METER_BESIDE	0x7
#define KVM_METER_BESIDE_NONE	0	/* it has no CPU, or none of this host has siblings */
#define KVM_METER_BESIDE_IDLE	1	/* smt_idle_ns */
#define KVM_METER_BESIDE_OWN	2	/* smt_own_ns */
#define KVM_METER_BESIDE_HOST	3	/* smt_host_ns */
#define KVM_METER_BESIDE_OTHER	4	/* smt_other_ns */
#define KVM_METER_PLACE_APART	0x8	/* promise_apart_ns */
#define KVM_METER_PLACE_CROWDED	0x10	/* promise_crowded_ns */
#define KVM_METER_PLACE_REMOTE	0x20	/* remote_ns */

/* kvm_meter_info.host */
#define KVM_METER_HOST_SMT	0x1	/* CPUs have siblings */
#define KVM_METER_HOST_NUMA	0x2	/* there is more than one node */

/* kvm_meter_vm.flags */
#define KVM_METER_VM_FOUND	0x1	/* ran before the meter came */
#define KVM_METER_VM_DISARMED	0x2	/* ended because the meter was disarmed */
#define KVM_METER_VM_PARTIAL	0x4	/* some of its vCPUs found no slot */
#define KVM_METER_VM_MADE_UP	0x8	/* energy is made up, for tests */

/* In place of a number that the host does not have. */
#define KVM_METER_NONE		(~0ull)

/* kvm_meter_info.energy_kind */
enum kvm_meter_energy {
	KVM_METER_ENERGY_NONE,		/* the host counts none */
	KVM_METER_ENERGY_COUNTED,	/* by its hardware */
	KVM_METER_ENERGY_MADE_UP,	/* for tests: not to be billed */
};

#define __KVM_METER_C(name, desc)	__u64 name;
#define __KVM_METER_F(type, name, desc)	type name;
#define __KVM_METER_S(len, name, desc)	char name[len];
#define __KVM_METER_H(name, desc)	__u64 name[KVM_METER_HIST];
#define __KVM_METER_N(name, desc)	__u64 name[KVM_METER_NODES];

/* One exit reason of one vCPU. */
struct kvm_meter_reason {
	__u64 count;
	__u64 time_ns;		/* from the exit to the next entry */
	__u64 hist[KVM_METER_HIST];
};

/* One exit reason of one VM. */
struct kvm_meter_vm_reason {
	__u64 count;
	__u64 time_ns;
};

/* What struct kvm_meter_vcpu begins with: what kvm_meter_read() fills. */
struct kvm_meter_vcpu_head {
	KVM_METER_VCPU_HOT(__KVM_METER_F)
	KVM_METER_COUNTERS(__KVM_METER_C)
	KVM_METER_VCPU_IDENT(__KVM_METER_F)
};

/* BPF map kvm_meter_vcpu: one element per vCPU. */
struct kvm_meter_vcpu {
	KVM_METER_VCPU_HOT(__KVM_METER_F)
	KVM_METER_COUNTERS(__KVM_METER_C)
	KVM_METER_VCPU_IDENT(__KVM_METER_F)
	KVM_METER_HISTS(__KVM_METER_H)
	KVM_METER_VCPU_NODES(__KVM_METER_N)
	struct kvm_meter_reason reasons[KVM_METER_REASONS];
};

/* What is known of a VM's memory; kvm_meter_vm has the same fields. */
struct kvm_meter_memory {
	KVM_METER_VM_MEMORY(__KVM_METER_F)
	KVM_METER_VM_MEMORY_SLOW(__KVM_METER_F)
};

/* BPF maps kvm_meter_vm (running VMs) and kvm_meter_ended (final records). */
struct kvm_meter_vm {
	KVM_METER_VM_HEAD(__KVM_METER_F)
	KVM_METER_COUNTERS(__KVM_METER_C)
	KVM_METER_VM_COUNTERS(__KVM_METER_C)
	KVM_METER_VM_ENERGY(__KVM_METER_C)
	KVM_METER_VM_STRINGS(__KVM_METER_S)
	KVM_METER_VM_MEMORY(__KVM_METER_F)
	KVM_METER_VM_MEMORY_SLOW(__KVM_METER_F)
	KVM_METER_HISTS(__KVM_METER_H)
	KVM_METER_VM_NODES(__KVM_METER_N)
	struct kvm_meter_vm_reason reasons[KVM_METER_REASONS];
};

/* BPF map kvm_meter_owner: totals of final records that are gone, by owner. */
struct kvm_meter_owner {
	KVM_METER_OWNER_HEAD(__KVM_METER_F)
	KVM_METER_COUNTERS(__KVM_METER_C)
	KVM_METER_VM_COUNTERS(__KVM_METER_C)
	KVM_METER_VM_ENERGY(__KVM_METER_C)
};

struct kvm_meter_reason_name {
	__u32 code;		/* the vendor's exit code */
	char name[32];		/* empty: the slot is not used */
};

/* BPF map kvm_meter_info: what the other maps mean. One element. */
struct kvm_meter_info {
	KVM_METER_INFO_HEAD(__KVM_METER_F)
	KVM_METER_ENERGY(__KVM_METER_F)
	struct kvm_meter_reason_name names[KVM_METER_REASONS];
};

#ifdef __KERNEL__
#define __kvm_meter_assert(cond)	static_assert(cond)
#define __kvm_meter_load(p)		READ_ONCE(*(p))
#define __kvm_meter_rmb()		smp_rmb()
#define __kvm_meter_tsc()		rdtsc_ordered()
#else
#define __kvm_meter_assert(cond)	_Static_assert(cond, #cond)
#define __kvm_meter_load(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define __kvm_meter_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define __kvm_meter_tsc()		(_mm_lfence(), __rdtsc())
#endif

__kvm_meter_assert(sizeof(struct kvm_meter_reason) == 208);
__kvm_meter_assert(sizeof(struct kvm_meter_vcpu_head) == 320);
__kvm_meter_assert(sizeof(struct kvm_meter_vcpu) == 320 + 2 * 192 + 128 + 128 * 208);
__kvm_meter_assert(sizeof(struct kvm_meter_vcpu) % 64 == 0);
__kvm_meter_assert(sizeof(struct kvm_meter_vm) ==
		   88 + 216 + 64 + 16 + 360 + 96 + 2 * 192 + 2 * 128 + 128 * 16);
__kvm_meter_assert(sizeof(struct kvm_meter_owner) == 32 + 216 + 64 + 16);
__kvm_meter_assert(sizeof(struct kvm_meter_info) == 80 + 56 + 128 * 36);

/**
 * kvm_meter_tsc_to_ns() - Convert a time stamp to the meter clock
 * @tsc: host time stamp counter
 * @mult: clock_mult of the record or of kvm_meter_info
 */
static inline __u64 kvm_meter_tsc_to_ns(__u64 tsc, __u64 mult)
{
	return (__u64)(((__uint128_t)tsc * mult) >> 32);
}

/**
 * kvm_meter_hist_bucket() - Histogram bucket of a duration
 * @ns: duration
 */
static inline unsigned long kvm_meter_hist_bucket(__u64 ns)
{
	unsigned long log;

	if (ns >= 1ull << (KVM_METER_HIST + KVM_METER_HIST_SHIFT - 1))
		return KVM_METER_HIST - 1;
	/* In assembler because __builtin_clzll() is an int, to be extended again. */
	__asm__("bsrq %1, %0"
		: "=r" (log)
		: "r" (ns | ((1ull << (KVM_METER_HIST_SHIFT + 1)) - 1))
		: "cc");
	return log - KVM_METER_HIST_SHIFT;
}

/**
 * kvm_meter_charge() - Charge the time since the last change of state
 * @h: record, or a consistent copy of one
 * @now: meter clock; a value before since_ns charges nothing
 *
 * The one place that says which state is charged to which field.
 */
static inline void kvm_meter_charge(struct kvm_meter_vcpu_head *h, __u64 now)
{
	__u64 ns = now > h->since_ns ? now - h->since_ns : 0;

	switch (h->state) {
	case KVM_METER_GUEST:
		h->guest_ns += ns;
		break;
	case KVM_METER_HOST:
		h->host_ns += ns;
		break;
	case KVM_METER_THROTTLED:
	case KVM_METER_STEAL:
		h->steal_ns += ns;
		if (h->state == KVM_METER_THROTTLED)
			h->throttled_ns += ns;
		if (h->wait_kind & KVM_METER_WAIT_STARVED)
			h->starved_ns += ns;
		if (h->wait_kind & KVM_METER_WAIT_IDLE)
			h->steal_idle_ns += ns;
		break;
	case KVM_METER_BLOCKED:
		h->blocked_ns += ns;
		h->idle_ns += ns;
		break;
	case KVM_METER_IDLE:
		h->idle_ns += ns;
		break;
	default:
		return;
	}
	h->since_ns += ns;
	h->wall_ns = h->since_ns - h->first_ns;
}

/**
 * kvm_meter_place() - Charge guest time to the place where it was
 * @h: record, or a consistent copy of one
 * @guest_ns: its guest time as of now; a value before placed_ns charges nothing
 *
 * Return: what was charged.
 */
static inline __u64 kvm_meter_place(struct kvm_meter_vcpu_head *h, __u64 guest_ns)
{
	__u64 ns = guest_ns > h->placed_ns ? guest_ns - h->placed_ns : 0;

	switch (h->place & KVM_METER_BESIDE) {
	case KVM_METER_BESIDE_IDLE:
		h->smt_idle_ns += ns;
		break;
	case KVM_METER_BESIDE_OWN:
		h->smt_own_ns += ns;
		break;
	case KVM_METER_BESIDE_HOST:
		h->smt_host_ns += ns;
		break;
	case KVM_METER_BESIDE_OTHER:
		h->smt_other_ns += ns;
		break;
	}
	if (h->place & KVM_METER_PLACE_APART)
		h->promise_apart_ns += ns;
	if (h->place & KVM_METER_PLACE_CROWDED)
		h->promise_crowded_ns += ns;
	if (h->place & KVM_METER_PLACE_REMOTE)
		h->remote_ns += ns;
	h->placed_ns += ns;
	return ns;
}

/**
 * kvm_meter_read_begin() - Start to read a vCPU record that may be changing
 * @rec: element of kvm_meter_vcpu
 *
 * An update has a mark that is written first and one that is written last. On
 * the entry/exit path the first is state and the last is entries or exits:
 * a record in the guest has had one entry more than exits, and while that does
 * not fit, an update is under way. Everything else counts moves up first and
 * seq last. What was read is consistent if the marks that are written last,
 * read before it, and those that are written first, read after it, agree.
 *
 * Return: a cookie for kvm_meter_read_retry().
 */
static inline __u64 kvm_meter_read_begin(const struct kvm_meter_vcpu *rec)
{
	__u64 done = __kvm_meter_load(&rec->seq);

	__kvm_meter_rmb();
	done += __kvm_meter_load(&rec->entries);
	done += __kvm_meter_load(&rec->exits);
	__kvm_meter_rmb();
	return done;
}

/**
 * kvm_meter_read_retry() - Tell whether what was read may be torn
 * @rec: element of kvm_meter_vcpu
 * @done: what kvm_meter_read_begin() returned
 */
static inline int kvm_meter_read_retry(const struct kvm_meter_vcpu *rec, __u64 done)
{
	__u64 entries, exits, failed;
	__u32 state;

	__kvm_meter_rmb();
	state = __kvm_meter_load(&rec->state);
	__kvm_meter_rmb();
	failed = __kvm_meter_load(&rec->failed);
	entries = __kvm_meter_load(&rec->entries);
	exits = __kvm_meter_load(&rec->exits);
	/* Last: an update off the fast path would change all of the above. */
	__kvm_meter_rmb();
	if (__kvm_meter_load(&rec->moves) + entries + exits != done)
		return 1;
	if (state != KVM_METER_GUEST && state != KVM_METER_HOST)
		return 0;
	return entries - exits - failed != (state == KVM_METER_GUEST);
}

#define KVM_METER_READ_TRIES	1000

#define KVM_METER_READ_FREE	(-1)
#define KVM_METER_READ_AGAIN	(-2)

/**
 * kvm_meter_read() - Read a vCPU's counters as they are now
 * @rec: element of kvm_meter_vcpu
 * @out: consistent copy of all but the reasons, brought up to this moment
 *
 * Return: 0, KVM_METER_READ_FREE if the slot is free, or KVM_METER_READ_AGAIN if
 * no consistent copy could be had. That happens where the host is itself a
 * guest whose CPU was taken away in the middle of an update: try again later.
 */
static inline int kvm_meter_read(const struct kvm_meter_vcpu *rec,
				 struct kvm_meter_vcpu_head *out)
{
	int tries;

	for (tries = 0; tries < KVM_METER_READ_TRIES; tries++) {
		__u64 done = kvm_meter_read_begin(rec);
		__u64 now;

		memcpy(out, rec, sizeof(*out));
		now = kvm_meter_tsc_to_ns(__kvm_meter_tsc(), out->clock_mult);
		if (kvm_meter_read_retry(rec, done))
			continue;
		if (!out->vm_id || out->state == KVM_METER_FREE)
			return KVM_METER_READ_FREE;
		kvm_meter_charge(out, now);
		kvm_meter_place(out, out->guest_ns);
		return 0;
	}
	return KVM_METER_READ_AGAIN;
}

/**
 * kvm_meter_read_nodes() - Read a vCPU's guest time by node as it is now
 * @rec: element of kvm_meter_vcpu
 * @out: KVM_METER_NODES times; their sum is guest_ns
 *
 * Return: as kvm_meter_read().
 */
static inline int kvm_meter_read_nodes(const struct kvm_meter_vcpu *rec, __u64 *out)
{
	struct kvm_meter_vcpu_head head;
	int tries;

	for (tries = 0; tries < KVM_METER_READ_TRIES; tries++) {
		__u64 done = kvm_meter_read_begin(rec);
		__u64 now;

		memcpy(&head, rec, sizeof(head));
		memcpy(out, rec->node_guest_ns, sizeof(rec->node_guest_ns));
		now = kvm_meter_tsc_to_ns(__kvm_meter_tsc(), head.clock_mult);
		if (kvm_meter_read_retry(rec, done))
			continue;
		if (!head.vm_id || head.state == KVM_METER_FREE)
			return KVM_METER_READ_FREE;
		kvm_meter_charge(&head, now);
		out[head.node % KVM_METER_NODES] += kvm_meter_place(&head, head.guest_ns);
		return 0;
	}
	return KVM_METER_READ_AGAIN;
}

/**
 * kvm_meter_monotonic() - Keep a reader's view from ever going back
 * @out: what was read now
 * @prev: what the same reader saw before, of the same vCPU
 *
 * A stamp can be corrected after it was read: 6.1 on AMD reports an exit late,
 * and time stamp counters of two sockets may differ. A field that was seen is
 * held, and what it has too much is taken from the fields that have grown, so
 * that the four still add up to wall_ns.
 */
static inline void kvm_meter_monotonic(struct kvm_meter_vcpu_head *out,
				       const struct kvm_meter_vcpu_head *prev)
{
	__u64 *v[4] = { &out->guest_ns, &out->host_ns, &out->steal_ns, &out->idle_ns };
	__u64 floor[4] = { prev->guest_ns, prev->host_ns, prev->steal_ns, prev->idle_ns };
	__u64 over = 0;
	int i;

#define __KVM_METER_MAX(name, desc)	\
	if (out->name < prev->name)	\
		out->name = prev->name;
	/* All but the four, which are corrected together below. */
	__KVM_METER_MAX(throttled_ns, "")
	__KVM_METER_MAX(blocked_ns, "")
	__KVM_METER_MAX(starved_ns, "")
	__KVM_METER_MAX(steal_idle_ns, "")
	if (floor[2] < out->throttled_ns)
		floor[2] = out->throttled_ns;
	if (floor[2] < out->starved_ns)
		floor[2] = out->starved_ns;
	if (floor[2] < out->steal_idle_ns)
		floor[2] = out->steal_idle_ns;
	if (floor[3] < out->blocked_ns)
		floor[3] = out->blocked_ns;
	for (i = 0; i < 4; i++) {
		if (*v[i] < floor[i]) {
			over += floor[i] - *v[i];
			*v[i] = floor[i];
		}
	}
	for (i = 0; i < 4 && over; i++) {
		__u64 cut = *v[i] - floor[i] < over ? *v[i] - floor[i] : over;

		*v[i] -= cut;
		over -= cut;
	}
	out->wall_ns += over;
	KVM_METER_COUNTERS(__KVM_METER_MAX)
#undef __KVM_METER_MAX
}

/**
 * kvm_meter_read_reason() - Read one exit reason of a vCPU
 * @rec: element of kvm_meter_vcpu
 * @i: slot; kvm_meter_info.names[i] is its name
 * @out: consistent copy
 *
 * Return: 0, or KVM_METER_READ_AGAIN.
 */
static inline int kvm_meter_read_reason(const struct kvm_meter_vcpu *rec, unsigned int i,
					struct kvm_meter_reason *out)
{
	int tries;

	for (tries = 0; tries < KVM_METER_READ_TRIES; tries++) {
		__u64 done = kvm_meter_read_begin(rec);

		memcpy(out, &rec->reasons[i], sizeof(*out));
		if (!kvm_meter_read_retry(rec, done))
			return 0;
	}
	return KVM_METER_READ_AGAIN;
}

#endif /* _KVM_METER_ABI_H */
