// SPDX-License-Identifier: GPL-2.0
/*
 * No-go zones while the VMM changes its memory slots: the zone is of a range of
 * guest-physical addresses and of the memory behind it, and both stay shielded.
 */
#include "scene.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SLOT		1
#define SLOT_GPA	0x400000ull
#define SLOT_SIZE	0x20000ull
#define SLOT_ZONE	0x8000ull	/* the zone, from its beginning */
#define MOVED_GPA	0x800000ull
#define SMM_SLOT	0x10000		/* the address space of SMM */
#define SMM_CODE	0x38000		/* what an SMI runs */
#define SHIELDED_MS	5000

static char *map(void)
{
	char *mem = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);

	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

static void set_slot(struct scene *s, __u32 flags, __u64 gpa, char *mem)
{
	int ret = vm_set_slot(s->vm, SLOT, flags, gpa, mem, SLOT_SIZE);

	REQUIRE(!ret, "KVM_SET_USER_MEMORY_REGION: %s", strerror(-ret));
}

static void delete_slot(struct scene *s)
{
	int ret = vm_set_slot(s->vm, SLOT, 0, SLOT_GPA, s->mem, 0);

	REQUIRE(!ret, "deleting a slot: %s", strerror(-ret));
}

/* The secret in a slot of its own, which can be changed under the guest. */
static struct scene *create(__u32 flags)
{
	struct scene *s = scene_create(BACK_SHARED, 0);

	s->mem = map();
	s->gpa = SLOT_GPA + SLOT_ZONE;
	s->secret = s->mem + SLOT_ZONE;
	scene_fill(s);
	set_slot(s, flags, SLOT_GPA, s->mem);
	EXPECT(scene_guest_steals(s, s->gpa), "the guest does not read it without a zone");
	scene_fill(s);
	return s;
}

static void over(struct scene *s)
{
	s->mem = s->vm->mem;
	scene_over(s);
}

/* No way to the secret by @gpa, and it is what it was. */
static void expect_safe(struct scene *s, __u64 gpa, const char *when)
{
	__u64 value;

	EXPECT(!scene_guest_steals(s, gpa), "%s: the guest gets the secret", when);
	scene_guest_spoils(s, gpa);
	EXPECT(vmm_peek(s->secret, &value) == -EFAULT, "%s: the VMM reads it", when);
}

/* Ends the zone: all has to be as it was before. */
static void expect_back(struct scene *s, const char *when)
{
	scene_unzone(s);
	scene_expect_intact(s, when);
	scene_expect_open(s, when);
	scene_fill(s);
}

static void test_delete(void)
{
	struct scene *s = create(0);

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	delete_slot(s);
	expect_safe(s, s->gpa, "the slot is deleted");
	set_slot(s, 0, SLOT_GPA, s->mem);
	expect_safe(s, s->gpa, "the slot is back");
	scene_expect_closed(s, "the slot is back");
	EXPECT(zone_u64(s->zone, "violations"), "no violations after the slot is back");
	expect_back(s, "the slot was deleted and made again");
	over(s);
}

/* The zone is lifted while its slot is gone. */
static void test_delete_remove(void)
{
	struct scene *s = create(0);

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	delete_slot(s);
	scene_unzone(s);
	scene_expect_intact(s, "removed without a slot");
	set_slot(s, 0, SLOT_GPA, s->mem);
	scene_expect_open(s, "removed without a slot");
	over(s);
}

/* Other memory comes to the zone's addresses: it is shielded too, soon after. */
static void test_other_memory(void)
{
	struct scene *s = create(0);
	char *other = map(), *secret = s->secret;
	__u64 value;

	memset(other, 0x33, SLOT_SIZE);
	memcpy(other + SLOT_ZONE, s->secret, s->size);
	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	delete_slot(s);
	set_slot(s, 0, SLOT_GPA, other);
	EXPECT(WAIT_FOR(!scene_guest_reads(s, s->gpa), SHIELDED_MS),
	       "the guest reads the memory that came to the zone");
	EXPECT(WAIT_FOR(vmm_peek(other + SLOT_ZONE, &value) == -EFAULT, SHIELDED_MS),
	       "the VMM reads the memory that came to the zone");
	EXPECT(vmm_peek(secret, &value) == -EFAULT, "the memory that was there is open");
	expect_safe(s, s->gpa, "other memory");
	s->secret = other + SLOT_ZONE;
	scene_expect_closed(s, "other memory");
	s->secret = secret;
	scene_unzone(s);
	scene_expect_intact(s, "the memory that was there");
	s->secret = other + SLOT_ZONE;
	scene_expect_intact(s, "the memory that came");
	scene_expect_open(s, "the memory that came");
	over(s);
}

/* The slot goes elsewhere with its memory, which stays shielded. */
static void test_move(void)
{
	struct scene *s = create(0);
	char *other = map();

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	set_slot(s, 0, MOVED_GPA, s->mem);
	expect_safe(s, MOVED_GPA + SLOT_ZONE, "the slot moved");
	expect_safe(s, s->gpa, "the slot moved, where it was");
	set_slot(s, 0, SLOT_GPA, s->mem);
	expect_safe(s, s->gpa, "the slot is back");
	scene_expect_closed(s, "the slot is back");
	expect_back(s, "the slot moved and came back");

	/* Moved away, and something else in its place. */
	scene_zone(s, "rwx", "stop");
	set_slot(s, 0, MOVED_GPA, s->mem);
	vm_add_memory(s->vm, SLOT + 1, SLOT_GPA, other, SLOT_SIZE);
	expect_safe(s, MOVED_GPA + SLOT_ZONE, "the slot moved");
	EXPECT(WAIT_FOR(scene_run(s, guest_write, 1, s->gpa) != SCENE_RAN, SHIELDED_MS),
	       "the guest writes what is in the zone now");
	scene_unzone(s);
	scene_expect_intact(s, "the slot moved");
	EXPECT(scene_guest_reads(s, MOVED_GPA + SLOT_ZONE), "moved memory is not open again");
	over(s);
}

/* A zone lifted while its memory is elsewhere. */
static void test_move_remove(void)
{
	struct scene *s = create(0);

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	set_slot(s, 0, MOVED_GPA, s->mem);
	scene_unzone(s);
	scene_expect_intact(s, "moved");
	s->gpa = MOVED_GPA + SLOT_ZONE;
	scene_expect_open(s, "moved");
	over(s);
}

static void test_dirty_log(void)
{
	__u64 bitmap[8];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	struct scene *s = create(0);

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	for (int i = 0; i < 3; i++) {
		set_slot(s, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, s->mem);
		expect_safe(s, s->gpa, "with a dirty log");
		scene_run(s, guest_write, 1, SLOT_GPA);
		EXPECT(!ioctl(s->vm->fd, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG: %s",
		       strerror(errno));
		EXPECT(bitmap[0] & 1, "the log has not the page that was written");
		EXPECT(!(bitmap[0] & (3ull << (SLOT_ZONE / 4096))),
		       "the log has pages of the zone: 0x%llx", bitmap[0]);
		expect_safe(s, s->gpa, "after the log was read");
		set_slot(s, 0, SLOT_GPA, s->mem);
		expect_safe(s, s->gpa, "without a dirty log again");
	}
	scene_expect_closed(s, "after dirty logs");
	expect_back(s, "after dirty logs");
	/* Log first, then the zone, then no log. */
	set_slot(s, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, s->mem);
	scene_run(s, guest_write, 1, s->gpa);
	scene_fill(s);
	scene_zone(s, "w", "stop");
	EXPECT(scene_guest_reads(s, s->gpa), "deny=w: the guest cannot read");
	scene_guest_spoils(s, s->gpa);
	set_slot(s, 0, SLOT_GPA, s->mem);
	scene_guest_spoils(s, s->gpa);
	expect_back(s, "deny=w and a dirty log");
	over(s);
}

/* A slot of read-only memory: KVM asks the VMM to do the writes. */
static void test_readonly(void)
{
	struct scene *s = create(0);
	enum scene_end end;

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	delete_slot(s);
	set_slot(s, KVM_MEM_READONLY, SLOT_GPA, s->mem);
	expect_safe(s, s->gpa, "read-only");
	end = scene_run(s, guest_write, 1, s->gpa + 0x800);
	EXPECT(end == SCENE_STOPPED, "a write to read-only memory in the zone: %s",
	       scene_end_text(s, end));
	delete_slot(s);
	set_slot(s, 0, SLOT_GPA, s->mem);
	expect_safe(s, s->gpa, "no longer read-only");
	expect_back(s, "read-only in between");
	over(s);
}

/* A zone on a slot that is read-only from the beginning. */
static void test_rom(void)
{
	struct scene *s = create(KVM_MEM_READONLY);

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	expect_safe(s, s->gpa, "a ROM");
	scene_unzone(s);
	scene_expect_intact(s, "a ROM");
	EXPECT(scene_guest_reads(s, s->gpa), "a ROM cannot be read after the zone");
	over(s);
}

struct mover {
	struct scene *s;
	volatile bool stop;
	__u64 times;
};

static void *mover(void *arg)
{
	struct mover *m = arg;

	while (!m->stop) {
		switch (m->times++ % 3) {
		case 0:
			set_slot(m->s, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, m->s->mem);
			set_slot(m->s, 0, SLOT_GPA, m->s->mem);
			break;
		case 1:
			set_slot(m->s, 0, MOVED_GPA, m->s->mem);
			set_slot(m->s, 0, SLOT_GPA, m->s->mem);
			break;
		case 2:
			delete_slot(m->s);
			set_slot(m->s, 0, SLOT_GPA, m->s->mem);
			break;
		}
	}
	return NULL;
}

/* A guest that tries all the time, while slots change all the time. */
static void test_storm(void)
{
	struct scene *s = create(0);
	struct mover m = { .s = s };
	unsigned int n = repeats(1000);
	pthread_t thread;

	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	REQUIRE(!pthread_create(&thread, NULL, mover, &m), "pthread_create");
	for (unsigned int i = 0; i < n && !tap_failed(); i++) {
		EXPECT(!scene_guest_steals(s, i & 1 ? s->gpa : MOVED_GPA + SLOT_ZONE),
		       "try %u: the guest gets the secret", i);
		scene_guest_spoils(s, i & 1 ? MOVED_GPA + SLOT_ZONE : s->gpa);
	}
	m.stop = true;
	pthread_join(thread, NULL);
	tap_diag("%u tries, slots changed %llu times", n, m.times);
	scene_expect_closed(s, "after many changes");
	expect_back(s, "after many changes");
	over(s);
}

/*
 * What an SMI runs: mov eax, [@from]; mov [@to], eax; rsm. In 16-bit code with
 * flat segments.
 */
static void put_smm_code(struct scene *s, __u32 from, __u32 to)
{
	__u8 code[] = { 0x67, 0x66, 0xa1, 0, 0, 0, 0, 0x67, 0x66, 0xa3, 0, 0, 0, 0, 0x0f, 0xaa };

	memcpy(code + 3, &from, 4);
	memcpy(code + 10, &to, 4);
	memcpy(s->vm->mem + SMM_CODE, code, sizeof(code));
}

static bool smm_reads(struct scene *s)
{
	__u64 loot = GUEST_DATA + 0x100;

	*(__u64 *)(s->vm->mem + loot) = 0;
	put_smm_code(s, s->gpa + 8, loot);
	REQUIRE(!ioctl(s->v->fd, KVM_SMI), "KVM_SMI: %s", strerror(errno));
	tap_diag("SMM: %s", scene_end_text(s, scene_run(s, guest_io, 3, 0)));
	return !memcmp(s->vm->mem + loot, s->before + 8, 4);
}

/* System management mode has slots of its own. */
static void prove_smm(bool before)
{
	struct scene *s = create(0);

	if (ioctl(s->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM) <= 0 ||
	    ioctl(s->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		tap_skip("SMM has no address space of its own");
	vm_add_memory(s->vm, SMM_SLOT, 0, s->vm->mem, s->vm->size);
	if (before) {
		vm_add_memory(s->vm, SMM_SLOT + SLOT, SLOT_GPA, s->mem, SLOT_SIZE);
		EXPECT(smm_reads(s), "SMM does not read it without a zone");
	}
	scene_fill(s);
	if (!scene_zone(s, "rwx", "stop"))
		over(s);
	if (!before)
		vm_add_memory(s->vm, SMM_SLOT + SLOT, SLOT_GPA, s->mem, SLOT_SIZE);
	EXPECT(!smm_reads(s), "SMM reads the secret");
	scene_unzone(s);
	scene_expect_intact(s, "SMM");
	over(s);
}

static void test_smm_before(void) { prove_smm(true); }
static void test_smm_after(void) { prove_smm(false); }

/* Two slots side by side with a zone over their border. */
static void test_border(void)
{
	struct scene *s = create(0);
	char *other = map();
	long long zone;
	__u64 at = SLOT_GPA + SLOT_SIZE - 4096, value;

	vm_add_memory(s->vm, SLOT + 1, SLOT_GPA + SLOT_SIZE, other, SLOT_SIZE);
	memset(s->mem + SLOT_SIZE - 4096, 0x81, 4096);
	memset(other, 0x82, 4096);
	zone = zone_create(s->id, at, 0x2000, "rwx", "stop", NULL);
	s->no_zones = zone == -ENOENT;
	if (s->no_zones)
		over(s);
	REQUIRE(zone > 0, "zone: %s (%s)", strerror(-zone), zone_last_error());
	for (int i = 0; i < 2; i++)
		EXPECT(scene_run(s, guest_read, 1, at + i * 4096) == SCENE_STOPPED,
		       "the guest reads page %d", i);
	EXPECT(vmm_peek(s->mem + SLOT_SIZE - 8, &value) && vmm_peek(other, &value),
	       "the VMM reads it");
	EXPECT(!vmm_peek(s->mem + SLOT_SIZE - 4104, &value) && !vmm_peek(other + 4096, &value),
	       "the VMM cannot read what is beside it");
	REQUIRE(!zone_remove(zone), "zone %lld cannot be removed", zone);
	EXPECT((__u8)s->mem[SLOT_SIZE - 1] == 0x81 && (__u8)other[0] == 0x82, "contents changed");
	over(s);
}

static const struct tap_test tests[] = {
	{ "a slot deleted and made again", test_delete, 0 },
	{ "a zone removed without its slot", test_delete_remove, 0 },
	{ "other memory in the zone", test_other_memory, 0 },
	{ "a slot that moves", test_move, 0 },
	{ "a zone removed when its slot has moved", test_move_remove, 0 },
	{ "a dirty log on and off", test_dirty_log, 0 },
	{ "a slot that becomes read-only", test_readonly, 0 },
	{ "a slot that is read-only", test_rom, 0 },
	{ "slots change under a guest that tries", test_storm, 120 },
	{ "slots of SMM from before", test_smm_before, 0 },
	{ "slots of SMM that come later", test_smm_after, 0 },
	{ "a zone over two slots", test_border, 0 },
};

int main(int argc, char **argv)
{
	return scene_main(tests, ARRAY_SIZE(tests), argc, argv);
}
