// SPDX-License-Identifier: GPL-2.0
/*
 * A Linux guest under QEMU, beside a competitor on the same CPU: the steal in
 * its own /proc/stat is what the meter says was taken from it.
 */
#include "cgroup.h"
#include "meter.h"
#include "vmm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR		"/tmp/kvm_meter_linux"
#define BOOT_MS		(150000 * slowness())
#define USER_HZ		100

/* The guest says STAT with its first line of /proc/stat at the start and the end. */
static const char make_initramfs[] =
	"set -e; rm -rf " DIR "; mkdir -p " DIR "/root/bin " DIR "/root/proc; cd " DIR "/root; "
	"cp \"$(command -v busybox)\" bin/busybox; "
	"printf '%s\\n' '#!/bin/busybox sh' '/bin/busybox mount -t proc proc /proc' "
	"'echo STAT-A $(/bin/busybox head -n 1 /proc/stat)' "
	"'read up rest </proc/uptime; end=$((${up%.*} + 8))' "
	"'while read up rest </proc/uptime && [ ${up%.*} -lt $end ]; do :; done' "
	"'echo STAT-B $(/bin/busybox head -n 1 /proc/stat)' "
	"'while :; do /bin/busybox sleep 1000; done' >init; "
	"chmod +x init; find . | busybox cpio -o -H newc 2>/dev/null >../initrd";

static pid_t qemu, other;

static void end_all(void)
{
	char buf[2048];

	if (tap_failed()) {
		run_shell(buf, sizeof(buf), "tail -n 15 " DIR "/console " DIR "/qemu.log");
		tap_diag("%s", buf);
	}
	if (qemu)
		end_child(qemu);
	if (other)
		end_child(other);
	run_shell(NULL, 0, "rm -rf " DIR);
}

static void run_qemu(void *kernel)
{
	pin_thread(0, 1);
	if (!freopen(DIR "/qemu.log", "w", stdout) || !freopen(DIR "/qemu.log", "a", stderr))
		_exit(1);
	execlp("qemu-system-x86_64", "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host",
	       "-m", "256", "-nodefaults", "-no-user-config", "-display", "none",
	       "-serial", "file:" DIR "/console", "-no-reboot", "-kernel", kernel,
	       "-initrd", DIR "/initrd", "-append",
	       "console=ttyS0 quiet panic=-1 rdinit=/init "
	       "initcall_blacklist=load_system_certificate_list,jent_mod_init", NULL);
	_exit(127);
}

static void compete(void *arg)
{
	(void)arg;
	pin_thread(0, 1);
	for (;;)
		;
}

static bool console_has(const char *word, char *line, size_t size)
{
	static char text[262144];
	char *p;

	if (read_file(DIR "/console", text, sizeof(text)) <= 0)
		return false;
	p = strstr(text, word);
	if (!p || !strchr(p, '\n'))
		return false;
	snprintf(line, size, "%.*s", (int)strcspn(p, "\r\n"), p);
	return true;
}

/* cpu user nice system idle iowait irq softirq steal ... */
static __u64 stat_steal(const char *line)
{
	unsigned long long v[8];

	REQUIRE(sscanf(line, "%*s cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1],
		       &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) == 8, "the guest said: %s", line);
	tap_diag("%s", line);
	return v[7] * (NSEC_PER_SEC / USER_HZ);
}

/* Wait for a word on the console; every read in the meantime has to add up. */
static void wait_console(const char *word, const struct kvm_meter_vcpu *rec,
			 struct kvm_meter_vcpu_head *prev, char *line, size_t size)
{
	__u64 end = raw_ns() + BOOT_MS * NSEC_PER_MSEC;
	struct kvm_meter_vcpu_head h;

	while (!console_has(word, line, size)) {
		REQUIRE(raw_ns() < end, "the guest did not say %s in %u s", word, BOOT_MS / 1000);
		meter_read(rec, &h);
		kvm_meter_monotonic(&h, prev);
		meter_check_pair(prev, &h);
		*prev = h;
		sleep_ms(20);
	}
}

static void check_identity(__u64 id)
{
	char buf[256], want[64];

	snprintf(want, sizeof(want), "%d", qemu);
	meter_file(buf, sizeof(buf), "vms/%llu/pid", id);
	EXPECT(!strcmp(buf, want), "pid: %s, QEMU is %s", buf, want);
	meter_file(buf, sizeof(buf), "vms/%llu/comm", id);
	EXPECT(!strncmp(buf, "qemu-system-x86", 15), "comm: %s", buf);
	meter_file(buf, sizeof(buf), "vms/%llu/uid", id);
	EXPECT(!strcmp(buf, "0"), "uid: %s", buf);
	meter_file(buf, sizeof(buf), "vms/%llu/cgroup", id);
	EXPECT(strstr(buf, "/kvm_meter_linux"), "cgroup: %s", buf);
}

static void test_linux(void)
{
	struct kvm_meter_vcpu_head prev = {};
	const struct kvm_meter_vcpu *rec;
	char line_a[256], line_b[256];
	struct meter_snap a, b;
	struct meter_map map;
	const char *kernel = kernel_image();
	__u64 ids[2], told;

	need_cpus(2);
	need_command("qemu-system-x86_64");
	need_command("busybox");
	REQUIRE(!run_shell(NULL, 0, "%s", make_initramfs), "the initramfs was not made");
	pin_thread(0, 0);
	cgroup_create("kvm_meter_linux");
	tap_at_end(end_all);
	cgroup_enter(getpid());
	qemu = spawn(run_qemu, (void *)kernel);
	cgroup_leave(getpid());
	REQUIRE(WAIT_FOR(meter_vms(qemu, ids, 2) == 1, 60000), "QEMU's VM did not appear");
	meter_map_open(&map, "kvm_meter_vcpu");
	REQUIRE(WAIT_FOR(meter_exists("vms/%llu/vcpus/0", ids[0]), METER_APPEARS_MS), "vcpus/0");
	rec = meter_vcpu(&map, ids[0], 0);
	check_identity(ids[0]);
	wait_console("STAT-A", rec, &prev, line_a, sizeof(line_a));
	meter_snap(rec, &a);
	other = spawn(compete, NULL);
	wait_console("STAT-B", rec, &prev, line_b, sizeof(line_b));
	meter_snap(rec, &b);
	meter_diag_delta("QEMU's vCPU beside a competitor", &a, &b);
	told = stat_steal(line_b) - stat_steal(line_a);
	EXPECT(told > NSEC_PER_SEC, "the guest was told of %llu ns only", told);
	/* The console is looked at each 20 ms, the guest counts in 10 ms. */
	EXPECT_NEAR(SNAP_DELTA(a, b, steal_ns), told, told / 20 + 200 * NSEC_PER_MSEC,
		    "steal_ns by the guest's /proc/stat");
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "a Linux guest's own steal", test_linux, 280 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
