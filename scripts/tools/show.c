// SPDX-License-Identifier: GPL-2.0
/* kvmmeter list, show, ended and status: totals */
#include "kvmmeter.h"
#include "out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_WIDTH	40

static const char * const list_heads[] = {
	"ID", "NAME", "PID", "UID", "VCPUS", "WALL", "GUEST", "HOST", "STEAL", "IDLE", "EXITS",
};

static void json_identity(const struct kvm_meter_vm *rec, const struct km_ident *id)
{
	json_str("name", id->name);
	json_str("uuid", id->uuid);
	json_u64("pid", rec->pid);
	json_str("comm", rec->comm);
	json_u64("uid", rec->uid);
	json_u64("cgroup_id", rec->cgroup_id);
	json_str("cgroup", rec->cgroup);
	json_str("boot_id", rec->boot_id);
	json_u64("start_ns", rec->start_ns);
	json_u64("created_ns", rec->created_ns);
	json_u64("ended_ns", rec->ended_ns);
	json_u64("flags", rec->flags);
}

static void json_reasons(const struct km *km, const struct kvm_meter_vm_reason *r)
{
	unsigned int order[KVM_METER_REASONS], n, i;

	json_open("exit_reasons", '[');
	n = km_top_reasons(r, order, KVM_METER_REASONS);
	for (i = 0; i < n; i++) {
		json_open(NULL, '{');
		json_str("name", km_reason_name(km, order[i]));
		json_u64("count", r[order[i]].count);
		json_u64("time_ns", r[order[i]].time_ns);
		json_close('}');
	}
	json_close(']');
}

#define JSON_FIELD(field, desc)			\
	if (km_here(#field))			\
		json_u64(#field, from->field);

/* What is not known is not there. */
static void json_energy(const struct kvm_meter_vm *from)
{
	if (!km_has_energy(from))
		return;
	KVM_METER_VM_ENERGY(JSON_FIELD)
}

static void json_sum(const struct km_sum *from)
{
	KVM_METER_COUNTERS(JSON_FIELD)
	KVM_METER_VM_COUNTERS(JSON_FIELD)
}

/* As of the last fold. */
static void json_arrays(const struct kvm_meter_vm *rec)
{
	unsigned int i;

#define ARRAY(field, desc)						\
	json_open(#field, '[');						\
	for (i = 0; i < sizeof(rec->field) / sizeof(*rec->field); i++)	\
		json_u64(NULL, rec->field[i]);				\
	json_close(']');
	KVM_METER_HISTS(ARRAY)
	if (km_here("remote_ns")) {
		KVM_METER_VM_NODES(ARRAY)
		if (rec->memory_node != KVM_METER_NODE_NONE) {
			json_u64("memory_node", rec->memory_node);
			json_u64("preferred_gain_permille", rec->preferred_gain_permille);
		}
		if (rec->preferred_node != KVM_METER_NODE_NONE)
			json_u64("preferred_node", rec->preferred_node);
	}
#undef ARRAY
}

static void json_rec(const struct kvm_meter_vm *from)
{
	KVM_METER_COUNTERS(JSON_FIELD)
	KVM_METER_VM_COUNTERS(JSON_FIELD)
}

/* What is not known is left out. */
static void json_memory(const struct kvm_meter_vm *from)
{
	if (!from->active_window_ms)
		return;
#define MEMORY_FIELD(type, field, desc) json_u64(#field, from->field);
	KVM_METER_VM_MEMORY(MEMORY_FIELD)
	if (!from->active_slow_window_ms)
		return;
	KVM_METER_VM_MEMORY_SLOW(MEMORY_FIELD)
#undef MEMORY_FIELD
}

static void json_vcpu(const struct km *km, const struct km_vcpu *v)
{
	const struct kvm_meter_vcpu_head *from = &v->h;

	json_open(NULL, '{');
	json_u64("vcpu", v->h.vcpu_id);
	json_u64("tid", v->h.tid);
	json_u64("cpu", v->h.cpu);
	KVM_METER_COUNTERS(JSON_FIELD)
	json_reasons(km, v->r);
	json_close('}');
}

static void json_vm(const struct km *km, const struct km_vm *vm)
{
	struct km_sum sum;
	unsigned int i;

	json_open(NULL, '{');
	json_u64("vm", vm->id);
	json_identity(&vm->rec, &vm->ident);
	km_vm_total(vm, &sum);
	json_sum(&sum);
	json_energy(&vm->rec);
	json_memory(&vm->rec);
	json_arrays(&vm->rec);
	json_reasons(km, sum.r);
	json_open("vcpus", '[');
	for (i = 0; i < vm->nvcpu; i++)
		json_vcpu(km, &vm->vcpu[i]);
	json_close(']');
	json_close('}');
}

static void list_row(struct table *t, const struct kvm_meter_vm *rec, const struct km_ident *id,
		     ull vm_id, unsigned int vcpus, const struct km_sum *sum)
{
	const ull times[] = { sum->wall_ns, sum->guest_ns, sum->host_ns, sum->steal_ns,
			      sum->idle_ns };
	char name[4 * KM_NAME_LEN], buf[OUT_LEN];
	unsigned int i;

	table_row(t);
	table_cell(t, 0, "%llu", vm_id);
	table_cell(t, 1, "%.40s", out_escape(id->name, name, sizeof(name)));
	table_cell(t, 2, "%u", rec->pid);
	table_cell(t, 3, "%u", rec->uid);
	table_cell(t, 4, "%u", vcpus);
	for (i = 0; i < 5; i++)
		table_cell(t, 5 + i, "%s", out_ns(times[i], buf));
	table_cell(t, 10, "%s", out_count(sum->exits, buf));
}

static void list_head(struct table *t, unsigned int cols)
{
	unsigned int i;

	table_init(t, cols, 1 << 1 | 1 << 11 | 1 << 12);
	table_row(t);
	for (i = 0; i < sizeof(list_heads) / sizeof(list_heads[0]); i++)
		table_cell(t, i, "%s", list_heads[i]);
}

int cmd_list(int argc, char **argv)
{
	bool json = km_only_json(argc, argv);
	struct km_snap s;
	struct table t;
	struct km km;
	unsigned int i;

	km_open(&km);
	km_snap_take(&km, &s, NULL);
	if (json) {
		json_open(NULL, '[');
		for (i = 0; i < s.nvm; i++)
			json_vm(&km, &s.vm[i]);
		json_close(']');
		json_end();
		return 0;
	}
	list_head(&t, 11);
	for (i = 0; i < s.nvm; i++) {
		struct km_sum sum;

		km_vm_total(&s.vm[i], &sum);
		list_row(&t, &s.vm[i].rec, &s.vm[i].ident, s.vm[i].id, s.vm[i].nvcpu, &sum);
	}
	table_print(&t, NULL);
	if (!s.nvm)
		km_say_no_vms();
	return 0;
}

static void print_bars(const ull *hist)
{
	unsigned int b, first = KVM_METER_HIST, last = 0;
	char lo[OUT_LEN], hi[OUT_LEN], num[OUT_LEN];
	ull max = 0;

	for (b = 0; b < KVM_METER_HIST; b++) {
		if (!hist[b])
			continue;
		max = hist[b] > max ? hist[b] : max;
		first = b < first ? b : first;
		last = b;
	}
	for (b = first; max && b <= last; b++) {
		int bar = (hist[b] * BAR_WIDTH + max - 1) / max;

		out_ns(b ? 1ull << (b + KVM_METER_HIST_SHIFT) : 0, lo);
		out_ns(1ull << (b + KVM_METER_HIST_SHIFT + 1), hi);
		printf("      %8s .. %-8s %10s |%.*s\n", lo,
		       b == KVM_METER_HIST - 1 ? "" : hi, out_count(hist[b], num), bar,
		       "########################################");
	}
}

/* Histogram of one reason over the living vCPUs. */
static void print_hist(const struct km *km, const struct km_vm *vm, unsigned int reason)
{
	ull hist[KVM_METER_HIST] = { 0 };
	unsigned int i, b;

	for (i = 0; i < vm->nvcpu; i++) {
		struct kvm_meter_reason r;

		if (kvm_meter_read_reason(km_vcpu(km, vm->vcpu[i].slot), reason, &r))
			continue;
		for (b = 0; b < KVM_METER_HIST; b++)
			hist[b] += r.hist[b];
	}
	print_bars(hist);
}

/* As of the last fold. */
static void print_hists(const struct kvm_meter_vm *rec)
{
	ull hist[KVM_METER_HIST];
	unsigned int b;

#define HIST(field, desc)				\
	for (b = 0; b < KVM_METER_HIST; b++)		\
		hist[b] = rec->field[b];		\
	printf("\n  %-20s %s\n", #field, desc);		\
	print_bars(hist);
	KVM_METER_HISTS(HIST)
#undef HIST
}

static void print_counters(const struct km *km, const struct km_vm *vm, const struct km_sum *sum)
{
	char buf[OUT_LEN], head[32];
	struct table t;
	unsigned int i;

	(void)km;
	table_init(&t, 3 + vm->nvcpu, 1 | 1ull << (2 + vm->nvcpu));
	table_row(&t);
	table_cell(&t, 1, "VM");
	for (i = 0; i < vm->nvcpu; i++) {
		snprintf(head, sizeof(head), "vcpu %u", vm->vcpu[i].h.vcpu_id);
		table_cell(&t, 2 + i, "%s", head);
	}
#define COUNTER(field, desc)								\
	if (km_here(#field)) {								\
		table_row(&t);								\
		table_cell(&t, 0, "  %s", #field);					\
		table_cell(&t, 1, "%s", out_count(sum->field, buf));			\
		for (i = 0; i < vm->nvcpu; i++)						\
			table_cell(&t, 2 + i, "%s", out_count(vm->vcpu[i].h.field, buf)); \
		table_cell(&t, 2 + vm->nvcpu, "%s", desc);				\
	}
	KVM_METER_COUNTERS(COUNTER)
#undef COUNTER
#define COUNTER(field, desc)								\
	table_row(&t);									\
	table_cell(&t, 0, "  %s", #field);						\
	table_cell(&t, 1, "%s", out_count(sum->field, buf));				\
	table_cell(&t, 2 + vm->nvcpu, "%s", desc);
	KVM_METER_VM_COUNTERS(COUNTER)
#undef COUNTER
	table_print(&t, NULL);
	table_free(&t);
}

static void print_memory(const struct kvm_meter_vm *from)
{
	char buf[OUT_LEN];
	struct table t;

	if (!from->active_window_ms)
		return;
	table_init(&t, 3, 1 | 1 << 2);
#define MEMORY_ROW(type, field, desc)				\
	table_row(&t);						\
	table_cell(&t, 0, "  %s", #field);			\
	table_cell(&t, 1, "%s", out_count(from->field, buf));	\
	table_cell(&t, 2, "%s", desc);
#define SLOW_ROW(type, field, desc)				\
	if (from->active_slow_window_ms) {			\
		MEMORY_ROW(type, field, desc)			\
	}
	KVM_METER_VM_MEMORY(MEMORY_ROW)
	KVM_METER_VM_MEMORY_SLOW(SLOW_ROW)
#undef SLOW_ROW
#undef MEMORY_ROW
	printf("\nMemory\n");
	table_print(&t, NULL);
	table_free(&t);
}

static void print_vm(const struct km *km, const struct km_vm *vm)
{
	char name[4 * KM_NAME_LEN], uuid[4 * sizeof(vm->ident.uuid)], buf[OUT_LEN], each[OUT_LEN];
	char cgroup[4 * KVM_METER_CGROUP_LEN];
	unsigned int order[KVM_METER_REASONS], n, i;
	struct km_sum sum;

	km_vm_total(vm, &sum);
	out_escape(vm->ident.name, name, sizeof(name));
	out_escape(vm->ident.uuid, uuid, sizeof(uuid));
	out_escape(vm->rec.cgroup, cgroup, sizeof(cgroup));
	printf("VM %llu  %s%s%s\n", (ull)vm->id, name, *uuid ? "  uuid " : "", uuid);
	printf("  pid %u, uid %u, cgroup %s\n", vm->rec.pid, vm->rec.uid, *cgroup ? cgroup : "-");
	printf("  first seen %s%s\n\n", out_date(vm->rec.created_ns, buf),
	       vm->rec.flags & KVM_METER_VM_FOUND ? ", it ran before the meter came" :
	       vm->rec.flags & KVM_METER_VM_PARTIAL ? ", some of its vCPUs found no slot" : "");
	print_counters(km, vm, &sum);
	if (km_has_energy(&vm->rec))
		printf("\nEnergy as of the last reading: %s\n", km_energy(&vm->rec, buf, sizeof(buf)));
	print_memory(&vm->rec);
	print_hists(&vm->rec);
	printf("\nExit reasons, the one that took most time first\n");
	n = km_top_reasons(sum.r, order, KVM_METER_REASONS);
	for (i = 0; i < n; i++) {
		const struct kvm_meter_vm_reason *r = &sum.r[order[i]];

		out_ns(r->count ? r->time_ns / r->count : 0, each);
		printf("\n  %-20s %s exits, ", km_reason_name(km, order[i]),
		       out_count(r->count, buf));
		printf("%s in all, %s each\n", out_ns(r->time_ns, buf), each);
		print_hist(km, vm, order[i]);
	}
}

int cmd_show(int argc, char **argv)
{
	const char *what = NULL;
	const struct km_vm *vm;
	bool json = false;
	struct km_snap s;
	struct km km;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (what || argv[i][0] == '-')
			km_usage("show: what is '%s'?", argv[i]);
		else
			what = argv[i];
	}
	if (!what)
		km_usage("show wants a VM's id, name, uuid or pid");
	km_open(&km);
	km_snap_take(&km, &s, NULL);
	vm = km_find_vm(&s, what);
	if (json) {
		json_vm(&km, vm);
		json_end();
	} else {
		print_vm(&km, vm);
	}
	return 0;
}

static int by_end(const void *a, const void *b)
{
	const struct kvm_meter_vm *x = a, *y = b;

	if (x->ended_ns != y->ended_ns)
		return x->ended_ns < y->ended_ns ? -1 : 1;
	return x->vm_id < y->vm_id ? -1 : x->vm_id > y->vm_id;
}

static void json_ended(const struct km *km, const struct kvm_meter_vm *rec)
{
	struct km_ident id;

	km_identify(rec, &id);
	json_open(NULL, '{');
	json_u64("vm", rec->vm_id);
	json_identity(rec, &id);
	json_u64("vcpus", rec->vcpus);
	json_rec(rec);
	json_energy(rec);
	json_memory(rec);
	json_arrays(rec);
	json_reasons(km, rec->reasons);
	json_close('}');
}

static void ended_row(struct table *t, const struct kvm_meter_vm *from)
{
	struct km_sum sum = { 0 };
	struct km_ident id;
	char buf[OUT_LEN], uuid[4 * sizeof(id.uuid)];

#define COPY(field, desc) sum.field = from->field;
	KVM_METER_COUNTERS(COPY)
#undef COPY
	km_identify(from, &id);
	list_row(t, from, &id, from->vm_id, from->vcpus, &sum);
	table_cell(t, 11, "%s", out_date(from->ended_ns, buf));
	table_cell(t, 12, "%s", out_escape(id.uuid, uuid, sizeof(uuid)));
}

int cmd_ended(int argc, char **argv)
{
	bool json = km_only_json(argc, argv);
	struct kvm_meter_owner owner;
	struct kvm_meter_vm *rec;
	unsigned int n = 0;
	ull folded = 0;
	struct table t;
	struct km km;
	uint32_t i;

	km_open(&km);
	rec = km_alloc(NULL, km.ended.n, sizeof(*rec));
	for (i = 0; i < km.ended.n; i++)
		n += km_read_vm(&km.ended, i, &rec[n]);
	qsort(rec, n, sizeof(*rec), by_end);
	for (i = 0; i < km.owner.n; i++)
		if (km_read_owner(&km.owner, i, &owner))
			folded += owner.vms;
	if (json) {
		json_open(NULL, '{');
		json_open("vms", '[');
		for (i = 0; i < n; i++)
			json_ended(&km, &rec[i]);
		json_close(']');
		json_u64("folded_into_owner_totals", folded);
		json_close('}');
		json_end();
		return 0;
	}
	list_head(&t, 13);
	table_cell(&t, 11, "ENDED");
	table_cell(&t, 12, "UUID");
	for (i = 0; i < n; i++)
		ended_row(&t, &rec[i]);
	table_print(&t, NULL);
	if (!n)
		puts("No VM has ended since the module came.");
	if (folded)
		printf("%llu older records were folded into the totals of their owners (map kvm_meter_owner).\n",
		       folded);
	free(rec);
	return 0;
}
