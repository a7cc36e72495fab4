/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Accounting policy: how a vCPU record changes. Pure: no kernel interfaces, no
 * clock, no locks. The caller makes sure that a record has one writer at a
 * time and hands in the time; selftests/unit/ compiles it on the host.
 */
#ifndef _KVM_METER_ACCOUNT_H
#define _KVM_METER_ACCOUNT_H

#include <kvm_meter/abi.h>

#ifdef __KERNEL__
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#define barrier()	__asm__ __volatile__("" ::: "memory")
#endif

static inline struct kvm_meter_vcpu_head *account_head(struct kvm_meter_vcpu *rec)
{
	return (struct kvm_meter_vcpu_head *)rec;
}

/*
 * Begin and end of an update that readers must see as a whole, off the entry
 * and exit path; see kvm_meter_read_begin(). x86 keeps the order of stores, so
 * that it is enough to hold the compiler back.
 */
static inline void account_begin(struct kvm_meter_vcpu *rec)
{
	rec->moves++;
	barrier();
}

static inline void account_end(struct kvm_meter_vcpu *rec)
{
	barrier();
	rec->seq++;
}

static inline bool account_waits(__u32 state)
{
	return state == KVM_METER_STEAL || state == KVM_METER_THROTTLED;
}

/*
 * Charge what has passed to the old state, which ends; within an update. A wait
 * has one state from its beginning to its end, so that since_ns is where it began.
 */
static inline void account_charge(struct kvm_meter_vcpu *rec, __u64 now)
{
	__u64 ns = now > rec->since_ns ? now - rec->since_ns : 0;

	if (account_waits(rec->state)) {
		rec->waits++;
		rec->starved += !!(rec->wait_kind & KVM_METER_WAIT_STARVED);
		rec->wait_hist[kvm_meter_hist_bucket(ns)]++;
	}
	kvm_meter_charge(account_head(rec), now);
}

/* Charge what has passed to the old state; go on in the new one. */
static inline void account_move(struct kvm_meter_vcpu *rec, __u64 now, __u32 state)
{
	account_begin(rec);
	account_charge(rec, now);
	rec->state = state;
	account_end(rec);
}

/* The vCPU has no CPU from now on, and wants one. @kind: KVM_METER_WAIT_* */
static inline void account_wait(struct kvm_meter_vcpu *rec, __u64 now, __u32 state, __u32 kind,
				bool woken)
{
	account_begin(rec);
	if (woken)
		rec->wakeups++;
	else
		rec->preemptions++;
	account_charge(rec, now);
	rec->state = state;
	rec->wait_kind = kind;
	account_end(rec);
}

/*
 * Guest time up to now goes to the place where it was; it is in another one from
 * now on. Within an update, beside the fast path: no field that this writes is
 * written there.
 */
static inline __u64 account_place(struct kvm_meter_vcpu *rec, __u64 guest_ns, __u32 place,
				  __u32 node)
{
	__u64 ns = kvm_meter_place(account_head(rec), guest_ns);

	/* The map can be written by BPF programs: an index from it is bounded. */
	rec->node_guest_ns[rec->node % KVM_METER_NODES] += ns;
	rec->place = place;
	rec->node = node;
	return ns;
}

/* The time from an exit to the next entry. */
static inline void account_reason_time(struct kvm_meter_reason *reason, __u64 ns)
{
	reason->time_ns += ns;
	reason->hist[kvm_meter_hist_bucket(ns)]++;
}

/* A VM-entry that no exit followed: the guest did not run. */
static inline void account_failed_entry(struct kvm_meter_vcpu *rec)
{
	account_begin(rec);
	rec->failed++;
	rec->state = KVM_METER_HOST;
	account_end(rec);
}

/* Keeps the compiler from adding now and subtracting since_ns separately. */
#define account_as_one(x)	__asm__("" : "+r" (x))

/*
 * VM-entry, nothing but the guest's exit and this entry since since_ns. The
 * entry path: @now is never before since_ns here. state is written first and
 * entries last, by which readers know an update that is not complete.
 */
static __always_inline void account_entry_fast(struct kvm_meter_vcpu *rec,
					       struct kvm_meter_reason *reason, __u64 now)
{
	__u64 ns;

	rec->state = KVM_METER_GUEST;
	barrier();
	ns = now - rec->since_ns;
	account_as_one(ns);
	rec->since_ns = now;
	rec->host_ns += ns;
	reason->time_ns += ns;
	if (__builtin_expect(ns >= 1ull << (KVM_METER_HIST + KVM_METER_HIST_SHIFT - 1), 0))
		reason->hist[KVM_METER_HIST - 1]++;
	else
		reason->hist[kvm_meter_hist_bucket(ns)]++;
	barrier();
	rec->entries++;
}

/* VM-exit; @now is never before since_ns here. */
static __always_inline void account_exit_fast(struct kvm_meter_vcpu *rec,
					      struct kvm_meter_reason *reason, __u64 now)
{
	__u64 ns;

	rec->state = KVM_METER_HOST;
	barrier();
	ns = now - rec->since_ns;
	account_as_one(ns);
	rec->since_ns = now;
	rec->guest_ns += ns;
	reason->count++;
	barrier();
	rec->exits++;
}

/* The same for an exit for PAUSE. */
static inline void account_exit_spin(struct kvm_meter_vcpu *rec, struct kvm_meter_reason *reason,
				     __u64 now, bool on_preempted)
{
	rec->state = KVM_METER_HOST;
	barrier();
	rec->spin_exits++;
	rec->spin_on_preempted += on_preempted;
	account_exit_fast(rec, reason, now);
}

void account_clear(struct kvm_meter_vcpu *rec);
void account_open(struct kvm_meter_vcpu *rec, const struct kvm_meter_vcpu_head *ident,
		  __u64 now, __u32 state);
void account_sum_head(struct kvm_meter_vm *sum, const struct kvm_meter_vcpu_head *head);
void account_sum_arrays(struct kvm_meter_vm *sum, const struct kvm_meter_vcpu *rec);
void account_sum_reasons(struct kvm_meter_vm_reason *sum,
			 const struct kvm_meter_vm_reason *reasons);
void account_sum_owner(struct kvm_meter_owner *sum, const struct kvm_meter_vm *vm);

#endif /* _KVM_METER_ACCOUNT_H */
