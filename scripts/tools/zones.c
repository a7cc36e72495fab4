// SPDX-License-Identifier: GPL-2.0
/* kvmmeter zones: kvm_harden's no-go zones and their violations, from its sysfs */
#include "kvmmeter.h"
#include "out.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ZONES	"/sys/kernel/kvm_harden/zones"

/* Files of a zone, in the order of the columns. */
#define FIELDS(F)							\
	F("VM", vm) F("GPA", gpa) F("SIZE", size) F("DENY", deny)	\
	F("ACTION", action) F("NAME", name) F("STATE", state)		\
	F("VIOLATIONS", violations) F("LAST GPA", last_gpa)		\
	F("LAST RIP", last_rip) F("ACCESS", last_access)

struct zone {
	char id[24];
#define F(head, name) char name[128];
	FIELDS(F)
#undef F
};

/* False for a zone that has been removed meanwhile. */
static bool read_zone(const char *id, struct zone *z)
{
	char path[128];
	bool ok = true;

	snprintf(z->id, sizeof(z->id), "%.20s", id);
#define F(head, field)							\
	snprintf(path, sizeof(path), ZONES "/%.20s/" #field, id);	\
	ok = ok && km_sysfs_str(path, z->field, sizeof(z->field));
	FIELDS(F)
#undef F
	return ok;
}

static int is_number(const struct dirent *d)
{
	return d->d_name[0] >= '0' && d->d_name[0] <= '9';
}

static unsigned int read_zones(struct zone **zones)
{
	struct dirent **dir;
	unsigned int nr = 0;
	int i, n = scandir(ZONES, &dir, is_number, versionsort);

	*zones = NULL;
	for (i = 0; i < n; i++) {
		*zones = km_alloc(*zones, nr + 1, sizeof(**zones));
		nr += read_zone(dir[i]->d_name, &(*zones)[nr]);
		free(dir[i]);
	}
	if (n >= 0)
		free(dir);
	return nr;
}

static void json(const struct zone *zones, unsigned int nr)
{
	unsigned int i;

	json_open(NULL, '[');
	for (i = 0; i < nr; i++) {
		json_open(NULL, '{');
		json_u64("id", strtoull(zones[i].id, NULL, 10));
#define F(head, field) json_str(#field, zones[i].field);
		FIELDS(F)
#undef F
		json_close('}');
	}
	json_close(']');
	json_end();
}

static void print(const struct zone *zones, unsigned int nr)
{
	struct table t;
	unsigned int i, col = 1;

	if (!nr) {
		puts("There are no zones; Documentation/admin-guide/no-go-zones.rst says how to make one.");
		return;
	}
	table_init(&t, 12, 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 11);
	table_row(&t);
	table_cell(&t, 0, "ID");
#define F(head, field) table_cell(&t, col++, head);
	FIELDS(F)
#undef F
	for (i = 0; i < nr; i++) {
		table_row(&t);
		table_cell(&t, 0, "%s", zones[i].id);
		col = 1;
#define F(head, field) table_cell(&t, col++, "%s", zones[i].field);
		FIELDS(F)
#undef F
	}
	table_print(&t, NULL);
	table_free(&t);
}

int cmd_zones(int argc, char **argv)
{
	bool as_json = km_only_json(argc, argv);
	struct zone *zones;
	unsigned int nr;

	if (access(ZONES, F_OK))
		km_die("kvm_harden is not loaded: load it with 'modprobe kvm_harden', or 'insmod kvm_harden/kvm_harden.ko' from its tree");
	nr = read_zones(&zones);
	if (as_json)
		json(zones, nr);
	else
		print(zones, nr);
	free(zones);
	return 0;
}
