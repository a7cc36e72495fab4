// SPDX-License-Identifier: GPL-2.0
/* kvmmeter harden: kvm_harden's settings and counters, from its sysfs */
#include "kvmmeter.h"
#include "out.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kvm_harden/metrics.h>

#define KH_SYSFS	"/sys/kernel/kvm_harden"

struct counters {
#define C(name, desc) ull name;
	KVM_HARDEN_COUNTERS(C)
#undef C
};

struct vm {
	ull id;
	struct km_ident ident;
	char policy[64];
	ull domain;
	struct counters c;
};

static bool read_counters(const char *dir, struct counters *c)
{
	char path[128];
	bool ok = true;

#define C(name, desc)							\
	snprintf(path, sizeof(path), KH_SYSFS "/%s/" #name, dir);	\
	ok = ok && km_sysfs_u64(path, &c->name);
	KVM_HARDEN_COUNTERS(C)
#undef C
	return ok;
}

/* False for a VM that has gone meanwhile. */
static bool read_vm(const struct km *km, const char *id, struct vm *vm)
{
	char dir[64], path[128];

	memset(vm, 0, sizeof(*vm));
	vm->id = strtoull(id, NULL, 10);
	km_identify_id(km, vm->id, &vm->ident);
	snprintf(path, sizeof(path), KH_SYSFS "/vms/%.20s/flush", id);
	if (!km_sysfs_str(path, vm->policy, sizeof(vm->policy)))
		return false;
	snprintf(path, sizeof(path), KH_SYSFS "/vms/%.20s/domain", id);
	snprintf(dir, sizeof(dir), "vms/%.20s", id);
	return km_sysfs_u64(path, &vm->domain) && read_counters(dir, &vm->c);
}

static int is_number(const struct dirent *d)
{
	return d->d_name[0] >= '0' && d->d_name[0] <= '9';
}

static unsigned int read_vms(const struct km *km, struct vm **vms)
{
	struct dirent **dir;
	unsigned int nvm = 0;
	int i, n = scandir(KH_SYSFS "/vms", &dir, is_number, versionsort);

	*vms = NULL;
	for (i = 0; i < n; i++) {
		*vms = km_alloc(*vms, nvm + 1, sizeof(**vms));
		nvm += read_vm(km, dir[i]->d_name, &(*vms)[nvm]);
		free(dir[i]);
	}
	if (n >= 0)
		free(dir);
	return nvm;
}

static void json_counters(const struct counters *c)
{
#define C(name, desc) json_u64(#name, c->name);
	KVM_HARDEN_COUNTERS(C)
#undef C
}

static void json(const char *status, const char *mode, const char *policy,
		 const struct counters *all, const struct vm *vms, unsigned int nvm)
{
	unsigned int i;

	json_open(NULL, '{');
	json_str("status", status);
	json_str("mode", mode);
	json_str("default", policy);
	json_counters(all);
	json_open("vms", '[');
	for (i = 0; i < nvm; i++) {
		json_open(NULL, '{');
		json_u64("vm", vms[i].id);
		json_str("name", vms[i].ident.name);
		json_str("uuid", vms[i].ident.uuid);
		json_u64("domain", vms[i].domain);
		json_str("flush", vms[i].policy);
		json_counters(&vms[i].c);
		json_close('}');
	}
	json_close(']');
	json_close('}');
	json_end();
}

static void cells(struct table *t, const struct counters *c)
{
	const ull counts[] = { c->switches, c->ibpb, c->l1d, c->covered, c->uncovered };
	const ull times[] = { c->predicted_ns, c->flush_ns, c->sibling_conflict_ns };
	char buf[OUT_LEN];
	unsigned int i;

	for (i = 0; i < 5; i++)
		table_cell(t, 4 + i, "%s", out_count(counts[i], buf));
	for (i = 0; i < 3; i++)
		table_cell(t, 9 + i, "%s", out_ns(times[i], buf));
}

static void print(const char *status, const char *policy, const struct counters *all,
		  const struct vm *vms, unsigned int nvm)
{
	static const char * const heads[] = {
		"ID", "NAME", "DOMAIN", "FLUSH", "SWITCHES", "IBPB", "L1D", "COVERED",
		"UNCOVERED", "PREDICTED", "TOOK", "CONFLICT",
	};
	char name[4 * KM_NAME_LEN];
	struct table t;
	unsigned int i;

	printf("kvm_harden: %s; default policy: %s\n\n", status, policy);
	table_init(&t, sizeof(heads) / sizeof(heads[0]), 1 << 1 | 1 << 3);
	table_row(&t);
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_cell(&t, i, "%s", heads[i]);
	for (i = 0; i < nvm; i++) {
		table_row(&t);
		table_cell(&t, 0, "%llu", vms[i].id);
		table_cell(&t, 1, "%.40s", out_escape(vms[i].ident.name, name, sizeof(name)));
		if (vms[i].domain)
			table_cell(&t, 2, "%llu", vms[i].domain);
		else
			table_cell(&t, 2, "own");
		table_cell(&t, 3, "%s", vms[i].policy);
		cells(&t, &vms[i].c);
	}
	table_row(&t);
	table_cell(&t, 1, "all, ended ones too");
	cells(&t, all);
	table_print(&t, NULL);
	table_free(&t);
}

int cmd_harden(int argc, char **argv)
{
	bool as_json = km_only_json(argc, argv);
	char status[256], mode[32], policy[64];
	struct counters all;
	struct vm *vms;
	unsigned int nvm;
	struct km km;

	if (access(KH_SYSFS, F_OK))
		km_die("kvm_harden is not loaded: load it with 'modprobe kvm_harden', or 'insmod kvm_harden/kvm_harden.ko' from its tree");
	if (!km_sysfs_str(KH_SYSFS "/status", status, sizeof(status)) ||
	    !km_sysfs_str(KH_SYSFS "/flush/mode", mode, sizeof(mode)) ||
	    !km_sysfs_str(KH_SYSFS "/flush/default", policy, sizeof(policy)) ||
	    !read_counters("flush", &all))
		km_die("cannot read " KH_SYSFS ": %s; was the module unloaded this moment?",
		       strerror(errno));
	km_open(&km);
	nvm = read_vms(&km, &vms);
	if (as_json)
		json(status, mode, policy, &all, vms, nvm);
	else
		print(status, policy, &all, vms, nvm);
	free(vms);
	return 0;
}
