// SPDX-License-Identifier: GPL-2.0
/* Attacks by guest programs: each with and without a zone, see scene.h. */
#include "scene.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#define WALKED		0x8000000000ull	/* virtual addresses of the table in the zone */
#define PTE_TABLE	0x67		/* accessed and dirty, so that no walk changes it */
#define PTE_LARGE	0xe7
#define STOPS_MAX	64
#define REARMED_MS	2000

/* The second entry of the PML4 leads to a page directory in the zone. */
static void prepare_walk(struct scene *s)
{
	__u64 *pml4 = (__u64 *)(s->mem + GUEST_PML4), *pdpt = (__u64 *)(s->mem + GUEST_SPARE);

	pml4[1] = GUEST_SPARE | PTE_TABLE;
	pdpt[0] = s->gpa | PTE_TABLE;
	*(__u64 *)s->secret = PTE_LARGE;
	/* What it leads to: bytes that are told from all others. */
	memset(s->mem + GUEST_SPARE + 0x1000, SCENE_SECRET | 0x5a, 64);
	scene_remember(s);
}

static __u64 attack_arg(struct scene *s, const struct attack *a)
{
	return a->walked ? WALKED + GUEST_SPARE + 0x1000 : s->gpa + a->offset;
}

static void prepare(struct scene *s, const struct attack *a)
{
	scene_fill(s);
	if (a->walked)
		prepare_walk(s);
	if (a->prepare)
		a->prepare(s, a);
	scene_remember(s);
}

static enum scene_end launch(struct scene *s, const struct attack *a)
{
	return scene_run(s, a->program, a->count, attack_arg(s, a));
}

/* Only the memory itself says that it changed: not while it is shielded. */
static bool gained(struct scene *s, const struct attack *a)
{
	const char *from = s->mem + (attack_arg(s, a) & (WALKED - 1));
	__u64 loot = s->v->data->loot;

	switch (a->gain) {
	case GAIN_LOOT:
		return !memcmp(&loot, from, sizeof(loot));
	case GAIN_OUT:
		return s->nr_out == a->count && !memcmp(s->out, from, s->nr_out);
	case GAIN_CHANGE:
		return !scene_intact(s);
	case GAIN_MARK:
		return loot == GUEST_MARK;
	case GAIN_GUESS:
		return loot == 1;
	}
	return false;
}

bool attack_succeeds(struct scene *s, const struct attack *a)
{
	enum scene_end end;

	prepare(s, a);
	end = launch(s, a);
	return end == SCENE_RAN && s->v->data->progress == 1 && gained(s, a);
}

static void expect_success(struct scene *s, const struct attack *a, const char *when)
{
	enum scene_end end;

	prepare(s, a);
	end = launch(s, a);
	EXPECT(end == SCENE_RAN && s->v->data->progress == 1 && gained(s, a),
	       "%s does not work %s: %s, loot 0x%llx, %u bytes out", a->name, when,
	       scene_end_text(s, end), s->v->data->loot, s->nr_out);
}

/* With the zone: nothing of it has got out so far. */
static void expect_no_gain(struct scene *s, const struct attack *a, const char *when)
{
	__u64 loot = s->v->data->loot;

	EXPECT(!scene_leaked(&loot, sizeof(loot)) && loot != GUEST_MARK, "%s, %s: loot 0x%llx",
	       a->name, when, loot);
	EXPECT(a->gain != GAIN_GUESS || loot != 1, "%s, %s: the guess is confirmed", a->name, when);
	EXPECT(!scene_leaked(s->out, s->nr_out), "%s, %s: the secret is among what went out",
	       a->name, when);
}

static __u64 rip(struct scene *s)
{
	struct kvm_regs regs;

	REQUIRE(!ioctl(s->v->fd, KVM_GET_REGS, &regs), "KVM_GET_REGS: %s", strerror(errno));
	return regs.rip;
}

/* What the zone's files say of the last violation. */
static void expect_last(struct scene *s, const struct attack *a, __u64 at)
{
	const char *access = zone_text(s->zone, "last_access");
	__u64 gpa = zone_u64(s->zone, "last_gpa");

	EXPECT(gpa >= s->gpa && gpa < s->gpa + s->size, "%s: last_gpa 0x%llx is not in the zone",
	       a->name, gpa);
	EXPECT(gpa / 4096 == (s->gpa + (a->offset < 0 || a->walked ? 0 : a->offset)) / 4096,
	       "%s: last_gpa 0x%llx is another page", a->name, gpa);
	/* A walk may count as either, by the CPU; so may a segment's load and an exchange. */
	if (a->walked || a->delivery || a->program == guest_write_locked)
		EXPECT(strlen(access) == 1 && strchr("rw", *access), "%s: last_access %s", a->name,
		       access);
	else
		EXPECT(access[0] == a->access && !access[1], "%s: last_access %s, expected %c",
		       a->name, access, a->access);
	EXPECT_EQ(zone_u64(s->zone, "last_vcpu"), s->v->id, "last_vcpu");
	EXPECT(zone_u64(s->zone, "last_ns"), "%s: last_ns is 0", a->name);
	if (at)
		EXPECT(zone_u64(s->zone, "last_rip") == at, "%s: last_rip %s, expected 0x%llx",
		       a->name, zone_text(s->zone, "last_rip"), at);
}

/* The trace says the same, once for each. */
static void expect_trace(struct scene *s, const struct attack *a, const char *action)
{
	struct zone_violation v[ZONE_VIOLATIONS], *last;
	unsigned int nr = zone_trace_stop(v);

	EXPECT(nr == zone_u64(s->zone, "violations"), "%s, action=%s: %u in the trace, %llu counted",
	       a->name, action, nr, zone_u64(s->zone, "violations"));
	if (!nr)
		return;
	last = &v[nr - 1];
	EXPECT(last->vm == s->id && last->vcpu == s->v->id && last->zone == s->zone &&
	       last->gpa == zone_u64(s->zone, "last_gpa") &&
	       last->rip == zone_u64(s->zone, "last_rip") && !strcmp(last->action, action) &&
	       !strcmp(last->access, zone_text(s->zone, "last_access")),
	       "%s: traced vm=%llu vcpu=%u gpa=0x%llx access=%s rip=0x%llx zone=%llu action=%s",
	       a->name, last->vm, last->vcpu, last->gpa, last->access, last->rip, last->zone,
	       last->action);
}

static void expect_violations(struct scene *s, const struct attack *a, __u64 want, const char *what)
{
	__u64 got = zone_u64(s->zone, "violations");

	EXPECT(got == want, "%s, %s: %llu violations, expected %llu", a->name, what, got, want);
}

/* Stopped each time it is run, and where it was when the zone is gone. */
static void under_stop(struct scene *s, const struct attack *a)
{
	for (int i = 1; i <= 3; i++) {
		enum scene_end end = i == 1 ? launch(s, a) : scene_go_on(s);

		EXPECT(end == SCENE_STOPPED, "%s, run %d: %s", a->name, i, scene_end_text(s, end));
		expect_no_gain(s, a, "action=stop");
		expect_violations(s, a, i, "action=stop");
		expect_last(s, a, a->delivery ? 0 : rip(s));
	}
	expect_trace(s, a, "stop");
	scene_unzone(s);
	scene_expect_intact(s, a->name);
	EXPECT(scene_go_on(s) == SCENE_RAN && gained(s, a), "%s: the vCPU does not go on after it",
	       a->name);
}

static void under_fault(struct scene *s, const struct attack *a)
{
	enum scene_end end = launch(s, a);
	struct guest_data *d = s->v->data;

	expect_no_gain(s, a, "action=fault");
	if (a->delivery) {
		EXPECT(end == SCENE_STOPPED, "%s, action=fault: %s", a->name,
		       scene_end_text(s, end));
	} else {
		EXPECT(end == SCENE_RAN && d->faults == 1 && !d->page_faults && !d->progress,
		       "%s, action=fault: %s, %llu #GP", a->name, scene_end_text(s, end),
		       d->faults);
		expect_violations(s, a, 1, "action=fault");
		expect_last(s, a, d->fault_rip);
	}
	expect_trace(s, a, "fault");
	scene_unzone(s);
	scene_expect_intact(s, a->name);
}

/* It gets through, and is seen; so is the next one. */
static void under_log(struct scene *s, const struct attack *a)
{
	enum scene_end end = launch(s, a);

	EXPECT(end == SCENE_RAN && s->v->data->progress == 1, "%s, action=log: %s", a->name,
	       scene_end_text(s, end));
	expect_violations(s, a, 1, "action=log");
	expect_last(s, a, 0);
	EXPECT(WAIT_FOR(!strncmp(zone_text(s->zone, "state"), "armed", 5), REARMED_MS),
	       "%s: a log zone stays %s", a->name, zone_text(s->zone, "state"));
	end = launch(s, a);
	EXPECT(end == SCENE_RAN && s->v->data->progress == 1, "%s, action=log: %s", a->name,
	       scene_end_text(s, end));
	expect_violations(s, a, 2, "action=log");
	expect_trace(s, a, "log");
	scene_unzone(s);
	EXPECT(gained(s, a), "%s did not get through action=log", a->name);
}

/*
 * KVM's emulator cannot take its access back: the vCPU stops, whatever the action.
 * Run again, KVM takes the access for done, and it may come to its end; with
 * nothing of the secret.
 */
static void under_emulator(struct scene *s, const struct attack *a, const char *action)
{
	enum scene_end end = launch(s, a);
	int stops = 0;

	expect_no_gain(s, a, action);
	if (a->walked) {
		/* KVM's walker finds no table and says so to the guest. */
		EXPECT(end == SCENE_STOPPED || (end == SCENE_RAN && !s->v->data->progress),
		       "%s, action=%s: %s", a->name, action, scene_end_text(s, end));
	} else {
		EXPECT(end == SCENE_STOPPED, "%s, action=%s: %s", a->name, action,
		       scene_end_text(s, end));
		expect_violations(s, a, 1, action);
		expect_last(s, a, 0);
	}
	while (end == SCENE_STOPPED && ++stops < STOPS_MAX) {
		end = scene_go_on(s);
		expect_no_gain(s, a, "run again");
	}
	EXPECT(end == SCENE_STOPPED || end == SCENE_RAN, "%s, run again: %s", a->name,
	       scene_end_text(s, end));
	expect_trace(s, a, action);
	scene_unzone(s);
	scene_expect_intact(s, a->name);
	/* It has to be out of the emulator for the next one. */
	while (end == SCENE_STOPPED)
		end = scene_go_on(s);
}

/* A zone that denies something else does not mind. */
static void under_other(struct scene *s, const struct attack *a, const char *deny)
{
	enum scene_end end = launch(s, a);

	EXPECT(end == SCENE_RAN && s->v->data->progress == 1, "%s, deny=%s: %s", a->name, deny,
	       scene_end_text(s, end));
	expect_violations(s, a, 0, deny);
	expect_trace(s, a, "stop");
	scene_unzone(s);
	EXPECT(gained(s, a), "%s does not work with deny=%s", a->name, deny);
}

/* What lies beside the zone is the guest's as ever. */
static void expect_beside(struct scene *s)
{
	EXPECT(scene_run(s, guest_read, 1, s->gpa - 8) == SCENE_RAN &&
	       scene_run(s, guest_write, 1, s->gpa - 16) == SCENE_RAN &&
	       scene_run(s, guest_read, 1, s->gpa + s->size) == SCENE_RAN &&
	       scene_run(s, guest_write, 1, s->gpa + s->size + 16) == SCENE_RAN,
	       "the memory beside the zone is not accessible");
	EXPECT(!zone_u64(s->zone, "violations"), "violations by accesses beside the zone");
}

void attack_prove(struct scene *s, const struct attack *a, const char *deny, const char *action)
{
	expect_success(s, a, "without a zone");
	prepare(s, a);
	if (!scene_zone(s, deny, action))
		return;
	expect_beside(s);
	zone_trace_start();
	if (!strchr(deny, a->access))
		under_other(s, a, deny);
	else if (a->emulated)
		under_emulator(s, a, action);
	else if (!strcmp(action, "stop"))
		under_stop(s, a);
	else if (!strcmp(action, "fault"))
		under_fault(s, a);
	else
		under_log(s, a);
	expect_success(s, a, "after the zone");
}

struct killed {
	const struct attack *a;
	const char *deny;
	volatile int *phase;
};

enum { PHASE_OPEN = 1, PHASE_NO_ZONES, PHASE_ATTACK, PHASE_SURVIVED };

static void killed(void *arg)
{
	const struct killed *k = arg;
	struct scene *s = scene_create(BACK_SHARED, 0);

	expect_success(s, k->a, "without a zone");
	*k->phase = PHASE_OPEN;
	prepare(s, k->a);
	if (!scene_zone(s, k->deny, "kill")) {
		*k->phase = PHASE_NO_ZONES;
		return;
	}
	*k->phase = PHASE_ATTACK;
	launch(s, k->a);
	*k->phase = PHASE_SURVIVED;
}

bool attack_prove_kill(const struct attack *a, const char *deny)
{
	struct killed k = { a, deny, shared_page() };
	int status = wait_child(spawn(killed, &k));

	if (*k.phase == PHASE_NO_ZONES)
		return false;
	EXPECT(*k.phase == PHASE_ATTACK && status == 128 + SIGKILL,
	       "%s, action=kill: status %d in phase %d", a->name, status, *k.phase);
	return true;
}
