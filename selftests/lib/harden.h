/* SPDX-License-Identifier: GPL-2.0 */
/* kvm_harden as a test sees it: the module, its sysfs tree, its map. */
#ifndef SELFTESTS_HARDEN_H
#define SELFTESTS_HARDEN_H

#include <kvm_harden/abi.h>

#include "meter.h"
#include "vmm.h"

#define HARDEN		"kvm_harden"
#define HARDEN_SYSFS	"/sys/kernel/kvm_harden"
/* The emulator takes these MSRs, and does not announce them. */
#define HARDEN_ASSUME	"assume=ibpb,l1d"

#define HARDEN_PRIMITIVES	(KVM_HARDEN_IBPB | KVM_HARDEN_L1D)

/* Both modules anew, the meter with @meter and kvm_harden with @params. */
void harden_reload(const char *meter, const char *params);
int harden_load(const char *params);	/* 0 or -errno */
int harden_unload(void);		/* 0 or -errno */
bool harden_loaded(void);
void harden_setup(void);
void harden_cleanup(void);
int harden_main(const struct tap_test *tests, unsigned int nr, int argc, char **argv);

struct harden_counters {
#define HARDEN_C(name, desc) __u64 name;
	KVM_HARDEN_COUNTERS(HARDEN_C)
#undef HARDEN_C
};

#define HARDEN_TOTALS	0	/* in place of a VM's id: the sums in flush/ */

int harden_file(char *buf, size_t size, const char *fmt, ...) TAP_PRINTF(3, 4);
__u64 harden_u64(const char *fmt, ...) TAP_PRINTF(1, 2);
bool harden_exists(const char *fmt, ...) TAP_PRINTF(1, 2);
/* 0 or -errno */
int harden_write(const char *text, const char *fmt, ...) TAP_PRINTF(2, 3);
/* It has to be taken. */
void harden_set(const char *text, const char *fmt, ...) TAP_PRINTF(2, 3);
void harden_expect(const char *text, const char *fmt, ...) TAP_PRINTF(2, 3);
void harden_counters(__u64 vm, struct harden_counters *c);
/* Waits until the VM is there in sysfs, or fails the test. */
void harden_wait_vm(__u64 vm);
const char *harden_policy_text(__u32 policy);
/* meter_map_open() for the map kvm_harden_vm. */
void harden_map_open(struct meter_map *m);

/* KVM_HARDEN_IBPB and KVM_HARDEN_L1D, those that can be flushed here. */
__u32 harden_available(void);
/* Does KVM flush anything by itself here? */
bool harden_kvm_flushes(void);
/* CPUs that share a core with @cpu, itself included, as its lowest number. */
int cpu_core(int cpu);

#endif /* SELFTESTS_HARDEN_H */
