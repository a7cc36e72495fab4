// SPDX-License-Identifier: GPL-2.0
/* kvmmeter - what every VM and vCPU of this host does with its time */
#include "kvmmeter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
"Usage: kvmmeter COMMAND [OPTIONS]\n"
"\n"
"Shows what the kernel module kvm_meter records of every VM and vCPU.\n"
"\n"
"  top [-d SECONDS] [-n COUNT] [--json | --tty]\n"
"                     live table: guest, host, steal and idle time, exits per second\n"
"                     and the exit reasons that cost most; -n ends after COUNT tables,\n"
"                     --tty redraws in place even if stdout is no terminal\n"
"  list [--json]      the running VMs and their totals\n"
"  show VM [--json]   everything about one VM, by id, name, uuid or pid\n"
"  ended [--json]     final records of VMs that are gone\n"
"  explain [VM]       what a VM's numbers say, in plain words; all, ended ones too\n"
"  status             is the meter armed and healthy, how full are its maps;\n"
"                     exit status 0: armed, 3: loaded but not armed\n"
"  prometheus         all counters of kvm_meter in Prometheus' text format\n"
"  harden [--json]    kvm_harden: trust domains, flushes between them, what they took\n"
"  zones [--json]     kvm_harden: no-go zones, and who tried to get in\n"
"  slot VM [VCPU]     its index in the BPF map kvm_meter_vcpu, for bpftool\n"
"\n"
"What the columns mean, in shares of wall-clock time:\n"
"  guest   running the guest's own instructions\n"
"  host    on a CPU for the guest, but in KVM or the VMM: the cost of exits\n"
"  steal   runnable, but another thread had the CPU, or cpu.max throttled it\n"
"  idle    asleep: halted, stopped by the VMM, or blocked (see blocked_ns)\n"
"\n"
"Totals of a running VM are read one after the other: they are of moments some\n"
"milliseconds apart. Final records, and each vCPU's numbers, are of one moment.\n"
"\n"
"Names and uuids that were seen are kept in /run/kvm_meter, for final records; a\n"
"regular 'kvmmeter prometheus' sees to it that every VM was seen.\n"
"\n"
"Needs root. The module comes first: 'modprobe kvm_meter'.\n";

void km_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("kvmmeter: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void km_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("kvmmeter: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; 'kvmmeter --help' shows what there is\n", stderr);
	exit(2);
}

void *km_alloc(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p)
		km_die("out of memory");
	return p;
}

bool km_only_json(int argc, char **argv)
{
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json")))
		km_usage("%s takes no argument but --json", argv[0]);
	return argc == 2;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "top", cmd_top },
	{ "list", cmd_list },
	{ "show", cmd_show },
	{ "ended", cmd_ended },
	{ "status", cmd_status },
	{ "prometheus", cmd_prometheus },
	{ "explain", cmd_explain },
	{ "slot", cmd_slot },
	{ "harden", cmd_harden },
	{ "zones", cmd_zones },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	size_t i;
	int a, ret;

	if (argc < 2) {
		fputs(help, stderr);
		return 2;
	}
	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--help") || !strcmp(argv[a], "-h") ||
		    (a == 1 && !strcmp(argv[a], "help"))) {
			fputs(help, stdout);
			return 0;
		}
	}
	for (i = 0; commands[i].name; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		ret = commands[i].run(argc - 1, argv + 1);
		if (fflush(stdout) || ferror(stdout))
			km_die("cannot write the output");
		return ret;
	}
	km_usage("there is no command '%s'", argv[1]);
}
