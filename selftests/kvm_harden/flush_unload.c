// SPDX-License-Identifier: GPL-2.0
/* kvm_harden comes and goes under guests, and kvm_meter stays as long as it does. */
#include "model.h"

#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CYCLES		repeats(25)
#define GUESTS		3
#define INIT_STEPS	8
#define TRACING		"/sys/kernel/tracing"

static struct vcpu *guests[GUESTS];

static void start_guests(void)
{
	for (int i = 0; i < GUESTS; i++) {
		guests[i] = &vm_create(1, 0)->vcpus[0];
		vcpu_program(guests[i], i == 1 ? guest_spin_cpuid : guest_spin_io, 0, 0);
		/* Two of them take turns, wherever they are. */
		guests[i]->yield = true;
		vcpu_start(guests[i], i ? 0 : -1);
	}
}

static void check_guests(void)
{
	__u64 was[GUESTS];

	for (int i = 0; i < GUESTS; i++)
		was[i] = guests[i]->data->progress;
	for (int i = 0; i < GUESTS; i++) {
		if (WAIT_FOR(guests[i]->data->progress > was[i] + 2, 10000))
			continue;
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
	EXPECT_EQ(guests[0]->io, guests[0]->data->progress, "port exits that the VMM saw");
}

static bool map_left(void)
{
	union bpf_attr attr = {}, info_attr;
	struct bpf_map_info info;
	bool found = false;
	int fd;

	while (!found && !syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr))) {
		attr.start_id = attr.next_id;
		fd = bpf_map_fd(attr.start_id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		memset(&info_attr, 0, sizeof(info_attr));
		info_attr.info.bpf_fd = fd;
		info_attr.info.info_len = sizeof(info);
		info_attr.info.info = (unsigned long)&info;
		if (!syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &info_attr, sizeof(info_attr)))
			found = !strncmp(info.name, "kvm_harden", 10);
		close(fd);
	}
	return found;
}

static void expect_clean(const char *when)
{
	char buf[256];

	EXPECT(!harden_loaded(), "%s: the module is loaded", when);
	EXPECT(!file_exists(HARDEN_SYSFS), "%s: " HARDEN_SYSFS " is there", when);
	EXPECT(WAIT_FOR(!map_left(), 5000), "%s: a map is left", when);
	EXPECT(!file_exists(TRACING "/events/kvm_harden"), "%s: trace events are left", when);
	run_shell(buf, sizeof(buf), "grep -hs kvm_harden"
		  " /sys/devices/system/cpu/hotplug/states | head -n 1");
	EXPECT(!buf[0], "%s: left: %s", when, buf);
	run_shell(buf, sizeof(buf), "cat /sys/module/kvm_meter/refcnt");
	EXPECT(!strcmp(buf, "0\n"), "%s: kvm_meter is held: %s", when, buf);
}

static void cycle(const char *params, const char *mode)
{
	int ret;

	for (unsigned int i = 0; i < CYCLES; i++) {
		__u64 switches;

		ret = harden_load(params);
		REQUIRE(!ret, "insmod %u: %s", i, strerror(-ret));
		if (mode)
			harden_set(mode, "flush/mode");
		switches = harden_u64("flush/switches");
		if (i % 3)
			REQUIRE(WAIT_FOR(harden_u64("flush/switches") > switches + 5, 10000),
				"no switches in cycle %u", i);
		if (i % 4)
			check_guests();
		ret = harden_unload();
		REQUIRE(!ret, "rmmod %u: %s", i, strerror(-ret));
		check_guests();
		sleep_ms((i % 5) * 10);
	}
}

static void test_cycles(void)
{
	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	start_guests();
	cycle(HARDEN_ASSUME, "on\n");
	stop_guests();
	expect_clean("after the cycles");
	meter_expect_healthy(NULL);
	harden_reload(NULL, HARDEN_ASSUME);
}

static void test_cycles_mode(void)
{
	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	start_guests();
	cycle(HARDEN_ASSUME " mode=on", NULL);
	stop_guests();
	meter_expect_healthy(NULL);
	harden_reload(NULL, HARDEN_ASSUME);
}

/* on, off, dry-run under guests that run */
static void test_modes(void)
{
	static const char *const modes[] = { "on\n", "off\n", "dry-run\n", "on\n", "dry-run\n" };

	model_new();
	start_guests();
	for (unsigned int i = 0; i < 3 * CYCLES; i++) {
		harden_set(modes[i % ARRAY_SIZE(modes)], "flush/mode");
		if (i % 4 == 0)
			check_guests();
	}
	harden_set("off\n", "flush/mode");
	stop_guests();
	meter_expect_healthy(NULL);
}

static void test_meter_stays(void)
{
	static const char *const modes[] = { "dry-run", "on" };

	EXPECT_EQ(-meter_unload(), EAGAIN, "errno of rmmod kvm_meter (O_NONBLOCK)");
	EXPECT_EQ(meter_loaded() && harden_loaded(), true, "both are loaded");
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		harden_set(modes[i], "flush/mode");
		EXPECT_EQ(-write_file(METER_SYSFS "/armed", "0\n"), EBUSY,
			  "errno of 0 to kvm_meter/armed");
		EXPECT_EQ(meter_u64("armed"), 1, "armed");
		harden_expect(modes[i], "flush/mode");
	}
	harden_set("off\n", "flush/mode");
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "0\n"), 0, "0 to kvm_meter/armed");
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(-harden_write(modes[i], "flush/mode"), ENODEV, modes[i]);
		harden_expect("off", "flush/mode");
	}
	EXPECT_EQ(-harden_write("off\n", "flush/mode"), 0, "off while it is off");
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "1\n"), 0, "1 to kvm_meter/armed");
	harden_set("on\n", "flush/mode");
	harden_expect("on", "flush/mode");
	harden_set("off\n", "flush/mode");
	meter_expect_healthy(NULL);
}

static void test_mode_disarmed(void)
{
	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	meter_reload("armed=0");
	EXPECT_EQ(-harden_load(HARDEN_ASSUME " mode=on"), ENODEV, "errno of insmod mode=on");
	expect_clean("mode=on, meter disarmed");
	EXPECT_EQ(-harden_load(HARDEN_ASSUME), 0, "insmod, mode off");
	harden_reload(NULL, HARDEN_ASSUME);
}

/* Without kvm_meter there are no symbols to be had. */
static void test_alone(void)
{
	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	EXPECT_EQ(-meter_unload(), 0, "rmmod kvm_meter");
	EXPECT_EQ(-harden_load(""), ENOENT, "errno of insmod without kvm_meter");
	EXPECT(!harden_loaded() && !file_exists(HARDEN_SYSFS), "it is there");
	harden_reload(NULL, HARDEN_ASSUME);
}

static void test_init_steps(void)
{
	char params[64], when[64];
	int step, ret;

	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	start_guests();
	for (step = 1; step <= INIT_STEPS; step++) {
		snprintf(params, sizeof(params), HARDEN_ASSUME " mode=on fail_init_step=%d", step);
		ret = harden_load(params);
		EXPECT(ret == -ECANCELED, "insmod %s: %s", params, strerror(-ret));
		snprintf(when, sizeof(when), "init failed at step %d", step);
		expect_clean(when);
		if (!ret)
			harden_unload();
		check_guests();
	}
	snprintf(params, sizeof(params), "fail_init_step=%d", step);
	EXPECT_EQ(-harden_load(params), 0, "insmod with no step left to fail");
	stop_guests();
	harden_reload(NULL, HARDEN_ASSUME);
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
		read_tree(HARDEN_SYSFS);
}

static void test_readers(void)
{
	pid_t reader[2];

	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	start_guests();
	for (unsigned int i = 0; i < ARRAY_SIZE(reader); i++)
		reader[i] = spawn(read_for_ever, NULL);
	cycle(HARDEN_ASSUME, "on\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(reader); i++)
		end_child(reader[i]);
	stop_guests();
	harden_reload(NULL, HARDEN_ASSUME);
}

static void on_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		harden_write("on\n", "flush/mode");
}

/* A mode is set at any moment of the module's coming and going. */
static void test_late_modes(void)
{
	pid_t writer[2];

	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	start_guests();
	for (unsigned int i = 0; i < ARRAY_SIZE(writer); i++)
		writer[i] = spawn(on_for_ever, NULL);
	cycle(HARDEN_ASSUME, "on\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(writer); i++)
		end_child(writer[i]);
	expect_clean("after late writers of flush/mode");
	stop_guests();
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "0\n"), 0, "0 to kvm_meter/armed");
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "1\n"), 0, "1 to kvm_meter/armed");
	harden_reload(NULL, HARDEN_ASSUME);
}

/* Settings of VMs that come and go, by somebody who is always late. */
static void write_for_ever(void *arg)
{
	char sub[512];
	unsigned int i = 0;

	(void)arg;
	for (;;) {
		struct dirent *e;
		DIR *dir = opendir(HARDEN_SYSFS "/vms");

		while (dir && (e = readdir(dir))) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(sub, sizeof(sub), HARDEN_SYSFS "/vms/%s/domain", e->d_name);
			write_file(sub, i++ % 2 ? "3\n" : "0\n");
			snprintf(sub, sizeof(sub), HARDEN_SYSFS "/vms/%s/flush", e->d_name);
			write_file(sub, i % 3 ? "l1d\n" : "ibpb host\n");
		}
		if (dir)
			closedir(dir);
	}
}

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

/* A record of the map is a VM's, or free and empty, and its numbers only grow. */
static __u64 read_map(const struct meter_map *map)
{
	__u64 read = 0;

	for (__u32 i = 0; i < map->max_entries; i++) {
		const volatile struct kvm_harden_vm *rec = meter_map_at(map, i);
		__u64 id = rec->vm_id, first = rec->switches, second = rec->switches;

		if (!id || rec->vm_id != id)
			continue;
		read++;
		EXPECT(second >= first, "switches of VM %llu: %llu, then %llu", id, first, second);
		EXPECT(rec->ibpb <= rec->switches + 1 || rec->vm_id != id, "VM %llu: ibpb", id);
	}
	return read;
}

static bool empty(const struct meter_map *map)
{
	static const struct kvm_harden_vm none;

	for (__u32 i = 0; i < map->max_entries; i++)
		if (memcmp(meter_map_at(map, i), &none, sizeof(none)))
			return false;
	return true;
}

static void test_churn(void)
{
	__u64 end = raw_ns() + 5 * NSEC_PER_SEC, read = 0;
	struct meter_map map;
	pid_t child[4];

	model_new();
	harden_map_open(&map);
	harden_set("on\n", "flush/mode");
	for (int i = 0; i < 2; i++)
		child[i] = spawn(churn, NULL);
	child[2] = spawn(read_for_ever, NULL);
	child[3] = spawn(write_for_ever, NULL);
	while (raw_ns() < end)
		read += read_map(&map);
	for (int i = 0; i < 4; i++)
		end_child(child[i]);
	EXPECT(read > 100, "%llu records read", read);
	EXPECT(harden_u64("flush/switches"), "no switches");
	EXPECT(WAIT_FOR(empty(&map), METER_APPEARS_MS), "records of VMs that are gone");
	harden_set("off\n", "flush/mode");
	meter_map_close(&map);
	meter_expect_healthy(NULL);
}

static void test_churn_unload(void)
{
	pid_t child[2];
	int ret;

	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	for (int i = 0; i < 2; i++)
		child[i] = spawn(churn, NULL);
	for (unsigned int i = 0; i < CYCLES; i++) {
		ret = harden_load(HARDEN_ASSUME " mode=on");
		REQUIRE(!ret, "insmod %u: %s", i, strerror(-ret));
		sleep_ms((i % 7) * 20);
		ret = harden_unload();
		REQUIRE(!ret, "rmmod %u: %s", i, strerror(-ret));
	}
	for (int i = 0; i < 2; i++)
		end_child(child[i]);
	meter_expect_healthy(NULL);
	harden_reload(NULL, HARDEN_ASSUME);
}

/* A mapping outlives the module. */
static void test_mapping(void)
{
	struct kvm_harden_vm was;
	const struct kvm_harden_vm *rec = NULL;
	struct meter_map map;
	struct model *m = model_new();
	struct model_vm *a = model_vm(m, 1, 0);

	harden_map_open(&map);
	harden_set("on\n", "flush/mode");
	vcpu_program(a->v, guest_io, 100, 0);
	vcpu_run(a->v);
	for (__u32 i = 0; i < map.max_entries; i++)
		if (((const struct kvm_harden_vm *)meter_map_at(&map, i))->vm_id == a->id)
			rec = meter_map_at(&map, i);
	REQUIRE(rec, "VM %llu is not in the map", a->id);
	EXPECT(rec->switches, "no switch of VM %llu", a->id);
	EXPECT_EQ(-harden_unload(), 0, "rmmod");
	memcpy(&was, rec, sizeof(was));
	EXPECT_EQ(-harden_load(HARDEN_ASSUME " mode=on"), 0, "insmod");
	vcpu_program(a->v, guest_io, 100, 0);
	vcpu_run(a->v);
	EXPECT(!memcmp(&was, rec, sizeof(was)), "the old map changed after rmmod");
	/* It is the same VM, and begins anew. */
	harden_wait_vm(a->id);
	harden_expect("0", "vms/%llu/domain", a->id);
	EXPECT(harden_u64("vms/%llu/switches", a->id), "no switch after insmod");
	harden_set("off\n", "flush/mode");
	meter_map_close(&map);
}

static const struct tap_test tests[] = {
	{ "many times under running guests", test_cycles, 200 },
	{ "many times under running guests, on from the start", test_cycles_mode, 200 },
	{ "modes change under running guests", test_modes, 120 },
	{ "kvm_meter stays loaded and armed", test_meter_stays, 0 },
	{ "mode=on with the meter disarmed", test_mode_disarmed, 0 },
	{ "without kvm_meter", test_alone, 0 },
	{ "each init step fails in turn and leaves nothing", test_init_steps, 120 },
	{ "under readers of sysfs", test_readers, 200 },
	{ "under writers of flush/mode", test_late_modes, 200 },
	{ "readers and writers of VMs that come and go", test_churn, 120 },
	{ "under VMs that come and go", test_churn_unload, 120 },
	{ "under a mapping", test_mapping, 0 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
