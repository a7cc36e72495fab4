// SPDX-License-Identifier: GPL-2.0
/* The module goes at any moment: under guests, under readers, under a mapping. */
#include "meter.h"
#include "vmm.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CYCLES	50
#define GUESTS	3

static struct vcpu *guests[GUESTS];

static void start_guests(void)
{
	static const struct {
		const char *program;
		unsigned int flags;
	} how[GUESTS] = {
		{ guest_spin_io, 0 },
		{ guest_spin_cpuid, VM_IRQCHIP },
		{ guest_timer, VM_IRQCHIP },
	};

	for (int i = 0; i < GUESTS; i++) {
		guests[i] = &vm_create(1, how[i].flags)->vcpus[0];
		vcpu_program(guests[i], how[i].program, ~0ull, 3000000);
		vcpu_start(guests[i], -1);
	}
}

/* Every guest gets on, now. */
static void check_guests(void)
{
	__u64 was[GUESTS];

	for (int i = 0; i < GUESTS; i++)
		was[i] = guests[i]->data->progress;
	for (int i = 0; i < GUESTS; i++)
		REQUIRE(WAIT_FOR(guests[i]->data->progress > was[i] + 2, 10000),
			"guest %d stands still at %llu", i, was[i]);
}

static void stop_guests(void)
{
	for (int i = 0; i < GUESTS; i++) {
		guests[i]->data->stop = 1;
		vcpu_join(guests[i]);
	}
	/* Each OUT of the first guest came to the VMM, none twice. */
	EXPECT_EQ(guests[0]->io, guests[0]->data->progress, "port exits that the VMM saw");
}

static void cycle(int times)
{
	for (int i = 0; i < times; i++) {
		int ret = meter_unload();

		REQUIRE(!ret, "rmmod %d: %s", i, strerror(-ret));
		check_guests();
		ret = meter_load(NULL);
		REQUIRE(!ret, "insmod %d: %s", i, strerror(-ret));
		/* Sometimes before it has found anything, sometimes after. */
		if (i % 5)
			check_guests();
		sleep_ms((i % 7) * 10);
	}
}

static void test_cycles(void)
{
	start_guests();
	cycle(CYCLES);
	meter_wait_tid(guests[0]->tid);
	stop_guests();
	meter_expect_healthy(NULL);
}

static void read_tree(const char *path)
{
	char sub[512], buf[4096];
	struct dirent *e;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			read_tree(sub);
		else
			read_file(sub, buf, sizeof(buf));
	}
	closedir(dir);
}

static void read_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		read_tree(METER_SYSFS);
}

static void test_readers(void)
{
	pid_t reader[3];

	start_guests();
	for (int i = 0; i < 3; i++)
		reader[i] = spawn(read_for_ever, NULL);
	cycle(CYCLES / 2);
	for (int i = 0; i < 3; i++)
		end_child(reader[i]);
	stop_guests();
	meter_expect_healthy(NULL);
}

/* A mapping outlives the module: its records are final and stay readable. */
static void test_mapping(void)
{
	struct kvm_meter_vcpu_head h[2];
	const struct kvm_meter_vcpu *rec;
	struct meter_map map;
	int ret;

	start_guests();
	meter_map_open(&map, "kvm_meter_vcpu");
	rec = meter_vcpu(&map, meter_wait_tid(guests[0]->tid), 0);
	ret = meter_unload();
	REQUIRE(!ret, "rmmod: %s", strerror(-ret));
	EXPECT(!kvm_meter_read(rec, &h[0]), "record cannot be read after rmmod");
	sleep_ms(200);
	EXPECT(!kvm_meter_read(rec, &h[1]), "record cannot be read after rmmod");
	EXPECT_EQ(h[0].state, KVM_METER_ENDED, "state");
	EXPECT(!memcmp(&h[0], &h[1], sizeof(h[0])), "the record changed after rmmod");
	EXPECT(h[0].exits > 0, "no exits in the record");
	meter_check_pair(&h[0], &h[1]);
	check_guests();
	ret = meter_load(NULL);
	REQUIRE(!ret, "insmod: %s", strerror(-ret));
	EXPECT_EQ(rec->exits, h[0].exits, "exits in the old map after a new insmod");
	meter_map_close(&map);
	meter_wait_tid(guests[0]->tid);
	stop_guests();
}

static void test_open_file(void)
{
	char path[128], buf[64];
	int fd, ret;

	start_guests();
	snprintf(path, sizeof(path), METER_SYSFS "/vms/%llu/exits",
		 meter_wait_tid(guests[0]->tid));
	fd = open(path, O_RDONLY);
	REQUIRE(fd >= 0, "open %s", path);
	ret = meter_unload();
	EXPECT(!ret, "rmmod with a file of it open: %s", strerror(-ret));
	EXPECT(read(fd, buf, sizeof(buf)) < 0, "a file of the module that is gone can be read");
	close(fd);
	check_guests();
	stop_guests();
	meter_reload(NULL);
}

/* VMs are born and die while the module comes and goes. */
static void churn(void *arg)
{
	(void)arg;
	for (;;) {
		struct vm *vm = vm_create(2, 0);

		for (int i = 0; i < 2; i++) {
			vcpu_program(&vm->vcpus[i], guest_io, 50, 0);
			vcpu_start(&vm->vcpus[i], -1);
		}
		vcpu_join(&vm->vcpus[0]);
		vcpu_join(&vm->vcpus[1]);
		vm_destroy(vm);
	}
}

static void test_churn(void)
{
	pid_t child[2];
	int ret;

	for (int i = 0; i < 2; i++)
		child[i] = spawn(churn, NULL);
	for (int i = 0; i < 30; i++) {
		ret = meter_unload();
		REQUIRE(!ret, "rmmod %d: %s", i, strerror(-ret));
		ret = meter_load(NULL);
		REQUIRE(!ret, "insmod %d: %s", i, strerror(-ret));
		sleep_ms((i % 7) * 20);
	}
	for (int i = 0; i < 2; i++)
		end_child(child[i]);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "50 times under running guests", test_cycles, 120 },
	{ "under readers of sysfs", test_readers, 120 },
	{ "under a mapping, which stays readable", test_mapping, 0 },
	{ "under an open file", test_open_file, 0 },
	{ "under VMs that come and go", test_churn, 120 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = {
		tests, ARRAY_SIZE(tests), meter_setup, meter_cleanup,
	};

	return tap_main(&suite, argc, argv);
}
