// SPDX-License-Identifier: GPL-2.0
/* Accounting policy off the entry and exit path. Pure, see account.h. */
#include "account.h"

#define ZERO(name, desc)		rec->name = 0;
#define ZERO_FIELD(type, name, desc)	rec->name = 0;
#define ZERO_ARRAY(name, desc)		memset(rec->name, 0, sizeof(rec->name));

/*
 * Wipe a record for its next vCPU, all but seq and moves: a reader that looks
 * on sees an update under way until everything is gone. They take over what
 * entries and exits were, so that what a reader compares never comes again.
 */
void account_clear(struct kvm_meter_vcpu *rec)
{
	__u64 gone = rec->entries + rec->exits;

	rec->moves += gone + 1;
	barrier();
	rec->state = KVM_METER_FREE;
	KVM_METER_COUNTERS(ZERO)
	KVM_METER_VCPU_IDENT(ZERO_FIELD)
	KVM_METER_HISTS(ZERO_ARRAY)
	KVM_METER_VCPU_NODES(ZERO_ARRAY)
	memset(rec->reasons, 0, sizeof(rec->reasons));
	rec->since_ns = 0;
	rec->cpu = 0;
	barrier();
	rec->seq += gone + 1;
}

#undef ZERO
#undef ZERO_FIELD
#undef ZERO_ARRAY

/* Begin a wiped record. */
void account_open(struct kvm_meter_vcpu *rec, const struct kvm_meter_vcpu_head *ident,
		  __u64 now, __u32 state)
{
	account_begin(rec);
	rec->vm_id = ident->vm_id;
	rec->vcpu_id = ident->vcpu_id;
	rec->tid = ident->tid;
	rec->clock_mult = ident->clock_mult;
	rec->cpu = ident->cpu;
	rec->first_ns = now;
	rec->since_ns = now;
	rec->state = state;
	account_end(rec);
}

#define ADD(name, desc)	sum->name += head->name;

void account_sum_head(struct kvm_meter_vm *sum, const struct kvm_meter_vcpu_head *head)
{
	KVM_METER_COUNTERS(ADD)
}

#undef ADD

#define ADD(name, desc)					\
	for (i = 0; i < sizeof(rec->name) / 8; i++)	\
		sum->name[i] += rec->name[i];

void account_sum_arrays(struct kvm_meter_vm *sum, const struct kvm_meter_vcpu *rec)
{
	unsigned int i;

	KVM_METER_HISTS(ADD)
	KVM_METER_VCPU_NODES(ADD)
}

#undef ADD

void account_sum_reasons(struct kvm_meter_vm_reason *sum,
			 const struct kvm_meter_vm_reason *reasons)
{
	unsigned int i;

	for (i = 0; i < KVM_METER_REASONS; i++) {
		sum[i].count += reasons[i].count;
		sum[i].time_ns += reasons[i].time_ns;
	}
}

#define ADD(name, desc)	sum->name += vm->name;

/* Not known of any VM so far: not known of the sum. */
#define ADD_KNOWN(name, desc)						\
	if (vm->name != KVM_METER_NONE)					\
		sum->name = (sum->name == KVM_METER_NONE ? 0 : sum->name) + vm->name;

void account_sum_owner(struct kvm_meter_owner *sum, const struct kvm_meter_vm *vm)
{
	sum->vms++;
	KVM_METER_COUNTERS(ADD)
	KVM_METER_VM_COUNTERS(ADD)
	KVM_METER_VM_ENERGY(ADD_KNOWN)
}

#undef ADD
#undef ADD_KNOWN
