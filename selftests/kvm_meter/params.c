// SPDX-License-Identifier: GPL-2.0
/* Bad input, arming, and each step of the module's init failing in turn. */
#include "meter.h"
#include "vmm.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_STEPS	64
#define TRACING		"/sys/kernel/debug/tracing"

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
			found = !strncmp(info.name, "kvm_meter", 9);
		close(fd);
	}
	return found;
}

/* Nothing of the module is left anywhere that user space can see. */
static void expect_clean(const char *when)
{
	char buf[256];

	EXPECT(!meter_loaded(), "%s: the module is loaded", when);
	EXPECT(!file_exists(METER_SYSFS), "%s: " METER_SYSFS " is there", when);
	/* Maps are freed after a grace period. */
	EXPECT(WAIT_FOR(!map_left(), 5000), "%s: a map is left", when);
	run_shell(buf, sizeof(buf), "grep -hs 'kvm_meter' " TRACING "/enabled_functions"
		  " /sys/kernel/debug/kprobes/list | head -n 1");
	EXPECT(!buf[0], "%s: a hook is left: %s", when, buf);
}

/* To go through all of the kernel's symbols takes longer than to load a module. */
static void expect_no_symbol(void)
{
	char buf[256];

	run_shell(buf, sizeof(buf), "grep -m 1 'kvm_meter' /proc/kallsyms");
	EXPECT(!buf[0], "a symbol is left: %s", buf);
}

static void test_bad_params(void)
{
	static const char *const bad[] = {
		"max_vcpus=-1", "max_vcpus=1", "max_vcpus=15", "max_vcpus=999999",
		"max_vcpus=99999999999999999999", "max_vcpus=x", "max_vcpus=",
		"max_ended=0", "max_ended=-1",
		"max_ended=65537", "armed=2", "armed=x", "fail_init_step=x",
	};

	meter_cleanup();
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		int ret = meter_load(bad[i]);

		EXPECT(ret == -EINVAL || ret == -ERANGE, "insmod %s: %s", bad[i], strerror(-ret));
		expect_clean(bad[i]);
		if (meter_loaded())
			meter_cleanup();
	}
	meter_reload("max_vcpus=16");
}

static void test_second_load(void)
{
	meter_reload(NULL);
	EXPECT_EQ(-meter_load(NULL), EEXIST, "errno of a second insmod");
	EXPECT(meter_exists("version"), "the first is gone");
	meter_expect_healthy(NULL);
}

static void test_bad_writes(void)
{
	static const char *const bad[] = {
		"2\n", "-1\n", "x\n", "\n", "1 1\n", "armed\n", "11\n", "0x\n",
	};
	char buf[64];
	int ret;

	meter_reload(NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ret = write_file(METER_SYSFS "/armed", bad[i]);
		EXPECT(ret == -EINVAL, "%s to armed: %s", bad[i], strerror(-ret));
	}
	ret = write_file(METER_SYSFS "/version", "1\n");
	EXPECT(ret < 0, "version can be written");
	ret = write_file(METER_SYSFS "/health/missed_hooks", "0\n");
	EXPECT(ret < 0, "health/missed_hooks can be written");
	meter_file(buf, sizeof(buf), "armed");
	EXPECT(!strcmp(buf, "1"), "armed reads %s", buf);
	meter_expect_healthy(NULL);
}

static unsigned int vms_of_mine(void)
{
	__u64 ids[8];

	return meter_vms(getpid(), ids, 8);
}

static void run_some(struct vcpu *v)
{
	vcpu_program(v, guest_io, 100, 0);
	vcpu_run(v);
}

static void expect_armed(bool armed)
{
	char buf[256] = "";

	meter_file(buf, sizeof(buf), "armed");
	EXPECT(!strcmp(buf, armed ? "1" : "0"), "armed: %s", buf);
	meter_file(buf, sizeof(buf), "status");
	EXPECT(!strcmp(buf, "armed") == armed, "status: %s", buf);
}

static void test_arming(void)
{
	struct kvm_meter_vm end;
	struct meter_map ended;
	struct vcpu *v;
	__u64 id, id2, before;

	meter_reload("armed=0");
	expect_armed(false);
	v = &vm_create(1, 0)->vcpus[0];
	run_some(v);
	sleep_ms(1500);
	EXPECT_EQ(vms_of_mine(), 0, "VMs seen while disarmed");

	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "1\n"), 0, "1 to armed");
	expect_armed(true);
	before = kvm_stat(v->fd, "exits");
	run_some(v);
	id = meter_wait_tid(getpid());
	EXPECT_EQ(meter_u64("vms/%llu/exits", id), kvm_stat(v->fd, "exits") - before, "exits");
	meter_expect_healthy(NULL);

	meter_map_open(&ended, "kvm_meter_ended");
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "0\n"), 0, "0 to armed");
	expect_armed(false);
	meter_wait_ended(&ended, id, &end);
	EXPECT(end.flags & KVM_METER_VM_DISARMED, "flags of the final record: %x", end.flags);
	EXPECT_EQ(end.exits, kvm_stat(v->fd, "exits") - before, "exits in the final record");
	EXPECT(meter_wait_gone(id), "vms/%llu is still there", id);
	run_some(v);
	sleep_ms(500);
	EXPECT_EQ(vms_of_mine(), 0, "VMs seen while disarmed");

	/* It is another VM for the meter from then on. */
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "1\n"), 0, "1 to armed again");
	before = kvm_stat(v->fd, "exits");
	run_some(v);
	id2 = meter_wait_tid(getpid());
	EXPECT(id2 > id, "id %llu after %llu", id2, id);
	EXPECT_EQ(meter_u64("vms/%llu/exits", id2), kvm_stat(v->fd, "exits") - before, "exits");
	/* Twice the same is no error and changes nothing. */
	EXPECT_EQ(-write_file(METER_SYSFS "/armed", "1\n"), 0, "1 to armed, armed as it is");
	EXPECT_EQ(meter_wait_tid(getpid()), id2, "id of the VM");
	meter_expect_healthy(NULL);
}

static void test_init_steps(void)
{
	struct vcpu *v = &vm_create(1, 0)->vcpus[0];
	char params[64], when[64];
	int step, ret = -1;

	meter_cleanup();
	for (step = 1; step <= MOST_STEPS; step++) {
		snprintf(params, sizeof(params), "fail_init_step=%d", step);
		ret = meter_load(params);
		if (!ret)
			break;
		snprintf(when, sizeof(when), "init failed at step %d", step);
		expect_clean(when);
		run_some(v);
	}
	tap_diag("init has %d steps", step - 1);
	EXPECT_EQ(-ret, 0, "errno of insmod with no step left to fail");
	EXPECT(step > 4, "%d steps only", step - 1);
	meter_reload(NULL);
	run_some(v);
	meter_wait_tid(getpid());
	meter_expect_healthy(NULL);
}

static void test_unload_clean(void)
{
	struct vcpu *v = &vm_create(1, 0)->vcpus[0];

	meter_reload(NULL);
	run_some(v);
	meter_wait_tid(getpid());
	meter_cleanup();
	expect_clean("after rmmod");
	expect_no_symbol();
	run_some(v);
	meter_reload(NULL);
}

#define EVMCS_PARAM	"/sys/module/kvm_intel/parameters/enlightened_vmcs"
#define EVMCS_FAKE	"/tmp/kvm_meter_evmcs"

static void evmcs_off(void)
{
	umount(EVMCS_PARAM);
	unlink(EVMCS_FAKE);
}

/* Where kvm_intel says that it uses one; another file over its own says so here. */
static void test_evmcs(void)
{
	char buf[512];

	if (!kvm_is_intel())
		tap_skip("AMD has no enlightened VMCS");
	if (!file_exists(EVMCS_PARAM))
		tap_skip("this kernel has no Hyper-V support");
	meter_cleanup();
	tap_at_end(evmcs_off);
	run_shell(NULL, 0, "dmesg -C; echo Y >" EVMCS_FAKE);
	REQUIRE(!mount(EVMCS_FAKE, EVMCS_PARAM, NULL, MS_BIND, NULL), "mount: %s",
		strerror(errno));
	EXPECT_EQ(-meter_load(NULL), ENODEV, "errno of insmod");
	expect_clean("an enlightened VMCS");
	run_shell(buf, sizeof(buf), "dmesg | grep kvm_meter");
	EXPECT(strstr(buf, "enlightened VMCS"), "the kernel log says: %s", buf);
	evmcs_off();
	meter_reload(NULL);
}

static const struct tap_test tests[] = {
	{ "bad parameters are refused", test_bad_params, 0 },
	{ "a second load is refused", test_second_load, 0 },
	{ "bad writes are refused", test_bad_writes, 0 },
	{ "armed=0, arming and disarming", test_arming, 0 },
	{ "each init step fails in turn and leaves nothing", test_init_steps, 120 },
	{ "rmmod leaves nothing", test_unload_clean, 0 },
	{ "an enlightened VMCS is refused", test_evmcs, 0 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
