// SPDX-License-Identifier: GPL-2.0
/*
 * Who a VM is: what its VMM was told to call it, else the name of the process.
 */
#include "kvmmeter.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t read_file(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r;

	if (fd < 0)
		return 0;
	while (n < len - 1 && (r = read(fd, buf + n, len - 1 - n)) > 0)
		n += r;
	close(fd);
	buf[n] = '\0';
	return n;
}

/* A process id may have been given to another since: compare its start. */
static bool same_process(const struct kvm_meter_vm *vm)
{
	ull tick_ns = 1000000000ull / sysconf(_SC_CLK_TCK), start;
	char path[64], buf[1024], *p;
	int i;

	snprintf(path, sizeof(path), "/proc/%u/stat", vm->pid);
	if (!read_file(path, buf, sizeof(buf)))
		return false;
	p = strrchr(buf, ')');
	for (i = 2; p && i < 22; i++)
		p = strchr(p + 1, ' ');
	if (!p)
		return false;
	start = strtoull(p, NULL, 10) * tick_ns;
	return start <= vm->start_ns + tick_ns && vm->start_ns <= start + tick_ns;
}

/* QEMU: NAME[,...] or guest=NAME[,...], and ",," stands for a comma. */
static void qemu_name(const char *arg, char *out, size_t len)
{
	const char *guest = strncmp(arg, "guest=", 6) ? strstr(arg, ",guest=") : arg - 1;
	size_t n = 0;

	if (guest)
		arg = guest + 7;
	for (; *arg && n < len - 1; arg++) {
		if (*arg == ',' && *++arg != ',')
			break;
		out[n++] = *arg;
	}
	out[n] = '\0';
}

static void parse_cmdline(const char *buf, size_t size, struct km_ident *id)
{
	const char *arg, *next, *end = buf + size;

	for (arg = buf; arg < end; arg = next) {
		next = arg + strlen(arg) + 1;
		if (next >= end)
			break;
		if (!strcmp(arg, "-name") || !strcmp(arg, "--name")) {
			qemu_name(next, id->name, sizeof(id->name));
		} else if (!strcmp(arg, "--id")) {	/* Firecracker */
			snprintf(id->name, sizeof(id->name), "%s", next);
		} else if (!strcmp(arg, "-uuid") || !strcmp(arg, "--uuid")) {
			snprintf(id->uuid, sizeof(id->uuid), "%s", next);
		} else {
			continue;
		}
		next += strlen(next) + 1;
	}
}

/* Of a running VM, by its id; all empty if there is no such. */
void km_identify_id(const struct km *km, ull id, struct km_ident *ident)
{
	static struct kvm_meter_vm rec;
	uint32_t i;

	memset(ident, 0, sizeof(*ident));
	for (i = 0; i < km->vm.n; i++) {
		if (!km_read_vm(&km->vm, i, &rec) || rec.vm_id != id)
			continue;
		km_identify(&rec, ident);
		return;
	}
}

void km_identify(const struct kvm_meter_vm *vm, struct km_ident *id)
{
	static char buf[65536];
	char path[64];
	size_t n;

	memset(id, 0, sizeof(*id));
	if (vm->pid && same_process(vm)) {
		snprintf(path, sizeof(path), "/proc/%u/cmdline", vm->pid);
		n = read_file(path, buf, sizeof(buf));
		parse_cmdline(buf, n, id);
	}
	id->from_vmm = id->name[0];
	km_remember(vm, id);
	if (!id->name[0])
		snprintf(id->name, sizeof(id->name), "%s", vm->comm);
}
