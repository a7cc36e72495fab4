// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM's -name and -uuid stand on its command line only, and that is gone when
 * the final record is read. So what was seen once is kept until the next boot: a
 * line "CREATED_NS VM_ID NAME UUID" each, escaped, a blank as \x20.
 */
#include "kvmmeter.h"
#include "out.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_PATH	"/run/kvm_meter"
#define FILE_PATH	DIR_PATH "/names"
#define OLD_PATH	DIR_PATH "/names.old"
#define SIZE_MAX_BYTES	(4 << 20)

struct known {
	ull created_ns, vm_id;
	struct km_ident ident;
};

static struct known *known;
static size_t nknown;
static bool loaded;

static struct known *find(const struct kvm_meter_vm *vm)
{
	size_t i;

	for (i = nknown; i-- > 0;)
		if (known[i].created_ns == vm->created_ns && known[i].vm_id == vm->vm_id)
			return &known[i];
	return NULL;
}

static void unescape(const char *s, char *out, size_t len)
{
	unsigned int c;
	size_t n = 0;

	for (; *s && n < len - 1; n++) {
		if (sscanf(s, "\\x%2x", &c) == 1) {
			out[n] = c;
			s += 4;
		} else {
			out[n] = *s++;
		}
	}
	out[n] = '\0';
}

static void load(const char *path)
{
	char line[8192], name[4096], uuid[1024];
	FILE *f = fopen(path, "re");
	struct known *k;
	ull created, id;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llu %llu %4095s %1023s", &created, &id, name, uuid) != 4)
			continue;
		known = km_alloc(known, nknown + 1, sizeof(*known));
		k = &known[nknown++];
		memset(k, 0, sizeof(*k));
		k->created_ns = created;
		k->vm_id = id;
		unescape(name, k->ident.name, sizeof(k->ident.name));
		unescape(strcmp(uuid, "-") ? uuid : "", k->ident.uuid, sizeof(k->ident.uuid));
		k->ident.from_vmm = true;
	}
	fclose(f);
}

/* out_escape() leaves blanks and backslashes as they are; here they separate. */
static void word(const char *s, char *out, size_t len)
{
	size_t n = 0;

	for (; *s && n + 5 < len; s++) {
		if (*s > 0x20 && *s < 0x7f && *s != '\\')
			out[n++] = *s;
		else
			n += snprintf(out + n, len - n, "\\x%02x", (unsigned char)*s);
	}
	out[n] = '\0';
}

static void save(const struct kvm_meter_vm *vm, const struct km_ident *id)
{
	char name[4 * KM_NAME_LEN], uuid[4 * sizeof(id->uuid)];
	struct stat st;
	int fd;

	if (mkdir(DIR_PATH, 0700) && access(DIR_PATH, W_OK))
		return;
	if (!stat(FILE_PATH, &st) && st.st_size > SIZE_MAX_BYTES)
		rename(FILE_PATH, OLD_PATH);
	fd = open(FILE_PATH, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	word(id->name, name, sizeof(name));
	word(*id->uuid ? id->uuid : "-", uuid, sizeof(uuid));
	dprintf(fd, "%llu %llu %s %s\n", (ull)vm->created_ns, (ull)vm->vm_id, name, uuid);
	close(fd);
}

/* Fill in what was seen of a VM before, or keep what is seen of it now. */
void km_remember(const struct kvm_meter_vm *vm, struct km_ident *id)
{
	struct known *k;

	if (!vm->created_ns || geteuid())
		return;
	if (!loaded) {
		load(OLD_PATH);
		load(FILE_PATH);
		loaded = true;
	}
	k = find(vm);
	if (k && !id->from_vmm) {
		*id = k->ident;
	} else if (!k && id->from_vmm) {
		save(vm, id);
		known = km_alloc(known, nknown + 1, sizeof(*known));
		known[nknown].created_ns = vm->created_ns;
		known[nknown].vm_id = vm->vm_id;
		known[nknown++].ident = *id;
	}
}
