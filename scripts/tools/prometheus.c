// SPDX-License-Identifier: GPL-2.0
/* kvmmeter prometheus: one metric for each counter of the descriptor table */
#include "kvmmeter.h"
#include "out.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

struct labels {
	char vm[16 * KM_NAME_LEN];
};

/* Printable ASCII first: a label must be UTF-8. Then Prometheus' own escapes. */
static void escape(const char *s, char *to, size_t len)
{
	char esc[4 * KM_NAME_LEN], *p;
	size_t n = 0;

	out_escape(s, esc, sizeof(esc));
	for (p = esc; *p && n + 3 < len; p++) {
		if (*p == '"' || *p == '\\')
			to[n++] = '\\';
		to[n++] = *p;
	}
	to[n] = '\0';
}

static void make_labels(const struct km_vm *vm, struct labels *l)
{
	char name[8 * KM_NAME_LEN], uuid[8 * sizeof(vm->ident.uuid)];

	escape(vm->ident.name, name, sizeof(name));
	escape(vm->ident.uuid, uuid, sizeof(uuid));
	snprintf(l->vm, sizeof(l->vm), "vm=\"%llu\",name=\"%s\",uuid=\"%s\"", (ull)vm->id, name,
		 uuid);
}

static void head(const char *name, const char *help, const char *type)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/*
 * Prometheus counts energy in joules: X_uj becomes X_joules, X_uw X_watts. Others are
 * left out.
 */
static void joules(const char *scope, const char *field, const char *desc, const char *labels,
		   ull micro)
{
	const char *unit = strrchr(field, '_');
	char name[128];
	bool power;

	if (!unit || (strcmp(unit, "_uj") && strcmp(unit, "_uw")))
		return;
	power = unit[2] == 'w';
	snprintf(name, sizeof(name), "kvm_meter_%s%.*s_%s", scope, (int)(unit - field), field,
		 power ? "watts" : "joules_total");
	if (desc)
		head(name, desc, power ? "gauge" : "counter");
	printf("%s%s %llu.%06llu\n", name, labels, micro / 1000000, micro % 1000000);
}

/* What is made up for a test is nobody's to collect. */
static void export_energy(const struct km *km, const struct km_snap *s, const struct labels *l)
{
	const struct kvm_meter_info *info = &km->info;
	char label[sizeof(l->vm) + 2];
	unsigned int i;
	bool first;

	head("kvm_meter_energy_kind", "energy is: 0 not known, 1 counted, 2 made up for a test",
	     "gauge");
	printf("kvm_meter_energy_kind %u\n", info->energy_kind);
	if (info->energy_kind != KVM_METER_ENERGY_COUNTED)
		return;
#define EXPORT(field, desc)							\
	for (i = 0, first = true; i < s->nvm; i++) {				\
		if (!km_has_energy(&s->vm[i].rec))				\
			continue;						\
		snprintf(label, sizeof(label), "{%s}", l[i].vm);		\
		joules("vm_", #field, first ? desc : NULL, label, s->vm[i].rec.field); \
		first = false;							\
	}
	KVM_METER_VM_ENERGY(EXPORT)
#undef EXPORT
#define EXPORT(type, field, desc) joules("host_", #field, desc, "", info->field);
	KVM_METER_ENERGY(EXPORT)
#undef EXPORT
}

/* Prometheus counts time in seconds: X_ns becomes X_seconds. */
static bool metric_name(const char *scope, const char *field, char *buf, size_t len)
{
	size_t n = strlen(field);
	bool ns = n > 3 && !strcmp(field + n - 3, "_ns");

	snprintf(buf, len, "kvm_meter_%s%.*s%s_total", scope, (int)(ns ? n - 3 : n), field,
		 ns ? "_seconds" : "");
	return ns;
}

static void value(ull v, bool ns)
{
	if (ns)
		printf(" %llu.%09llu\n", v / 1000000000, v % 1000000000);
	else
		printf(" %llu\n", v);
}

static void export_vcpus(const struct km_snap *s, const struct labels *l, const char *field,
			 const char *desc, size_t offset)
{
	unsigned int i, j;
	char name[128];
	bool ns;

	ns = metric_name("vcpu_", field, name, sizeof(name));
	head(name, desc, "counter");
	for (i = 0; i < s->nvm; i++) {
		for (j = 0; j < s->vm[i].nvcpu; j++) {
			const struct kvm_meter_vcpu_head *h = &s->vm[i].vcpu[j].h;

			printf("%s{%s,vcpu=\"%u\"}", name, l[i].vm, h->vcpu_id);
			value(*(const __u64 *)((const char *)h + offset), ns);
		}
	}
}

static void export_vms(const struct km_snap *s, const struct labels *l, const struct km_sum *sum,
		       const char *field, const char *desc, size_t offset)
{
	unsigned int i;
	char name[128];
	bool ns;

	ns = metric_name("vm_", field, name, sizeof(name));
	head(name, desc, "counter");
	for (i = 0; i < s->nvm; i++) {
		printf("%s{%s}", name, l[i].vm);
		value(*(const __u64 *)((const char *)&sum[i] + offset), ns);
	}
}

/* What is known of the VMs' memory; those that nothing is known of are left out. */
static void export_memory(const struct km_snap *s, const struct labels *l, const char *field,
			  const char *desc, size_t offset, size_t known)
{
	char name[128];
	unsigned int i;

	snprintf(name, sizeof(name), "kvm_meter_vm_%s", field);
	head(name, desc, "gauge");
	for (i = 0; i < s->nvm; i++) {
		const char *rec = (const char *)&s->vm[i].rec;

		if (!*(const __u64 *)(rec + known))
			continue;
		printf("%s{%s}", name, l[i].vm);
		value(*(const __u64 *)(rec + offset), false);
	}
}

static void export_reasons(const struct km *km, const struct km_snap *s, const struct labels *l,
			   bool time)
{
	const char *name = time ? "kvm_meter_vcpu_exit_reason_seconds_total" :
				  "kvm_meter_vcpu_exit_reason_total";
	unsigned int i, j, r;

	head(name, time ? "time from the exit to the next entry, by exit reason" :
			  "VM-exits by reason", "counter");
	for (i = 0; i < s->nvm; i++) {
		for (j = 0; j < s->vm[i].nvcpu; j++) {
			const struct km_vcpu *v = &s->vm[i].vcpu[j];

			for (r = 0; r < KVM_METER_REASONS; r++) {
				if (!v->r[r].count)
					continue;
				printf("%s{%s,vcpu=\"%u\",reason=\"%s\"}", name, l[i].vm,
				       v->h.vcpu_id, km_reason_name(km, r));
				value(time ? v->r[r].time_ns : v->r[r].count, time);
			}
		}
	}
}

static void gauge(const char *name, const char *help, ull v)
{
	head(name, help, "gauge");
	printf("%s %llu\n", name, v);
}

static void export_health(void)
{
	const char *name = "kvm_meter_health";
	DIR *dir = opendir(KM_SYSFS "/health");
	struct dirent *d;
	char path[320];
	ull val;

	if (!dir)
		return;
	head(name, "faults the meter knows of, by kind; 0 is well", "gauge");
	while ((d = readdir(dir))) {
		snprintf(path, sizeof(path), KM_SYSFS "/health/%s", d->d_name);
		if (d->d_name[0] != '.' && km_sysfs_u64(path, &val))
			printf("%s{kind=\"%s\"} %llu\n", name, d->d_name, val);
	}
	closedir(dir);
}

int cmd_prometheus(int argc, char **argv)
{
	struct km_sum *sum;
	struct labels *l;
	struct km_snap s;
	struct km km;
	unsigned int i;

	(void)argv;
	if (argc > 1)
		km_usage("prometheus takes no argument");
	km_open(&km);
	km_snap_take(&km, &s, NULL);
	l = km_alloc(NULL, s.nvm + 1, sizeof(*l));
	sum = km_alloc(NULL, s.nvm + 1, sizeof(*sum));
	for (i = 0; i < s.nvm; i++) {
		make_labels(&s.vm[i], &l[i]);
		km_vm_total(&s.vm[i], &sum[i]);
	}
#define EXPORT(field, desc)								\
	if (km_here(#field)) {								\
		export_vcpus(&s, l, #field, desc,					\
			     offsetof(struct kvm_meter_vcpu_head, field));		\
		export_vms(&s, l, sum, #field, desc, offsetof(struct km_sum, field));	\
	}
	KVM_METER_COUNTERS(EXPORT)
#undef EXPORT
#define EXPORT(type, field, desc)							\
	export_memory(&s, l, #field, desc, offsetof(struct kvm_meter_vm, field),	\
		      offsetof(struct kvm_meter_vm, active_window_ms));
	KVM_METER_VM_MEMORY(EXPORT)
#undef EXPORT
#define EXPORT(type, field, desc)							\
	export_memory(&s, l, #field, desc, offsetof(struct kvm_meter_vm, field),	\
		      offsetof(struct kvm_meter_vm, active_slow_window_ms));
	KVM_METER_VM_MEMORY_SLOW(EXPORT)
#undef EXPORT
#define EXPORT(field, desc)								\
	export_vms(&s, l, sum, #field, desc, offsetof(struct km_sum, field));
	KVM_METER_VM_COUNTERS(EXPORT)
#undef EXPORT
	export_reasons(&km, &s, l, false);
	export_reasons(&km, &s, l, true);
	export_energy(&km, &s, l);
	gauge("kvm_meter_armed", "1: the meter is running", km.info.armed);
	gauge("kvm_meter_vcpu_slots", "vCPUs the meter has room for", km.info.vcpu_slots);
	gauge("kvm_meter_vcpus", "vCPUs metered now", s.nvcpu);
	gauge("kvm_meter_vm_slots", "VMs the meter has room for", km.info.vm_slots);
	gauge("kvm_meter_vms", "VMs metered now", s.nvm);
	head("kvm_meter_vms_ended_total", "VMs that ended since the module came", "counter");
	printf("kvm_meter_vms_ended_total %llu\n", (ull)km.info.vms_ended);
	export_health();
	return 0;
}
