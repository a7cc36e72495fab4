// SPDX-License-Identifier: GPL-2.0
/*
 * Flushes are exact: two VMs take turns on one CPU, and each entry after
 * another trust domain flushes what the policies say, once; no other does. The
 * witness of the MSR writes, the counters and the model say the same numbers.
 */
#include "model.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N		100	/* rounds; two entries each */
#define CPU		1
#define BOTH_OF_THEM	HARDEN_PRIMITIVES

static struct model *m;
static struct model_vm *a, *b;

static void two_vms(void)
{
	need_cpus(2);
	m = model_new();
	a = model_vm(m, 1, 0);
	b = model_vm(m, 1, 0);
	pin_thread(0, CPU);
}

static void run_once(struct model_vm *vm)
{
	int reason = vcpu_run_once(vm->v);

	REQUIRE(!vcpu_handle(vm->v, reason), "the guest has ended");
	REQUIRE(reason == KVM_EXIT_IO, "KVM_RUN gave %d", reason);
}

static void program(struct model_vm *vm, const char *what)
{
	vcpu_program(vm->v, what, ~0ull, 0);
}

/* A, B, A, B in this thread. */
static void take_turns(int rounds)
{
	program(a, guest_io);
	program(b, guest_io);
	for (int i = 0; i < rounds; i++) {
		run_once(a);
		run_once(b);
	}
}

static void expect_counts(__u64 switches, __u64 ibpb, __u64 l1d)
{
	EXPECT_EQ(m->got.switches, switches, "switches");
	if (harden_kvm_flushes())
		return;
	EXPECT_EQ(m->got.ibpb, ibpb, "ibpb");
	EXPECT_EQ(m->got.l1d, l1d, "l1d");
	EXPECT_EQ(m->msr_writes, m->dry ? 0 : ibpb + l1d, "MSR writes that the kernel saw");
}

/* The first entry follows nobody knows whom. */
static void test_one_thread(void)
{
	two_vms();
	model_begin(m, "on");
	take_turns(N);
	model_end(m);
	expect_counts(2 * N, 2 * N, 2 * N);
}

/* Alternates as the scheduler likes it. */
static void start_threads(const char *what)
{
	struct model_vm *vms[] = { a, b };

	for (unsigned int i = 0; i < ARRAY_SIZE(vms); i++) {
		program(vms[i], what);
		vms[i]->v->yield = true;
		vcpu_start(vms[i]->v, CPU);
	}
}

static void stop_threads(void)
{
	a->v->data->stop = 1;
	b->v->data->stop = 1;
	vcpu_join(a->v);
	vcpu_join(b->v);
}

static void test_two_threads(void)
{
	two_vms();
	model_begin(m, "on");
	start_threads(guest_spin_io);
	pin_thread(0, 0);
	sleep_ms(300);
	stop_threads();
	model_end(m);
	EXPECT(m->got.switches > 20, "%llu switches only", m->got.switches);
	EXPECT(m->entries > m->got.switches, "each entry was a switch");
}

static void test_same_domain(void)
{
	two_vms();
	model_domain(m, a, 7);
	model_domain(m, b, 7);
	model_begin(m, "on");
	take_turns(N);
	model_end(m);
	expect_counts(1, 1, 1);
	harden_expect("7", "vms/%llu/domain", a->id);
}

static void test_same_domain_threads(void)
{
	two_vms();
	model_domain(m, a, 4294967295u);
	model_domain(m, b, 4294967295u);
	model_begin(m, "on");
	start_threads(guest_spin_io);
	pin_thread(0, 0);
	sleep_ms(200);
	stop_threads();
	model_end(m);
	expect_counts(1, 1, 1);
}

/* Own, shared with the other, own, shared with nobody. */
static void test_domain_changes(void)
{
	two_vms();
	model_begin(m, "on");
	take_turns(N);		/* 2N, B was the last one */
	model_domain(m, b, 5);
	take_turns(N);		/* 2N */
	model_domain(m, a, 5);
	take_turns(N);		/* 0 */
	model_domain(m, a, 0);
	take_turns(N);		/* 2N */
	model_domain(m, b, 0);
	take_turns(N);		/* 2N */
	model_domain(m, b, 0);	/* changes nothing */
	run_once(b);
	model_end(m);
	expect_counts(8 * N, 8 * N, 8 * N);
}

/* A VM that runs alone is another one's neighbour when its domain changes. */
static void test_domain_alone(void)
{
	two_vms();
	model_begin(m, "on");
	program(a, guest_io);
	for (int i = 1; i <= 10; i++) {
		for (int k = 0; k < 10; k++)
			run_once(a);
		model_domain(m, a, i);
	}
	model_end(m);
	expect_counts(10, 10, 10);
}

static void test_domain_running(void)
{
	static const struct {
		__u32 a, b;
	} steps[] = { { 0, 0 }, { 3, 0 }, { 3, 3 }, { 3, 4 }, { 0, 4 }, { 4, 4 }, { 0, 0 } };

	two_vms();
	model_begin(m, "on");
	start_threads(guest_spin_io);
	model_urgent(CPU);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
			model_domain(m, a, steps[i].a);
			sleep_ms(20);
			model_domain(m, b, steps[i].b);
			sleep_ms(20);
		}
	}
	stop_threads();
	model_end(m);
	EXPECT(m->got.switches > 20, "%llu switches only", m->got.switches);
}

/* With every pair of policies. HOST makes entries of no switch flush. */
static const __u32 policies[] = {
	0, KVM_HARDEN_DEFAULT, KVM_HARDEN_IBPB, KVM_HARDEN_L1D, BOTH_OF_THEM,
	KVM_HARDEN_IBPB | KVM_HARDEN_HOST, KVM_HARDEN_L1D | KVM_HARDEN_HOST,
	BOTH_OF_THEM | KVM_HARDEN_HOST,
};

static void test_policy_pairs(void)
{
	two_vms();
	model_begin(m, "on");
	for (unsigned int i = 0; i < ARRAY_SIZE(policies); i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(policies); k++) {
			model_policy(m, a, policies[i]);
			model_policy(m, b, policies[k]);
			take_turns(3);
			run_once(b);	/* after itself */
		}
	}
	model_end(m);
	EXPECT(m->got.switches >= ARRAY_SIZE(policies) * ARRAY_SIZE(policies) * 6,
	       "%llu switches", m->got.switches);
}

/* The numbers of some of them, said by hand; the first entry follows "default". */
static void policy_counts(__u32 pa, __u32 pb, __u64 ibpb, __u64 l1d)
{
	two_vms();
	model_policy(m, a, pa);
	model_policy(m, b, pb);
	model_begin(m, "on");
	take_turns(N);
	model_end(m);
	expect_counts(2 * N, ibpb, l1d);
}

static void test_policy_none(void)
{
	policy_counts(0, 0, 1, 1);
}

static void test_policy_ibpb(void)
{
	policy_counts(KVM_HARDEN_IBPB, KVM_HARDEN_IBPB, 2 * N, 1);
}

static void test_policy_l1d(void)
{
	policy_counts(KVM_HARDEN_L1D, KVM_HARDEN_L1D, 1, 2 * N);
}

static void test_policy_union(void)
{
	policy_counts(KVM_HARDEN_IBPB, KVM_HARDEN_L1D, 2 * N, 2 * N);
}

static void test_policy_one_asks(void)
{
	policy_counts(0, KVM_HARDEN_IBPB, 2 * N, 1);
}

/* A domain of two VMs is left: what both of them asked for, not only the last. */
static void test_policy_of_domain(void)
{
	struct model_vm *c;

	two_vms();
	c = model_vm(m, 1, 0);
	pin_thread(0, CPU);
	model_domain(m, a, 1);
	model_domain(m, b, 1);
	model_policy(m, a, KVM_HARDEN_L1D);
	model_policy(m, b, 0);
	model_policy(m, c, 0);
	model_begin(m, "on");
	program(c, guest_io);
	run_once(c);		/* after nobody knows whom: both */
	for (int i = 0; i < N; i++) {
		take_turns(1);	/* A: L1D, for itself; B: none */
		run_once(c);	/* L1D, for A */
	}
	model_end(m);
	expect_counts(1 + 2 * N, 1, 1 + 2 * N);
}

/* One of the domain asks for what the one that made the switch did not: once. */
static void test_policy_later(void)
{
	struct model_vm *c;

	two_vms();
	c = model_vm(m, 1, 0);
	pin_thread(0, CPU);
	model_default(m, 0);
	model_domain(m, a, 1);
	model_domain(m, b, 1);
	model_policy(m, a, 0);
	model_policy(m, b, KVM_HARDEN_IBPB);
	model_policy(m, c, 0);
	model_begin(m, "on");
	program(c, guest_io);
	for (int i = 0; i < N; i++) {
		run_once(c);
		take_turns(3);	/* A makes the switch, B's first entry the flush */
	}
	model_policy(m, a, KVM_HARDEN_L1D);
	take_turns(2);		/* and A's, as it asks for another one now */
	model_end(m);
	/* Where B was, C makes a switch with an IBPB. */
	expect_counts(2 * N, 2 * N - 1, 1);
}

/* Each entry, of the one that asks for it only; the other's are switches. */
static void test_policy_host(void)
{
	two_vms();
	model_domain(m, a, 1);
	model_domain(m, b, 1);
	model_policy(m, a, KVM_HARDEN_L1D | KVM_HARDEN_HOST);
	model_policy(m, b, KVM_HARDEN_IBPB);
	model_begin(m, "on");
	take_turns(N);
	model_end(m);
	/* Entries after an interrupt of the host come on top. */
	EXPECT(m->got.l1d + m->got.covered >= N,
	       "%llu L1D flushes, %llu covered, expected %d at least",
	       m->got.l1d, m->got.covered, N);
	EXPECT(m->got.switches <= m->entries - N, "%llu switches", m->got.switches);
}

static void test_policy_running(void)
{
	two_vms();
	model_domain(m, a, 1);
	model_domain(m, b, 1);
	model_begin(m, "on");
	start_threads(guest_spin_io);
	model_urgent(CPU);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(policies); i++) {
		model_policy(m, a, policies[i % ARRAY_SIZE(policies)]);
		sleep_ms(20);
		model_domain(m, b, i % 3);
		sleep_ms(20);
	}
	model_policy(m, a, 0);
	model_domain(m, b, 1);
	sleep_ms(20);
	stop_threads();
	model_end(m);
	EXPECT(m->got.l1d + m->got.covered > 20, "%llu L1D flushes and %llu covered only",
	       m->got.l1d, m->got.covered);
}

static void test_default(void)
{
	two_vms();
	model_begin(m, "on");
	take_turns(N);			/* both */
	model_default(m, 0);
	take_turns(N);			/* nothing */
	model_default(m, KVM_HARDEN_IBPB);
	take_turns(N);
	model_default(m, KVM_HARDEN_L1D);
	take_turns(N);
	model_policy(m, a, 0);		/* B's is the default */
	take_turns(N);
	model_policy(m, b, KVM_HARDEN_IBPB);
	take_turns(N);
	model_end(m);
	expect_counts(12 * N, 6 * N, 6 * N);
}

/* default with "host" makes every VM's every entry flush. */
static void test_default_host(void)
{
	two_vms();
	model_default(m, KVM_HARDEN_IBPB | KVM_HARDEN_HOST);
	model_begin(m, "on");
	program(a, guest_io);
	for (int i = 0; i < N; i++)
		run_once(a);
	model_default(m, KVM_HARDEN_IBPB);
	for (int i = 0; i < N; i++)
		run_once(a);
	model_end(m);
	EXPECT(m->got.ibpb >= N, "%llu IBPBs", m->got.ibpb);
	EXPECT(m->got.ibpb <= m->entries - N, "%llu IBPBs of %llu entries", m->got.ibpb,
	       m->entries);
}

static void turns_with_changes(const char *mode, struct harden_counters *got)
{
	two_vms();
	model_begin(m, mode);
	take_turns(N);
	model_domain(m, a, 2);
	model_policy(m, b, KVM_HARDEN_L1D);
	take_turns(N);
	model_domain(m, b, 2);
	take_turns(N);
	model_domain(m, a, 0);
	model_policy(m, a, KVM_HARDEN_IBPB);
	take_turns(N);
	model_end(m);
	*got = m->got;
	/* The next ones have vCPUs of the same ids. */
	vm_destroy(a->vm);
	vm_destroy(b->vm);
	EXPECT(meter_wait_gone(a->id) && meter_wait_gone(b->id), "VMs that ended are there");
}

static void test_dry_run(void)
{
	__u64 ibpb_cost = harden_u64("flush/ibpb_cost_ns");
	__u64 l1d_cost = harden_u64("flush/l1d_cost_ns");
	struct harden_counters dry, on;

	turns_with_changes("dry-run", &dry);
	EXPECT_EQ(m->msr_writes, 0, "MSR writes of a dry run");
	turns_with_changes("on", &on);
	EXPECT_EQ(dry.switches, on.switches, "switches of the dry run");
	EXPECT_EQ(dry.ibpb, on.ibpb, "ibpb of the dry run");
	EXPECT_EQ(dry.l1d, on.l1d, "l1d of the dry run");
	EXPECT_EQ(dry.covered, on.covered, "covered of the dry run");
	EXPECT(ibpb_cost && l1d_cost, "costs %llu, %llu", ibpb_cost, l1d_cost);
	EXPECT_EQ(dry.predicted_ns, dry.ibpb * ibpb_cost + dry.l1d * l1d_cost, "predicted_ns");
	EXPECT_EQ(dry.flush_ns, 0, "flush_ns of the dry run");
	EXPECT_EQ(on.predicted_ns, 0, "predicted_ns when on");
	EXPECT(on.flush_ns, "flush_ns is 0");
	EXPECT(on.switches >= 6 * N, "%llu switches", on.switches);
	tap_diag("flush_ns %llu, the dry run predicted %llu", on.flush_ns, dry.predicted_ns);
}

/* Nothing was flushed so far: the first entry after is a switch. */
static void test_dry_run_to_on(void)
{
	two_vms();
	model_begin(m, "dry-run");
	program(a, guest_io);
	run_once(a);		/* 1 */
	run_once(a);
	model_mode(m, "on");
	run_once(a);		/* 1, flushed */
	run_once(a);
	model_mode(m, "dry-run");
	run_once(a);		/* 1 */
	model_mode(m, "on");
	harden_set("on\n", "flush/mode");	/* as it is: changes nothing */
	run_once(a);		/* 1, flushed */
	harden_set("on\n", "flush/mode");
	run_once(a);
	model_end(m);
	EXPECT_EQ(m->got.switches, 4, "switches");
	if (!harden_kvm_flushes())
		EXPECT_EQ(m->msr_writes, 4, "MSR writes");
}

static void test_off(void)
{
	struct harden_counters before, after;
	struct witness w;

	two_vms();
	model_policy(m, a, BOTH_OF_THEM | KVM_HARDEN_HOST);
	harden_counters(HARDEN_TOTALS, &before);
	witness_start(false);
	take_turns(N);
	witness_stop(&w);
	harden_counters(HARDEN_TOTALS, &after);
	EXPECT(!memcmp(&before, &after, sizeof(after)), "counters changed while off");
	for (unsigned int i = 0; i < w.nr; i++)
		EXPECT(w.events[i].kind == WITNESS_ENTRY, "a flush or a switch while off");
	EXPECT(w.nr >= 2 * N, "%u entries", w.nr);
}

/* The guest is in its guest when the mode comes: its next entry is a switch. */
static void test_on_under_guest(void)
{
	struct harden_counters before, after;
	unsigned int switches = 0, flushes = 0, entries = 0;
	struct witness w;

	two_vms();
	pin_thread(0, 0);
	harden_counters(HARDEN_TOTALS, &before);
	program(a, guest_spin_io);
	vcpu_start(a->v, CPU);
	sleep_ms(100);
	/* The meter's probe is older than the witness, on or off. */
	witness_start(false);
	harden_set("on\n", "flush/mode");
	sleep_ms(200);
	a->v->data->stop = 1;
	vcpu_join(a->v);
	witness_stop(&w);
	harden_counters(HARDEN_TOTALS, &after);
	harden_set("off\n", "flush/mode");
	for (unsigned int i = 0; i < w.nr; i++) {
		switches += w.events[i].kind == WITNESS_SWITCH;
		flushes += w.events[i].kind == WITNESS_MSR;
		entries += w.events[i].kind == WITNESS_ENTRY && switches;
	}
	EXPECT_EQ(switches, 1, "switches in the trace");
	if (!harden_kvm_flushes())
		EXPECT_EQ(flushes, 2, "MSR writes");
	EXPECT_EQ(after.switches - before.switches, 1, "switches");
	EXPECT(entries > 10, "%u entries after it", entries);
}

/*
 * The time of the flushes is the host's on the bill of the VM whose entry paid,
 * and no guest's. The guest's own time between two port exits is next to
 * nothing, with flushes as without.
 */
static void bill(__u64 *guest_ns, __u64 *host_ns, __u64 *flush_ns)
{
	struct kvm_meter_vcpu_head was, now;
	struct harden_counters before, after;
	struct meter_map map;

	meter_map_open(&map, "kvm_meter_vcpu");
	harden_counters(a->id, &before);
	meter_read(meter_vcpu(&map, a->id, 0), &was);
	program(a, guest_io);
	for (int i = 0; i < 5 * N; i++)
		run_once(a);
	harden_counters(a->id, &after);
	meter_read(meter_vcpu(&map, a->id, 0), &now);
	*guest_ns = now.guest_ns - was.guest_ns;
	*host_ns = now.host_ns - was.host_ns;
	*flush_ns = after.flush_ns - before.flush_ns;
	meter_map_close(&map);
}

static void test_host_ns(void)
{
	__u64 guest_off, host_off, guest_on, host_on, flush_ns, none;

	char how[256] = "";

	/* By reading: that takes its time on an emulated CPU too. */
	harden_reload(NULL, "");
	harden_file(how, sizeof(how), "flush/available");
	if (!strstr(how, "displacement"))
		tap_skip("the flush takes no time to speak of: %s", strstr(how, "l1d"));
	two_vms();
	bill(&guest_off, &host_off, &none);
	EXPECT_EQ(none, 0, "flush_ns while off");
	harden_set("l1d host\n", "vms/%llu/flush", a->id);
	harden_set("on\n", "flush/mode");
	bill(&guest_on, &host_on, &flush_ns);
	harden_set("off\n", "flush/mode");
	tap_diag("off: guest %llu, host %llu; on: guest %llu, host %llu, flush %llu us",
		 guest_off / 1000, host_off / 1000, guest_on / 1000, host_on / 1000,
		 flush_ns / 1000);
	if (!flush_ns && harden_kvm_flushes())
		tap_skip("KVM does all L1D flushes itself");
	EXPECT(flush_ns, "flush_ns is 0");
	EXPECT(host_on >= flush_ns, "host_ns %llu, flush_ns %llu of it", host_on, flush_ns);
	if (guest_on > guest_off + flush_ns / 2)
		tap_again("guest_ns %llu with, %llu without flushes of %llu ns: noise?", guest_on,
			  guest_off, flush_ns);
	harden_reload(NULL, HARDEN_ASSUME);
}

static const struct tap_test tests[] = {
	{ "two domains in turn in one thread", test_one_thread, 0 },
	{ "two domains in two threads", test_two_threads, 0 },
	{ "one domain in one thread", test_same_domain, 0 },
	{ "one domain in two threads", test_same_domain_threads, 0 },
	{ "domains change", test_domain_changes, 0 },
	{ "the domain of a VM that is alone changes", test_domain_alone, 0 },
	{ "domains change under running guests", test_domain_running, 0 },
	{ "every pair of policies", test_policy_pairs, 0 },
	{ "policy none", test_policy_none, 0 },
	{ "policy ibpb", test_policy_ibpb, 0 },
	{ "policy l1d", test_policy_l1d, 0 },
	{ "policy ibpb beside l1d", test_policy_union, 0 },
	{ "policy ibpb beside none", test_policy_one_asks, 0 },
	{ "policies of a domain's VMs", test_policy_of_domain, 0 },
	{ "what one asks for later than another", test_policy_later, 0 },
	{ "policy host", test_policy_host, 0 },
	{ "policies change under running guests", test_policy_running, 0 },
	{ "flush/default changes", test_default, 0 },
	{ "flush/default with host", test_default_host, 0 },
	{ "a dry run counts what on does", test_dry_run, 0 },
	{ "from dry-run to on", test_dry_run_to_on, 0 },
	{ "off does nothing", test_off, 0 },
	{ "on under a running guest", test_on_under_guest, 0 },
	{ "flushes are on the bill as the host's time", test_host_ns, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
