// SPDX-License-Identifier: GPL-2.0
/* The exported tree, attribute by attribute: there, of the right mode, documented. */
#include "abi_doc.h"
#include "harden.h"
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const maps[] = {
	"kvm_meter_vcpu", "kvm_meter_vm", "kvm_meter_ended", "kvm_meter_owner", "kvm_meter_info",
};

static struct vm *vm;
static __u64 id;

static void start(void)
{
	vm = vm_create(2, 0);
	for (int i = 0; i < 2; i++) {
		vcpu_program(&vm->vcpus[i], guest_io, 10, 0);
		vcpu_run(&vm->vcpus[i]);
	}
	id = meter_wait_tid(getpid());
	REQUIRE(WAIT_FOR(meter_exists("vms/%llu/vcpus/1", id), METER_APPEARS_MS), "vcpus/1");
}

/* With what comes when windows have ended. */
static void start_sampled(void)
{
	meter_reload("active_budget_ppm=100000 active_window_ms=100 active_slow_windows=2");
	start();
	REQUIRE(WAIT_FOR(meter_exists("vms/%llu/active_slow_bytes", id), 60000),
		"no estimate of active memory");
}

static void expect_attr(const char *path, mode_t mode)
{
	expect_file(METER_SYSFS, path, mode, strstr(path, "exit_reasons") ? -1 : 1);
}

/* What this host has not, and so no file is about. */
static bool host_lacks(const char *path)
{
	if (strstr(path, "/smt_"))
		return cpu_core(0) != cpu_core(1);
	if (strstr(path, "remote_ns"))
		return !file_exists("/sys/devices/system/node/node1");
	return false;
}

static void expect_counters(const char *dir)
{
	static const char *const names[] = {
#define NAME(name, desc)	#name,
		KVM_METER_COUNTERS(NAME)
		KVM_METER_HISTS(NAME)
#undef NAME
		"exit_reasons",
	};
	char path[PATH_MAX];

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (host_lacks(path))
			EXPECT(!meter_exists("%s", path), "%s is there", path);
		else
			expect_attr(path, 0444);
	}
}

static void test_attributes(void)
{
	static const char *const bill[] = {
#define NAME(name, desc)	#name,
		KVM_METER_VM_COUNTERS(NAME)
#undef NAME
	};
	static const char *const top[] = { "version", "abi_version", "status" };
	static const char *const health[] = {
		"missed_hooks", "unmatched", "vcpu_overflows", "vm_overflows", "clock_backwards",
		"unknown_reasons", "owner_overflows", "unseen_devices", "unseen_workers",
		"cut_walks",
	};
	static const char *const who[] = {
		"pid", "comm", "created_ns", "uid", "cgroup", "topology_honest",
	};
	static const char *const active[] = {
		"time_ns", "touches", "windows", "samples", "gone", "waits",
	};
	static const char *const memory[] = {
#define NAME(type, name, desc)	#name,
		KVM_METER_VM_MEMORY(NAME)
		KVM_METER_VM_MEMORY_SLOW(NAME)
#undef NAME
	};
	char path[PATH_MAX];

	start_sampled();
	for (unsigned int i = 0; i < ARRAY_SIZE(active); i++) {
		snprintf(path, sizeof(path), "active/%s", active[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(memory); i++) {
		snprintf(path, sizeof(path), "vms/%llu/%s", id, memory[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(top); i++)
		expect_attr(top[i], 0444);
	expect_attr("armed", 0644);
	for (unsigned int i = 0; i < ARRAY_SIZE(health); i++) {
		snprintf(path, sizeof(path), "health/%s", health[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		snprintf(path, sizeof(path), "maps/%s", maps[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(who); i++) {
		snprintf(path, sizeof(path), "vms/%llu/%s", id, who[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bill); i++) {
		snprintf(path, sizeof(path), "vms/%llu/%s", id, bill[i]);
		expect_attr(path, 0444);
		EXPECT(!meter_exists("vms/%llu/vcpus/0/%s", id, bill[i]), "a vCPU has %s", bill[i]);
	}
	snprintf(path, sizeof(path), "vms/%llu", id);
	expect_counters(path);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d", id, i);
		expect_counters(path);
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d/tid", id, i);
		expect_attr(path, 0444);
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d/cpu", id, i);
		expect_attr(path, 0444);
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d/topology_honest", id, i);
		expect_attr(path, 0444);
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d/topology", id, i);
		expect_attr(path, 0444);
	}
	EXPECT_EQ(meter_u64("abi_version"), KVM_METER_ABI_VERSION, "abi_version");
}

static void test_documented(void)
{
	char lacks[128];

	start_sampled();
	/* Energy, where the host counts none: energy.c looks at it with a known source. */
	snprintf(lacks, sizeof(lacks), "energy|%s|%s", host_lacks("/smt_") ? "/smt_" : "-",
		 host_lacks("remote_ns") ? "remote_ns|/numa|_node|preferred_" : "-");
	expect_documented(METER_DOC, METER_SYSFS, lacks);
}

static void test_maps(void)
{
	struct kvm_meter_info info;
	struct meter_map map;
	unsigned int named = 0;
	char buf[256];
	void *value;

	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		meter_map_open(&map, maps[i]);
		value = calloc(1, map.value_size);
		EXPECT_EQ(-bpf_map_update(map.fd, 0, value), EPERM, "errno of a write to a map");
		EXPECT(mmap(NULL, map.len, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0) ==
		       MAP_FAILED, "%s can be mapped to write", maps[i]);
		EXPECT(mprotect(map.mem, map.len, PROT_READ | PROT_WRITE),
		       "a mapping of %s can be made writable", maps[i]);
		free(value);
		if (!run_shell(NULL, 0, "command -v bpftool >/dev/null")) {
			run_shell(buf, sizeof(buf),
				  "bpftool map show name %.15s | sed -n '1s/:.*//p'", maps[i]);
			EXPECT_EQ(strtoull(buf, NULL, 10), map.id, "id by bpftool");
		}
		meter_map_close(&map);
	}
	meter_map_open(&map, "kvm_meter_info");
	memcpy(&info, meter_map_at(&map, 0), sizeof(info));
	EXPECT_EQ(map.value_size, sizeof(info), "size of kvm_meter_info");
	EXPECT_EQ(info.abi_version, KVM_METER_ABI_VERSION, "abi_version");
	EXPECT_EQ(info.vendor, kvm_is_intel() ? KVM_METER_VENDOR_INTEL : KVM_METER_VENDOR_AMD,
		  "vendor");
	EXPECT(info.clock_mult, "clock_mult is 0");
	EXPECT_EQ(info.armed, 1, "armed");
	for (int i = 0; i < KVM_METER_REASONS; i++)
		named += !!info.names[i].name[0];
	EXPECT(named > 50, "%u reasons with a name", named);
	EXPECT_EQ(info.reasons, named, "reasons");
	meter_map_open(&map, "kvm_meter_vcpu");
	EXPECT_EQ(map.value_size, sizeof(struct kvm_meter_vcpu), "size of kvm_meter_vcpu");
	EXPECT_EQ(map.max_entries, info.vcpu_slots, "vcpu_slots");
}

/* What the contract promises to a person with bpftool. */
static void test_bpftool(void)
{
	static const char *const words[] = { "guest_ns", "hist", "state", "reasons", "first_ns" };
	char buf[64];

	if (run_shell(NULL, 0, "command -v bpftool >/dev/null"))
		tap_skip("no bpftool");
	/* A dump prints every slot: few of them. */
	meter_reload("max_vcpus=16");
	start();
	EXPECT(!run_shell(NULL, 0, "bpftool map dump name kvm_meter_vcpu >/tmp/kvm_meter.dump"),
	       "bpftool map dump name kvm_meter_vcpu failed");
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		run_shell(buf, sizeof(buf), "grep -c '\"%s\":' /tmp/kvm_meter.dump", words[i]);
		EXPECT(atoi(buf) >= 16, "%s stands %d times in the dump", words[i], atoi(buf));
	}
	run_shell(buf, sizeof(buf), "grep -c '\"vm_id\": %llu,' /tmp/kvm_meter.dump", id);
	EXPECT_EQ(atoi(buf), 2, "vCPUs of this VM in the dump");
	EXPECT(!run_shell(NULL, 0, "bpftool map dump name kvm_meter_info | grep -q '\"cpuid\"'"
			  " || bpftool map dump name kvm_meter_info | grep -q '\"CPUID\"'"),
	       "no reason is called CPUID in kvm_meter_info");
	unlink("/tmp/kvm_meter.dump");
}

static const struct tap_test tests[] = {
	{ "every attribute is there, with its mode", test_attributes, 0 },
	{ "documentation and tree say the same", test_documented, 0 },
	{ "maps are frozen and what the header says", test_maps, 0 },
	{ "bpftool prints names", test_bpftool, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
