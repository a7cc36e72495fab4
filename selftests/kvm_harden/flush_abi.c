// SPDX-License-Identifier: GPL-2.0
/* What kvm_harden exports, attribute by attribute, and its map. */
#include "abi_doc.h"
#include "model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct model *m;
static struct model_vm *a, *b;

static const char *const counters[] = {
#define NAME(name, desc) #name,
	KVM_HARDEN_COUNTERS(NAME)
#undef NAME
};

/* Two VMs that have something to show. */
static void start(const char *mode)
{
	need_cpus(2);
	m = model_new();
	a = model_vm(m, 1, 0);
	b = model_vm(m, 1, 0);
	harden_set(mode, "flush/mode");
	pin_thread(0, 1);
	vcpu_program(a->v, guest_io, ~0ull, 0);
	vcpu_program(b->v, guest_io, ~0ull, 0);
	for (int i = 0; i < 20; i++) {
		vcpu_handle(a->v, vcpu_run_once(a->v));
		vcpu_handle(b->v, vcpu_run_once(b->v));
	}
}

static void expect_attr(const char *path, mode_t mode, unsigned int lines)
{
	expect_file(HARDEN_SYSFS, path, mode, lines);
}

static void test_attributes(void)
{
	char path[PATH_MAX];

	start("on\n");
	expect_attr("version", 0444, 1);
	expect_attr("abi_version", 0444, 1);
	expect_attr("status", 0444, 1);
	expect_attr("flush/available", 0444, 2);
	expect_attr("flush/kvm", 0444, 2);
	expect_attr("flush/mode", 0644, 1);
	expect_attr("flush/default", 0644, 1);
	expect_attr("flush/ibpb_cost_ns", 0444, 1);
	expect_attr("flush/l1d_cost_ns", 0444, 1);
	expect_attr("maps/kvm_harden_vm", 0444, 1);
	snprintf(path, sizeof(path), "vms/%llu/domain", a->id);
	expect_attr(path, 0644, 1);
	snprintf(path, sizeof(path), "vms/%llu/flush", a->id);
	expect_attr(path, 0644, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(counters); i++) {
		snprintf(path, sizeof(path), "flush/%s", counters[i]);
		expect_attr(path, 0444, 1);
		snprintf(path, sizeof(path), "vms/%llu/%s", a->id, counters[i]);
		expect_attr(path, 0444, 1);
	}
	EXPECT_EQ(harden_u64("abi_version"), KVM_HARDEN_ABI_VERSION, "abi_version");
	EXPECT(harden_u64("flush/ibpb_cost_ns"), "ibpb_cost_ns is 0");
	EXPECT(harden_u64("flush/l1d_cost_ns"), "l1d_cost_ns is 0");
	harden_set("off\n", "flush/mode");
}

/* The contract's own names, whatever the table says. */
static void test_contract(void)
{
	static const char *const names[] = {
		"switches", "ibpb", "l1d", "covered", "flush_ns",
	};

	start("on\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT(harden_exists("flush/%s", names[i]), "no flush/%s", names[i]);
		EXPECT(harden_exists("vms/%llu/%s", a->id, names[i]), "no vms/*/%s", names[i]);
	}
	EXPECT(harden_exists("vms/%llu/sibling_conflict_ns", a->id), "no sibling_conflict_ns");
	harden_set("off\n", "flush/mode");
}

static void test_documented(void)
{
	start("on\n");
	harden_set("off\n", "flush/mode");
	/* There are no zones here. */
	expect_documented(HARDEN_DOC, HARDEN_SYSFS, "/zones/<id>");
}

static const struct kvm_harden_vm *record(const struct meter_map *map, __u64 id)
{
	for (__u32 i = 0; i < map->max_entries; i++) {
		const struct kvm_harden_vm *rec = meter_map_at(map, i);

		if (rec->vm_id == id)
			return rec;
	}
	REQUIRE(false, "VM %llu is not in kvm_harden_vm", id);
	return NULL;
}

static void expect_record(const struct meter_map *map, struct model_vm *vm)
{
	const struct kvm_harden_vm *rec = record(map, vm->id);
	struct harden_counters c;

	harden_counters(vm->id, &c);
#define CMP(name, desc)	EXPECT_EQ(rec->name, c.name, #name " in the map");
	KVM_HARDEN_COUNTERS(CMP)
#undef CMP
	EXPECT_EQ(rec->domain, harden_u64("vms/%llu/domain", vm->id), "domain in the map");
	harden_expect(harden_policy_text(rec->policy), "vms/%llu/flush", vm->id);
}

static void test_map(void)
{
	static const char *const policies[] = { "none", "default", "ibpb", "l1d host" };
	struct harden_counters total, ca, cb;
	struct meter_map map;
	void *value;

	harden_reload(NULL, HARDEN_ASSUME);
	start("on\n");
	harden_map_open(&map);
	EXPECT_EQ(map.value_size, sizeof(struct kvm_harden_vm), "size of kvm_harden_vm");
	for (unsigned int i = 0; i < ARRAY_SIZE(policies); i++) {
		harden_set(policies[i], "vms/%llu/flush", a->id);
		harden_set(i & 1 ? "0" : "4294967295", "vms/%llu/domain", b->id);
		expect_record(&map, a);
		expect_record(&map, b);
	}
	harden_set("off\n", "flush/mode");
	/* All that ever ran is these two. */
	harden_counters(HARDEN_TOTALS, &total);
	harden_counters(a->id, &ca);
	harden_counters(b->id, &cb);
#define SUM(name, desc)	EXPECT_EQ(ca.name + cb.name, total.name, "total of " #name);
	KVM_HARDEN_COUNTERS(SUM)
#undef SUM
	EXPECT_EQ(total.switches, 40, "switches");

	value = calloc(1, map.value_size);
	EXPECT_EQ(-bpf_map_update(map.fd, 0, value), EPERM, "errno of a write to the map");
	EXPECT(mmap(NULL, map.len, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0) == MAP_FAILED,
	       "the map can be mapped to write");
	free(value);

	/* A VM that is gone leaves its totals, and nothing else. */
	vm_destroy(a->vm);
	REQUIRE(WAIT_FOR(!harden_exists("vms/%llu", a->id), METER_APPEARS_MS),
		"vms/%llu is still there", a->id);
	for (__u32 i = 0; i < map.max_entries; i++)
		EXPECT(((const struct kvm_harden_vm *)meter_map_at(&map, i))->vm_id != a->id,
		       "the record of a VM that is gone");
	EXPECT_EQ(harden_u64("flush/switches"), total.switches, "total without the VM");
	EXPECT_EQ(harden_u64("flush/flush_ns"), total.flush_ns, "total without the VM");
	meter_map_close(&map);
}

/* One registry: ids are the meter's, also for VMs that came before the module. */
static void test_ids(void)
{
	struct vm *vms[3];
	__u64 ids[8];
	unsigned int nr;
	int ret;

	model_new();
	for (int i = 0; i < 3; i++) {
		if (i == 1) {
			ret = harden_unload();
			REQUIRE(!ret, "rmmod: %s", strerror(-ret));
		}
		if (i == 2) {
			ret = harden_load(HARDEN_ASSUME);
			REQUIRE(!ret, "insmod: %s", strerror(-ret));
		}
		vms[i] = vm_create(1, 0);
		vcpu_program(&vms[i]->vcpus[0], guest_io, 2, 0);
		vcpu_run(&vms[i]->vcpus[0]);
	}
	REQUIRE(WAIT_FOR(meter_vms(getpid(), ids, 8) == 3, METER_APPEARS_MS), "VMs of the meter");
	nr = meter_vms(getpid(), ids, 8);
	for (unsigned int i = 0; i < nr; i++)
		harden_wait_vm(ids[i]);
	for (int i = 0; i < 3; i++)
		vm_destroy(vms[i]);
	for (unsigned int i = 0; i < nr; i++) {
		REQUIRE(meter_wait_gone(ids[i]), "VM %llu of the meter", ids[i]);
		EXPECT(WAIT_FOR(!harden_exists("vms/%llu", ids[i]), METER_APPEARS_MS),
		       "vms/%llu is still there", ids[i]);
	}
}

static void test_bpftool(void)
{
	static const char *const head[] = { "vm_id", "domain", "policy" };
	char buf[64];

	if (run_shell(NULL, 0, "command -v bpftool >/dev/null"))
		tap_skip("no bpftool");
	/* A dump prints every slot: few of them. */
	harden_reload("max_vcpus=16", HARDEN_ASSUME);
	start("on\n");
	harden_set("off\n", "flush/mode");
	EXPECT(!run_shell(NULL, 0, "bpftool map dump name kvm_harden_vm >/tmp/kvm_harden.dump"),
	       "bpftool map dump name kvm_harden_vm failed");
	for (unsigned int i = 0; i < ARRAY_SIZE(head) + ARRAY_SIZE(counters); i++) {
		const char *word = i < ARRAY_SIZE(head) ? head[i] : counters[i - ARRAY_SIZE(head)];

		run_shell(buf, sizeof(buf), "grep -c '\"%s\":' /tmp/kvm_harden.dump", word);
		EXPECT(atoi(buf) >= 16, "%s stands %d times in the dump", word, atoi(buf));
	}
	run_shell(buf, sizeof(buf), "grep -c '\"vm_id\": %llu,' /tmp/kvm_harden.dump", a->id);
	EXPECT_EQ(atoi(buf), 1, "this VM in the dump");
	run_shell(buf, sizeof(buf), "grep -c '\"switches\": 20,' /tmp/kvm_harden.dump");
	EXPECT_EQ(atoi(buf), 2, "VMs with 20 switches in the dump");
	unlink("/tmp/kvm_harden.dump");
	harden_reload(NULL, HARDEN_ASSUME);
}

static const struct tap_test tests[] = {
	{ "every attribute is there, with its mode", test_attributes, 0 },
	{ "the names of the contract", test_contract, 0 },
	{ "documentation and tree say the same", test_documented, 0 },
	{ "map and sysfs are one store", test_map, 0 },
	{ "ids are the meter's", test_ids, 0 },
	{ "bpftool prints names", test_bpftool, 120 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
