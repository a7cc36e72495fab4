// SPDX-License-Identifier: GPL-2.0
#include "admit.h"

#include <linux/hash.h>
#include <linux/kvm_host.h>

#include "health.h"
#include "registry.h"

#define HELD_BITS	10
#define REFUSED_BITS	12
#define REFUSED_PROBES	16

/* Slots held, by payer; payers that share a bucket are told apart by a scan. */
static unsigned int held[1 << HELD_BITS];

/*
 * vCPUs that found no slot: each is counted once, and its next entries cost no
 * lock until a slot has come free. Written under registry_lock, read without.
 */
static struct refused {
	const struct kvm_vcpu *vcpu;
	const struct kvm *kvm;
	u32 epoch;		/* of the last attempt */
} refused[1 << REFUSED_BITS];

static unsigned int refused_count;
static u32 free_epoch;		/* counts the slots given back */
static u32 full_epoch = U32_MAX; /* when a vCPU was refused that refused[] had no room for */
static bool news;

static struct refused *refused_find(const struct kvm_vcpu *vcpu)
{
	unsigned int i, at = hash_ptr(vcpu, REFUSED_BITS);

	for (i = 0; i < REFUSED_PROBES; i++) {
		struct refused *r = &refused[(at + i) % ARRAY_SIZE(refused)];

		if (READ_ONCE(r->vcpu) == vcpu)
			return r;
	}
	return NULL;
}

static struct refused *refused_add(const struct kvm_vcpu *vcpu)
{
	unsigned int i, at = hash_ptr(vcpu, REFUSED_BITS);

	for (i = 0; i < REFUSED_PROBES; i++) {
		struct refused *r = &refused[(at + i) % ARRAY_SIZE(refused)];

		if (r->vcpu)
			continue;
		r->kvm = vcpu->kvm;
		WRITE_ONCE(r->vcpu, vcpu);
		refused_count++;
		return r;
	}
	return NULL;
}

/**
 * kvm_meter_refused() - Is it in vain to ask for a slot?
 * @vcpu: vCPU without a slot
 *
 * Context: any; takes no lock.
 * Return: true if this vCPU was refused and nothing has come free since.
 */
bool kvm_meter_refused(const struct kvm_vcpu *vcpu)
{
	u32 now = READ_ONCE(free_epoch);
	const struct refused *r;

	if (!READ_ONCE(refused_count))
		return false;
	r = refused_find(vcpu);
	if (r)
		return READ_ONCE(r->epoch) == now;
	return READ_ONCE(full_epoch) == now && kvm_meter_slots_full();
}

static void refuse(const struct kvm_vcpu *vcpu)
{
	struct refused *r = refused_find(vcpu);

	if (!r) {
		if (!atomic64_read(&meter_health[HEALTH_vcpu_overflows]))
			WRITE_ONCE(news, true);
		health_count(HEALTH_vcpu_overflows);
		r = refused_add(vcpu);
	}
	if (r)
		WRITE_ONCE(r->epoch, free_epoch);
	else
		WRITE_ONCE(full_epoch, free_epoch);
}

static bool share_used_up(u32 payer)
{
	unsigned int i, count = 0, share = meter_vcpu_slots / 4 * 3;

	if (!payer || held[hash_32(payer, HELD_BITS)] < share)
		return false;
	for (i = 0; i < meter_vcpu_slots; i++)
		if (meter_vcpus[i].vm && meter_vcpus[i].vm->ident.payer == payer)
			count++;
	return count >= share;
}

/**
 * kvm_meter_admit() - May a vCPU have a slot?
 * @vcpu: vCPU that has none
 * @payer: user who answers for it
 * @slot_left: is there one?
 *
 * Nobody but root may hold more than three quarters of the slots: there is
 * always room for the VMs of others.
 */
bool kvm_meter_admit(const struct kvm_vcpu *vcpu, u32 payer, bool slot_left)
{
	if (slot_left && !share_used_up(payer))
		return true;
	refuse(vcpu);
	return false;
}

void kvm_meter_admit_taken(u32 payer)
{
	held[hash_32(payer, HELD_BITS)]++;
}

void kvm_meter_admit_given_back(u32 payer)
{
	held[hash_32(payer, HELD_BITS)]--;
	WRITE_ONCE(free_epoch, free_epoch + 1);
}

/* The VM is being destroyed: its vCPUs' memory may be another's soon. */
void kvm_meter_admit_forget(const struct kvm *kvm)
{
	unsigned int i;

	if (!refused_count)
		return;
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		if (refused[i].vcpu && refused[i].kvm == kvm) {
			WRITE_ONCE(refused[i].vcpu, NULL);
			refused_count--;
		}
	}
}

void kvm_meter_admit_forget_all(void)
{
	memset(refused, 0, sizeof(refused));
	refused_count = 0;
}

/* Is there something that kvm_meter_admit_say() has to say? */
bool kvm_meter_admit_news(void)
{
	return READ_ONCE(news);
}

/* Context: process. */
void kvm_meter_admit_say(void)
{
	if (xchg(&news, false))
		pr_warn("no slot left for a vCPU: it is not metered; see health/vcpu_overflows and load with a higher max_vcpus\n");
}
