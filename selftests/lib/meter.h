/* SPDX-License-Identifier: GPL-2.0 */
/* kvm_meter as a test sees it: the module, its sysfs tree, its maps. */
#ifndef SELFTESTS_METER_H
#define SELFTESTS_METER_H

#include <kvm_meter/abi.h>

#include "util.h"

#define METER		"kvm_meter"
#define METER_SYSFS	"/sys/kernel/kvm_meter"
#define METER_PARAMS	"/sys/module/kvm_meter/parameters"
/* How long a VM may take to appear in sysfs, or to leave it. */
#define METER_APPEARS_MS 10000

/* --- module.c: the modules come and go --- */
int module_load(const char *name, const char *params);	/* 0 or -errno */
int module_unload(const char *name);			/* 0 or -errno */
bool module_loaded(const char *name);
void hold_kvm(void);
int meter_load(const char *params);	/* 0 or -errno */
int meter_unload(void);			/* 0 or -errno */
bool meter_loaded(void);
/* Loaded anew with @params and armed, or the test fails. */
void meter_reload(const char *params);
/* setup and cleanup of a tap_suite */
void meter_setup(void);
void meter_cleanup(void);
/* main() of a test program: its tests between the two. */
int meter_main(const struct tap_test *tests, unsigned int nr, int argc, char **argv);

/* --- meter_sysfs.c --- */
struct meter_counters {
	KVM_METER_COUNTERS(__KVM_METER_C)
};

struct meter_reason {
	char name[40];
	__u64 count;
	__u64 time_ns;
};

#define METER_VM	(-1)	/* in place of a vCPU: the VM's own numbers */

int meter_file(char *buf, size_t size, const char *fmt, ...) TAP_PRINTF(3, 4);
__u64 meter_u64(const char *fmt, ...) TAP_PRINTF(1, 2);
bool meter_exists(const char *fmt, ...) TAP_PRINTF(1, 2);
/* What health/ counts, but for what the test says it expects. */
void meter_expect_healthy(const char *except);

/* The VM that thread @tid runs: its id (0: none), and KVM's id of the vCPU. */
__u64 meter_find_tid(pid_t tid, unsigned int *vcpu);
__u64 meter_wait_tid(pid_t tid);	/* waits for it, or fails the test */
/* The first VM of process @pid; a vCPU that nobody runs has no thread. */
__u64 meter_wait_pid(pid_t pid);
bool meter_wait_gone(__u64 vm);
/* Ids of the VMs of @pid in ascending order. */
unsigned int meter_vms(pid_t pid, __u64 *ids, unsigned int max);

void meter_counters(__u64 vm, int vcpu, struct meter_counters *c);
unsigned int meter_reasons(__u64 vm, int vcpu, struct meter_reason *r, unsigned int max);
/* Sum of the counts of reasons named in @names, separated by '|'. */
__u64 meter_reason_count(__u64 vm, int vcpu, const char *names);

/* Names of a reason with either vendor. */
#define R_IO	"io|IO_INSTRUCTION"
#define R_CPUID	"cpuid|CPUID"
#define R_HLT	"hlt|HLT"
#define R_PAUSE	"pause|PAUSE_INSTRUCTION"
#define R_MSR	"msr|MSR_READ|MSR_WRITE"
#define R_MMIO	"npf|EPT_VIOLATION|EPT_MISCONFIG"

/* --- meter_map.c --- */
struct meter_map {
	int fd;
	__u32 id, value_size, max_entries;
	size_t stride, len;
	char *mem;
};

int bpf_map_fd(__u32 id);	/* or -errno */
int bpf_map_update(int fd, __u32 key, const void *value);
void meter_map_open(struct meter_map *m, const char *name);
void map_open_id(struct meter_map *m, __u32 id, const char *name);
void meter_map_close(struct meter_map *m);

static inline const void *meter_map_at(const struct meter_map *m, __u32 i)
{
	return m->mem + i * m->stride;
}

/* The record of a vCPU in kvm_meter_vcpu; fails the test if there is none. */
const struct kvm_meter_vcpu *meter_vcpu(const struct meter_map *m, __u64 vm, unsigned int vcpu);
/* A consistent copy of a VM record (kvm_meter_vm or _ended); false: free. */
bool meter_vm_read(const struct kvm_meter_vm *rec, struct kvm_meter_vm *out);
/* Waits for the final record of @vm, or fails the test. */
void meter_wait_ended(const struct meter_map *m, __u64 vm, struct kvm_meter_vm *out);

/* kvm_meter_read(), also while the writer's CPU is taken away; fails the test. */
void meter_read(const struct kvm_meter_vcpu *rec, struct kvm_meter_vcpu_head *out);

/* All of a vCPU's record but its reasons, as it stands: not brought up to now. */
struct meter_raw {
	struct kvm_meter_vcpu_head h;

	KVM_METER_HISTS(__KVM_METER_H)
};

void meter_read_raw(const struct kvm_meter_vcpu *rec, struct meter_raw *out);
__u64 meter_hist_sum(const __u64 *hist);

/* A vCPU's counters and the VMM's clock at the same moment. */
struct meter_snap {
	struct kvm_meter_vcpu_head h;
	__u64 raw;	/* CLOCK_MONOTONIC_RAW */
	__u64 slack;	/* by how much it may be off: the time the read took */
};

void meter_snap(const struct kvm_meter_vcpu *rec, struct meter_snap *s);
/* What a counter grew by between two snapshots. */
#define SNAP_DELTA(a, b, field)	((b).h.field - (a).h.field)
/* The four add up, and none went back. */
void meter_check_pair(const struct kvm_meter_vcpu_head *a, const struct kvm_meter_vcpu_head *b);
/* Lines of "name delta" for the reader of a failure. */
void meter_diag_delta(const char *what, const struct meter_snap *a, const struct meter_snap *b);

#endif /* SELFTESTS_METER_H */
