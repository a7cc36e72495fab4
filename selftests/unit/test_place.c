// SPDX-License-Identifier: GPL-2.0
/* What a guest is promised by its CPUID, where guest time goes, and the hint. */
#include "../../kvm_meter/account.c"
#include "../../kvm_meter/hint.c"
#include "../../kvm_meter/promise.c"

#include "util.h"

#define E(f, i, a, b, c, d)	{ .function = f, .index = i,			\
				  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,	\
				  .eax = a, .ebx = b, .ecx = c, .edx = d }

#define SHIFT(...)								\
	({									\
		const struct kvm_cpuid_entry2 e[] = { __VA_ARGS__ };		\
		promise_shift(e, ARRAY_SIZE(e));				\
	})

static void test_promise(void)
{
	EXPECT_EQ(promise_shift(NULL, 0), 0, "no CPUID at all");
	EXPECT_EQ(SHIFT(E(0xb, 0, 1, 2, 0x100, 5)), 1, "leaf 0xb, two threads");
	EXPECT_EQ(SHIFT(E(0xb, 1, 4, 8, 0x201, 5), E(0xb, 0, 0, 1, 0x100, 5)), 0,
		  "leaf 0xb, one thread");
	EXPECT_EQ(SHIFT(E(0xb, 0, 1, 1, 0x100, 5)), 0, "a shift, and one thread");
	EXPECT_EQ(SHIFT(E(0xb, 0, 1, 2, 0x100, 5), E(0x1f, 0, 2, 4, 0x100, 5)), 2,
		  "leaf 0x1f comes first");
	EXPECT_EQ(SHIFT(E(0xb, 0, 1, 2, 0x100, 5), E(0x1f, 0, 0, 0, 0, 0)), 1,
		  "a leaf 0x1f that says nothing");
	EXPECT_EQ(SHIFT(E(0xb, 0, 1, 2, 0x200, 5)), 0, "the first level is no thread's");
	EXPECT_EQ(SHIFT(E(0xb, 0, 31, 0xffff, 0x100, 5)), 0, "a shift that is no core's");
	EXPECT_EQ(SHIFT(E(0x80000001, 0, 0, 0, 1 << 22, 0), E(0x8000001e, 0, 3, 0x101, 0, 0)), 1,
		  "AMD, two threads");
	EXPECT_EQ(SHIFT(E(0x80000001, 0, 0, 0, 0, 0), E(0x8000001e, 0, 3, 0x101, 0, 0)), 0,
		  "AMD without the bit");
	/* 8 logical, 4 cores in the package */
	EXPECT_EQ(SHIFT(E(1, 0, 0, 8 << 16, 0, 1 << 28), E(4, 0, 1 | 3u << 26, 0, 0, 0)), 1,
		  "leaves 1 and 4");
	EXPECT_EQ(SHIFT(E(1, 0, 0, 8 << 16, 0, 1 << 28), E(4, 0, 1 | 7u << 26, 0, 0, 0)), 0,
		  "leaves 1 and 4, as many cores");
	EXPECT_EQ(SHIFT(E(1, 0, 0, 8 << 16, 0, 0), E(4, 0, 1 | 3u << 26, 0, 0, 0)), 0,
		  "leaf 1 without HTT");
	EXPECT_EQ(SHIFT(E(1, 0, 0, 8 << 16, 0, 1 << 28)), 0, "leaf 1 alone");
	EXPECT(promise_siblings(1, 4, 5) && !promise_siblings(1, 5, 6), "pairs of a shift of 1");
	EXPECT(!promise_siblings(0, 4, 4), "siblings without a shift");
}

static struct kvm_meter_vcpu rec;

/* Guest time goes where it was spent, also what a reader adds. */
static void test_place(void)
{
	struct kvm_meter_vcpu_head out;

	EXPECT_EQ(account_place(&rec, 0, KVM_METER_BESIDE_IDLE, 1), 0, "before it ran");
	EXPECT_EQ(account_place(&rec, 100, KVM_METER_BESIDE_OTHER | KVM_METER_PLACE_REMOTE, 2), 100,
		  "beside an idle sibling");
	out = *account_head(&rec);
	EXPECT_EQ(kvm_meter_place(&out, 130), 30, "what a reader adds");
	EXPECT_EQ(out.smt_other_ns, 30, "smt_other_ns of the reader");
	EXPECT_EQ(out.remote_ns, 30, "remote_ns of the reader");
	EXPECT_EQ(rec.smt_other_ns, 0, "smt_other_ns of the record");
	account_place(&rec, 150, KVM_METER_BESIDE_OWN | KVM_METER_PLACE_CROWDED, 2);
	/* An exit whose event comes late was before what has been charged. */
	EXPECT_EQ(account_place(&rec, 140, KVM_METER_BESIDE_HOST | KVM_METER_PLACE_APART, 0), 0,
		  "a guest time that is behind");
	account_place(&rec, 170, 0, 0);
	EXPECT_EQ(rec.smt_idle_ns, 100, "smt_idle_ns");
	EXPECT_EQ(rec.smt_other_ns, 50, "smt_other_ns");
	EXPECT_EQ(rec.smt_own_ns, 0, "smt_own_ns");
	EXPECT_EQ(rec.smt_host_ns, 20, "smt_host_ns");
	EXPECT_EQ(rec.promise_crowded_ns, 0, "promise_crowded_ns");
	EXPECT_EQ(rec.promise_apart_ns, 20, "promise_apart_ns");
	EXPECT_EQ(rec.remote_ns, 50, "remote_ns");
	EXPECT_EQ(rec.node_guest_ns[1], 100, "node 1");
	EXPECT_EQ(rec.node_guest_ns[2], 50, "node 2");
	EXPECT_EQ(rec.node_guest_ns[0], 20, "node 0");
	EXPECT_EQ(rec.placed_ns, 170, "placed_ns");
}

static void test_hint(void)
{
	__u64 pages[KVM_METER_NODES] = {}, ns[KVM_METER_NODES] = {};
	struct hint h = { KVM_METER_NODE_NONE, KVM_METER_NODE_NONE, 0 };

	hint_make(&h, pages, ns, ~0u, false);
	EXPECT_EQ(h.memory_node, KVM_METER_NODE_NONE, "memory_node without memory");
	EXPECT_EQ(h.preferred_node, KVM_METER_NODE_NONE, "preferred_node without memory");
	pages[1] = 300;
	pages[3] = 700;
	hint_make(&h, pages, ns, ~0u, false);
	EXPECT_EQ(h.memory_node, 3, "memory_node");
	EXPECT_EQ(h.gain_permille, 0, "gain of a guest that does not run");
	ns[1] = 1ull << 40;
	hint_make(&h, pages, ns, ~0u, false);
	EXPECT_EQ(h.gain_permille, 400, "gain of 70 % over 30 %");
	ns[3] = 1ull << 40;
	hint_make(&h, pages, ns, ~0u, false);
	EXPECT_EQ(h.gain_permille, 200, "gain of 70 % over 50 %");
	hint_make(&h, pages, ns, 1 << 1, false);
	EXPECT_EQ(h.memory_node, 3, "memory_node without CPUs");
	EXPECT_EQ(h.preferred_node, 1, "preferred_node");
	EXPECT_EQ(h.gain_permille, 0, "gain of the worse node");
	hint_make(&h, pages, ns, 1 << 0, false);
	EXPECT_EQ(h.preferred_node, KVM_METER_NODE_NONE, "preferred_node without memory there");
	/* As large as it gets: 2^40 pages, 52 days of guest time. */
	pages[3] = 1ull << 40;
	pages[1] = 0;
	ns[1] = 0;
	ns[0] = 1ull << 52;
	ns[3] = 0;
	hint_make(&h, pages, ns, ~0u, false);
	EXPECT_EQ(h.gain_permille, 1000, "gain of all");
	/* Two nodes that a sample cannot tell apart. */
	pages[0] = 510;
	pages[1] = 490;
	pages[3] = 0;
	hint_make(&h, pages, ns, ~0u, true);
	EXPECT_EQ(h.memory_node, 0, "memory_node, the other one has nothing any more");
	pages[0] = 490;
	pages[1] = 510;
	hint_make(&h, pages, ns, ~0u, true);
	EXPECT_EQ(h.memory_node, 0, "memory_node keeps its place in a sample");
	EXPECT_EQ(h.preferred_node, 0, "preferred_node keeps its place in a sample");
	pages[0] = 460;
	pages[1] = 540;
	hint_make(&h, pages, ns, ~0u, true);
	EXPECT_EQ(h.memory_node, 1, "memory_node by more than the error");
	pages[0] = 501;
	pages[1] = 499;
	hint_make(&h, pages, ns, ~0u, false);
	EXPECT_EQ(h.memory_node, 0, "memory_node where each page is known");
}

static const struct tap_test tests[] = {
	{ "what CPUID promises", test_promise, 0 },
	{ "guest time by place", test_place, 0 },
	{ "the hint", test_hint, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
