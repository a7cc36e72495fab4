// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones against other ways to the same memory: a second slot over the
 * same addresses of the VMM, a second mapping of the file behind it, another
 * VM, another process. Each exists before the zone, or comes while it stands.
 */
#include "scene.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIAS		0x10000000ull
#define ALIAS_SLOT	1

/* Where the VMM has the memory, and how the guest gets there. */
struct alias {
	struct scene *s;	/* whose guest attacks */
	char *mem;		/* the two pages, in the VMM's address space */
	__u32 flags;		/* of the slot */
	__u64 gpa;
};

static void alias_add(struct alias *a)
{
	int ret = vm_set_slot(a->s->vm, ALIAS_SLOT, a->flags, a->gpa & ~0xfffull, a->mem,
			      SCENE_ZONE_SIZE);

	REQUIRE(!ret, "slot over the same memory: %s", strerror(-ret));
}

static void alias_delete(struct alias *a)
{
	vm_set_slot(a->s->vm, ALIAS_SLOT, 0, a->gpa, a->mem, 0);
}

/* The guest at the alias, with @s the scene whose memory it is. */
static bool attack(struct scene *s, struct alias *a)
{
	bool got;

	memmove(a->s->before, s->before, s->size);
	got = scene_guest_steals(a->s, a->gpa);
	scene_guest_spoils(a->s, a->gpa);
	return got;
}

static void expect_through(struct scene *s, struct alias *a, const char *when)
{
	bool got;

	scene_fill(s);
	alias_add(a);
	got = attack(s, a);
	EXPECT(got, "%s: the guest does not read through the alias", when);
	EXPECT((a->flags & KVM_MEM_READONLY) || !scene_intact(s),
	       "%s: the guest does not write through the alias", when);
	alias_delete(a);
	scene_fill(s);
}

/* @before: the alias is there first, and was used. */
static void prove(struct scene *s, struct alias *a, bool before)
{
	const char *when = before ? "an alias from before" : "an alias that came later";

	expect_through(s, a, "without a zone");
	if (before) {
		alias_add(a);
		EXPECT(attack(s, a), "the guest does not read through the alias");
		scene_fill(s);
	}
	if (!scene_zone(s, "rwx", "stop"))
		return;
	if (!before)
		alias_add(a);
	EXPECT(!attack(s, a), "%s gives the secret away", when);
	tap_diag("%s: %s", when, scene_end_text(a->s, scene_run(a->s, guest_read, 1, a->gpa)));
	scene_expect_closed(s, when);
	alias_delete(a);
	scene_expect_closed(s, when);
	scene_unzone(s);
	scene_expect_intact(s, when);
	scene_expect_open(s, when);
	expect_through(s, a, "after the zone");
}

static void prove_both(struct scene *s, struct alias *a)
{
	prove(s, a, true);
	prove(s, a, false);
}

static void same_address(enum backing backing, __u32 flags)
{
	struct scene *s = scene_create(backing, 0);
	struct alias a = { s, s->secret, flags, ALIAS };

	prove_both(s, &a);
	scene_over(s);
}

static void test_shared(void) { same_address(BACK_SHARED, 0); }
static void test_private(void) { same_address(BACK_PRIVATE, 0); }
static void test_huge(void) { same_address(BACK_HUGE, 0); }
static void test_memfd(void) { same_address(BACK_MEMFD, 0); }
static void test_readonly(void) { same_address(BACK_SHARED, KVM_MEM_READONLY); }
static void test_dirty_log(void) { same_address(BACK_SHARED, KVM_MEM_LOG_DIRTY_PAGES); }

/* With deny=w reads go on through an alias, and writes do not. */
static void test_deny_w(void)
{
	struct scene *s = scene_create(BACK_SHARED, 0);
	struct alias a = { s, s->secret, 0, ALIAS };

	for (int before = 1; before >= 0; before--) {
		expect_through(s, &a, "without a zone");
		if (before)
			alias_add(&a);
		if (!scene_zone(s, "w", "stop"))
			break;
		if (!before)
			alias_add(&a);
		EXPECT(attack(s, &a), "the guest cannot read through the alias");
		alias_delete(&a);
		scene_unzone(s);
		scene_expect_intact(s, "deny=w");
	}
	scene_over(s);
}

/* The file mapped once more: zeros while the zone stands, and nothing gets in. */
static void test_second_mapping(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);
	char *other = mmap(NULL, s->mem_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	struct alias a = { s, other + s->gpa, 0, ALIAS };
	__u64 value;

	REQUIRE(other != MAP_FAILED, "mmap: %s", strerror(errno));
	prove_both(s, &a);
	if (!s->no_zones) {
		scene_fill(s);
		scene_zone(s, "rwx", "stop");
		EXPECT(!vmm_peek(a.mem + 8, &value) && !value, "0x%llx in the other mapping", value);
		EXPECT(!vmm_poke(a.mem + 8, GUEST_MARK), "the other mapping cannot be written");
		scene_unzone(s);
		scene_expect_intact(s, "a write to the other mapping");
		EXPECT(!memcmp(a.mem, s->before, s->size), "the other mapping has it not back");
	}
	munmap(other, s->mem_size);
	scene_over(s);
}

/* The same with a second mapping that is there only while the zone is. */
static void test_late_mapping(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);
	struct alias a = { s, NULL, 0, ALIAS };
	char *other;

	if (!scene_zone(s, "rwx", "stop"))
		scene_over(s);
	other = mmap(NULL, s->mem_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	REQUIRE(other != MAP_FAILED, "mmap: %s", strerror(errno));
	a.mem = other + s->gpa;
	alias_add(&a);
	EXPECT(!scene_leaked(a.mem, s->size), "the secret is in the other mapping");
	EXPECT(!attack(s, &a), "the guest reads the secret in the other mapping");
	alias_delete(&a);
	scene_unzone(s);
	scene_expect_intact(s, "another mapping");
	munmap(other, s->mem_size);
	scene_over(s);
}

/* A VM of the same process over the same memory. */
static void other_vm(enum backing backing)
{
	struct scene *s = scene_create(backing, 0), *t = scene_create(BACK_SHARED, 0);
	struct alias a = { t, s->secret, 0, ALIAS };

	prove_both(s, &a);
	t->no_zones = false;
	scene_destroy(t);
	scene_over(s);
}

static void test_other_vm(void) { other_vm(BACK_SHARED); }
static void test_other_vm_private(void) { other_vm(BACK_PRIVATE); }

enum { PEER_WAITS, PEER_READS, PEER_WRITES, PEER_MAPS, PEER_ENDS };

/* Another process: it does what it is told, and says whether it saw the secret. */
struct peer {
	struct scene *s;
	volatile struct {
		int command, leaked, failed;
	} *said;
	char *mem;
};

static void peer_run(void *arg)
{
	struct peer *p = arg;
	__u64 value;

	for (;;) {
		switch (p->said->command) {
		case PEER_WAITS:
			sleep_ms(1);
			continue;
		case PEER_READS:
			p->said->leaked = 0;
			p->said->failed = 0;
			for (__u64 i = 0; i < p->s->size; i += 8)
				if (vmm_peek(p->mem + i, &value))
					p->said->failed = 1;
				else if (scene_leaked(&value, sizeof(value)))
					p->said->leaked = 1;
			break;
		case PEER_WRITES:
			for (__u64 i = 0; i < p->s->size; i += 8)
				vmm_poke(p->mem + i, GUEST_MARK);
			break;
		case PEER_MAPS:
			p->mem = mmap(NULL, p->s->mem_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				      p->s->memfd, 0) + p->s->gpa;
			break;
		case PEER_ENDS:
			_exit(0);
		}
		p->said->command = PEER_WAITS;
	}
}

static void peer_do(struct peer *p, int command)
{
	p->said->command = command;
	REQUIRE(WAIT_FOR(p->said->command == PEER_WAITS, 10000), "the other process hangs");
}

/* Forked from the VMM, with all its shared mappings. */
static void test_process(void)
{
	struct scene *s = scene_create(BACK_MEMFD, 0);
	struct peer p = { s, shared_page(), s->secret };
	pid_t pid = spawn(peer_run, &p);
	int ret;

	peer_do(&p, PEER_READS);
	EXPECT(p.said->leaked, "the other process does not see the memory");
	for (int late = 0; late < 2; late++) {
		if (late)
			peer_do(&p, PEER_MAPS);
		scene_fill(s);
		ret = scene_try_zone(s, "rwx", "stop");
		if (ret == -ENOENT)
			break;
		/* Either it is refused or it holds. */
		tap_diag("a zone with another process: %s", strerror(-ret));
		EXPECT(!ret || ret == -EBUSY, "zone: %s (%s)", strerror(-ret), zone_last_error());
		if (ret)
			continue;
		if (!late)
			peer_do(&p, PEER_MAPS);
		peer_do(&p, PEER_READS);
		EXPECT(!p.said->leaked, "the other process sees the secret");
		peer_do(&p, PEER_WRITES);
		scene_unzone(s);
		scene_expect_intact(s, "writes by another process");
		peer_do(&p, PEER_READS);
		EXPECT(p.said->leaked, "the other process sees nothing after the zone");
	}
	p.said->command = PEER_ENDS;
	EXPECT(!wait_child(pid), "the other process failed");
	scene_over(s);
}

static const struct tap_test tests[] = {
	{ "a second slot", test_shared, 0 },
	{ "a second slot over private memory", test_private, 0 },
	{ "a second slot over huge pages", test_huge, 0 },
	{ "a second slot over a memfd", test_memfd, 0 },
	{ "a second slot that is read-only", test_readonly, 0 },
	{ "a second slot with a dirty log", test_dirty_log, 0 },
	{ "a second slot with deny=w", test_deny_w, 0 },
	{ "a second mapping of the file", test_second_mapping, 0 },
	{ "a second mapping that comes later", test_late_mapping, 0 },
	{ "a second VM", test_other_vm, 0 },
	{ "a second VM over private memory", test_other_vm_private, 0 },
	{ "a second process", test_process, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
