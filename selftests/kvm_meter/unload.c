// SPDX-License-Identifier: GPL-2.0
/* The module goes at any moment: under guests, under readers, under a mapping. */
#include "meter.h"
#include "vmm.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CYCLES	30
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

	if (!meter_loaded())
		meter_reload(NULL);
	for (int i = 0; i < GUESTS; i++) {
		guests[i] = &vm_create(1, how[i].flags)->vcpus[0];
		vcpu_program(guests[i], how[i].program, ~0ull, 3000000);
		vcpu_start(guests[i], -1);
	}
}

/* Where the thread of a guest that stands still is. */
static void show_thread(pid_t tid)
{
	char buf[4096];

	for (int i = 0; i < 3; i++) {
		run_shell(buf, sizeof(buf),
			  "cd /proc/%d/task/%d; grep -E 'State|ctxt' status; cat schedstat stack",
			  getpid(), tid);
		tap_diag("%s", buf);
		sleep_ms(300);
	}
}

/* Every guest gets on, now. */
static void check_guests(void)
{
	__u64 was[GUESTS];

	for (int i = 0; i < GUESTS; i++)
		was[i] = guests[i]->data->progress;
	for (int i = 0; i < GUESTS; i++) {
		if (WAIT_FOR(guests[i]->data->progress > was[i] + 2, 10000))
			continue;
		show_thread(guests[i]->tid);
		vcpu_pause(guests[i]);
		vcpu_show(guests[i]);
		vcpu_blame(guests[i], false);
		REQUIRE(false, "guest %d stands still at %llu", i, was[i]);
	}
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
	__u64 out = 0, in = 0, t0;

	for (int i = 0; i < times; i++) {
		int ret;

		t0 = raw_ns();
		ret = meter_unload();
		out += raw_ns() - t0;
		REQUIRE(!ret, "rmmod %d: %s", i, strerror(-ret));
		check_guests();
		t0 = raw_ns();
		ret = meter_load(NULL);
		in += raw_ns() - t0;
		REQUIRE(!ret, "insmod %d: %s", i, strerror(-ret));
		/* Sometimes before it has found anything, sometimes after. */
		if (i % 5)
			check_guests();
		sleep_ms((i % 7) * 10);
		if (i == times - 1)
			tap_diag("%d times: rmmod took %llu ms, insmod %llu ms on average", i + 1,
				 out / (i + 1) / NSEC_PER_MSEC, in / (i + 1) / NSEC_PER_MSEC);
	}
}

static void test_cycles(void)
{
	start_guests();
	cycle(repeats(CYCLES));
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
	cycle(repeats(10));
	for (int i = 0; i < 3; i++)
		end_child(reader[i]);
	stop_guests();
	meter_expect_healthy(NULL);
}

static bool find_final(const struct meter_map *ended, __u64 id, struct kvm_meter_vm *out)
{
	for (__u32 i = 0; i < ended->max_entries; i++)
		if (meter_vm_read(meter_map_at(ended, i), out) && out->vm_id == id)
			return true;
	return false;
}

/* Mappings outlive the module, and have the final records of all VMs in them. */
static void test_mapping(void)
{
	struct kvm_meter_vcpu_head h[2];
	const struct kvm_meter_vcpu *rec;
	struct meter_map vcpus, ended;
	struct kvm_meter_vm end[2];
	struct vcpu *v;
	__u64 id, exits;
	int ret;

	start_guests();
	v = &vm_create(1, 0)->vcpus[0];
	vcpu_program(v, guest_io, 500, 0);
	vcpu_run(v);
	exits = kvm_stat(v->fd, "exits");
	id = meter_wait_tid(getpid());
	meter_map_open(&vcpus, "kvm_meter_vcpu");
	meter_map_open(&ended, "kvm_meter_ended");
	rec = meter_vcpu(&vcpus, id, 0);
	ret = meter_unload();
	REQUIRE(!ret, "rmmod: %s", strerror(-ret));
	memcpy(&h[0], rec, sizeof(h[0]));
	REQUIRE(find_final(&ended, id, &end[0]), "no final record after rmmod");
	EXPECT_EQ(end[0].exits + end[0].synthetic_exits, exits, "exits in the final record");
	EXPECT(end[0].flags & KVM_METER_VM_DISARMED, "flags: %x", end[0].flags);
	check_guests();
	ret = meter_load(NULL);
	REQUIRE(!ret, "insmod: %s", strerror(-ret));
	check_guests();
	/* Nobody writes to the old maps any more. */
	memcpy(&h[1], rec, sizeof(h[1]));
	EXPECT(!memcmp(&h[0], &h[1], sizeof(h[0])), "a vCPU record changed after rmmod");
	REQUIRE(find_final(&ended, id, &end[1]), "no final record after a new insmod");
	EXPECT(!memcmp(&end[0], &end[1], sizeof(end[0])), "a final record changed after rmmod");
	meter_map_close(&vcpus);
	meter_map_close(&ended);
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

	meter_reload(NULL);
	for (int i = 0; i < 2; i++)
		child[i] = spawn(churn, NULL);
	for (unsigned int i = 0; i < repeats(30); i++) {
		ret = meter_unload();
		REQUIRE(!ret, "rmmod %u: %s", i, strerror(-ret));
		ret = meter_load(NULL);
		REQUIRE(!ret, "insmod %u: %s", i, strerror(-ret));
		sleep_ms((i % 7) * 20);
	}
	for (int i = 0; i < 2; i++)
		end_child(child[i]);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "many times under running guests", test_cycles, 250 },
	{ "under readers of sysfs", test_readers, 120 },
	{ "under a mapping, which stays readable", test_mapping, 0 },
	{ "under an open file", test_open_file, 0 },
	{ "under VMs that come and go", test_churn, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
