// SPDX-License-Identifier: GPL-2.0
/*
 * Zones and what they stand on: VMs that end, VMMs that die, the module that
 * leaves. Whatever comes first, nothing stays behind, and memory comes back as
 * it was.
 */
#include "zone_vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL		(2 * ZONE_HUGE)
#define CYCLES		repeats(30)
#define UNLOADS		repeats(10)
#define HELD_FILES	16
#define REMOVERS	8

static const enum zone_backing backings[] = { ZONE_ANON, ZONE_THP, ZONE_SHARED, ZONE_MEMFD };

static unsigned int zones(void)
{
	DIR *dir = opendir(HARDEN_SYSFS "/zones");
	unsigned int nr = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		nr += e->d_name[0] >= '0' && e->d_name[0] <= '9';
	if (dir)
		closedir(dir);
	return nr;
}

static void reload(void)
{
	int ret = harden_load(HARDEN_ASSUME);

	REQUIRE(!ret, "insmod: %s", strerror(-ret));
}

static void unload(const char *when)
{
	int ret = harden_unload();

	REQUIRE(!ret, "%s: rmmod: %s", when, strerror(-ret));
}

/* The memory comes back to a VMM that lives on, whatever kind it is. */
static void test_vm_ends(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		struct zone_vm *z = zone_vm_new(1, SMALL, backings[i]);
		__u64 a, b, c;

		a = zone_must(z, ZONE_GPA, 3 * ZONE_PAGE, "rwx", NULL);
		b = zone_must(z, ZONE_GPA + ZONE_HUGE - ZONE_PAGE, 2 * ZONE_PAGE, "w", NULL);
		/* In the VM's own memory, which goes with it. */
		c = zone_must(z, GUEST_SPARE, ZONE_PAGE, "rwx", NULL);
		zone_expect_may(z, ZONE_GPA, 0, "while the VM is there");
		zone_vm_end(z);
		zone_expect_gone(a, "the VM ended");
		zone_expect_gone(b, "the VM ended");
		zone_expect_gone(c, "the VM ended");
		EXPECT(WAIT_FOR(may(zone_mem(z, ZONE_GPA)) == (MAY_READ | MAY_WRITE),
				METER_APPEARS_MS), "kind %u: the memory stays closed", i);
		zone_expect_may(z, ZONE_GPA + ZONE_HUGE, MAY_READ | MAY_WRITE, "the VM ended");
		zone_expect_filled(z, ZONE_GPA, SMALL, "the VM ended");
		/* Another VM may have it. */
		z = zone_vm_twin(z);
		EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, "a guest after it");
		zone_vm_free(z);
	}
	meter_expect_healthy(NULL);
}

struct shared {
	__u64 vm, zone;
	int ready;
};

static struct shared *shared;

static void make_zones_and_wait(void *arg)
{
	struct zone_vm *z = zone_vm_new(2, SMALL, *(enum zone_backing *)arg);

	zone_must(z, ZONE_GPA, 3 * ZONE_PAGE, "rwx", NULL);
	shared->zone = zone_must(z, ZONE_GPA + ZONE_HUGE, ZONE_HUGE, "w", NULL);
	zone_sweep_start(z, 1, ZONE_GPA + 3 * ZONE_PAGE, 100, ZONE_PAGE);
	shared->vm = z->id;
	__atomic_store_n(&shared->ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

static pid_t start_vmm(void (*fn)(void *arg), void *arg)
{
	pid_t pid;

	shared->ready = 0;
	pid = spawn(fn, arg);
	REQUIRE(WAIT_FOR(__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST), METER_APPEARS_MS),
		"a VMM with zones does not come up");
	return pid;
}

static void expect_all_gone(const char *when)
{
	EXPECT(WAIT_FOR(!zones(), METER_APPEARS_MS), "%s: %u zones are left", when, zones());
	EXPECT(WAIT_FOR(!harden_exists("vms/%llu", shared->vm), METER_APPEARS_MS),
	       "%s: vms/%llu is still there", when, shared->vm);
}

static void test_killed(void)
{
	need_zones();
	shared = shared_page();
	for (unsigned int i = 0; i < CYCLES; i++) {
		enum zone_backing backing = backings[i % ARRAY_SIZE(backings)];

		end_child(start_vmm(make_zones_and_wait, &backing));
		expect_all_gone("the VMM was killed");
	}
	meter_expect_healthy(NULL);
}

static void make_zones_and_exec(void *arg)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);

	(void)arg;
	shared->zone = zone_must(z, ZONE_GPA, 3 * ZONE_PAGE, "rwx", NULL);
	shared->vm = z->id;
	__atomic_store_n(&shared->ready, 1, __ATOMIC_SEQ_CST);
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(TAP_FAIL);
}

static void test_exec(void)
{
	pid_t pid;

	need_zones();
	shared = shared_page();
	pid = start_vmm(make_zones_and_exec, NULL);
	expect_all_gone("the VMM did execve()");
	EXPECT(!kill(pid, 0), "what was executed is dead");
	end_child(pid);
}

/* A VMM that forks: the child has none of it, and the zone stands without it. */
static void test_fork(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 id = zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);
	pid_t pid = fork();

	if (!pid) {
		unsigned int can = may(zone_mem(z, ZONE_GPA));

		_exit(can ? TAP_FAIL : TAP_PASS);
	}
	EXPECT_EQ(wait_child(pid), 0, "a forked child may use the zone's memory");
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA), KVM_EXIT_INTERNAL_ERROR, "a read");
	zone_must_remove(id);
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
}

/* Files of a zone that somebody holds open when it goes. */
static void test_readers(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	char path[512], buf[256];
	int fds[HELD_FILES];
	unsigned int nr = 0;
	struct dirent *e;
	DIR *dir;
	__u64 id;

	id = zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);
	snprintf(path, sizeof(path), HARDEN_SYSFS "/zones/%llu", id);
	dir = opendir(path);
	REQUIRE(dir, "%s: %s", path, strerror(errno));
	while ((e = readdir(dir)) && nr < HELD_FILES) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), HARDEN_SYSFS "/zones/%llu/%s", id, e->d_name);
		fds[nr] = open(path, strcmp(e->d_name, "remove") ? O_RDONLY : O_WRONLY);
		EXPECT(fds[nr] >= 0, "%s: %s", path, strerror(errno));
		nr++;
	}
	EXPECT(nr > 12, "%u files", nr);
	zone_vm_end(z);
	zone_expect_gone(id, "with its files open");
	for (unsigned int i = 0; i < nr; i++) {
		EXPECT(read(fds[i], buf, sizeof(buf)) < 0 && write(fds[i], "1", 1) < 0,
		       "a file of a zone that is gone can be used");
		close(fds[i]);
	}
	closedir(dir);
	zone_expect_filled(z, ZONE_GPA, SMALL, "with its files open");
}

static void read_for_ever(void *arg)
{
	char cmd[] = "while :; do cat " HARDEN_SYSFS "/zones/*/* " HARDEN_SYSFS
		     "/zones/last_* >/dev/null 2>&1; done";

	(void)arg;
	execl("/bin/sh", "sh", "-c", cmd, NULL);
	_exit(TAP_FAIL);
}

static void test_read_for_ever(void)
{
	pid_t reader[2];

	need_zones();
	shared = shared_page();
	for (unsigned int i = 0; i < ARRAY_SIZE(reader); i++)
		reader[i] = spawn(read_for_ever, NULL);
	for (unsigned int i = 0; i < CYCLES; i++) {
		enum zone_backing backing = ZONE_ANON;
		pid_t pid = start_vmm(make_zones_and_wait, &backing);

		if (i & 1)
			zone_must_remove(shared->zone);
		if (i & 2)
			EXPECT_EQ(-zone_disarm(), 0, "disarm");
		end_child(pid);
		expect_all_gone("read all the time");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(reader); i++)
		end_child(reader[i]);
	meter_expect_healthy(NULL);
}

/* Two VMs of a process over the same memory: what one may not, the other cannot. */
static void test_twins(void)
{
	struct zone_vm *a = zone_vm_new(1, SMALL, ZONE_SHARED), *b = zone_vm_twin(a);
	__u64 ia, ib;

	EXPECT_EQ(zone_guest_read(b, ZONE_GPA), 0, "the twin before");
	ia = zone_must(a, ZONE_GPA, 2 * ZONE_PAGE, "rwx", NULL);
	EXPECT_EQ(zone_guest_read(a, ZONE_GPA), KVM_EXIT_INTERNAL_ERROR, "the zone's VM");
	EXPECT(zone_guest_read(b, ZONE_GPA) != 0, "the twin reads the zone");
	EXPECT_EQ(zone_guest_write(b, ZONE_GPA + 2 * ZONE_PAGE), 0, "the twin beside it");
	ib = zone_must(b, ZONE_GPA + ZONE_PAGE, 2 * ZONE_PAGE, "w", NULL);
	zone_expect_may(a, ZONE_GPA + 2 * ZONE_PAGE, MAY_READ, "the twin's zone");
	EXPECT_EQ(zone_guest_read(a, ZONE_GPA + 2 * ZONE_PAGE), 0, "a read of the twin's");
	EXPECT(zone_guest_write(a, ZONE_GPA + 2 * ZONE_PAGE) != 0, "a write of the twin's");
	zone_vm_end(a);
	zone_expect_gone(ia, "its VM ended");
	EXPECT(WAIT_FOR(may(zone_mem(b, ZONE_GPA)), METER_APPEARS_MS), "it stays closed");
	zone_expect_may(b, ZONE_GPA, MAY_READ | MAY_WRITE, "its VM ended");
	zone_expect_may(b, ZONE_GPA + ZONE_PAGE, MAY_READ, "the twin's zone stands");
	EXPECT_EQ(zone_guest_read(b, ZONE_GPA), 0, "the twin reads");
	EXPECT_EQ(zone_guest_write(b, ZONE_GPA), 0, "the twin writes");
	EXPECT(harden_exists("zones/%llu", ib), "the twin's zone went too");
	zone_must_remove(ib);
	zone_expect_filled(b, ZONE_GPA, SMALL, "both gone");
}

/* rmmod with zones: memory is back when it returns, and VMs go on. */
static void test_unload(void)
{
	struct zone_vm *vms[ARRAY_SIZE(backings)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		vms[i] = zone_vm_new(2, SMALL, backings[i]);
		zone_must(vms[i], ZONE_GPA, 3 * ZONE_PAGE, "rwx", NULL);
		zone_must(vms[i], ZONE_GPA + ZONE_HUGE, ZONE_HUGE, "w", NULL);
		zone_sweep_start(vms[i], 1, ZONE_GPA + 3 * ZONE_PAGE, 100, ZONE_PAGE);
	}
	unload("with zones");
	EXPECT(!file_exists(HARDEN_SYSFS), HARDEN_SYSFS " is there");
	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		zone_expect_may(vms[i], ZONE_GPA, MAY_READ | MAY_WRITE, "unloaded");
		zone_expect_may(vms[i], ZONE_GPA + ZONE_HUGE, MAY_READ | MAY_WRITE, "unloaded");
		zone_expect_filled(vms[i], ZONE_GPA, SMALL, "unloaded");
		EXPECT(zone_sweep_moves(vms[i], 1), "the guest stands still");
		EXPECT_EQ(zone_guest_read(vms[i], ZONE_GPA), 0, "a read");
		EXPECT_EQ(zone_guest_write(vms[i], ZONE_GPA + ZONE_HUGE), 0, "a write");
		zone_sweep_stop(vms[i], 1, "unloaded");
	}
	reload();
	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		harden_wait_vm(vms[i]->id);
		zone_must_remove(zone_must(vms[i], ZONE_GPA, SMALL, "rwx", NULL));
		zone_expect_filled(vms[i], ZONE_GPA, SMALL, "loaded again");
	}
	meter_expect_healthy(NULL);
}

static void test_unload_cycles(void)
{
	struct zone_vm *z[2];

	for (unsigned int i = 0; i < 2; i++) {
		z[i] = zone_vm_new(2, SMALL, i ? ZONE_MEMFD : ZONE_THP);
		zone_sweep_start(z[i], 0, ZONE_GPA + ZONE_PAGE, 200, 2 * ZONE_PAGE);
	}
	for (unsigned int i = 0; i < UNLOADS; i++) {
		for (unsigned int k = 0; k < 2; k++) {
			zone_must(z[k], ZONE_GPA + i % 8 * 2 * ZONE_PAGE, ZONE_PAGE,
				  i & 1 ? "w" : "rwx", NULL);
			zone_must(z[k], ZONE_GPA + ZONE_HUGE + i * ZONE_PAGE, ZONE_HUGE / 2, "rwx",
				  NULL);
		}
		if (i & 1)
			EXPECT(zone_sweep_moves(z[0], 0) && zone_sweep_moves(z[1], 0),
			       "cycle %u: a guest stands still", i);
		unload("under guests");
		reload();
		harden_wait_vm(z[0]->id);
		harden_wait_vm(z[1]->id);
	}
	for (unsigned int k = 0; k < 2; k++) {
		zone_sweep_stop(z[k], 0, "cycles");
		zone_expect_filled(z[k], ZONE_GPA, SMALL, "after the cycles");
	}
	meter_expect_healthy(NULL);
}

static void test_disarm(void)
{
	struct zone_vm *z[3];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(z); i++) {
		z[i] = zone_vm_new(2, SMALL, backings[i]);
		for (unsigned int k = 0; k < 8; k++)
			zone_must(z[i], ZONE_GPA + k * 2 * ZONE_PAGE, ZONE_PAGE,
				  k & 1 ? "rwx" : "w", NULL);
		zone_sweep_start(z[i], 1, ZONE_GPA + ZONE_PAGE, 8, 2 * ZONE_PAGE);
	}
	EXPECT_EQ(zones(), 24, "zones");
	EXPECT_EQ(-zone_disarm(), 0, "1 to disarm");
	EXPECT_EQ(zones(), 0, "zones after disarm");
	for (i = 0; i < ARRAY_SIZE(z); i++) {
		for (unsigned int k = 0; k < 8; k++)
			zone_expect_may(z[i], ZONE_GPA + k * 2 * ZONE_PAGE, MAY_READ | MAY_WRITE,
					"disarmed");
		EXPECT_EQ(zone_guest_write(z[i], ZONE_GPA), 0, "a write");
		zone_sweep_stop(z[i], 1, "disarmed");
		zone_expect_filled(z[i], ZONE_GPA, SMALL, "disarmed");
	}
	/* It is a moment, not a state. */
	zone_must_remove(zone_must(z[0], ZONE_GPA, ZONE_PAGE, "rwx", NULL));
}

static void test_suspend(void)
{
	struct zone_vm *z = zone_vm_new(2, SMALL, ZONE_ANON);
	__u64 id = zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);

	zone_sweep_start(z, 1, ZONE_GPA + ZONE_PAGE, 500, ZONE_PAGE);
	for (unsigned int i = 1; i <= 2 * CYCLES; i++) {
		harden_set("suspend\n", "zones/%llu/state", id);
		zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "suspended");
		zone_expect_filled(z, ZONE_GPA, ZONE_PAGE, "suspended");
		EXPECT_EQ(zone_guest_write(z, ZONE_GPA), 0, "a write, suspended");
		/* What is written meanwhile counts. */
		*(volatile __u64 *)zone_mem(z, ZONE_GPA + 8) = i;
		harden_set("arm\n", "zones/%llu/state", id);
		zone_expect_may(z, ZONE_GPA, 0, "armed");
		EXPECT_EQ(zone_guest_read(z, ZONE_GPA), KVM_EXIT_INTERNAL_ERROR, "a read, armed");
		EXPECT_EQ(harden_u64("zones/%llu/violations", id), i, "violations");
		harden_set("suspend\n", "zones/%llu/state", id);
		EXPECT_EQ(*(volatile __u64 *)zone_mem(z, ZONE_GPA + 8), i, "what was written");
		*(volatile __u64 *)zone_mem(z, ZONE_GPA + 8) = ZONE_GPA + 8;
		if (i & 1)
			harden_set("arm\n", "zones/%llu/state", id);
	}
	zone_sweep_stop(z, 1, "suspended and armed");
	zone_must_remove(id);
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
}

/* kvm_meter stays, and zones do without it. */
static void test_meter(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	__u64 id = zone_must(z, ZONE_GPA, ZONE_PAGE, "rwx", NULL);
	int ret;

	EXPECT_EQ(-meter_unload(), EAGAIN, "errno of rmmod kvm_meter (O_NONBLOCK)");
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA), KVM_EXIT_INTERNAL_ERROR, "a read");
	ret = write_file(METER_SYSFS "/armed", "0\n");
	tap_diag("0 to kvm_meter/armed: %s", strerror(-ret));
	EXPECT_EQ(zone_guest_read(z, ZONE_GPA), KVM_EXIT_INTERNAL_ERROR, "a read, disarmed");
	zone_expect_may(z, ZONE_GPA, 0, "kvm_meter disarmed");
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "1\n"), 0, "1 to kvm_meter/armed");
	if (harden_exists("zones/%llu", id))
		zone_must_remove(id);
	EXPECT(WAIT_FOR(may(zone_mem(z, ZONE_GPA)), METER_APPEARS_MS), "it stays closed");
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed");
}

static __u64 to_remove;
static pthread_barrier_t at_once;

static void *remover(void *arg)
{
	int *ret = arg;

	pthread_barrier_wait(&at_once);
	*ret = zone_remove(to_remove);
	return NULL;
}

/* One of them does it; the others have come too late. */
static void test_remove_at_once(void)
{
	struct zone_vm *z = zone_vm_new(1, SMALL, ZONE_ANON);
	pthread_t th[REMOVERS];
	int ret[REMOVERS];

	pthread_barrier_init(&at_once, NULL, REMOVERS);
	for (unsigned int k = 0; k < CYCLES; k++) {
		unsigned int done = 0;

		to_remove = zone_must(z, ZONE_GPA, 8 * ZONE_PAGE, "rwx", NULL);
		for (unsigned int i = 0; i < REMOVERS; i++)
			REQUIRE(!pthread_create(&th[i], NULL, remover, &ret[i]), "pthread_create");
		for (unsigned int i = 0; i < REMOVERS; i++) {
			pthread_join(th[i], NULL);
			done += !ret[i];
			EXPECT(!ret[i] || ret[i] == -ENOENT || ret[i] == -ENODEV, "remove: %s",
			       strerror(-ret[i]));
		}
		EXPECT_EQ(done, 1, "removals that were done");
		zone_expect_gone(to_remove, "removed by many");
		zone_expect_may(z, ZONE_GPA, MAY_READ | MAY_WRITE, "removed by many");
	}
	zone_expect_filled(z, ZONE_GPA, SMALL, "removed by many");
}

static const struct tap_test tests[] = {
	{ "a VM ends and the VMM lives on", test_vm_ends, 0 },
	{ "a VMM is killed", test_killed, 120 },
	{ "a VMM executes another program", test_exec, 0 },
	{ "a VMM forks", test_fork, 0 },
	{ "files are held open while the zone goes", test_readers, 0 },
	{ "files are read all the time", test_read_for_ever, 120 },
	{ "two VMs over the same memory", test_twins, 0 },
	{ "unload with zones", test_unload, 120 },
	{ "unload and load under guests", test_unload_cycles, 300 },
	{ "disarm", test_disarm, 0 },
	{ "suspend and arm", test_suspend, 120 },
	{ "kvm_meter stays, and may be disarmed", test_meter, 0 },
	{ "many remove one zone", test_remove_at_once, 120 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
