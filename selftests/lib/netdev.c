// SPDX-License-Identifier: GPL-2.0
#include "netdev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* An EtherType for experiments: nobody answers. */
#define ETH_TYPE	0x88b5

void need_module(const char *name)
{
	if (run_shell(NULL, 0, "modprobe %s >/dev/null 2>&1", name))
		tap_skip("no module %s", name);
}

static int config_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0, "socket: %s", strerror(errno));
	return fd;
}

void netdev_up(const char *name)
{
	struct ifreq ifr = {};
	int fd = config_socket();
	char path[PATH_MAX];

	/* No router solicitations of the kernel's own among the frames. */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	write_file(path, "1");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	REQUIRE(!ioctl(fd, SIOCGIFFLAGS, &ifr), "%s: %s", name, strerror(errno));
	ifr.ifr_flags |= IFF_UP;
	REQUIRE(!ioctl(fd, SIOCSIFFLAGS, &ifr), "%s up: %s", name, strerror(errno));
	close(fd);
}

int tun_open(const char *name, bool queues, bool vnet_hdr)
{
	struct ifreq ifr = {};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	REQUIRE(fd >= 0, "/dev/net/tun: %s", strerror(errno));
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | (queues ? IFF_MULTI_QUEUE : 0) |
			(vnet_hdr ? IFF_VNET_HDR : 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	REQUIRE(!ioctl(fd, TUNSETIFF, &ifr), "tap %s: %s", name, strerror(errno));
	netdev_up(name);
	return fd;
}

__u64 netdev_stat(const char *name, const char *what)
{
	char text[8192], *p = text, dev[32];
	unsigned long long rx, tx;

	/* Not /sys/class/net: that is of the namespace that it was mounted in. */
	REQUIRE(read_file("/proc/thread-self/net/dev", text, sizeof(text)) > 0, "net/dev");
	while ((p = strchr(p, '\n'))) {
		p++;
		if (sscanf(p, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", dev, &rx, &tx) != 3)
			continue;
		if (!strcmp(dev, name))
			return !strcmp(what, "rx_bytes") ? rx : tx;
	}
	REQUIRE(false, "no device %s", name);
	return 0;
}

void frame_make(unsigned char *frame, unsigned int len, const unsigned char *to)
{
	static const unsigned char from[6] = { 0x02, 0, 0, 0, 0, 1 };

	memset(frame, 0x5a, len);
	if (to)
		memcpy(frame, to, 6);
	else
		memset(frame, 0xff, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = ETH_TYPE >> 8;
	frame[13] = ETH_TYPE & 0xff;
}

void netdev_send(const char *name, unsigned int nr, unsigned int len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	unsigned char frame[2048];

	REQUIRE(fd >= 0, "packet socket: %s", strerror(errno));
	to.sll_ifindex = if_nametoindex(name);
	REQUIRE(to.sll_ifindex && len <= sizeof(frame), "no device %s", name);
	frame_make(frame, len, NULL);
	while (nr--)
		REQUIRE(sendto(fd, frame, len, 0, (void *)&to, sizeof(to)) == (ssize_t)len,
			"send to %s: %s", name, strerror(errno));
	close(fd);
}

__u64 tun_write(int fd, unsigned int nr, unsigned int len)
{
	unsigned char frame[2048];
	__u64 bytes = 0;

	frame_make(frame, len, NULL);
	while (nr--) {
		REQUIRE(write(fd, frame, len) == (ssize_t)len, "write to a tap: %s",
			strerror(errno));
		bytes += len;
	}
	return bytes;
}

__u64 tun_read_all(int fd)
{
	unsigned char frame[2048];
	__u64 bytes = 0;
	ssize_t got;

	while ((got = read(fd, frame, sizeof(frame))) > 0)
		bytes += got;
	return bytes;
}
