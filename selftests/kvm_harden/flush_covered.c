// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM flushes by itself is not flushed twice: an IBPB when it loads a vCPU
 * after another one, the L1D on the way into the guest. It needs a host where
 * KVM does so; flush/kvm says what the module takes it to do.
 */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N		100
#define CPU		1
#define L1D_PARAMETER	"/sys/module/kvm_intel/parameters/vmentry_l1d_flush"

static struct model *m;
static struct model_vm *a, *b;
static char l1d_was[32];

/* Does flush/kvm have the line @what? It is read anew when the mode comes. */
static bool kvm_does(const char *what)
{
	char buf[256] = "";

	harden_set("dry-run\n", "flush/mode");
	harden_set("off\n", "flush/mode");
	harden_file(buf, sizeof(buf), "flush/kvm");
	return strstr(buf, what);
}

static void need(const char *what)
{
	char buf[256] = "";

	need_cpus(2);
	if (!kvm_does(what)) {
		harden_file(buf, sizeof(buf), "flush/kvm");
		*strchrnul(buf, '\n') = ' ';
		tap_skip("KVM does not do it here: %s", buf);
	}
}

static void two_vms(__u32 policy)
{
	m = model_new();
	a = model_vm(m, 1, 0);
	b = model_vm(m, 1, 0);
	model_default(m, policy);
	pin_thread(0, CPU);
	vcpu_program(a->v, guest_io, ~0ull, 0);
	vcpu_program(b->v, guest_io, ~0ull, 0);
}

static void run_once(struct model_vm *vm)
{
	int reason = vcpu_run_once(vm->v);

	REQUIRE(!vcpu_handle(vm->v, reason), "the guest has ended");
	REQUIRE(reason == KVM_EXIT_IO, "KVM_RUN gave %d", reason);
}

static void take_turns(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		run_once(a);
		run_once(b);
	}
}

/* All but the first, before which nobody knows who was there. */
static void test_ibpb(void)
{
	need("ibpb: on load");
	two_vms(KVM_HARDEN_IBPB);
	model_begin(m, "on");
	take_turns(N);
	model_end(m);
	EXPECT_EQ(m->got.switches, 2 * N, "switches");
	EXPECT_EQ(m->got.covered, 2 * N - 1, "covered");
	EXPECT_EQ(m->got.ibpb, 1, "ibpb");
	EXPECT_EQ(m->msr_writes, 1, "MSR writes that the kernel saw");
}

static void test_ibpb_dry(void)
{
	need("ibpb: on load");
	two_vms(KVM_HARDEN_IBPB);
	model_begin(m, "dry-run");
	take_turns(N);
	model_end(m);
	EXPECT_EQ(m->got.covered, 2 * N - 1, "covered");
	EXPECT_EQ(m->got.ibpb, 1, "ibpb");
	EXPECT_EQ(m->msr_writes, 0, "MSR writes that the kernel saw");
}

/* The same vCPU, in another domain: KVM sees no reason to do anything. */
static void test_ibpb_domain(void)
{
	need("ibpb: on load");
	two_vms(KVM_HARDEN_IBPB);
	model_begin(m, "on");
	for (int i = 1; i <= 10; i++) {
		model_domain(m, a, i);
		run_once(a);
	}
	model_end(m);
	EXPECT_EQ(m->got.covered, 0, "covered");
	EXPECT_EQ(m->got.ibpb, 10, "ibpb");
}

/* KVM loads a vCPU on this CPU after another one; that ran on the sibling. */
static void test_ibpb_sibling(void)
{
	need("ibpb: on load");
	if (cpu_core(0) != cpu_core(1))
		tap_skip("CPUs 0 and 1 are no siblings");
	two_vms(KVM_HARDEN_IBPB);
	model_begin(m, "on");
	for (int i = 0; i < N; i++) {
		pin_thread(0, 0);
		run_once(a);
		pin_thread(0, 1);
		run_once(b);
	}
	model_end(m);
	EXPECT_EQ(m->got.switches, 2 * N, "switches");
	EXPECT_EQ(m->got.covered, 0, "covered");
	EXPECT_EQ(m->got.ibpb, 2 * N, "ibpb");
}

static void restore_l1d(void)
{
	write_file(L1D_PARAMETER, l1d_was);
}

/* @how: always or cond; skips where the CPU needs no L1D flush. */
static void set_l1d(const char *how)
{
	int ret;

	need_cpus(2);
	if (read_file(L1D_PARAMETER, l1d_was, sizeof(l1d_was)) <= 0)
		tap_skip("no " L1D_PARAMETER);
	*strchrnul(l1d_was, '\n') = 0;
	ret = write_file(L1D_PARAMETER, how);
	if (ret || strstr(l1d_was, "not required") || strstr(l1d_was, "EPT disabled"))
		tap_skip("vmentry_l1d_flush is \"%s\"", l1d_was);
	tap_at_end(restore_l1d);
}

static __u64 kvm_l1d(void)
{
	return kvm_stat(a->v->fd, "l1d_flush") + kvm_stat(b->v->fd, "l1d_flush");
}

/* The first entry of each run of a vCPU is one that KVM flushes at, either way. */
static void covered_l1d(const char *how)
{
	__u64 kvm;

	set_l1d(how);
	two_vms(KVM_HARDEN_L1D);
	model_begin(m, "on");
	kvm = kvm_l1d();
	take_turns(N);
	kvm = kvm_l1d() - kvm;
	model_end(m);
	tap_diag("KVM flushed the L1D %llu times at %llu entries", kvm, m->entries);
	EXPECT_EQ(m->got.switches, 2 * N, "switches");
	EXPECT_EQ(m->got.covered, 2 * N, "covered");
	EXPECT_EQ(m->got.l1d, 0, "l1d");
	EXPECT_EQ(m->got.uncovered, 0, "uncovered");
	EXPECT_EQ(m->msr_writes, 0, "MSR writes of the module");
	/* Entries that are no switches have theirs, if it is always. */
	EXPECT(kvm >= m->got.covered && kvm <= m->entries, "KVM flushed %llu times", kvm);
	if (!strcmp(how, "always"))
		EXPECT_EQ(kvm, m->entries, "KVM's flushes");
}

static void test_l1d_always(void)
{
	covered_l1d("always");
}

static void test_l1d_cond(void)
{
	covered_l1d("cond");
}

static void test_l1d_never(void)
{
	set_l1d("never");
	two_vms(KVM_HARDEN_L1D);
	model_begin(m, "on");
	take_turns(N);
	model_end(m);
	EXPECT_EQ(m->got.covered, 0, "covered");
	EXPECT_EQ(m->got.l1d, 2 * N, "l1d");
}

/*
 * Root says never: the module trusts KVM once more, sees at the exit that it
 * was wrong, says so, flushes at the next entry, and trusts it no more.
 */
static void test_l1d_wrong(void)
{
	struct harden_counters c[4];
	int ret;

	set_l1d("always");
	two_vms(KVM_HARDEN_L1D);
	harden_set("on\n", "flush/mode");
	take_turns(5);
	harden_counters(HARDEN_TOTALS, &c[0]);
	ret = write_file(L1D_PARAMETER, "never");
	REQUIRE(!ret, "never to " L1D_PARAMETER ": %s", strerror(-ret));
	run_once(a);
	harden_counters(HARDEN_TOTALS, &c[1]);
	run_once(a);
	harden_counters(HARDEN_TOTALS, &c[2]);
	take_turns(5);		/* A follows itself first */
	harden_counters(HARDEN_TOTALS, &c[3]);
	harden_set("off\n", "flush/mode");
	/* An interrupt of the host may bring the next entry before its time. */
	EXPECT_EQ(c[1].covered - c[0].covered, 1, "covered at the wrong one");
	EXPECT_EQ(c[2].uncovered - c[0].uncovered, 1, "uncovered");
	EXPECT_EQ(c[2].l1d - c[0].l1d, 1, "L1D flush that was owed");
	EXPECT_EQ(c[2].switches - c[0].switches, 1, "switches");
	EXPECT_EQ(c[3].uncovered, c[2].uncovered, "uncovered later");
	EXPECT_EQ(c[3].covered, c[2].covered, "covered later");
	EXPECT_EQ(c[3].l1d - c[2].l1d, 9, "L1D flushes later");
	EXPECT_EQ(c[3].switches - c[2].switches, 9, "switches later");
	EXPECT(WAIT_FOR(!kvm_does("l1d: always"), 3000), "flush/kvm still says always");
}

static const struct tap_test tests[] = {
	{ "KVM's IBPB at load", test_ibpb, 0 },
	{ "KVM's IBPB in a dry run", test_ibpb_dry, 0 },
	{ "no IBPB where no other vCPU was loaded", test_ibpb_domain, 0 },
	{ "no IBPB for the sibling", test_ibpb_sibling, 0 },
	{ "KVM flushes the L1D always", test_l1d_always, 0 },
	{ "KVM flushes the L1D at need", test_l1d_cond, 0 },
	{ "KVM never flushes the L1D", test_l1d_never, 0 },
	{ "KVM flushes the L1D no more", test_l1d_wrong, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
