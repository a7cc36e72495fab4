// SPDX-License-Identifier: GPL-2.0
#include "vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "netdev.h"

#define QUEUE_SIZE	256
#define HDR_LEN		10	/* struct virtio_net_hdr */
#define TX		1
#define MEM_SIZE	0x10000
#define DESC_AT		0x0
#define AVAIL_AT	0x2000
#define USED_AT		0x4000
#define FRAME_AT	0x8000

struct vhost {
	int fd, kick;
	char *mem;
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
};

static void must(struct vhost *v, unsigned long request, void *arg, const char *what)
{
	REQUIRE(!ioctl(v->fd, request, arg), "%s: %s", what, strerror(errno));
}

struct vhost *vhost_open(int tap)
{
	struct vhost_memory *table = calloc(1, sizeof(*table) + sizeof(table->regions[0]));
	struct vhost_vring_state num = { TX, QUEUE_SIZE }, base = { TX, 0 };
	struct vhost_vring_addr addr = { .index = TX };
	struct vhost_vring_file file = { .index = TX };
	struct vhost *v = calloc(1, sizeof(*v));
	__u64 features = 0;

	need_module("vhost_net");
	v->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (v->fd < 0)
		tap_skip("no /dev/vhost-net: %s", strerror(errno));
	v->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(v->mem != MAP_FAILED, "mmap");
	v->desc = (void *)(v->mem + DESC_AT);
	v->avail = (void *)(v->mem + AVAIL_AT);
	v->used = (void *)(v->mem + USED_AT);
	v->kick = eventfd(0, EFD_CLOEXEC);
	must(v, VHOST_SET_OWNER, NULL, "VHOST_SET_OWNER");
	must(v, VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES");
	table->nregions = 1;
	table->regions[0].memory_size = MEM_SIZE;
	table->regions[0].userspace_addr = (unsigned long)v->mem;
	must(v, VHOST_SET_MEM_TABLE, table, "VHOST_SET_MEM_TABLE");
	must(v, VHOST_SET_VRING_NUM, &num, "VHOST_SET_VRING_NUM");
	must(v, VHOST_SET_VRING_BASE, &base, "VHOST_SET_VRING_BASE");
	addr.desc_user_addr = (unsigned long)v->desc;
	addr.avail_user_addr = (unsigned long)v->avail;
	addr.used_user_addr = (unsigned long)v->used;
	must(v, VHOST_SET_VRING_ADDR, &addr, "VHOST_SET_VRING_ADDR");
	file.fd = v->kick;
	must(v, VHOST_SET_VRING_KICK, &file, "VHOST_SET_VRING_KICK");
	file.fd = tap;
	must(v, VHOST_NET_SET_BACKEND, &file, "VHOST_NET_SET_BACKEND");
	free(table);
	return v;
}

__u64 vhost_send(struct vhost *v, unsigned int nr, unsigned int len)
{
	__u64 one = 1, sent = 0;

	memset(v->mem + FRAME_AT, 0, HDR_LEN);
	frame_make((unsigned char *)v->mem + FRAME_AT + HDR_LEN, len, NULL);
	while (nr) {
		unsigned short idx = v->avail->idx, todo = nr < QUEUE_SIZE ? nr : QUEUE_SIZE;

		for (unsigned short i = 0; i < todo; i++) {
			v->desc[i].addr = FRAME_AT;
			v->desc[i].len = HDR_LEN + len;
			v->desc[i].flags = 0;
			v->avail->ring[(unsigned short)(idx + i) % QUEUE_SIZE] = i;
		}
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		v->avail->idx = idx + todo;
		REQUIRE(write(v->kick, &one, sizeof(one)) == sizeof(one), "kick");
		REQUIRE(WAIT_FOR(v->used->idx == v->avail->idx, 20000),
			"vhost has used %u of %u", v->used->idx, v->avail->idx);
		nr -= todo;
		sent += (__u64)todo * len;
	}
	return sent;
}

void vhost_close(struct vhost *v)
{
	close(v->fd);
	close(v->kick);
	munmap(v->mem, MEM_SIZE);
	free(v);
}
