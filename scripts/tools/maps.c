// SPDX-License-Identifier: GPL-2.0
/* The module's BPF maps, found by id and mapped read-only. */
#include "kvmmeter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KM_TRIES	1000

static uint32_t host;		/* what this host has, by kvm_meter_info */

static int km_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

static int km_map_fd(const char *name)
{
	union bpf_attr attr = { 0 };
	char path[128];
	ull id;
	int fd;

	snprintf(path, sizeof(path), KM_SYSFS "/maps/%s", name);
	if (!km_sysfs_u64(path, &id)) {
		if (access(KM_SYSFS, F_OK))
			km_die("kvm_meter is not loaded: load it with 'modprobe kvm_meter', or 'insmod kvm_meter/kvm_meter.ko' from its tree");
		km_die("%s: %s; 'kvmmeter status' says what the module itself reports",
		       path, strerror(errno));
	}
	/* Not BPF_F_RDONLY: a shared mapping of such a descriptor is refused. */
	attr.map_id = id;
	fd = km_bpf(BPF_MAP_GET_FD_BY_ID, &attr);
	if (fd < 0 && errno == EPERM)
		km_die("no permission to open BPF map %s: run as root (CAP_SYS_ADMIN); /sys/kernel/kvm_meter/vms/ shows the same numbers as text, but for energy",
		       name);
	if (fd < 0)
		km_die("cannot open BPF map %s (id %llu): %s; was the module reloaded this moment? Try again",
		       name, id, strerror(errno));
	return fd;
}

static void km_map_open(struct km_map *map, const char *name, size_t size)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr attr = { 0 };
	size_t len;
	int fd;

	fd = km_map_fd(name);
	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (km_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		km_die("BPF map %s: %s", name, strerror(errno));
	if (info.value_size != size)
		km_die("BPF map %s has elements of %u bytes, this tool knows %zu (ABI %d): use the kvmmeter built with the loaded module",
		       name, info.value_size, size, KVM_METER_ABI_VERSION);
	len = (size_t)info.max_entries * size;
	map->mem = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (map->mem == MAP_FAILED)
		km_die("cannot map BPF map %s: %s", name, strerror(errno));
	map->name = name;
	map->size = size;
	map->n = info.max_entries;
	close(fd);
}

/* Of one reading of energy, whatever else changes in it meanwhile. */
static void copy_info(struct kvm_meter_info *to, const struct kvm_meter_info *from)
{
	int tries;

	for (tries = 0; tries < KM_TRIES; tries++) {
		__u64 seq = __kvm_meter_load(&from->energy_seq);

		__kvm_meter_rmb();
		memcpy(to, from, sizeof(*to));
		__kvm_meter_rmb();
		if (!(seq & 1) && __kvm_meter_load(&from->energy_seq) == seq)
			return;
		usleep(100);
	}
	km_die("BPF map kvm_meter_info does not stand still: try again");
}

void km_open(struct km *km)
{
	struct km_map info;

	memset(km, 0, sizeof(*km));
	km_map_open(&info, "kvm_meter_info", sizeof(struct kvm_meter_info));
	copy_info(&km->info, (const struct kvm_meter_info *)info.mem);
	munmap((void *)info.mem, info.n * info.size);
	host = km->info.host;
	if (km->info.abi_version != KVM_METER_ABI_VERSION)
		km_die("the loaded module speaks ABI %u, this tool %d: use the kvmmeter built with it",
		       km->info.abi_version, KVM_METER_ABI_VERSION);
	km_map_open(&km->vcpu, "kvm_meter_vcpu", sizeof(struct kvm_meter_vcpu));
	km_map_open(&km->vm, "kvm_meter_vm", sizeof(struct kvm_meter_vm));
	km_map_open(&km->ended, "kvm_meter_ended", sizeof(struct kvm_meter_vm));
	km_map_open(&km->owner, "kvm_meter_owner", sizeof(struct kvm_meter_owner));
}

const struct kvm_meter_vcpu *km_vcpu(const struct km *km, uint32_t i)
{
	return (const struct kvm_meter_vcpu *)(km->vcpu.mem + i * km->vcpu.size);
}

bool km_here(const char *field)
{
	if (!strncmp(field, "smt_", 4))
		return host & KVM_METER_HOST_SMT;
	if (!strcmp(field, "remote_ns"))
		return host & KVM_METER_HOST_NUMA;
	return true;
}

/* Records whose seq is odd while they are written. */
static bool km_read_seq(const struct km_map *map, uint32_t i, void *out)
{
	const unsigned char *p = map->mem + (size_t)i * map->size;
	const __u64 *seq = (const __u64 *)p;
	int tries;

	for (tries = 0; tries < KM_TRIES; tries++) {
		__u64 s = __kvm_meter_load(seq);

		__kvm_meter_rmb();
		memcpy(out, p, map->size);
		__kvm_meter_rmb();
		if (!(s & 1) && s == __kvm_meter_load(seq))
			return true;
	}
	return false;
}

bool km_read_vm(const struct km_map *map, uint32_t i, struct kvm_meter_vm *out)
{
	const struct kvm_meter_vm *p = (const struct kvm_meter_vm *)(map->mem +
								     (size_t)i * map->size);

	if (!__kvm_meter_load(&p->vm_id) || !km_read_seq(map, i, out) || !out->vm_id)
		return false;
	out->comm[sizeof(out->comm) - 1] = '\0';
	out->cgroup[sizeof(out->cgroup) - 1] = '\0';
	out->boot_id[sizeof(out->boot_id) - 1] = '\0';
	return true;
}

bool km_read_owner(const struct km_map *map, uint32_t i, struct kvm_meter_owner *out)
{
	return km_read_seq(map, i, out) && out->used;
}

const char *km_reason_name(const struct km *km, unsigned int i)
{
	static char buf[sizeof(km->info.names[0].name) + 16];

	if (!km->info.names[i].name[0]) {
		snprintf(buf, sizeof(buf), i == KVM_METER_REASON_UNKNOWN ? "unknown" : "slot_%u", i);
		return buf;
	}
	snprintf(buf, sizeof(buf), "%.*s", (int)sizeof(km->info.names[i].name),
		 km->info.names[i].name);
	return buf;
}
