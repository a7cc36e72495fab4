// SPDX-License-Identifier: GPL-2.0
/* The pure functions of the public header. */
#include <kvm_meter/abi.h>

#include <stdlib.h>

#include "tap.h"

static struct kvm_meter_vcpu_head at(__u32 state, __u64 since)
{
	struct kvm_meter_vcpu_head h = {
		.state = state, .since_ns = since, .first_ns = 1000, .vm_id = 1,
	};

	return h;
}

static __u64 four(const struct kvm_meter_vcpu_head *h)
{
	return h->guest_ns + h->host_ns + h->steal_ns + h->idle_ns;
}

/* Each state is charged to its field, or two, and to nothing else. */
static void test_charge(void)
{
	static const struct {
		__u32 state;
		__u64 guest, host, steal, throttled, idle, blocked;
	} cases[] = {
		{ KVM_METER_GUEST, 7, 0, 0, 0, 0, 0 },
		{ KVM_METER_HOST, 0, 7, 0, 0, 0, 0 },
		{ KVM_METER_STEAL, 0, 0, 7, 0, 0, 0 },
		{ KVM_METER_THROTTLED, 0, 0, 7, 7, 0, 0 },
		{ KVM_METER_IDLE, 0, 0, 0, 0, 7, 0 },
		{ KVM_METER_BLOCKED, 0, 0, 0, 0, 7, 7 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_meter_vcpu_head h = at(cases[i].state, 1000);

		kvm_meter_charge(&h, 1007);
		EXPECT_EQ(h.guest_ns, cases[i].guest, "guest_ns");
		EXPECT_EQ(h.host_ns, cases[i].host, "host_ns");
		EXPECT_EQ(h.steal_ns, cases[i].steal, "steal_ns");
		EXPECT_EQ(h.throttled_ns, cases[i].throttled, "throttled_ns");
		EXPECT_EQ(h.idle_ns, cases[i].idle, "idle_ns");
		EXPECT_EQ(h.blocked_ns, cases[i].blocked, "blocked_ns");
		EXPECT_EQ(h.since_ns, 1007, "since_ns");
		EXPECT_EQ(h.wall_ns, 7, "wall_ns");
	}
}

/* A free slot and an ended vCPU stand still. */
static void test_charge_nothing(void)
{
	static const __u32 states[] = { KVM_METER_FREE, KVM_METER_ENDED, 99 };

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		struct kvm_meter_vcpu_head h = at(states[i], 1000);

		h.wall_ns = 5;
		kvm_meter_charge(&h, 2000);
		EXPECT_EQ(four(&h), 0, "sum of the four");
		EXPECT_EQ(h.since_ns, 1000, "since_ns");
		EXPECT_EQ(h.wall_ns, 5, "wall_ns");
	}
}

static void test_charge_back(void)
{
	struct kvm_meter_vcpu_head h = at(KVM_METER_GUEST, 5000);

	h.guest_ns = 4000;
	kvm_meter_charge(&h, 4999);
	EXPECT_EQ(h.guest_ns, 4000, "guest_ns");
	EXPECT_EQ(h.since_ns, 5000, "since_ns");
	EXPECT_EQ(h.wall_ns, 4000, "wall_ns");
	kvm_meter_charge(&h, 5001);
	EXPECT_EQ(h.guest_ns, 4001, "guest_ns");
}

static __u64 rnd(__u64 below)
{
	return ((__u64)random() << 31 | random()) % below;
}

/* Any sequence of states and times: the four add up to wall_ns. */
static void test_charge_random(void)
{
	srandom(1);
	for (int run = 0; run < 200; run++) {
		struct kvm_meter_vcpu_head h = at(KVM_METER_HOST, 1000);
		__u64 now = 1000;

		for (int i = 0; i < 500; i++) {
			now += rnd(1000);
			kvm_meter_charge(&h, rnd(10) ? now : now - rnd(now));
			h.state = KVM_METER_HOST + rnd(KVM_METER_ENDED - KVM_METER_HOST);
			REQUIRE(four(&h) == h.wall_ns, "sum %llu, wall_ns %llu", four(&h),
				h.wall_ns);
			REQUIRE(h.throttled_ns <= h.steal_ns, "throttled_ns");
			REQUIRE(h.blocked_ns <= h.idle_ns, "blocked_ns");
		}
	}
}

/*
 * A reader's view under corrections: the record goes on from a true value,
 * the reader sometimes saw up to some time too much in one field.
 */
static void test_monotonic(void)
{
	srandom(2);
	for (int run = 0; run < 500; run++) {
		struct kvm_meter_vcpu_head truth = at(KVM_METER_HOST, 1000), prev = {}, seen;
		__u64 now = 1000, held = 0;

		for (int i = 0; i < 200; i++) {
			__u64 early = rnd(3) ? 0 : rnd(500);

			now += rnd(300);
			/* What is read now may be taken back by what is read next. */
			seen = truth;
			kvm_meter_charge(&seen, now + early);
			kvm_meter_monotonic(&seen, &prev);
			REQUIRE(seen.guest_ns >= prev.guest_ns && seen.host_ns >= prev.host_ns &&
				seen.steal_ns >= prev.steal_ns && seen.idle_ns >= prev.idle_ns &&
				seen.wall_ns >= prev.wall_ns &&
				seen.throttled_ns >= prev.throttled_ns &&
				seen.blocked_ns >= prev.blocked_ns, "a field went back");
			REQUIRE(four(&seen) == seen.wall_ns, "sum %llu, wall_ns %llu",
				four(&seen), seen.wall_ns);
			REQUIRE(seen.throttled_ns <= seen.steal_ns, "throttled_ns > steal_ns");
			REQUIRE(seen.blocked_ns <= seen.idle_ns, "blocked_ns > idle_ns");
			prev = seen;
			held = seen.wall_ns - truth.wall_ns;
			if (rnd(2)) {
				kvm_meter_charge(&truth, now);
				truth.state = KVM_METER_HOST +
					      rnd(KVM_METER_ENDED - KVM_METER_HOST);
			}
		}
		/* It is held for a while, it does not drift away. */
		REQUIRE(held < 500 + 200 * 300, "the view is %llu ahead", held);
	}
}

static void test_monotonic_same(void)
{
	struct kvm_meter_vcpu_head prev = at(KVM_METER_GUEST, 1000), out;

	prev.guest_ns = 100;
	prev.host_ns = 50;
	prev.wall_ns = 150;
	out = prev;
	out.host_ns += 10;
	out.wall_ns += 10;
	kvm_meter_monotonic(&out, &prev);
	EXPECT_EQ(out.guest_ns, 100, "guest_ns");
	EXPECT_EQ(out.host_ns, 60, "host_ns");
	EXPECT_EQ(out.wall_ns, 160, "wall_ns");
	/* 30 of guest time turn out to be host time. */
	prev = out;
	out.guest_ns -= 30;
	out.host_ns += 40;
	out.wall_ns += 10;
	kvm_meter_monotonic(&out, &prev);
	EXPECT_EQ(out.guest_ns, 100, "guest_ns, held");
	EXPECT_EQ(out.host_ns, 70, "host_ns, less what guest_ns has too much");
	EXPECT_EQ(out.wall_ns, 170, "wall_ns");
}

static void test_hist(void)
{
	EXPECT_EQ(kvm_meter_hist_bucket(0), 0, "bucket of 0");
	EXPECT_EQ(kvm_meter_hist_bucket(1), 0, "bucket of 1");
	EXPECT_EQ(kvm_meter_hist_bucket(127), 0, "bucket of 127");
	for (unsigned int i = 1; i < KVM_METER_HIST; i++) {
		__u64 low = 1ull << (i + KVM_METER_HIST_SHIFT);

		EXPECT_EQ(kvm_meter_hist_bucket(low - 1), i - 1, "bucket below an edge");
		EXPECT_EQ(kvm_meter_hist_bucket(low), i, "bucket at an edge");
	}
	EXPECT_EQ(kvm_meter_hist_bucket(~0ull), KVM_METER_HIST - 1, "bucket of the longest");
	for (int bit = 30; bit < 64; bit++)
		EXPECT_EQ(kvm_meter_hist_bucket(1ull << bit), KVM_METER_HIST - 1, "last bucket");
}

static void test_clock(void)
{
	const __u64 ghz = (1000000000ull << 32) / 1000000000, khz2100 = (1000000ull << 32) / 2100000;
	__u64 last = 0;

	EXPECT_EQ(kvm_meter_tsc_to_ns(12345, ghz), 12345, "1 GHz");
	EXPECT_EQ(kvm_meter_tsc_to_ns(0, ghz), 0, "0");
	/* 30 years at 2.1 GHz pass 64 bits in the product. */
	EXPECT_NEAR(kvm_meter_tsc_to_ns(2100000000ull * 946080000, khz2100) / 1000000000,
		    946080000, 1, "seconds after 30 years");
	for (__u64 tsc = 1; tsc < 1ull << 62; tsc = tsc * 3 + 1) {
		__u64 ns = kvm_meter_tsc_to_ns(tsc, khz2100);

		EXPECT(ns >= last, "the clock goes back");
		last = ns;
	}
}

static const struct tap_test tests[] = {
	{ "charge: each state to its field", test_charge, 0 },
	{ "charge: nothing for free and ended", test_charge_nothing, 0 },
	{ "charge: a clock that goes back", test_charge_back, 0 },
	{ "charge: random states add up", test_charge_random, 0 },
	{ "monotonic: never back, still adding up", test_monotonic, 0 },
	{ "monotonic: what is held is taken elsewhere", test_monotonic_same, 0 },
	{ "histogram buckets at their edges", test_hist, 0 },
	{ "TSC to nanoseconds", test_clock, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}
