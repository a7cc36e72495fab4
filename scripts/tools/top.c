// SPDX-License-Identifier: GPL-2.0
/* kvmmeter top: the last interval of every VM and vCPU */
#include "kvmmeter.h"
#include "out.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define TOP_REASONS	3

enum { COL_WHO, COL_ID, COL_GUEST, COL_HOST, COL_STEAL, COL_IDLE, COL_EXITS, COL_WHY, COLS };

static char *vm_rows;		/* one byte a row: 1 for a VM's own row */
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static const char *style_tty(unsigned int row)
{
	if (row == -1u)
		return "\033[0m";
	return row == 0 ? "\033[7m" : vm_rows[row] ? "\033[1m" : "";
}

static double share(ull part, ull whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static void fill_row(struct table *t, const struct km *km, const struct km_sum *d, ull ns)
{
	unsigned int order[TOP_REASONS], n, i;
	char why[256] = "", rate[OUT_LEN], each[OUT_LEN];
	size_t len = 0;

	table_cell(t, COL_GUEST, "%.1f%%", share(d->guest_ns, d->wall_ns));
	table_cell(t, COL_HOST, "%.1f%%", share(d->host_ns, d->wall_ns));
	table_cell(t, COL_STEAL, "%.1f%%", share(d->steal_ns, d->wall_ns));
	table_cell(t, COL_IDLE, "%.1f%%", share(d->idle_ns, d->wall_ns));
	table_cell(t, COL_EXITS, "%s", out_count(ns ? d->exits * 1e9 / ns + 0.5 : 0, rate));
	n = km_top_reasons(d->r, order, TOP_REASONS);
	for (i = 0; i < n && len < sizeof(why) - 80; i++) {
		const struct kvm_meter_vm_reason *r = &d->r[order[i]];

		len += snprintf(why + len, sizeof(why) - len, "%s%s %.1f%% (%s)", i ? ", " : "",
				km_reason_name(km, order[i]), share(r->time_ns, d->wall_ns),
				out_ns(r->count ? r->time_ns / r->count : 0, each));
	}
	table_cell(t, COL_WHY, "%s", why);
}

/* The difference of one VM, and of its vCPUs, between two snapshots. */
static void vm_delta(const struct km_vm *vm, const struct km_snap *prev, struct km_sum *sum)
{
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < vm->nvcpu; i++)
		km_sum_add(sum, &vm->vcpu[i], km_snap_find(prev, vm->id, &vm->vcpu[i]));
}

static void print_table(const struct km *km, const struct km_snap *now,
			const struct km_snap *prev, bool tty)
{
	static const char * const heads[COLS] = { "VM / vCPU", "WHERE", "GUEST", "HOST", "STEAL",
		"IDLE", "EXITS/s", "MOST EXPENSIVE EXITS: SHARE OF TIME (EACH)" };
	ull ns = now->mono_ns - prev->mono_ns;
	char clock[16], name[4 * KM_NAME_LEN];
	struct utsname uts;
	struct table t;
	time_t secs = time(NULL);
	unsigned int i, j;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&secs));
	uname(&uts);
	printf("%skvmmeter  %s  %s (%s)  %u VM%s, %u vCPU%s, last %.1f s\n\n",
	       tty ? "\033[H\033[2J" : "", clock, uts.release,
	       km->info.vendor == KVM_METER_VENDOR_AMD ? "AMD" :
	       km->info.vendor == KVM_METER_VENDOR_INTEL ? "Intel" : "no KVM yet",
	       now->nvm, now->nvm == 1 ? "" : "s", now->nvcpu, now->nvcpu == 1 ? "" : "s", ns / 1e9);
	vm_rows = km_alloc(NULL, 1 + now->nvm + now->nvcpu, 1);
	memset(vm_rows, 0, 1 + now->nvm + now->nvcpu);
	table_init(&t, COLS, 1 << COL_WHO | 1 << COL_ID | 1 << COL_WHY);
	table_row(&t);
	for (i = 0; i < COLS; i++)
		table_cell(&t, i, "%s", heads[i]);
	for (i = 0; i < now->nvm; i++) {
		const struct km_vm *vm = &now->vm[i];
		struct km_sum d;

		vm_rows[t.rows] = 1;
		table_row(&t);
		out_escape(vm->ident.name, name, sizeof(name));
		table_cell(&t, COL_WHO, "%llu %.40s", (ull)vm->id, name);
		table_cell(&t, COL_ID, "pid %u", vm->rec.pid);
		vm_delta(vm, prev, &d);
		fill_row(&t, km, &d, ns);
		if (vm->nvcpu == 1)	/* it would say the same twice */
			table_cell(&t, COL_WHY, "%s", "");
		for (j = 0; j < vm->nvcpu; j++) {
			const struct km_vcpu *v = &vm->vcpu[j];

			memset(&d, 0, sizeof(d));
			km_sum_add(&d, v, km_snap_find(prev, vm->id, v));
			table_row(&t);
			table_cell(&t, COL_WHO, "  vcpu %u", v->h.vcpu_id);
			table_cell(&t, COL_ID, "cpu %u", v->h.cpu);
			fill_row(&t, km, &d, ns);
		}
	}
	table_print(&t, tty ? style_tty : NULL);
	if (!now->nvm) {
		printf("\n");
		km_say_no_vms();
	}
	printf("\n");
	fflush(stdout);
	table_free(&t);
	free(vm_rows);
}

static void json_sum(const struct km *km, const struct km_sum *d, ull ns)
{
	unsigned int order[KVM_METER_REASONS], n, i;

	json_num("guest_percent", share(d->guest_ns, d->wall_ns));
	json_num("host_percent", share(d->host_ns, d->wall_ns));
	json_num("steal_percent", share(d->steal_ns, d->wall_ns));
	json_num("idle_percent", share(d->idle_ns, d->wall_ns));
	json_num("exits_per_second", ns ? d->exits * 1e9 / ns : 0);
#define FIELD(field, desc)			\
	if (km_here(#field))			\
		json_u64(#field, d->field);
	KVM_METER_COUNTERS(FIELD)
#undef FIELD
	json_open("exit_reasons", '[');
	n = km_top_reasons(d->r, order, KVM_METER_REASONS);
	for (i = 0; i < n; i++) {
		json_open(NULL, '{');
		json_str("name", km_reason_name(km, order[i]));
		json_u64("count", d->r[order[i]].count);
		json_u64("time_ns", d->r[order[i]].time_ns);
		json_close('}');
	}
	json_close(']');
}

static void print_json(const struct km *km, const struct km_snap *now, const struct km_snap *prev)
{
	ull ns = now->mono_ns - prev->mono_ns;
	unsigned int i, j;

	json_open(NULL, '{');
	json_u64("interval_ns", ns);
	json_open("vms", '[');
	for (i = 0; i < now->nvm; i++) {
		const struct km_vm *vm = &now->vm[i];
		struct km_sum d;

		json_open(NULL, '{');
		json_u64("vm", vm->id);
		json_str("name", vm->ident.name);
		json_str("uuid", vm->ident.uuid);
		json_u64("pid", vm->rec.pid);
		vm_delta(vm, prev, &d);
		json_sum(km, &d, ns);
		json_open("vcpus", '[');
		for (j = 0; j < vm->nvcpu; j++) {
			memset(&d, 0, sizeof(d));
			km_sum_add(&d, &vm->vcpu[j], km_snap_find(prev, vm->id, &vm->vcpu[j]));
			json_open(NULL, '{');
			json_u64("vcpu", vm->vcpu[j].h.vcpu_id);
			json_u64("cpu", vm->vcpu[j].h.cpu);
			json_u64("tid", vm->vcpu[j].h.tid);
			json_sum(km, &d, ns);
			json_close('}');
		}
		json_close(']');
		json_close('}');
	}
	json_close(']');
	json_close('}');
	json_end();
}

static double parse_num(const char *opt, const char *arg, double min, double max)
{
	char *end;
	double v;

	if (!arg)
		km_usage("top: %s wants a number", opt);
	v = strtod(arg, &end);
	if (end == arg || *end || !(v >= min && v <= max))
		km_usage("top: %s %s is not in %g..%g", opt, arg, min, max);
	return v;
}

int cmd_top(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	bool json = false, tty = isatty(STDOUT_FILENO);
	double delay = 2, count = 0;
	struct km_snap now, prev;
	struct timespec ts;
	struct km km;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-d")) {
			i++;
			delay = parse_num("-d", argv[i], 0.1, 86400);
		} else if (!strcmp(argv[i], "-n")) {
			i++;
			count = parse_num("-n", argv[i], 1, 1e9);
		} else if (!strcmp(argv[i], "--json")) {
			json = true;
		} else if (!strcmp(argv[i], "--tty")) {
			tty = true;
		} else {
			km_usage("top: what is '%s'?", argv[i]);
		}
	}
	km_open(&km);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	km_snap_take(&km, &prev, NULL);
	ts.tv_sec = delay;
	ts.tv_nsec = (delay - ts.tv_sec) * 1e9;
	while (!stop) {
		if (nanosleep(&ts, NULL) && errno == EINTR)
			break;
		km_snap_take(&km, &now, &prev);
		if (json)
			print_json(&km, &now, &prev);
		else
			print_table(&km, &now, &prev, tty);
		km_snap_free(&prev);
		prev = now;
		if (count && --count < 1)
			break;
		if (access(KM_SYSFS, F_OK))
			km_die("kvm_meter was unloaded; these were its last numbers");
	}
	km_snap_free(&prev);
	return 0;
}
