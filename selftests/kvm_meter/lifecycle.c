// SPDX-License-Identifier: GPL-2.0
/*
 * VMs before the module, VMs that end, a thousand short ones, several in one
 * process; and that the meter keeps none of them alive.
 */
#include "meter.h"
#include "vmm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHORT_VMS	repeats(1000)
#define MAKERS		8	/* most of a short life is spent waiting */

static const char *vendor_refcnt(void)
{
	return kvm_is_intel() ? "/sys/module/kvm_intel/refcnt" : "/sys/module/kvm_amd/refcnt";
}

static __u64 refcnt(void)
{
	char buf[32];

	REQUIRE(read_file(vendor_refcnt(), buf, sizeof(buf)) > 0, "%s", vendor_refcnt());
	return strtoull(buf, NULL, 10);
}

/* One VM spins, one sleeps in HLT, one is between two runs: then insmod. */
static void test_before(void)
{
	struct meter_counters c[2];
	const struct kvm_meter_vcpu *rec;
	struct kvm_meter_vm head;
	struct meter_map vcpus, vms;
	struct vcpu *spin, *sleeper;
	__u64 spin_id, sleep_id;

	meter_cleanup();
	spin = &vm_create(1, 0)->vcpus[0];
	vcpu_program(spin, guest_spin, 1, 0);
	vcpu_start(spin, -1);
	sleeper = &vm_create(1, VM_IRQCHIP)->vcpus[0];
	vcpu_program(sleeper, guest_hlt, 1, 0);
	vcpu_start(sleeper, -1);
	sleep_ms(300);
	meter_reload(NULL);
	tap_diag("thread %d spins, thread %d sleeps", spin->tid, sleeper->tid);
	spin_id = meter_wait_tid(spin->tid);
	/* It will not enter again by itself: found by its file descriptors. */
	sleep_id = meter_wait_tid(sleeper->tid);
	meter_counters(sleep_id, 0, &c[0]);
	sleep_ms(500);
	meter_counters(sleep_id, 0, &c[1]);
	EXPECT_EQ(c[1].exits, 0, "exits of the one that sleeps");
	EXPECT(c[1].idle_ns - c[0].idle_ns >= 490 * NSEC_PER_MSEC,
	       "idle_ns of the one that sleeps: %llu", c[1].idle_ns - c[0].idle_ns);
	EXPECT_EQ(c[1].guest_ns, 0, "guest_ns of the one that sleeps");
	EXPECT_EQ(c[1].blocked_ns, 0, "blocked_ns of the one that sleeps");
	meter_counters(spin_id, 0, &c[0]);
	sleep_ms(300);
	meter_counters(spin_id, 0, &c[1]);
	EXPECT(c[1].guest_ns > c[0].guest_ns, "the one that spins has no guest time");
	meter_map_open(&vms, "kvm_meter_vm");
	for (__u32 i = 0; i < vms.max_entries; i++)
		if (meter_vm_read(meter_map_at(&vms, i), &head) && head.vm_id == sleep_id)
			EXPECT(head.flags & KVM_METER_VM_FOUND, "flags %x", head.flags);
	/* From now on it is like any other. */
	vcpu_pause(sleeper);
	vcpu_wake(sleeper);
	vcpu_resume(sleeper);
	vcpu_join(sleeper);
	meter_map_open(&vcpus, "kvm_meter_vcpu");
	rec = meter_vcpu(&vcpus, sleep_id, 0);
	/* One of its own; an interrupt of the host may have come before it. */
	EXPECT(rec->exits >= 1, "the one that slept has no exit");
	EXPECT_EQ(rec->entries, rec->exits, "entries of the one that slept");
	spin->data->stop = 1;
	vcpu_join(spin);
	meter_expect_healthy(NULL);
}

/* Found later at the latest: a VM whose process runs none of its vCPUs now. */
static void test_between_runs(void)
{
	struct vcpu *v;
	__u64 id, before;

	meter_cleanup();
	v = &vm_create(1, 0)->vcpus[0];
	vcpu_program(v, guest_io, 100, 0);
	vcpu_run(v);
	before = kvm_stat(v->fd, "exits");
	meter_reload(NULL);
	vcpu_program(v, guest_io, 100, 0);
	vcpu_run(v);
	id = meter_wait_tid(getpid());
	EXPECT_EQ(meter_u64("vms/%llu/exits", id), kvm_stat(v->fd, "exits") - before,
		  "exits since the module came");
	meter_expect_healthy(NULL);
}

static void test_final_record(void)
{
	char comm[64], cgroup[256], boot_id[64];
	struct kvm_meter_vm end;
	struct meter_counters c;
	struct meter_map ended;
	struct vcpu *v;
	struct vm *vm;
	__u64 id, exits, sum = 0;

	meter_map_open(&ended, "kvm_meter_ended");
	vm = vm_create(2, 0);
	for (int i = 0; i < 2; i++) {
		v = &vm->vcpus[i];
		vcpu_program(v, guest_io, 500, 0);
		vcpu_run(v);
	}
	id = meter_wait_tid(getpid());
	meter_counters(id, METER_VM, &c);
	meter_file(comm, sizeof(comm), "vms/%llu/comm", id);
	meter_file(cgroup, sizeof(cgroup), "vms/%llu/cgroup", id);
	exits = kvm_stat(vm->vcpus[0].fd, "exits") + kvm_stat(vm->vcpus[1].fd, "exits");
	EXPECT_EQ(meter_u64("vms/%llu/uid", id), getuid(), "uid");
	EXPECT(!strcmp(comm, "lifecycle"), "comm: %s", comm);
	vm_destroy(vm);
	meter_wait_ended(&ended, id, &end);
	EXPECT(meter_wait_gone(id), "vms/%llu is still there", id);
	EXPECT_EQ(end.exits + end.synthetic_exits, exits, "exits in the final record");
	EXPECT_EQ(end.entries, end.exits, "entries in the final record");
	EXPECT(end.guest_ns >= c.guest_ns && end.wall_ns >= c.wall_ns, "the record went back");
	EXPECT_EQ(end.guest_ns + end.host_ns + end.steal_ns + end.idle_ns, end.wall_ns,
		  "sum of the four");
	for (int i = 0; i < KVM_METER_REASONS; i++)
		sum += end.reasons[i].count;
	EXPECT_EQ(sum, end.exits, "sum over reasons in the final record");
	EXPECT_EQ(end.pid, getpid(), "pid");
	EXPECT_EQ(end.uid, getuid(), "uid");
	EXPECT_EQ(end.vcpus, 2, "vcpus");
	EXPECT(!strcmp(end.comm, comm), "comm: %s", end.comm);
	EXPECT(!strcmp(end.cgroup, cgroup), "cgroup: %s, in sysfs it was %s", end.cgroup, cgroup);
	read_file("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	EXPECT(!strncmp(end.boot_id, boot_id, 36), "boot_id: %s", end.boot_id);
	EXPECT(end.created_ns && end.ended_ns >= end.created_ns, "created %llu, ended %llu",
	       end.created_ns, end.ended_ns);
	EXPECT(end.ended_ns <= clock_ns(0), "it ends in the future");
	meter_expect_healthy(NULL);
}

struct sums {
	__u64 vms, exits, wall;
};

static void sum_ended(const struct meter_map *ended, const struct meter_map *owners,
		      struct sums *s)
{
	struct kvm_meter_vm end;

	memset(s, 0, sizeof(*s));
	for (__u32 i = 0; i < ended->max_entries; i++) {
		const struct kvm_meter_vm *rec = meter_map_at(ended, i);

		if (!rec->vm_id || !meter_vm_read(rec, &end) || !end.ended_ns)
			continue;
		s->vms++;
		s->exits += end.exits + end.synthetic_exits;
	}
	for (__u32 i = 0; i < owners->max_entries; i++) {
		const struct kvm_meter_owner *own = meter_map_at(owners, i);

		if (!own->used)
			continue;
		s->vms += own->vms;
		s->exits += own->exits + own->synthetic_exits;
	}
}

/* What the processes that make VMs have in common. */
struct makers {
	volatile __u64 exits;
	unsigned int each;
};

static void make_vms(void *arg)
{
	struct makers *m = arg;

	for (unsigned int i = 0; i < m->each; i++) {
		struct vm *vm = vm_create(1, 0);

		vcpu_program(&vm->vcpus[0], guest_io, 1 + i % 7, 0);
		vcpu_run(&vm->vcpus[0]);
		__atomic_add_fetch(&m->exits, kvm_stat(vm->vcpus[0].fd, "exits"),
				   __ATOMIC_SEQ_CST);
		vm_destroy(vm);
	}
}

/* Lives of a few milliseconds: the worker sees most of them dead only. */
static void short_vms(const char *params, unsigned int nr)
{
	struct meter_map ended, owners;
	struct makers *m = shared_page();
	struct sums s, before;
	pid_t pid[MAKERS];
	__u64 t0;

	meter_reload(params);
	meter_map_open(&ended, "kvm_meter_ended");
	meter_map_open(&owners, "kvm_meter_owner");
	sum_ended(&ended, &owners, &before);
	t0 = raw_ns();
	m->each = nr / MAKERS;
	for (int i = 0; i < MAKERS; i++)
		pid[i] = spawn(make_vms, m);
	for (int i = 0; i < MAKERS; i++)
		EXPECT_EQ(wait_child(pid[i]), 0, "status of a process that makes VMs");
	tap_diag("%u VMs in %llu ms", nr, (raw_ns() - t0) / NSEC_PER_MSEC);
	REQUIRE(WAIT_FOR((sum_ended(&ended, &owners, &s), s.vms - before.vms >= nr), 20000),
		"%llu of %u VMs left a record", s.vms - before.vms, nr);
	EXPECT_EQ(s.vms - before.vms, nr, "VMs on record");
	EXPECT_EQ(s.exits - before.exits, m->exits, "exits of all of them");
	meter_expect_healthy(NULL);
}

static void test_short(void)
{
	struct meter_map ended;

	meter_map_open(&ended, "kvm_meter_ended");
	EXPECT(ended.max_entries >= 4096, "room for %u final records", ended.max_entries);
	short_vms(NULL, SHORT_VMS);
}

/* More than there are final records: what falls out is in the totals. */
static void test_fall_out(void)
{
	short_vms("max_ended=50", 200);
}

/* The VM goes when its last file descriptor goes, whoever reads its files. */
static void test_not_pinned(void)
{
	char path[128], buf[64];
	__u64 id, before;
	struct vm *vm;
	FILE *f;

	/* The first one leaves /dev/kvm open. */
	vm_destroy(vm_create(1, 0));
	before = refcnt();
	for (int i = 0; i < 20; i++) {
		vm = vm_create(1, 0);
		vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
		vcpu_run(&vm->vcpus[0]);
		id = meter_wait_tid(getpid());
		snprintf(path, sizeof(path), METER_SYSFS "/vms/%llu/exits", id);
		f = fopen(path, "r");
		REQUIRE(f, "%s", path);
		EXPECT(refcnt() > before, "KVM's module has no reference from a VM");
		vm_destroy(vm);
		EXPECT_EQ(refcnt(), before, "references to KVM's module, at once");
		EXPECT(meter_wait_gone(id), "vms/%llu is still there", id);
		EXPECT(!fread(buf, 1, sizeof(buf), f), "a VM that is gone reads: %.20s", buf);
		fclose(f);
	}
}

static void test_several(void)
{
	__u64 ids[8], last = 0, seen;
	struct vm *vm[5];
	unsigned int nr;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5; i++) {
			vm[i] = vm_create(1, 0);
			vcpu_program(&vm[i]->vcpus[0], guest_io, 100 * (i + 1), 0);
			vcpu_run(&vm[i]->vcpus[0]);
		}
		REQUIRE(WAIT_FOR(meter_vms(getpid(), ids, 8) == 5, METER_APPEARS_MS),
			"%u VMs of this process in sysfs", meter_vms(getpid(), ids, 8));
		nr = meter_vms(getpid(), ids, 8);
		EXPECT(ids[0] > last, "id %llu was used before", ids[0]);
		for (unsigned int i = 0; i < nr; i++) {
			seen = meter_reason_count(ids[i], METER_VM, R_IO);
			EXPECT_EQ(seen, 100 * (i + 1) + 1, "port exits");
		}
		last = ids[nr - 1];
		for (int i = 0; i < 5; i++)
			vm_destroy(vm[i]);
		EXPECT(WAIT_FOR(!meter_vms(getpid(), ids, 8), METER_APPEARS_MS),
		       "VMs are still in sysfs");
	}
}

static void killed_vmm(void *tid)
{
	struct vcpu *v = &vm_create(1, 0)->vcpus[0];

	vcpu_program(v, guest_spin_io, 1, 0);
	vcpu_start(v, -1);
	*(volatile pid_t *)tid = v->tid;
	vcpu_join(v);
}

/* SIGKILL in the middle of the guest. */
static void test_killed(void)
{
	volatile pid_t *tid = shared_page();
	struct kvm_meter_vm end;
	struct meter_map ended;
	pid_t pid;
	__u64 id;

	meter_map_open(&ended, "kvm_meter_ended");
	pid = spawn(killed_vmm, (void *)tid);
	REQUIRE(WAIT_FOR(*tid, 5000), "the guest did not start");
	id = meter_wait_tid(*tid);
	end_child(pid);
	meter_wait_ended(&ended, id, &end);
	EXPECT_EQ(end.pid, pid, "pid");
	EXPECT(end.exits > 0, "no exits");
	EXPECT_EQ(end.entries, end.exits, "entries");
	EXPECT(meter_wait_gone(id), "vms/%llu is still there", id);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "VMs that ran before the module are found", test_before, 0 },
	{ "a VM between two runs is counted from then on", test_between_runs, 0 },
	{ "the final record is exact and says who it was", test_final_record, 0 },
	{ "the meter keeps no VM alive", test_not_pinned, 0 },
	{ "several VMs in a process, ids are not used again", test_several, 0 },
	{ "a VMM that is killed", test_killed, 0 },
	{ "many short VMs are billed to the last exit", test_short, 120 },
	{ "final records that fall out are in the totals", test_fall_out, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
