// SPDX-License-Identifier: GPL-2.0
/* What kvm_harden exports of its zones, what it takes, and what it refuses. */
#include "abi_doc.h"
#include "zone_vm.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY		65534
#define SMALL		(4 * ZONE_HUGE)
#define MANY		1024
/* A quarter of that where everything is slower. */
#define BIG		((slowness() > 1 ? 16ull : 64ull) << 20)
#define APIC_BASE	0xfee00000ull
#define IDENTITY_MAP	0xfffbc000ull
#define TSS		0xfffbd000ull

static const char *const zone_files[] = {
	"vm", "gpa", "size", "deny", "action", "name", "violations", "last_gpa", "last_rip",
	"last_access", "last_vcpu", "last_ns",
};

static void expect_attr(const char *path, mode_t mode)
{
	expect_file(HARDEN_SYSFS, path, mode, 1);
	/* Root may open it; sysfs refuses it then. */
	EXPECT(mode & 0200 || harden_write("1\n", "%s", path) < 0, "%s can be written", path);
}

static void test_attributes(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 id = zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);
	char path[64];

	expect_attr("zones/create", 0200);
	expect_attr("zones/last_id", 0444);
	expect_attr("zones/last_error", 0444);
	expect_attr("zones/available", 0444);
	expect_attr("disarm", 0200);
	for (unsigned int i = 0; i < ARRAY_SIZE(zone_files); i++) {
		snprintf(path, sizeof(path), "zones/%llu/%s", id, zone_files[i]);
		expect_attr(path, 0444);
	}
	snprintf(path, sizeof(path), "zones/%llu/state", id);
	expect_attr(path, 0644);
	snprintf(path, sizeof(path), "zones/%llu/remove", id);
	expect_attr(path, 0200);
	EXPECT_EQ(harden_u64("zones/last_id"), id, "last_id");
	zone_must_remove(id);
	EXPECT_EQ(harden_u64("zones/last_id"), id, "last_id when it is gone");
}

static void expect_fresh(__u64 id)
{
	harden_expect("armed", "zones/%llu/state", id);
	harden_expect("0", "zones/%llu/violations", id);
	harden_expect("0x0", "zones/%llu/last_gpa", id);
	harden_expect("0x0", "zones/%llu/last_rip", id);
	harden_expect("-", "zones/%llu/last_access", id);
	harden_expect("-1", "zones/%llu/last_vcpu", id);
	harden_expect("0", "zones/%llu/last_ns", id);
}

static void test_contents(void)
{
	struct zone_vm *z;
	char text[32];
	__u64 id, ns;

	need_zones();
	harden_reload(NULL, HARDEN_ASSUME);
	harden_expect("0", "zones/last_id");
	harden_expect("none", "zones/last_error");
	z = zone_vm_new(1, SMALL, ZONE_ANON);
	id = zone_must(z, ZONE_GPA + ZONE_PAGE, 2 * ZONE_PAGE, "rwx", " name=a.b-c");
	snprintf(text, sizeof(text), "%llu", z->id);
	harden_expect(text, "zones/%llu/vm", id);
	harden_expect("0x10001000", "zones/%llu/gpa", id);
	harden_expect("0x2000", "zones/%llu/size", id);
	harden_expect("rwx", "zones/%llu/deny", id);
	harden_expect("stop", "zones/%llu/action", id);
	harden_expect("a.b-c", "zones/%llu/name", id);
	expect_fresh(id);

	EXPECT_EQ(zone_guest_read(z, ZONE_GPA + 0x2ff8), KVM_EXIT_INTERNAL_ERROR, "a read");
	harden_expect("1", "zones/%llu/violations", id);
	harden_expect("0x10002ff8", "zones/%llu/last_gpa", id);
	harden_expect("r", "zones/%llu/last_access", id);
	harden_expect("0", "zones/%llu/last_vcpu", id);
	harden_file(text, sizeof(text), "zones/%llu/last_rip", id);
	EXPECT(!strncmp(text, "0x10", 4) && strlen(text) == 7, "last_rip: %s", text);
	ns = harden_u64("zones/%llu/last_ns", id);
	EXPECT(ns, "last_ns is 0");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA + 0x1008), KVM_EXIT_INTERNAL_ERROR, "a write");
	harden_expect("2", "zones/%llu/violations", id);
	harden_expect("0x10001008", "zones/%llu/last_gpa", id);
	harden_expect("w", "zones/%llu/last_access", id);
	EXPECT(harden_u64("zones/%llu/last_ns", id) > ns, "last_ns stands still");
	harden_expect("armed", "zones/%llu/state", id);
	zone_must_remove(id);
	zone_expect_filled(z, ZONE_GPA, SMALL, "after it all");
	meter_expect_healthy(NULL);
}

static void test_documented(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);

	zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);
	expect_documented(HARDEN_DOC, HARDEN_SYSFS, NULL);
}

/* @error, a reason in last_error, and nothing else. */
static void refused(__u64 vm, __u64 gpa, __u64 size, const char *deny, const char *extra,
		    int error)
{
	__u64 last = harden_u64("zones/last_id");
	long long ret = zone_create(vm, gpa, size, deny, "stop", extra);

	EXPECT(ret == -error, "%s of 0x%llx at 0x%llx, %s: %s, expected %s (%s)", deny, size, gpa,
	       extra ? extra : "", ret < 0 ? strerror(-ret) : "made", strerror(error), zone_last_error());
	EXPECT(ret > 0 || harden_u64("zones/last_id") == last, "last_id has changed");
	EXPECT(strcmp(zone_last_error(), "none") && strlen(zone_last_error()) > 5, "last_error: %s", zone_last_error());
}

static void test_refused(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 end = ZONE_GPA + SMALL;

	refused(0, ZONE_GPA, ZONE_PAGE, "rwx", NULL, EINVAL);
	refused(z->id + 1, ZONE_GPA, ZONE_PAGE, "rwx", NULL, ESRCH);
	refused(~0ull, ZONE_GPA, ZONE_PAGE, "rwx", NULL, ESRCH);

	refused(z->id, GUEST_MMIO, ZONE_PAGE, "rwx", NULL, ENXIO);
	refused(z->id, end, ZONE_PAGE, "rwx", NULL, ENXIO);
	refused(z->id, end - ZONE_PAGE, 2 * ZONE_PAGE, "rwx", NULL, ENXIO);
	refused(z->id, ZONE_GPA - ZONE_PAGE, 2 * ZONE_PAGE, "rwx", NULL, ENXIO);
	refused(z->id, 0, end, "rwx", NULL, ENXIO);
	refused(z->id, 1ull << 51, ZONE_PAGE, "rwx", NULL, ENXIO);

	refused(z->id, ZONE_GPA + 1, ZONE_PAGE, "rwx", NULL, EINVAL);
	refused(z->id, ZONE_GPA + 0x800, ZONE_PAGE, "rwx", NULL, EINVAL);
	refused(z->id, ZONE_GPA, ZONE_PAGE + 1, "rwx", NULL, EINVAL);
	refused(z->id, ZONE_GPA, 1, "rwx", NULL, EINVAL);
	refused(z->id, ZONE_GPA, 0, "rwx", NULL, EINVAL);
	refused(z->id, -ZONE_PAGE, 2 * ZONE_PAGE, "rwx", NULL, EINVAL);
	refused(z->id, ZONE_GPA, -ZONE_PAGE, "rwx", NULL, EINVAL);
	zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "after refusals");
	zone_expect_filled(z, ZONE_GPA, SMALL, "after refusals");
	EXPECT_EQ(zone_guest_write(z, end - 8), 0, "the guest after refusals");
}

/* Either KVM has no slot there on this CPU, or it has one of its own. */
static void private(__u64 id, __u64 gpa, __u64 size)
{
	long long ret = zone_create(id, gpa, size, "rwx", "stop", NULL);

	EXPECT(ret == -ENXIO || (ret == -EOPNOTSUPP && strstr(zone_last_error(), "KVM's own")),
	       "at 0x%llx: %lld (%s)", gpa, ret, zone_last_error());
}

/* What KVM maps for itself is no memory slot of the VMM's. */
static void test_private_slots(void)
{
	struct vcpu *v;
	struct vm *vm;
	__u64 id;

	need_zones();
	vm = vm_create(1, VM_IRQCHIP);
	v = &vm->vcpus[0];
	vcpu_program(v, guest_io, 2, 0);
	vcpu_run(v);
	id = meter_wait_tid(getpid());
	harden_wait_vm(id);
	private(id, APIC_BASE, ZONE_PAGE);
	private(id, IDENTITY_MAP, ZONE_PAGE);
	private(id, TSS, 3 * ZONE_PAGE);
	vcpu_program(v, guest_io, 2, 0);
	vcpu_run(v);
	vm_destroy(vm);
}

static void expect_why(const char *words)
{
	char word[32];

	for (const char *p = words; sscanf(p, "%31s", word) == 1;) {
		EXPECT(strstr(zone_last_error(), word), "last_error does not name %s: %s", word,
		       zone_last_error());
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
}

static void test_allow(void)
{
	static const char *const execute[] = { "x", "wx" };
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	long long id;

	for (unsigned int i = 0; i < ARRAY_SIZE(execute); i++) {
		refused(z->id, ZONE_GPA, ZONE_PAGE, execute[i], NULL, EPERM);
		expect_why("emulator alias");
		refused(z->id, ZONE_GPA, ZONE_PAGE, execute[i], " allow=emulator", EPERM);
		expect_why("alias");
		refused(z->id, ZONE_GPA, ZONE_PAGE, execute[i], " allow=alias", EPERM);
		expect_why("emulator");
		id = zone_must(z, ZONE_GPA, ZONE_PAGE, execute[i], " allow=alias,emulator");
		harden_expect("armed; open: emulator alias", "zones/%llu/state", id);
		EXPECT_EQ(zone_guest_read(z, ZONE_GPA), 0, "a read where x is denied");
		zone_must_remove(id);
	}
	refused(z->id, ZONE_GPA, ZONE_PAGE, "r", NULL, EOPNOTSUPP);
	refused(z->id, ZONE_GPA, ZONE_PAGE, "rx", NULL, EOPNOTSUPP);
	refused(z->id, ZONE_GPA, ZONE_PAGE, "r", " allow=emulator,paravirt,device,alias",
		EOPNOTSUPP);
	if (!zone_supported("rw")) {
		refused(z->id, ZONE_GPA, ZONE_PAGE, "rw", NULL, EOPNOTSUPP);
		refused(z->id, ZONE_GPA, ZONE_PAGE, "rw", " allow=emulator,paravirt,device,alias",
			EOPNOTSUPP);
	} else {
		refused(z->id, ZONE_GPA, ZONE_PAGE, "rw", NULL, EPERM);
		expect_why("emulator paravirt device alias");
	}
}

static void test_available(void)
{
	need_zones();
	EXPECT(zone_supported("w"), "w is not available");
	EXPECT(zone_supported("rwx"), "rwx is not available");
	EXPECT(zone_supported("x"), "x is not available");
	EXPECT(zone_supported("wx"), "wx is not available");
	EXPECT(!zone_supported("r") && !zone_supported("rx"), "r is available");
	if (!kvm_is_intel())
		EXPECT(!zone_supported("rw"), "rw is available on AMD");
}

static void as_user(void *arg)
{
	__u64 id = *(__u64 *)arg;
	char path[64], buf[256];

	REQUIRE(!setgid(NOBODY) && !setuid(NOBODY), "setuid");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	EXPECT_EQ(-harden_write("1\n", "zones/create"), EACCES, "a user: create");
	EXPECT_EQ(-harden_write("1\n", "disarm"), EACCES, "a user: disarm");
	EXPECT_EQ(-harden_write("1\n", "zones/%llu/remove", id), EACCES, "a user: remove");
	EXPECT_EQ(-harden_write("suspend\n", "zones/%llu/state", id), EACCES, "a user: state");
	EXPECT(harden_file(buf, sizeof(buf), "zones/create") < 0, "a user can read create");
	for (unsigned int i = 0; i < ARRAY_SIZE(zone_files); i++) {
		snprintf(path, sizeof(path), "zones/%llu/%s", id, zone_files[i]);
		EXPECT_EQ(-harden_write("1\n", "%s", path), EACCES, path);
		EXPECT(harden_file(buf, sizeof(buf), "%s", path) >= 0, "a user cannot read %s",
		       path);
	}
}

static void test_user(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 id = zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);

	EXPECT_EQ(wait_child(spawn(as_user, &id)), 0, "status of the user's process");
	harden_expect("armed", "zones/%llu/state", id);
}

/* What is denied is what all zones over a page deny together. */
static void test_overlap(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 w, all, again;

	w = zone_must(z, ZONE_GPA, 4 * ZONE_PAGE, "w", NULL);
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ, "w");
	all = zone_must(z, ZONE_GPA + ZONE_PAGE, ZONE_PAGE, "rwx", NULL);
	again = zone_must(z, ZONE_GPA + ZONE_PAGE, 4 * ZONE_PAGE, "w", NULL);
	zone_expect_may(z, ZONE_GPA, MAY_READ, "w beside rwx");
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, 0, "w, rwx and w");
	zone_expect_may(z, ZONE_GPA + 4 * ZONE_PAGE, MAY_READ, "the second w");
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA), 0, "a read where w is denied");
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA + ZONE_PAGE), KVM_EXIT_INTERNAL_ERROR,
		  "a read where rwx is denied too");
	zone_must_remove(all);
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ, "rwx removed from both w");
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA + ZONE_PAGE), 0, "a read, rwx removed");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA + ZONE_PAGE), KVM_EXIT_INTERNAL_ERROR,
		  "a write, rwx removed");
	zone_expect_filled(z, ZONE_GPA, 8 * ZONE_PAGE, "rwx removed");
	zone_must_remove(w);
	zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "the first w removed");
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ, "one w of two removed");
	zone_must_remove(again);
	zone_expect_may(z, ZONE_GPA + ZONE_PAGE, MAY_READ | MAY_WRITE, "all removed");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA + ZONE_PAGE), 0, "a write, all removed");
	zone_expect_filled(z, ZONE_GPA, SMALL, "all removed");
}

static void expect_zone(struct zone_vm *z, __u64 gpa, bool there)
{
	zone_expect_may(z, gpa, there ? 0 : MAY_READ | MAY_WRITE, there ? "a zone" : "no zone");
}

static void test_many(void)
{
	const unsigned int many = MANY / slowness();
	struct zone_vm *z = zone_vm_new(1, 2 * many * ZONE_PAGE, ZONE_ANON);
	static __u64 ids[MANY];
	__u64 began = raw_ns();

	for (unsigned int i = 0; i < many; i++)
		ids[i] = zone_must(z, ZONE_GPA + 2 * i * ZONE_PAGE, ZONE_PAGE, "rwx", NULL);
	tap_diag("%u zones in %llu ms", many, (raw_ns() - began) / NSEC_PER_MSEC);
	for (unsigned int i = 0; i < many; i++) {
		EXPECT(i == 0 || ids[i] > ids[i - 1], "zone %llu after %llu", ids[i],
		       ids[i - 1]);
		expect_zone(z, ZONE_GPA + 2 * i * ZONE_PAGE, true);
		expect_zone(z, ZONE_GPA + (2 * i + 1) * ZONE_PAGE, false);
	}
	zone_sweep_start(z, 0, ZONE_GPA + ZONE_PAGE, many, 2 * ZONE_PAGE);
	EXPECT(zone_sweep_moves(z, 0), "the guest does not get between its zones");
	zone_sweep_stop(z, 0, "between the zones");
	for (unsigned int i = 0; i < many; i += 97) {
		EXPECT_EQ(zone_guest_read(z, ZONE_GPA + 2 * i * ZONE_PAGE),
			  KVM_EXIT_INTERNAL_ERROR, "a read");
		EXPECT_EQ(harden_u64("zones/%llu/violations", ids[i]), 1, "violations");
	}
	began = raw_ns();
	for (unsigned int i = 0; i < many; i++)
		EXPECT_EQ(-zone_remove(ids[many - 1 - i]), 0, "remove");
	tap_diag("removed in %llu ms", (raw_ns() - began) / NSEC_PER_MSEC);
	zone_expect_filled(z, ZONE_GPA, z->size, "all removed");
	EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, "a write");
}

static void test_big(void)
{
	static const enum zone_backing backings[] = { ZONE_ANON, ZONE_THP, ZONE_SHARED, ZONE_MEMFD };

	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, BIG + 2 * ZONE_PAGE, backings[i]);
		__u64 began = raw_ns(), middle = ZONE_GPA + BIG / 2, id;

		id = zone_must(z, ZONE_GPA + ZONE_PAGE, BIG, "rwx", NULL);
		tap_diag("%llu MiB of kind %u in %llu ms", BIG >> 20, i,
			 (raw_ns() - began) / NSEC_PER_MSEC);
		expect_zone(z, ZONE_GPA, false);
		expect_zone(z, ZONE_GPA + ZONE_PAGE, true);
		expect_zone(z, middle, true);
		expect_zone(z, ZONE_GPA + BIG, true);
		expect_zone(z, ZONE_GPA + BIG + ZONE_PAGE, false);
		EXPECT_EQ(zone_guest_read(z, middle), KVM_EXIT_INTERNAL_ERROR, "in the middle");
		EXPECT_EQ(zone_guest_read(z, ZONE_GPA + BIG + ZONE_PAGE), 0, "behind it");
		began = raw_ns();
		zone_must_remove(id);
		tap_diag("removed in %llu ms", (raw_ns() - began) / NSEC_PER_MSEC);
		zone_expect_filled(z, ZONE_GPA, z->size, "afterwards");
		EXPECT_EQ(zone_guest_write(z, middle), 0, "a write");
		zone_vm_free(z);
	}
}

static void test_ids(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 last = 0;

	for (unsigned int i = 0; i < 20; i++) {
		__u64 id = zone_must(z, ZONE_GPA, ZONE_PAGE, i & 1 ? "w" : "rwx", NULL);

		EXPECT(id > last, "zone %llu after %llu", id, last);
		last = id;
		/* One that is refused uses none up visibly. */
		refused(z->id, GUEST_MMIO, ZONE_PAGE, "w", NULL, ENXIO);
		if (i % 3)
			zone_must_remove(id);
		else
			EXPECT_EQ(-zone_disarm(), 0, "1 to disarm");
		zone_expect_gone(id, "removed");
		EXPECT_EQ(-zone_remove(id), ENOENT, "errno of a second remove");
	}
}

static const struct tap_test tests[] = {
	{ "every attribute is there, with its mode", test_attributes, 0 },
	{ "contents of a zone's files", test_contents, 0 },
	{ "documentation and tree say the same", test_documented, 0 },
	{ "what can be denied is said", test_available, 0 },
	{ "zones of nothing are refused", test_refused, 0 },
	{ "KVM's own slots are refused", test_private_slots, 0 },
	{ "ways that stay open have to be allowed", test_allow, 0 },
	{ "a user can write nothing", test_user, 0 },
	{ "zones over zones", test_overlap, 0 },
	{ "1,024 zones", test_many, 300 },
	{ "a zone of many megabytes", test_big, 300 },
	{ "ids come only once", test_ids, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
