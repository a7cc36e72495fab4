// SPDX-License-Identifier: GPL-2.0
/*
 * Init of a guest whose kernel is in an attacker's hands, see attack.h. Says by
 * its second serial line
 *
 *	PAGE <guest-physical address>
 *	ROUND <n> load=<> store=<> run=<> disk_out=<> disk_in=<> mark=<hex> disk=<hex>
 *
 * with a 1 for what got through; mark and disk are what the last store and the last
 * read of a disk left behind, 0 if they cannot be seen. In each round the secret is
 * sent by every network interface, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "attack.h"

#define SECTOR		512
#define NICS		2

static FILE *say;
static int attacker, disk;
static void *page;
static int nics[NICS], nr_nics;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(say ?: stdout, "FAILED %s: %s\n", what, strerror(errno));
	fflush(say);
	for (;;)
		pause();
}

static void load_modules(void)
{
	char name[128], path[160];
	FILE *order = fopen("/mod/order", "r");
	int fd;

	if (!order)
		die("/mod/order");
	while (fscanf(order, "%127s", name) == 1) {
		snprintf(path, sizeof(path), "/mod/%s", name);
		fd = open(path, O_RDONLY);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			die(path);
		close(fd);
	}
	fclose(order);
}

static void nics_up(void)
{
	struct if_nameindex *all = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (int i = 0; all && all[i].if_index && nr_nics < NICS; i++) {
		struct ifreq req = {};

		if (strncmp(all[i].if_name, "eth", 3))
			continue;
		snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", all[i].if_name);
		req.ifr_flags = IFF_UP | IFF_NOARP;
		if (ioctl(fd, SIOCSIFFLAGS, &req))
			die(all[i].if_name);
		nics[nr_nics++] = all[i].if_index;
	}
	close(fd);
}

static void start(void)
{
	struct termios raw;
	int fd;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
	if (fd >= 0 && !tcgetattr(fd, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	say = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!say)
		die("/dev/ttyS1");
	load_modules();
	attacker = open("/dev/attacker", O_RDWR);
	if (attacker < 0)
		die("/dev/attacker");
	page = mmap(NULL, ATTACK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, attacker, 0);
	if (page == MAP_FAILED)
		die("mmap");
	disk = open("/dev/vda", O_RDWR | O_DIRECT);
	if (disk < 0)
		die("/dev/vda");
	nics_up();
}

static __u64 word(off_t at)
{
	__u64 value = 0;

	return pread(attacker, &value, sizeof(value), at) == sizeof(value) ? value : 0;
}

/* The disk fetches the secret; it is told from what lay on the disk. */
static bool disk_out(void *buf)
{
	memset(buf, 0, SECTOR);
	if (pwrite(disk, buf, SECTOR, 0) != SECTOR)
		die("write to the disk");
	if (pwrite(disk, page, SECTOR, 0) != SECTOR)
		return false;
	if (pread(disk, buf, SECTOR, 0) != SECTOR)
		die("read of the disk");
	return *(__u64 *)buf == ATTACK_SECRET;
}

static bool disk_in(void *buf, __u64 round)
{
	memset(buf, 0, SECTOR);
	*(__u64 *)buf = round;
	if (pwrite(disk, buf, SECTOR, SECTOR) != SECTOR)
		die("write to the disk");
	return pread(disk, (char *)page + ATTACK_DISK, SECTOR, SECTOR) == SECTOR;
}

int main(void)
{
	void *buf;

	start();
	if (posix_memalign(&buf, ATTACK_PAGE, ATTACK_PAGE))
		die("memory");
	fprintf(say, "PAGE %llx\n", (unsigned long long)word(ATTACK_PAGE));
	for (__u64 round = 1; ; round++) {
		__u64 mark = word(ATTACK_MARK), in = word(ATTACK_DISK);
		bool load = word(0) == ATTACK_SECRET;
		bool store = pwrite(attacker, &round, 8, ATTACK_MARK) == 8;
		bool run = !ioctl(attacker, ATTACK_RUN);
		bool got_out = disk_out(buf), got_in = disk_in(buf, round);

		for (int i = 0; i < nr_nics; i++)
			ioctl(attacker, ATTACK_SEND, nics[i]);
		fprintf(say, "ROUND %llu load=%d store=%d run=%d disk_out=%d disk_in=%d mark=%llx disk=%llx\n",
			(unsigned long long)round, load, store, run, got_out, got_in,
			(unsigned long long)mark, (unsigned long long)in);
		fflush(say);
		usleep(200000);
	}
}
