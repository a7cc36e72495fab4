// SPDX-License-Identifier: GPL-2.0
/* All running VMs and vCPUs at one moment, and what changed between two. */
#include "kvmmeter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct km_vm *snap_vm(struct km_snap *s, uint64_t id)
{
	unsigned int i;

	/* Neighbouring slots mostly belong to one VM, the last one added. */
	for (i = s->nvm; i-- > 0;)
		if (s->vm[i].id == id)
			return &s->vm[i];
	s->vm = km_alloc(s->vm, s->nvm + 1, sizeof(*s->vm));
	memset(&s->vm[s->nvm], 0, sizeof(*s->vm));
	s->vm[s->nvm].id = id;
	return &s->vm[s->nvm++];
}

static void read_reasons(const struct kvm_meter_vcpu *rec, struct km_vcpu *v)
{
	struct kvm_meter_reason r;
	unsigned int i;

	for (i = 0; i < KVM_METER_REASONS; i++) {
		if (!__kvm_meter_load(&rec->reasons[i].count))
			continue;
		if (kvm_meter_read_reason(rec, i, &r))
			continue;
		v->r[i].count = r.count;
		v->r[i].time_ns = r.time_ns;
	}
}

static int by_vcpu_id(const void *a, const void *b)
{
	const struct km_vcpu *x = a, *y = b;

	return x->h.vcpu_id < y->h.vcpu_id ? -1 : x->h.vcpu_id > y->h.vcpu_id;
}

static int by_vm_id(const void *a, const void *b)
{
	const struct km_vm *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void km_snap_take(const struct km *km, struct km_snap *s, const struct km_snap *prev)
{
	struct kvm_meter_vm rec;
	struct timespec ts;
	uint32_t i;

	memset(s, 0, sizeof(*s));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	s->mono_ns = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	for (i = 0; i < km->vm.n; i++)
		if (km_read_vm(&km->vm, i, &rec) && !rec.ended_ns)
			snap_vm(s, rec.vm_id)->rec = rec;
	for (i = 0; i < km->vcpu.n; i++) {
		const struct kvm_meter_vcpu *p = km_vcpu(km, i);
		struct kvm_meter_vcpu_head h;
		const struct km_vcpu *old;
		struct km_vcpu *v;
		struct km_vm *vm;

		if (!__kvm_meter_load(&p->vm_id) || kvm_meter_read(p, &h))
			continue;
		vm = snap_vm(s, h.vm_id);
		vm->vcpu = km_alloc(vm->vcpu, vm->nvcpu + 1, sizeof(*v));
		v = &vm->vcpu[vm->nvcpu++];
		memset(v, 0, sizeof(*v));
		v->h = h;
		v->slot = i;
		s->nvcpu++;
		old = prev ? km_snap_find(prev, h.vm_id, v) : NULL;
		if (old)
			kvm_meter_monotonic(&v->h, &old->h);
		read_reasons(p, v);
	}
	qsort(s->vm, s->nvm, sizeof(*s->vm), by_vm_id);
	for (i = 0; i < s->nvm; i++) {
		struct km_vm *vm = &s->vm[i];

		if (vm->nvcpu)
			qsort(vm->vcpu, vm->nvcpu, sizeof(*vm->vcpu), by_vcpu_id);
		km_identify(&vm->rec, &vm->ident);
	}
}

void km_snap_free(struct km_snap *s)
{
	unsigned int i;

	for (i = 0; i < s->nvm; i++)
		free(s->vm[i].vcpu);
	free(s->vm);
	memset(s, 0, sizeof(*s));
}

const struct km_vm *km_snap_vm(const struct km_snap *s, uint64_t vm_id)
{
	struct km_vm key = { .id = vm_id };

	return s->nvm ? bsearch(&key, s->vm, s->nvm, sizeof(*s->vm), by_vm_id) : NULL;
}

/* What a person calls a VM: its id, name, uuid or process id; NULL is any. */
bool km_matches(uint64_t id, const struct kvm_meter_vm *rec, const struct km_ident *ident,
		const char *what)
{
	char *end;
	ull num;

	if (!what)
		return true;
	num = strtoull(what, &end, 10);
	return (*what && !*end && (id == num || rec->pid == num)) ||
	       !strcmp(ident->name, what) || !strcmp(ident->uuid, what);
}

const struct km_vm *km_find_vm(const struct km_snap *s, const char *what)
{
	const struct km_vm *found = NULL;
	unsigned int i, hits = 0;
	char *end;
	ull num = strtoull(what, &end, 10);

	if (*what && !*end)
		found = km_snap_vm(s, num);
	if (found)
		return found;
	for (i = 0; i < s->nvm; i++) {
		if (!km_matches(s->vm[i].id, &s->vm[i].rec, &s->vm[i].ident, what))
			continue;
		found = &s->vm[i];
		hits++;
	}
	if (hits > 1)
		km_die("%u VMs match '%s': give the id that 'kvmmeter list' shows", hits, what);
	if (!found)
		km_die("no running VM has the id, name, uuid or pid '%s': see 'kvmmeter list', or 'kvmmeter ended' for those that are gone",
		       what);
	return found;
}

const struct km_vcpu *km_snap_find(const struct km_snap *s, uint64_t vm_id,
				   const struct km_vcpu *v)
{
	const struct km_vm *vm = km_snap_vm(s, vm_id);
	unsigned int i;

	for (i = 0; vm && i < vm->nvcpu; i++)
		if (vm->vcpu[i].slot == v->slot && vm->vcpu[i].h.first_ns == v->h.first_ns)
			return &vm->vcpu[i];
	return NULL;
}

/* Not before it was folded for the first time, nor where the host counts none. */
bool km_has_energy(const struct kvm_meter_vm *rec)
{
	return rec->vm_id && rec->energy_uj != KVM_METER_NONE;
}

/* For a person. */
const char *km_energy(const struct kvm_meter_vm *rec, char *buf, size_t len)
{
	snprintf(buf, len, "%.3f J +- %.3f J%s", rec->energy_uj / 1e6, rec->energy_error_uj / 1e6,
		 rec->flags & KVM_METER_VM_MADE_UP ? " (made up)" : "");
	return buf;
}

void km_sum_add(struct km_sum *sum, const struct km_vcpu *now, const struct km_vcpu *prev)
{
	unsigned int i;

#define ADD(field, desc) sum->field += now->h.field - (prev ? prev->h.field : 0);
	KVM_METER_COUNTERS(ADD)
#undef ADD
	for (i = 0; i < KVM_METER_REASONS; i++) {
		sum->r[i].count += now->r[i].count - (prev ? prev->r[i].count : 0);
		sum->r[i].time_ns += now->r[i].time_ns - (prev ? prev->r[i].time_ns : 0);
	}
}

/*
 * Totals since the VM was first seen. sysfs has them exact, with the vCPUs that
 * are gone; where it cannot be read, the larger of fold and living vCPUs.
 */
void km_vm_total(const struct km_vm *vm, struct km_sum *sum)
{
	char path[128];
	unsigned int i;
	ull val;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < vm->nvcpu; i++)
		km_sum_add(sum, &vm->vcpu[i], NULL);
#define TOTAL(field, desc)							\
	if (vm->rec.field > sum->field)						\
		sum->field = vm->rec.field;					\
	snprintf(path, sizeof(path), KM_SYSFS "/vms/%llu/" #field, (ull)vm->id);	\
	if (km_sysfs_u64(path, &val))						\
		sum->field = val;
	KVM_METER_COUNTERS(TOTAL)
	KVM_METER_VM_COUNTERS(TOTAL)
#undef TOTAL
	for (i = 0; i < KVM_METER_REASONS; i++)
		if (vm->rec.reasons[i].count > sum->r[i].count)
			sum->r[i] = vm->rec.reasons[i];
}

/* Slots of the reasons met, the one that took most time first. */
unsigned int km_top_reasons(const struct kvm_meter_vm_reason *r, unsigned int *order,
			    unsigned int max)
{
	unsigned int i, j, n = 0;

	for (i = 0; i < KVM_METER_REASONS; i++) {
		if (!r[i].count && !r[i].time_ns)
			continue;
		for (j = n < max ? n++ : max; j > 0; j--) {
			if (r[order[j - 1]].time_ns >= r[i].time_ns)
				break;
			if (j < max)
				order[j] = order[j - 1];
		}
		if (j < max)
			order[j] = i;
	}
	return n;
}
