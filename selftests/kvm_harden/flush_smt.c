// SPDX-License-Identifier: GPL-2.0
/*
 * Siblings share a core: what one of them lets in, the other has to flush, and
 * while two domains are in their guests at once no flush helps: that time is
 * measured.
 */
#include "model.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N	100

static struct model *m;
static struct model_vm *a, *b;

static void two_vms(unsigned int nr_vcpus)
{
	need_cpus(2);
	if (cpu_core(0) != cpu_core(1))
		tap_skip("CPUs 0 and 1 are no siblings");
	m = model_new();
	a = model_vm(m, nr_vcpus, 0);
	b = model_vm(m, 1, 0);
}

static void run_once(struct vcpu *v)
{
	int reason = vcpu_run_once(v);

	REQUIRE(!vcpu_handle(v, reason), "the guest has ended");
	REQUIRE(reason == KVM_EXIT_IO, "KVM_RUN gave %d", reason);
}

static void expect_counts(__u64 switches)
{
	EXPECT_EQ(m->got.switches, switches, "switches");
	if (!harden_kvm_flushes())
		EXPECT_EQ(m->msr_writes, 2 * switches, "MSR writes that the kernel saw");
	EXPECT_EQ(m->got.sibling_conflict_ns, 0, "sibling_conflict_ns");
}

/* A leaves its guest on one sibling, then B enters on the other. */
static void sequential(int rounds)
{
	vcpu_program(a->v, guest_io, ~0ull, 0);
	vcpu_program(b->v, guest_io, ~0ull, 0);
	for (int i = 0; i < rounds; i++) {
		pin_thread(0, 0);
		run_once(a->v);
		pin_thread(0, 1);
		run_once(b->v);
	}
}

static void test_sequential(void)
{
	two_vms(1);
	model_begin(m, "on");
	sequential(N);
	model_end(m);
	expect_counts(2 * N);
}

static void test_sequential_same(void)
{
	two_vms(1);
	model_domain(m, a, 9);
	model_domain(m, b, 9);
	model_begin(m, "on");
	sequential(N);
	model_end(m);
	expect_counts(2);	/* one each, as a barrier is for one CPU */
}

/* The same vCPU on one sibling, then on the other: once each, then the core knows it. */
static void test_migration(void)
{
	two_vms(1);
	model_begin(m, "on");
	vcpu_program(a->v, guest_io, ~0ull, 0);
	for (int i = 0; i < N; i++) {
		pin_thread(0, i & 1);
		run_once(a->v);
	}
	model_end(m);
	expect_counts(2);
}

static volatile unsigned int turn;

struct player {
	struct vcpu *v;
	unsigned int nr;
};

/* Its thread never leaves its CPU, so that its vCPU stays on the fast path there. */
static void *play(void *arg)
{
	struct player *p = arg;

	pin_thread(0, p->nr);
	for (int i = 0; i < N; i++) {
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % 2 != p->nr)
			;
		/* More than one entry, of which the first is after the other. */
		for (int k = 0; k <= i % 3; k++)
			run_once(p->v);
		__atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void in_threads(void)
{
	struct player players[] = { { a->v, 0 }, { b->v, 1 } };
	pthread_t threads[2];

	turn = 0;
	vcpu_program(a->v, guest_io, ~0ull, 0);
	vcpu_program(b->v, guest_io, ~0ull, 0);
	for (int i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, play, &players[i]), "pthread_create");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void test_threads(void)
{
	two_vms(1);
	model_begin(m, "on");
	in_threads();
	model_end(m);
	expect_counts(2 * N);
}

static void test_threads_same(void)
{
	two_vms(1);
	model_domain(m, a, 9);
	model_domain(m, b, 9);
	model_begin(m, "on");
	in_threads();
	model_end(m);
	expect_counts(2);
}

/* --- both at once --- */
static void spin(struct vcpu *v, int cpu)
{
	vcpu_program(v, guest_spin, 0, 0);
	vcpu_start(v, cpu);
}

static void stop(struct vcpu *v)
{
	v->data->stop = 1;
	vcpu_join(v);
}

static __u64 conflict(const struct model_vm *vm)
{
	return harden_u64("vms/%llu/sibling_conflict_ns", vm->id);
}

static __u64 guest_ns(const struct model_vm *vm)
{
	return meter_u64("vms/%llu/guest_ns", vm->id);
}

/*
 * Two that are in their guests for ga and gb of a time t are there together for
 * ga + gb - t at least, and for the shorter of ga and gb at most. They hardly
 * exit, so that these are close.
 */
static void test_conflict(void)
{
	__u64 ga, gb, ca, cb, t, low, high, slack;

	two_vms(1);
	harden_set("on\n", "flush/mode");
	ga = guest_ns(a);
	gb = guest_ns(b);
	ca = conflict(a);
	cb = conflict(b);
	t = raw_ns();
	spin(a->v, 0);
	spin(b->v, 1);
	sleep_ms(400);
	stop(a->v);
	stop(b->v);
	t = raw_ns() - t;
	harden_set("off\n", "flush/mode");
	ga = guest_ns(a) - ga;
	gb = guest_ns(b) - gb;
	ca = conflict(a) - ca;
	cb = conflict(b) - cb;
	low = ga + gb > t ? ga + gb - t : 0;
	high = ga < gb ? ga : gb;
	/* An exit is told some microseconds after it; there are ticks. */
	slack = t / 100 + NSEC_PER_MSEC;
	tap_diag("%llu ms: guest %llu and %llu, together %llu to %llu, conflict %llu and %llu us",
		 t / NSEC_PER_MSEC, ga / 1000, gb / 1000, low / 1000, high / 1000, ca / 1000,
		 cb / 1000);
	EXPECT_EQ(ca, cb, "sibling_conflict_ns of both");
	if (low < t / 4)
		tap_again("the emulator ran them one after the other");
	EXPECT(ca + slack >= low, "conflict %llu, at least %llu", ca, low);
	EXPECT(ca <= high + slack, "conflict %llu, at most %llu", ca, high);
}

static void no_conflict(struct vcpu *one, struct vcpu *other)
{
	__u64 ca = conflict(a), cb = conflict(b), total;

	harden_set("on\n", "flush/mode");
	total = harden_u64("flush/sibling_conflict_ns");
	spin(one, 0);
	spin(other, 1);
	sleep_ms(200);
	stop(one);
	stop(other);
	harden_set("off\n", "flush/mode");
	EXPECT_EQ(conflict(a), ca, "sibling_conflict_ns of A");
	EXPECT_EQ(conflict(b), cb, "sibling_conflict_ns of B");
	EXPECT_EQ(harden_u64("flush/sibling_conflict_ns"), total, "flush/sibling_conflict_ns");
}

static void test_no_conflict_domain(void)
{
	two_vms(1);
	model_domain(m, a, 5);
	model_domain(m, b, 5);
	no_conflict(a->v, b->v);
}

static void test_no_conflict_self(void)
{
	two_vms(2);
	no_conflict(&a->v[0], &a->v[1]);
}

static void test_no_conflict_dry(void)
{
	__u64 ca;

	two_vms(1);
	harden_set("dry-run\n", "flush/mode");
	ca = conflict(a);
	spin(a->v, 0);
	spin(b->v, 1);
	EXPECT(WAIT_FOR(conflict(a) > ca + 10 * NSEC_PER_MSEC, 5000), "a dry run has conflicts");
	harden_set("off\n", "flush/mode");
	sleep_ms(50);
	ca = conflict(a);
	sleep_ms(200);
	EXPECT_EQ(conflict(a), ca, "sibling_conflict_ns while off");
	stop(a->v);
	stop(b->v);
}

/* The domains change under both. */
static void test_conflict_changes(void)
{
	__u64 was;

	two_vms(1);
	harden_set("on\n", "flush/mode");
	spin(a->v, 0);
	spin(b->v, 1);
	for (int i = 0; i < 3; i++) {
		was = conflict(a);
		EXPECT(WAIT_FOR(conflict(a) > was + 50 * NSEC_PER_MSEC, 5000),
		       "in conflict, and none is counted");
		model_domain(m, a, 6);
		model_domain(m, b, 6);
		/* Each exits with the next tick of its CPU. */
		sleep_ms(300);
		was = conflict(a);
		sleep_ms(200);
		EXPECT_EQ(conflict(a), was, "sibling_conflict_ns in one domain");
		model_domain(m, i & 1 ? a : b, 0);
	}
	stop(a->v);
	stop(b->v);
	harden_set("off\n", "flush/mode");
	EXPECT_EQ(conflict(a), conflict(b), "sibling_conflict_ns of both");
}

/*
 * A gets another domain while it is in its guest, beside B of its former one. When it
 * leaves, what it did since then is a stranger's to B.
 */
static void test_moves_away(void)
{
	__u64 was;

	two_vms(1);
	model_domain(m, b, 5);
	vcpu_program(b->v, guest_io, ~0ull, 0);
	pin_thread(0, 1);
	harden_set("on\n", "flush/mode");
	for (int i = 0; i < 30; i++) {
		model_domain(m, a, 5);
		spin(a->v, 0);
		REQUIRE(WAIT_FOR(a->v->data->progress > 10, 5000), "A does not run");
		run_once(b->v);
		model_domain(m, a, 7);
		run_once(b->v);
		stop(a->v);
		was = harden_u64("vms/%llu/switches", b->id);
		run_once(b->v);
		EXPECT_EQ(harden_u64("vms/%llu/switches", b->id) - was, 1,
			  "switches of B after A has left");
		was = harden_u64("vms/%llu/switches", b->id);
		run_once(b->v);
		EXPECT_EQ(harden_u64("vms/%llu/switches", b->id) - was, 0, "and again");
	}
	harden_set("off\n", "flush/mode");
}

/*
 * A has asked for flushes and was there together with B, which has not. Who
 * comes next, and asks for nothing either, finds traces of both.
 */
static void test_policy_of_two(void)
{
	struct model_vm *c;
	__u64 ibpb, l1d;

	two_vms(1);
	c = model_vm(m, 1, 0);
	model_default(m, 0);
	model_policy(m, a, HARDEN_PRIMITIVES);
	vcpu_program(b->v, guest_io, ~0ull, 0);
	vcpu_program(c->v, guest_io, ~0ull, 0);
	for (int i = 0; i < 20; i++) {
		harden_set("on\n", "flush/mode");
		spin(a->v, 0);
		REQUIRE(WAIT_FOR(a->v->data->progress > 10, 5000), "A does not run");
		pin_thread(0, 1);
		run_once(b->v);
		stop(a->v);
		ibpb = harden_u64("vms/%llu/ibpb", c->id);
		l1d = harden_u64("vms/%llu/l1d", c->id);
		run_once(c->v);
		EXPECT_EQ(harden_u64("vms/%llu/ibpb", c->id) - ibpb, 1, "ibpb of C");
		if (!harden_kvm_flushes())
			EXPECT_EQ(harden_u64("vms/%llu/l1d", c->id) - l1d, 1, "l1d of C");
		harden_set("off\n", "flush/mode");
	}
}

/* --- a crowd: all that can be said from the lines of the trace alone --- */

/*
 * The decision on an entry falls between the line before on its CPU and its
 * own. That leaves two siblings' entries without an order at times; what is
 * sure is asserted, both ways.
 */
struct stay {
	int cpu;
	__u64 low, line, exit;	/* decided after low, by line; left by exit */
	__u64 token;
	bool told;
	struct witness_event sw;
};

static __u64 token_of(unsigned int vcpu)
{
	struct model_vm *vm = &m->vms[vcpu / MODEL_VCPUS];

	return vm->domain ? vm->domain : (1ull << 62) | vm->id;
}

static struct stay *stays_of(const struct witness *w, unsigned int *nr)
{
	struct stay *stays = calloc(w->nr + 1, sizeof(*stays)), *in[2] = {};
	__u64 last[2] = {};
	struct witness_event told[2];
	bool is_told[2] = {};

	REQUIRE(stays, "out of memory");
	*nr = 0;
	for (unsigned int i = 0; i < w->nr; i++) {
		const struct witness_event *e = &w->events[i];
		struct stay *s = &stays[*nr];

		switch (e->kind) {
		case WITNESS_SWITCH:
			told[e->cpu] = *e;
			is_told[e->cpu] = true;
			continue;
		case WITNESS_ENTRY:
			s->low = last[e->cpu];
			s->line = e->ns;
			s->exit = ~0ull;
			s->cpu = e->cpu;
			s->token = token_of(e->vcpu);
			s->told = is_told[e->cpu];
			s->sw = told[e->cpu];
			is_told[e->cpu] = false;
			in[e->cpu] = s;
			(*nr)++;
			break;
		case WITNESS_EXIT:
			if (in[e->cpu])
				in[e->cpu]->exit = e->ns;
			in[e->cpu] = NULL;
			break;
		default:
			continue;
		}
		last[e->cpu] = e->ns;
	}
	return stays;
}

/* How many entries one emulated CPU may make while the other one is not run. */
#define BACK 4096

/* Entry @i has to be a switch: another domain came after all of its own. */
static bool must(const struct stay *s, unsigned int i)
{
	__u64 own = 0, other = 0;

	for (unsigned int k = i > BACK ? i - BACK : 0; k < i + BACK && s[k].line; k++) {
		if (k == i)
			continue;
		if (s[k].token == s[i].token) {
			/* one whose line is later may have been decided before */
			if (k < i || s[k].low < s[i].line)
				own = s[k].line > own ? s[k].line : own;
		} else if (s[k].line < s[i].low && s[k].low > other) {
			other = s[k].low;
		}
	}
	return other > own;
}

/*
 * It must not be: its own domain came last on this CPU, and nobody else was there since.
 * What came on the sibling says nothing: each of them makes a switch for itself.
 */
static bool must_not(const struct stay *s, unsigned int i)
{
	__u64 own = 0;

	for (unsigned int k = i > BACK ? i - BACK : 0; k < i; k++)
		if (s[k].cpu == s[i].cpu && s[k].token == s[i].token && s[k].line < s[i].low &&
		    s[k].low > own)
			own = s[k].low;
	if (!own)
		return false;
	/* A line long after this one may tell of a decision before it. */
	for (unsigned int k = i > BACK ? i - BACK : 0; k < i + BACK && s[k].line; k++)
		if (s[k].token != s[i].token && s[k].low <= s[i].line && s[k].exit >= own)
			return false;
	return true;
}

/* Can entry @k be the last one before @i? Not if one came surely between. */
static bool may_be_last(const struct stay *s, unsigned int k, unsigned int i)
{
	if (s[k].low >= s[i].line)
		return false;
	for (unsigned int h = i > BACK ? i - BACK : 0; h < i + BACK && s[h].line; h++)
		if (h != i && h != k && s[h].low >= s[k].line && s[h].line <= s[i].low)
			return false;
	return true;
}

/* Can it be one of the domain that the line of @i names? The nearest first. */
static bool may_follow(const struct stay *s, unsigned int nr, unsigned int i)
{
	for (unsigned int d = 1; d < BACK; d++) {
		if (d <= i && s[i - d].token == s[i].sw.from && may_be_last(s, i - d, i))
			return true;
		if (i + d < nr && s[i + d].token == s[i].sw.from && may_be_last(s, i + d, i))
			return true;
	}
	return false;
}

static void test_crowd(void)
{
	static const __u32 domains[] = { 0, 3, 3, 0, 4, 4 };
	unsigned int nr, sure = 0, sure_not = 0, known = 0, foreign = 0, broken = 0;
	struct harden_counters before, after;
	struct stay *s;
	struct witness w;
	__u64 switches = 0;

	two_vms(1);
	for (unsigned int i = 2; i < ARRAY_SIZE(domains); i++)
		model_vm(m, 1, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(domains); i++)
		model_domain(m, &m->vms[i], domains[i]);
	harden_set("on\n", "flush/mode");
	harden_counters(HARDEN_TOTALS, &before);
	witness_start(true);
	for (unsigned int i = 0; i < m->nr; i++) {
		vcpu_program(m->vms[i].v, guest_spin_io, 0, 0);
		m->vms[i].v->yield = true;
		vcpu_start(m->vms[i].v, i & 1);
	}
	sleep_ms(400);
	for (unsigned int i = 0; i < m->nr; i++)
		stop(m->vms[i].v);
	harden_counters(HARDEN_TOTALS, &after);
	witness_stop(&w);
	harden_set("off\n", "flush/mode");

	s = stays_of(&w, &nr);
	for (unsigned int i = 0; i < nr; i++) {
		if (s[i].told) {
			switches++;
			EXPECT(s[i].sw.to == s[i].token, "entry %u: into %#llx, expected %#llx", i,
			       s[i].sw.to, s[i].token);
			EXPECT(s[i].sw.from != s[i].token, "entry %u: a switch into itself", i);
			if (s[i].sw.from)
				known++;
			else
				foreign++;
		}
		if (must(s, i)) {
			sure++;
			EXPECT(s[i].told, "entry %u at %llu of %#llx is no switch", i, s[i].line,
			       s[i].token);
		}
		if (must_not(s, i)) {
			sure_not++;
			EXPECT(!s[i].told, "entry %u at %llu of %#llx is a switch from %#llx", i,
			       s[i].line, s[i].token, s[i].sw.from);
		}
		broken += s[i].told && s[i].sw.from && !may_follow(s, nr, i);
	}
	tap_diag("%u entries, %llu switches: %u have to be, %u after nobody; %u must not", nr,
		 switches, sure, foreign, sure_not);
	EXPECT_EQ(after.switches - before.switches, switches, "switches");
	EXPECT_EQ(broken, 0, "switches from a domain that was not there");
	EXPECT(sure > 50, "%u entries only are surely switches", sure);
	EXPECT(known, "no switch knows whom it follows");
	free(s);
	witness_free(&w);
}

static const struct tap_test tests[] = {
	{ "one after the other on siblings", test_sequential, 0 },
	{ "one domain on siblings", test_sequential_same, 0 },
	{ "a vCPU from sibling to sibling", test_migration, 0 },
	{ "one after the other in threads", test_threads, 0 },
	{ "one domain in threads", test_threads_same, 0 },
	{ "two domains at once", test_conflict, 0 },
	{ "one domain at once", test_no_conflict_domain, 0 },
	{ "two vCPUs of one VM at once", test_no_conflict_self, 0 },
	{ "a dry run, then off", test_no_conflict_dry, 0 },
	{ "domains change under both", test_conflict_changes, 0 },
	{ "a VM leaves its domain in its guest", test_moves_away, 120 },
	{ "what one of two asked for", test_policy_of_two, 0 },
	{ "a crowd", test_crowd, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
