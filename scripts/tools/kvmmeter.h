/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kvmmeter - the operator's view of kvm_meter's records
 */
#ifndef _KVMMETER_H
#define _KVMMETER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kvm_meter/abi.h>

#define KM_SYSFS	"/sys/kernel/kvm_meter"
#define KM_NAME_LEN	256

typedef unsigned long long ull;

/* maps.c: the module's BPF maps */
struct km_map {
	const char *name;
	size_t size;			/* of one element */
	uint32_t n;			/* elements */
	const unsigned char *mem;
};

struct km {
	struct km_map vcpu, vm, ended, owner;
	struct kvm_meter_info info;
};

void km_open(struct km *km);
const struct kvm_meter_vcpu *km_vcpu(const struct km *km, uint32_t i);
bool km_here(const char *field);	/* does this host have what it counts? */
bool km_read_vm(const struct km_map *map, uint32_t i, struct kvm_meter_vm *out);
bool km_read_owner(const struct km_map *map, uint32_t i, struct kvm_meter_owner *out);
const char *km_reason_name(const struct km *km, unsigned int i);

/* identity.c: who a VM is */
struct km_ident {
	char name[KM_NAME_LEN];		/* raw bytes: escape before printing */
	char uuid[64];
	bool from_vmm;			/* -name was given */
};

void km_identify(const struct kvm_meter_vm *vm, struct km_ident *id);
void km_identify_id(const struct km *km, ull id, struct km_ident *ident);
void km_remember(const struct kvm_meter_vm *vm, struct km_ident *id);

/* snapshot.c: all running VMs at one moment */
struct km_vcpu {
	struct kvm_meter_vcpu_head h;
	struct kvm_meter_vm_reason r[KVM_METER_REASONS];
	uint32_t slot;
};

struct km_vm {
	uint64_t id;
	struct kvm_meter_vm rec;	/* as of the last fold */
	struct km_ident ident;
	struct km_vcpu *vcpu;
	unsigned int nvcpu;
};

struct km_snap {
	struct km_vm *vm;
	unsigned int nvm;
	unsigned int nvcpu;
	ull mono_ns;			/* when it was taken */
};

/* Counters of a VM, or the difference between two moments. */
struct km_sum {
	KVM_METER_COUNTERS(__KVM_METER_C)
	KVM_METER_VM_COUNTERS(__KVM_METER_C)	/* by km_vm_total() only */
	struct kvm_meter_vm_reason r[KVM_METER_REASONS];
};

void km_snap_take(const struct km *km, struct km_snap *s, const struct km_snap *prev);
void km_snap_free(struct km_snap *s);
const struct km_vcpu *km_snap_find(const struct km_snap *s, uint64_t vm_id,
				   const struct km_vcpu *v);
bool km_matches(uint64_t id, const struct kvm_meter_vm *rec, const struct km_ident *ident,
		const char *what);
const struct km_vm *km_find_vm(const struct km_snap *s, const char *what);
const struct km_vm *km_snap_vm(const struct km_snap *s, uint64_t vm_id);
bool km_has_energy(const struct kvm_meter_vm *rec);
const char *km_energy(const struct kvm_meter_vm *rec, char *buf, size_t len);
void km_sum_add(struct km_sum *sum, const struct km_vcpu *now, const struct km_vcpu *prev);
void km_vm_total(const struct km_vm *vm, struct km_sum *sum);
unsigned int km_top_reasons(const struct kvm_meter_vm_reason *r, unsigned int *order,
			    unsigned int max);

/* sysfs.c */
bool km_sysfs_str(const char *path, char *buf, size_t len);
bool km_sysfs_u64(const char *path, ull *val);

/* commands */
int cmd_top(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_ended(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_prometheus(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_slot(int argc, char **argv);
int cmd_harden(int argc, char **argv);
int cmd_zones(int argc, char **argv);

/* status.c */
void km_say_no_vms(void);

/* main.c */
void km_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void km_usage(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *km_alloc(void *p, size_t n, size_t size);
bool km_only_json(int argc, char **argv);

#endif /* _KVMMETER_H */
