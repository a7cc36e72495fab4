// SPDX-License-Identifier: GPL-2.0
/*
 * On which nodes a VM's memory is and its vCPUs run. The truth is where this test
 * binds memory and pins threads, and what the kernel says of each page.
 */
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE		4096ull
#define MB		0x100000ull
#define NODES		2
#define SCAN_MS		25000		/* a sample is taken every ten seconds */

static struct meter_map map;
static int cpu_of[NODES];		/* the first one of each node */

static int first_cpu(int node)
{
	char path[96];

	for (int cpu = 0; cpu < nr_cpus_online(); cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpu%d", node, cpu);
		if (file_exists(path))
			return cpu;
	}
	return -1;
}

static bool has_nodes(void)
{
	return file_exists("/sys/devices/system/node/node1");
}

static void start(void)
{
	need_cpus(2);
	meter_map_open(&map, "kvm_meter_vcpu");
	for (int i = 0; i < NODES; i++)
		cpu_of[i] = first_cpu(i);
	if (cpu_of[0] < 0 || cpu_of[1] < 0)
		tap_skip("this host has no nodes 0 and 1 with CPUs");
	pin_thread(0, cpu_of[0]);
}

static void bind_memory(void *mem, __u64 size, int mode, unsigned long nodes)
{
	REQUIRE(!syscall(SYS_mbind, mem, size, mode, &nodes, 8 * sizeof(nodes), MPOL_MF_MOVE),
		"mbind: %s", strerror(errno));
}

/* Bytes that are there, by node, as the kernel tells of each page. */
static void by_kernel(char *mem, __u64 size, __u64 *bytes)
{
	static void *pages[512];
	static int status[512];

	memset(bytes, 0, NODES * sizeof(*bytes));
	for (__u64 at = 0; at < size; at += 512 * PAGE) {
		unsigned int nr = 0;

		for (; nr < 512 && at + nr * PAGE < size; nr++)
			pages[nr] = mem + at + nr * PAGE;
		REQUIRE(!syscall(SYS_move_pages, 0, nr, pages, NULL, status, 0),
			"move_pages: %s", strerror(errno));
		for (unsigned int i = 0; i < nr; i++)
			if (status[i] >= 0 && status[i] < NODES)
				bytes[status[i]] += PAGE;
	}
}

/* Memory of @size, of which @on1 bytes at the end are on node 1, and @hole are none. */
static char *memory(__u64 size, __u64 on1, __u64 hole)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(mem, size, MADV_NOHUGEPAGE);
	bind_memory(mem, size - on1, MPOL_BIND, 1);
	if (on1)
		bind_memory(mem + size - on1, on1, MPOL_BIND, 2);
	memset(mem, 0, GUEST_MEM_SIZE);
	memset(mem + GUEST_MEM_SIZE + hole, 0, size - GUEST_MEM_SIZE - hole);
	return mem;
}

static __u64 bytes_on(__u64 id, int node)
{
	return meter_u64("vms/%llu/numa/%d/memory_bytes", id, node);
}

static struct vcpu *spin(struct vm *vm, int node, __u64 *id)
{
	struct vcpu *v = &vm->vcpus[0];

	vcpu_program(v, guest_spin, 1, 0);
	vcpu_start(v, cpu_of[node]);
	*id = meter_wait_tid(v->tid);
	REQUIRE(WAIT_FOR(bytes_on(*id, 0) + bytes_on(*id, 1), SCAN_MS), "no sample was taken");
	return v;
}

/* Up to 16 MiB each page is looked at. */
static void test_exact(void)
{
	__u64 id, want[NODES], size = 15 * MB;
	char *mem;

	start();
	mem = memory(size, 4 * MB, 2 * MB);
	spin(vm_create_in(mem, size, 0), 0, &id);
	by_kernel(mem, size, want);
	EXPECT_EQ(want[0] + want[1], 13 * MB, "bytes that the kernel says are there");
	EXPECT_EQ(want[1], 4 * MB, "bytes on node 1, by the kernel");
	for (int i = 0; i < NODES; i++)
		EXPECT_EQ(bytes_on(id, i), want[i], "memory_bytes");
	EXPECT_EQ(meter_u64("vms/%llu/memory_node", id), 0, "memory_node");
	EXPECT_EQ(meter_u64("vms/%llu/preferred_node", id), 0, "preferred_node");
}

/* Memory that was only read is the huge page of zeros, which is nobody's. */
static void test_zeros(void)
{
	__u64 id, want[NODES], size = 16 * MB;
	char *mem, *zeros, value = 0;

	start();
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(mem, 0, GUEST_MEM_SIZE);
	zeros = (char *)(((__u64)mem + GUEST_MEM_SIZE + 2 * MB - 1) & -(2 * MB));
	if (madvise(zeros, 8 * MB, MADV_HUGEPAGE))
		tap_skip("no huge pages: %s", strerror(errno));
	for (__u64 at = 0; at < 8 * MB; at += 2 * MB)
		value += *(volatile char *)(zeros + at);
	EXPECT_EQ(value, 0, "memory that nobody wrote");
	spin(vm_create_in(mem, size, 0), 0, &id);
	by_kernel(mem, size, want);
	tap_diag("by the kernel %llu kB of %llu kB", (want[0] + want[1]) >> 10, size >> 10);
	for (int i = 0; i < NODES; i++)
		EXPECT_EQ(bytes_on(id, i), want[i], "memory_bytes");
}

static void expect_share(__u64 id, char *mem, __u64 size, const char *what)
{
	__u64 want[NODES];

	by_kernel(mem, size, want);
	for (int i = 0; i < NODES; i++) {
		tap_diag("%s: node %d has %llu kB, by the kernel %llu kB", what, i,
			 bytes_on(id, i) >> 10, want[i] >> 10);
		/* Four times the standard error of a share of 1/2 by 4,096 pages. */
		EXPECT_NEAR(bytes_on(id, i), want[i], size * 31 / 1000, what);
	}
}

/* Large memory is sampled, and however it is laid out: page by page in turn as well. */
static void test_sampled(void)
{
	__u64 id, size = 200 * MB;
	char *mem;

	start();
	mem = memory(size, 60 * MB, 0);
	spin(vm_create_in(mem, size, 0), 0, &id);
	expect_share(id, mem, size, "two parts");
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	madvise(mem, size, MADV_NOHUGEPAGE);
	bind_memory(mem, size, MPOL_INTERLEAVE, 3);
	memset(mem, 0, size);
	spin(vm_create_in(mem, size, 0), 0, &id);
	expect_share(id, mem, size, "interleaved");
}

static void nodes_of(const struct kvm_meter_vcpu *rec, struct kvm_meter_vcpu_head *h, __u64 *ns)
{
	__u64 sum = 0;

	meter_read(rec, h);
	REQUIRE(WAIT_FOR(!kvm_meter_read_nodes(rec, ns), 1000), "no consistent copy");
	for (int i = 0; i < KVM_METER_NODES; i++)
		sum += ns[i];
	/* Of two reads, one after the other. */
	EXPECT(sum >= h->guest_ns && sum - h->guest_ns < 200 * NSEC_PER_MSEC,
	       "guest_ns by node adds up to %llu, guest_ns is %llu", sum, h->guest_ns);
}

/* Where it is pinned its guest time goes, and to remote_ns where its memory is not. */
static void test_guest(void)
{
	__u64 id, a[KVM_METER_NODES], b[KVM_METER_NODES], size = 8 * MB, sum = 0;
	const struct kvm_meter_vcpu *rec;
	struct kvm_meter_vcpu_head x, y;
	struct kvm_meter_vm end;
	struct meter_map ended;
	struct vcpu *v;
	struct vm *vm;

	start();
	meter_map_open(&ended, "kvm_meter_ended");
	vm = vm_create_in(memory(size, 0, 0), size, 0);
	v = spin(vm, 0, &id);
	rec = meter_vcpu(&map, id, 0);
	for (int round = 0; round < 4; round++) {
		int node = round & 1;

		pin_thread(v->tid, cpu_of[node]);
		REQUIRE(WAIT_FOR(__kvm_meter_load(&rec->cpu) == (__u32)cpu_of[node], 5000),
			"the guest did not get to node %d", node);
		nodes_of(rec, &x, a);
		sleep_ms(700);
		nodes_of(rec, &y, b);
		tap_diag("on node %d: guest %llu us, node 0 %llu us, node 1 %llu us, remote %llu us",
			 node, (y.guest_ns - x.guest_ns) / 1000, (b[0] - a[0]) / 1000,
			 (b[1] - a[1]) / 1000, (y.remote_ns - x.remote_ns) / 1000);
		EXPECT(b[node] - a[node] > 300 * NSEC_PER_MSEC, "guest time on its node");
		EXPECT_EQ(b[!node] - a[!node], 0, "guest time on the other node");
		EXPECT_EQ(y.remote_ns - x.remote_ns, node ? y.guest_ns - x.guest_ns : 0,
			  "remote_ns");
	}
	vcpu_pause(v);
	for (int i = 0; i < NODES; i++)
		sum += meter_u64("vms/%llu/numa/%d/guest_ns", id, i);
	EXPECT_EQ(sum, meter_u64("vms/%llu/guest_ns", id), "sum of numa/N/guest_ns");
	EXPECT_EQ(meter_u64("vms/%llu/remote_ns", id),
		  meter_u64("vms/%llu/numa/1/guest_ns", id), "remote_ns by node");
	vcpu_stop(v);
	vm_destroy(vm);
	meter_wait_ended(&ended, id, &end);
	EXPECT_EQ(end.node_guest_ns[0] + end.node_guest_ns[1], end.guest_ns,
		  "guest_ns by node in the final record");
	EXPECT_EQ(end.remote_ns, end.node_guest_ns[1], "remote_ns in the final record");
	EXPECT_EQ(end.node_memory_bytes[0], size, "node_memory_bytes in the final record");
	EXPECT_EQ(end.memory_node, 0, "memory_node in the final record");
}

/* Three quarters of the memory there, the vCPU here; it moves, then the memory does. */
static void test_hint(void)
{
	__u64 id, size = 8 * MB, a, b;
	struct vcpu *v;
	char *mem;

	start();
	mem = memory(size, 6 * MB, 0);
	v = spin(vm_create_in(mem, size, 0), 0, &id);
	REQUIRE(WAIT_FOR(meter_u64("vms/%llu/preferred_gain_permille", id), SCAN_MS), "no gain");
	EXPECT_EQ(meter_u64("vms/%llu/memory_node", id), 1, "memory_node");
	EXPECT_EQ(meter_u64("vms/%llu/preferred_node", id), 1, "preferred_node");
	/* 3/4 of the accesses would be local, 1/4 are. */
	EXPECT_NEAR(meter_u64("vms/%llu/preferred_gain_permille", id), 500, 2, "gain");
	pin_thread(v->tid, cpu_of[1]);
	EXPECT(WAIT_FOR(!meter_u64("vms/%llu/preferred_gain_permille", id), SCAN_MS),
	       "a gain of %llu where all is well",
	       meter_u64("vms/%llu/preferred_gain_permille", id));
	a = meter_u64("vms/%llu/remote_ns", id);
	sleep_ms(500);
	EXPECT_EQ(meter_u64("vms/%llu/remote_ns", id), a, "remote_ns where most memory is");
	bind_memory(mem, size, MPOL_BIND, 1);
	EXPECT(WAIT_FOR(!meter_u64("vms/%llu/memory_node", id), SCAN_MS), "memory_node after a move");
	EXPECT_EQ(bytes_on(id, 0), size, "memory_bytes after a move");
	b = meter_u64("vms/%llu/remote_ns", id);
	sleep_ms(500);
	EXPECT(meter_u64("vms/%llu/remote_ns", id) - b > 200 * NSEC_PER_MSEC,
	       "remote_ns does not grow: %llu, %llu", b, meter_u64("vms/%llu/remote_ns", id));
}

/* Whatever the VMM does to its memory meanwhile, and with VMs that come and go. */
static void test_churn(void)
{
	__u64 id, size = 32 * MB, end = raw_ns() + 24000 * NSEC_PER_MSEC;
	char *mem;

	start();
	mem = memory(size, 8 * MB, 0);
	spin(vm_create_in(mem, size, 0), 0, &id);
	while (raw_ns() < end) {
		struct vm *vm = vm_create(1, 0);

		vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
		vcpu_run(&vm->vcpus[0]);
		madvise(mem + GUEST_MEM_SIZE, size - GUEST_MEM_SIZE, MADV_DONTNEED);
		memset(mem + GUEST_MEM_SIZE, 1, size - GUEST_MEM_SIZE);
		REQUIRE(mremap(mem + 16 * MB, 4 * MB, 4 * MB, MREMAP_MAYMOVE | MREMAP_FIXED,
			       mem + 24 * MB) != MAP_FAILED, "mremap: %s", strerror(errno));
		REQUIRE(mmap(mem + 16 * MB, 4 * MB, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED,
			"mmap: %s", strerror(errno));
		sleep_ms(20);
		vm_destroy(vm);
	}
	EXPECT(bytes_on(id, 0) + bytes_on(id, 1) <= size + size / 50, "more memory than there is");
	meter_expect_healthy(NULL);
}

/* Nothing is said of nodes where there is one. */
static void test_files(void)
{
	static const char *const files[] = {
		"numa", "remote_ns", "memory_node", "preferred_node", "preferred_gain_permille",
		"vcpus/0/remote_ns",
	};
	struct vcpu *v;
	__u64 id;

	need_cpus(1);
	v = &vm_create(1, 0)->vcpus[0];
	vcpu_program(v, guest_io, 10, 0);
	vcpu_run(v);
	id = meter_wait_tid(getpid());
	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++)
		EXPECT(meter_exists("vms/%llu/%s", id, files[i]) == has_nodes(), "vms/N/%s",
		       files[i]);
}

static const struct tap_test tests[] = {
	{ "files are there where there are nodes", test_files, 0 },
	{ "memory by node, each page", test_exact, 0 },
	{ "memory by node, what was only read", test_zeros, 0 },
	{ "memory by node, sampled", test_sampled, 120 },
	{ "guest time by node, and remote", test_guest, 0 },
	{ "where vCPUs had better run", test_hint, 180 },
	{ "memory that changes, VMs that come and go", test_churn, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
