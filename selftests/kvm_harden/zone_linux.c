// SPDX-License-Identifier: GPL-2.0
/*
 * A no-go zone in a Linux guest under QEMU whose kernel attacks it, see
 * guest/attack.h: loads, stores, a call, its disk in both directions, network
 * cards by QEMU and by vhost. All of it gets through before and after.
 */
#include "zone.h"

#include "guest/attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIR		"/tmp/kvm_harden_linux"
#define BOOT_MS		150000
#define ROUND_MS	60000
#define NICS		2		/* kvmhl0 by QEMU, kvmhl1 by vhost */
#define NIC		"kvmhl"

struct round {
	unsigned long long nr, mark, disk;
	int load, store, run, out, in;
};

static pid_t qemu;
static int nics[NICS], nr_nics;

static void end_all(void)
{
	char buf[8192];

	if (tap_failed()) {
		run_shell(buf, sizeof(buf), "tail -n 12 " DIR "/report " DIR "/qemu.log; "
			  "tail -n 20 " DIR "/console");
		tap_diag("%s", buf);
	}
	if (qemu)
		end_child(qemu);
	for (int i = 0; i < NICS; i++)
		run_shell(NULL, 0, "ip link del " NIC "%d 2>/dev/null", i);
	run_shell(NULL, 0, "rm -rf " DIR);
}

/* A tap device and a socket that sees what comes out of it. */
static void nic_create(int nr)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ATTACK_PROTO),
	};
	char name[16];

	snprintf(name, sizeof(name), NIC "%d", nr);
	REQUIRE(!run_shell(NULL, 0, "ip tuntap add %s mode tap && "
			   "echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6; "
			   "ip link set %s up", name, name, name), "%s was not made", name);
	nics[nr] = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ATTACK_PROTO));
	at.sll_ifindex = if_nametoindex(name);
	REQUIRE(nics[nr] >= 0 && !bind(nics[nr], (struct sockaddr *)&at, sizeof(at)),
		"a socket on %s: %s", name, strerror(errno));
	nr_nics++;
}

static void nics_create(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0) {
		tap_diag("no packet sockets, to see what is sent: no network");
		return;
	}
	close(fd);
	if (run_shell(NULL, 0, "modprobe -q tun")) {
		tap_diag("no tap devices: no network");
		return;
	}
	nic_create(0);
	if (run_shell(NULL, 0, "modprobe -q vhost_net"))
		tap_diag("no vhost_net");
	else
		nic_create(1);
}

/* How often the secret came by it since the last call. */
static unsigned int nic_secrets(int nr)
{
	const __u64 secret = ATTACK_SECRET;
	unsigned int found = 0;
	char packet[2048];
	ssize_t len;

	while ((len = recv(nics[nr], packet, sizeof(packet), 0)) > 0)
		found += len >= 14 + ATTACK_SENT && !memcmp(packet + 14, &secret, sizeof(secret));
	return found;
}

static void run_qemu(void *kernel)
{
	char cmd[2048];
	int len;

	len = snprintf(cmd, sizeof(cmd), "exec qemu-system-x86_64 -accel kvm -cpu host -m 256 -M pc"
		       " -nodefaults -no-user-config -display none -no-reboot -kernel %s"
		       " -initrd " DIR "/initramfs -append 'console=ttyS0 loglevel=1 panic=-1"
		       " tsc=reliable no_timer_check mitigations=off rcupdate.rcu_expedited=1"
		       " initcall_blacklist=load_system_certificate_list,jent_mod_init'"
		       " -serial file:" DIR "/console -serial file:" DIR "/report"
		       " -drive if=none,id=disk,format=raw,file=" DIR "/disk"
		       " -device virtio-blk-pci,drive=disk", (char *)kernel);
	for (int i = 0; i < nr_nics; i++)
		len += snprintf(cmd + len, sizeof(cmd) - len,
				" -netdev tap,id=n%d,ifname=" NIC "%d,script=no,downscript=no,vhost=%s"
				" -device virtio-net-pci,netdev=n%d,romfile=", i, i, i ? "on" : "off", i);
	if (!freopen(DIR "/qemu.log", "w", stdout) || !freopen(DIR "/qemu.log", "a", stderr))
		_exit(1);
	execl("/bin/sh", "sh", "-c", cmd, NULL);
	_exit(127);
}

static char report[1 << 20];

static bool parse_round(const char *line, struct round *r)
{
	return strchr(line, '\n') &&
	       sscanf(line, "ROUND %llu load=%d store=%d run=%d disk_out=%d disk_in=%d mark=%llx"
		      " disk=%llx", &r->nr, &r->load, &r->store, &r->run, &r->out, &r->in,
		      &r->mark, &r->disk) == 8;
}

/* The last complete round; nr is 0 while there is none. */
static struct round last_round(void)
{
	struct round r = {}, next;

	if (read_file(DIR "/report", report, sizeof(report)) <= 0)
		return r;
	for (char *line = report; (line = strstr(line, "ROUND ")); line++)
		if (parse_round(line, &next))
			r = next;
	return r;
}

/* The first one behind @nr that sees the page after some that did not. */
static struct round first_again(unsigned long long nr)
{
	struct round r = {};
	bool held = false;

	last_round();
	for (char *line = report; (line = strstr(line, "ROUND ")); line++) {
		if (!parse_round(line, &r) || r.nr <= nr)
			continue;
		if (held && r.mark)
			return r;
		held |= !r.mark;
	}
	return (struct round){};
}

/* The guest has ended @more rounds that began after this call. */
static struct round rounds_later(unsigned int more)
{
	unsigned long long nr = last_round().nr + more + 1;
	struct round r;

	REQUIRE(WAIT_FOR((r = last_round()).nr >= nr, ROUND_MS), "the guest stands still");
	return r;
}

static void expect_through(const char *when)
{
	struct round r;

	for (int i = 0; i < nr_nics; i++)
		nic_secrets(i);
	r = rounds_later(2);
	EXPECT(r.load, "%s: the guest cannot read its page", when);
	EXPECT(r.store, "%s: the guest cannot write to it", when);
	EXPECT(r.run, "%s: the guest cannot run it", when);
	EXPECT(r.out, "%s: its disk cannot read it", when);
	EXPECT(r.in, "%s: its disk cannot write to it", when);
	for (int i = 0; i < nr_nics; i++)
		EXPECT(nic_secrets(i), "%s: network card %d does not send it", when, i);
}

static void expect_held(__u64 zone, const char *when)
{
	__u64 violations = zone_u64(zone, "violations");
	struct round r = rounds_later(1);

	for (int i = 0; i < nr_nics; i++)
		nic_secrets(i);
	for (int i = 0; i < 3; i++) {
		EXPECT(!r.load && !r.mark && !r.disk, "%s: the guest reads it", when);
		EXPECT(!r.store, "%s: the guest writes to it", when);
		EXPECT(!r.run, "%s: the guest runs it", when);
		EXPECT(!r.out, "%s: its disk reads it", when);
		EXPECT(!r.in, "%s: its disk writes to it", when);
		r = rounds_later(0);
	}
	for (int i = 0; i < nr_nics; i++)
		EXPECT(!nic_secrets(i), "%s: network card %d sends it", when, i);
	/* A load, a store and a call in each of them at least. */
	EXPECT(zone_u64(zone, "violations") >= violations + 9, "%s: violations: %llu, then %llu",
	       when, violations, zone_u64(zone, "violations"));
	EXPECT(!waitpid(qemu, NULL, WNOHANG), "%s: QEMU has ended", when);
}

static __u64 guest_page(void)
{
	unsigned long long gpa = 0;
	char *line;

	REQUIRE(WAIT_FOR(last_round().nr, BOOT_MS), "the guest does not boot");
	line = strstr(report, "PAGE ");
	REQUIRE(line && sscanf(line, "PAGE %llx", &gpa) == 1 && gpa, "the guest says no address");
	return gpa;
}

static void test_attacks(void)
{
	const char *kernel = kernel_image();
	struct round open, again;
	long long zone;
	__u64 ids[2], gpa;

	need_cpus(2);
	need_command("qemu-system-x86_64");
	need_command("busybox");
	tap_at_end(end_all);
	REQUIRE(!run_shell(NULL, 0, "mkdir -p " DIR " && truncate -s 1M " DIR "/disk && "
			   "guest/initramfs.sh " DIR), "the initramfs was not made");
	nics_create();
	qemu = spawn(run_qemu, (void *)kernel);
	REQUIRE(WAIT_FOR(meter_vms(qemu, ids, 2) == 1, 60000), "QEMU's VM did not appear");
	gpa = guest_page();
	expect_through("without a zone");

	zone = zone_create(ids[0], gpa, ATTACK_PAGE, "rwx", "fault", NULL);
	REQUIRE(zone > 0, "zone at 0x%llx: %s: %s", gpa, strerror(-zone), zone_last_error());
	expect_held(zone, "with a zone");
	EXPECT_EQ(zone_set_state(zone, "suspend"), 0, "suspend");
	expect_through("suspended");
	open = last_round();
	EXPECT_EQ(zone_set_state(zone, "arm"), 0, "arm");
	expect_held(zone, "armed again");
	EXPECT_EQ(-zone_remove(zone), 0, "remove");
	REQUIRE(WAIT_FOR((again = first_again(open.nr)).nr, ROUND_MS), "nothing gets through again");
	EXPECT(again.mark >= open.nr && again.mark <= open.nr + 2 && again.disk >= open.nr &&
	       again.disk <= open.nr + 2,
	       "after round %llu the page was last written by that of %llu, by its disk by that of %llu",
	       open.nr, again.mark, again.disk);
	expect_through("removed");

	/* QEMU pauses the guest for inspection. */
	zone = zone_create(ids[0], gpa, ATTACK_PAGE, "rwx", "stop", NULL);
	REQUIRE(zone > 0, "a zone with action=stop: %s: %s", strerror(-zone), zone_last_error());
	REQUIRE(WAIT_FOR(zone_u64(zone, "violations"), ROUND_MS), "no violation");
	sleep_ms(500);
	open = last_round();
	sleep_ms(2000);
	EXPECT_EQ(last_round().nr, open.nr, "rounds after action=stop");
	EXPECT(!run_shell(NULL, 0, "grep -q 'KVM internal error' " DIR "/qemu.log"),
	       "QEMU does not say why");
	EXPECT(!waitpid(qemu, NULL, WNOHANG), "QEMU has ended");
	EXPECT_EQ(-zone_remove(zone), 0, "remove");
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "a guest's kernel, its disk and its network attack", test_attacks, 300 },
};

int main(int argc, char **argv)
{
	return harden_main(tests, ARRAY_SIZE(tests), argc, argv);
}
