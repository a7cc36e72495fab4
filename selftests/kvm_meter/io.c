// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes to and from disks and network devices: against what the test itself has
 * moved, the kernel's account of the process, and the devices' own counters.
 */
#include "meter.h"
#include "netdev.h"
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILE_PATH	"/var/tmp/kvm_meter.io"
#define FILE_SIZE	(4u << 20)
#define CHUNK		(64u << 10)
#define METADATA	(64u << 10)	/* inodes and block maps that are touched */
#define FRAMES		200
#define TAP		"kmtap0"

static __u64 id;

static void remove_file(void)
{
	unlink(FILE_PATH);
}

/* A VM of this process whose vCPU has run once and rests. */
static struct vm *start(void)
{
	struct vm *vm = vm_create(1, 0);

	vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
	vcpu_run(&vm->vcpus[0]);
	id = meter_wait_tid(getpid());
	return vm;
}

/* What it reads from disk is what it is told to, not its own program. */
static struct vm *start_resident(void)
{
	struct vm *vm = start();

	REQUIRE(!mlockall(MCL_CURRENT), "mlockall: %s", strerror(errno));
	return vm;
}

static __u64 value(const char *name)
{
	return meter_u64("vms/%llu/%s", id, name);
}

/* /proc/PID/io, which has threads that are gone as well. */
static __u64 proc_io(const char *key)
{
	char want[64];

	snprintf(want, sizeof(want), "%s:", key);
	return file_key("/proc/self/io", want);
}

/* Bytes of the disk that has the file, by its own counters. */
static __u64 disk_bytes(bool written)
{
	unsigned long long v[7];
	char path[128], text[256];
	struct stat st;

	REQUIRE(!stat(FILE_PATH, &st), FILE_PATH);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_dev),
		 minor(st.st_dev));
	if (read_file(path, text, sizeof(text)) <= 0)
		tap_skip("%s is on no disk", FILE_PATH);
	REQUIRE(sscanf(text, "%llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
		       &v[4], &v[5], &v[6]) == 7, "%s", path);
	return (written ? v[6] : v[2]) * 512;
}

static void *buffer(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED, "mmap");
	memset(p, 0x3c, size);
	return p;
}

/* The file with all its blocks on disk and none in memory. */
static void make_file(void)
{
	int fd = open(FILE_PATH, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *data = buffer(FILE_SIZE);

	REQUIRE(fd >= 0, "%s: %s", FILE_PATH, strerror(errno));
	tap_at_end(remove_file);
	REQUIRE(write(fd, data, FILE_SIZE) == FILE_SIZE, "%s: %s", FILE_PATH, strerror(errno));
	REQUIRE(!fsync(fd), "fsync");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	munmap(data, FILE_SIZE);
	disk_bytes(false);
}

static void move(int fd, bool out)
{
	char *data = buffer(CHUNK);

	for (unsigned int at = 0; at < FILE_SIZE; at += CHUNK) {
		ssize_t ret = out ? pwrite(fd, data, CHUNK, at) : pread(fd, data, CHUNK, at);

		REQUIRE(ret == CHUNK, "%s at %u: %s", out ? "write" : "read", at, strerror(errno));
	}
	munmap(data, CHUNK);
}

struct moved {
	__u64 meter[2], proc[2], disk[2];
};

static void look(struct moved *m)
{
	m->proc[0] = proc_io("read_bytes");
	m->proc[1] = proc_io("write_bytes");
	m->meter[0] = value("disk_read_bytes");
	m->meter[1] = value("disk_write_bytes");
	m->disk[0] = disk_bytes(false);
	m->disk[1] = disk_bytes(true);
}

/* The kernel's account to the byte; what was moved with a little of the file system's. */
static void expect_moved(const struct moved *a, const struct moved *b, __u64 in, __u64 out)
{
	__u64 got[2] = { b->meter[0] - a->meter[0], b->meter[1] - a->meter[1] };

	EXPECT_EQ(got[0], b->proc[0] - a->proc[0], "disk_read_bytes by /proc/PID/io");
	EXPECT_EQ(got[1], b->proc[1] - a->proc[1], "disk_write_bytes by /proc/PID/io");
	EXPECT(got[0] >= in && got[0] <= in + METADATA, "disk_read_bytes: %llu of %llu", got[0], in);
	EXPECT(got[1] >= out && got[1] <= out + METADATA, "disk_write_bytes: %llu of %llu",
	       got[1], out);
}

static void *direct_thread(void *arg)
{
	int fd = open(FILE_PATH, O_RDWR | O_DIRECT | O_CLOEXEC);

	REQUIRE(fd >= 0, "O_DIRECT: %s", strerror(errno));
	move(fd, arg);
	close(fd);
	return NULL;
}

static void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, fn, arg), "pthread_create");
	pthread_join(thread, NULL);
}

/* By threads that are gone when the meter looks. */
static void test_direct(void)
{
	struct moved a, b, c;

	make_file();
	start_resident();
	look(&a);
	in_thread(direct_thread, NULL);
	look(&b);
	expect_moved(&a, &b, FILE_SIZE, 0);
	EXPECT(b.disk[0] - a.disk[0] >= FILE_SIZE, "the disk has read %llu",
	       b.disk[0] - a.disk[0]);
	in_thread(direct_thread, (void *)1);
	look(&c);
	expect_moved(&b, &c, 0, FILE_SIZE);
	EXPECT(c.disk[1] - b.disk[1] >= FILE_SIZE, "the disk has written %llu",
	       c.disk[1] - b.disk[1]);
	meter_expect_healthy(NULL);
}

/* Through the page cache: what it has costs nothing, what is dirtied counts once. */
static void test_cached(void)
{
	struct moved a, b, c, d;
	int fd;

	make_file();
	start_resident();
	fd = open(FILE_PATH, O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0, "open");
	look(&a);
	move(fd, false);
	look(&b);
	expect_moved(&a, &b, FILE_SIZE, 0);
	move(fd, false);
	look(&c);
	expect_moved(&b, &c, 0, 0);
	move(fd, true);
	look(&d);
	expect_moved(&c, &d, 0, FILE_SIZE);
	/* A page that is dirty is not dirtied again; that it is written later is no news. */
	move(fd, true);
	fsync(fd);
	look(&c);
	EXPECT_EQ(c.meter[1] - d.meter[1], c.proc[1] - d.proc[1], "disk_write_bytes, again");
	EXPECT(c.disk[1] - a.disk[1] >= FILE_SIZE, "the disk has written %llu",
	       c.disk[1] - a.disk[1]);
	/*
	 * What another process does with the same disk is not ours. It is no child that we
	 * wait for: the kernel adds those to our account. The shell is one.
	 */
	look(&a);
	run_shell(NULL, 0, "dd if=" FILE_PATH " of=/dev/null bs=64k iflag=direct "
		  "</dev/null >/dev/null 2>&1 &");
	EXPECT(WAIT_FOR(disk_bytes(false) - a.disk[0] >= FILE_SIZE, METER_APPEARS_MS),
	       "the disk has read %llu for another", disk_bytes(false) - a.disk[0]);
	look(&b);
	EXPECT_EQ(b.meter[0] - a.meter[0], b.proc[0] - a.proc[0], "disk_read_bytes, another's");
	EXPECT(b.meter[0] - a.meter[0] < FILE_SIZE / 2, "disk_read_bytes: %llu of another's",
	       b.meter[0] - a.meter[0]);
	close(fd);
}

/* The smallest user of io_uring: one request at a time, in a worker thread. */
struct uring {
	int fd;
	char *ring;
	struct io_uring_sqe *sqe;
	struct io_uring_params p;
};

static bool uring_open(struct uring *u)
{
	memset(u, 0, sizeof(*u));
	u->fd = syscall(SYS_io_uring_setup, 4, &u->p);
	if (u->fd < 0)
		return false;
	u->ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	u->sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQES);
	REQUIRE(u->ring != MAP_FAILED && u->sqe != MAP_FAILED, "io_uring: mmap");
	REQUIRE(u->p.features & IORING_FEAT_SINGLE_MMAP, "io_uring: two mappings");
	return true;
}

static void uring_move(struct uring *u, int fd, bool out, void *data, unsigned int at)
{
	unsigned int *tail = (unsigned int *)(u->ring + u->p.sq_off.tail);
	unsigned int *array = (unsigned int *)(u->ring + u->p.sq_off.array);
	unsigned int mask = *(unsigned int *)(u->ring + u->p.sq_off.ring_mask);
	unsigned int *head = (unsigned int *)(u->ring + u->p.cq_off.head);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(u->ring + u->p.cq_off.cqes);
	unsigned int cq_mask = *(unsigned int *)(u->ring + u->p.cq_off.ring_mask);
	int res;

	memset(&u->sqe[0], 0, sizeof(u->sqe[0]));
	u->sqe[0].opcode = out ? IORING_OP_WRITE : IORING_OP_READ;
	u->sqe[0].flags = IOSQE_ASYNC;
	u->sqe[0].fd = fd;
	u->sqe[0].addr = (unsigned long)data;
	u->sqe[0].len = CHUNK;
	u->sqe[0].off = at;
	array[*tail & mask] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	REQUIRE(syscall(SYS_io_uring_enter, u->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1,
		"io_uring_enter: %s", strerror(errno));
	res = cqes[*head & cq_mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	REQUIRE(res == (int)CHUNK, "io_uring: %d", res);
}

static void test_uring(void)
{
	struct moved a, b, c;
	struct uring u;
	char *data;
	int fd;

	if (!uring_open(&u))
		tap_skip("no io_uring: %s", strerror(errno));
	make_file();
	start_resident();
	data = buffer(CHUNK);
	fd = open(FILE_PATH, O_RDWR | O_DIRECT | O_CLOEXEC);
	REQUIRE(fd >= 0, "O_DIRECT: %s", strerror(errno));
	look(&a);
	for (unsigned int at = 0; at < FILE_SIZE; at += CHUNK)
		uring_move(&u, fd, false, data, at);
	look(&b);
	expect_moved(&a, &b, FILE_SIZE, 0);
	for (unsigned int at = 0; at < FILE_SIZE; at += CHUNK)
		uring_move(&u, fd, true, data, at);
	look(&c);
	expect_moved(&b, &c, 0, FILE_SIZE);
}

/* Both ways through a tap; the device's tx is the guest's rx. */
static void test_tap(void)
{
	__u64 rx, tx, sent, got;
	int fd;

	need_module("tun");
	start();
	EXPECT_EQ(value("net_rx_bytes"), 0, "net_rx_bytes without a device");
	/* Made after the VM was seen: all that it does counts. */
	fd = tun_open(TAP, false, false);
	sent = tun_write(fd, FRAMES, 1000);
	netdev_send(TAP, FRAMES / 2, 100);
	got = tun_read_all(fd);
	EXPECT_EQ(got, FRAMES / 2 * 100, "bytes read from the tap");
	REQUIRE(WAIT_FOR(value("net_tx_bytes"), METER_APPEARS_MS), "the tap was not found");
	tx = value("net_tx_bytes");
	rx = value("net_rx_bytes");
	EXPECT_EQ(tx, sent, "net_tx_bytes");
	EXPECT_EQ(rx, got, "net_rx_bytes");
	EXPECT_EQ(netdev_stat(TAP, "rx_bytes"), sent, "rx_bytes of the device");
	EXPECT_EQ(netdev_stat(TAP, "tx_bytes"), got, "tx_bytes of the device");
	/* Known by now: up to date at once. */
	sent += tun_write(fd, 1, 77);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes after another frame");
	/* It goes between two looks, with what nobody has seen yet. */
	sent += tun_write(fd, 10, 500);
	close(fd);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes when the tap has gone");
	EXPECT_EQ(value("net_rx_bytes"), got, "net_rx_bytes when the tap has gone");
	/* Another one of the same name begins from zero: the sum does not. */
	fd = tun_open(TAP, false, false);
	sent += tun_write(fd, 3, 200);
	EXPECT(WAIT_FOR(value("net_tx_bytes") == sent, METER_APPEARS_MS),
	       "net_tx_bytes of two taps: %llu, expected %llu", value("net_tx_bytes"), sent);
	meter_expect_healthy(NULL);
}

/* Several queues are one device; two devices are two. */
static void test_queues(void)
{
	__u64 sent = 0;
	int fd[3];

	need_module("tun");
	start();
	fd[0] = tun_open(TAP, true, false);
	fd[1] = tun_open(TAP, true, false);
	fd[2] = tun_open("kmtap1", false, false);
	for (int i = 0; i < 3; i++)
		sent += tun_write(fd[i], FRAMES, 300 + i);
	/* A descriptor more of the same file. */
	REQUIRE(dup(fd[0]) >= 0, "dup");
	EXPECT(WAIT_FOR(value("net_tx_bytes") >= sent, METER_APPEARS_MS), "net_tx_bytes: %llu",
	       value("net_tx_bytes"));
	sleep_ms(1500);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes");
	close(fd[1]);
	sent += tun_write(fd[0], 1, 60);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes with a queue less");
}

struct elsewhere {
	int fd;
	__u64 sent;
};

static void *make_elsewhere(void *arg)
{
	struct elsewhere *e = arg;

	REQUIRE(!unshare(CLONE_NEWNET), "unshare: %s", strerror(errno));
	e->fd = tun_open(TAP, false, false);
	e->sent = tun_write(e->fd, FRAMES, 640);
	EXPECT_EQ(netdev_stat(TAP, "rx_bytes"), e->sent, "rx_bytes over there");
	return NULL;
}

/* A tap in another network namespace, where this one has one of the same name. */
static void test_namespace(void)
{
	struct elsewhere e;
	__u64 sent;
	char *name;
	int fd;

	need_module("tun");
	start();
	fd = tun_open(TAP, false, false);
	/* It is known by its file, whatever it is called. */
	name = "ip link set " TAP " down; ip link set " TAP " name kmtap9; ip link set kmtap9 up";
	REQUIRE(!run_shell(NULL, 0, "%s", name), "rename");
	sent = tun_write(fd, 1, 100);
	in_thread(make_elsewhere, &e);
	EXPECT(WAIT_FOR(value("net_tx_bytes") >= sent + e.sent, METER_APPEARS_MS),
	       "net_tx_bytes: %llu", value("net_tx_bytes"));
	EXPECT_EQ(value("net_tx_bytes"), sent + e.sent, "net_tx_bytes");
	sent += tun_write(e.fd, 1, 64);
	EXPECT_EQ(value("net_tx_bytes"), sent + e.sent, "net_tx_bytes, one more over there");
	/* To another namespace: it goes and comes, and its counters stay. */
	run_shell(NULL, 0, "ip netns add kvm_meter_io");
	REQUIRE(!run_shell(NULL, 0, "ip link set kmtap9 netns kvm_meter_io"), "move");
	run_shell(NULL, 0, "ip netns exec kvm_meter_io ip link set kmtap9 up");
	sent += tun_write(fd, 1, 128);
	EXPECT(WAIT_FOR(value("net_tx_bytes") >= sent + e.sent, METER_APPEARS_MS),
	       "net_tx_bytes after a move: %llu, expected %llu", value("net_tx_bytes"),
	       sent + e.sent);
	sleep_ms(1500);
	EXPECT_EQ(value("net_tx_bytes"), sent + e.sent, "net_tx_bytes after a move");
	close(fd);
	run_shell(NULL, 0, "ip netns del kvm_meter_io");
	meter_expect_healthy(NULL);
}

/* A persistent tap has served somebody before, and serves another VMM as well. */
static void test_persistent(void)
{
	__u64 sent;
	int fd;

	need_module("tun");
	REQUIRE(!run_shell(NULL, 0, "ip tuntap add dev " TAP " mode tap"), "ip tuntap");
	fd = tun_open(TAP, false, false);
	tun_write(fd, FRAMES, 900);
	close(fd);
	start();
	fd = tun_open(TAP, false, false);
	/* It is met within a second. */
	sleep_ms(2500);
	EXPECT_EQ(value("net_tx_bytes"), 0, "net_tx_bytes before the VM");
	sent = tun_write(fd, 5, 200);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes");
	close(fd);
	sleep_ms(2500);
	/* Not ours any more. */
	run_shell(NULL, 0, "ip link set " TAP " down; ip tuntap del dev " TAP " mode tap");
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes after it");
	meter_expect_healthy(NULL);
}

static int macvtap_open(const char *name)
{
	char path[64], buf[32];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", name);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0, "%s", path);
	snprintf(path, sizeof(path), "/dev/tap%d", atoi(buf));
	REQUIRE(WAIT_FOR(file_exists(path), 5000), "no %s", path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	REQUIRE(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

/* Its queue is full at times; that of who gets the frame is emptied meanwhile. */
static bool macvtap_takes(int fd, int peer, const void *frame, size_t len)
{
	ssize_t ret;

	tun_read_all(peer);
	ret = write(fd, frame, len);
	if (ret < 0 && errno == EAGAIN)
		return false;
	REQUIRE(ret == (ssize_t)len, "write to a macvtap: %s", strerror(errno));
	return true;
}

static void end_macvtap(void)
{
	run_shell(NULL, 0, "ip link del kmdummy 2>/dev/null");
}

/* Two macvtaps over one device: what one sends the other gets, directions as named. */
static void test_macvtap(void)
{
	static const unsigned char mac[6] = { 0x02, 0, 0, 0, 0, 0x22 };
	unsigned char frame[1024];
	__u64 rx, tx, sent = 0;
	int a, b;

	need_module("dummy");
	need_module("macvtap");
	tap_at_end(end_macvtap);
	start();
	if (run_shell(NULL, 0, "ip link add kmdummy type dummy && ip link set kmdummy up && "
		      "ip link add link kmdummy name kmmv0 type macvtap mode bridge && "
		      "ip link add link kmdummy name kmmv1 address 02:00:00:00:00:22 "
		      "type macvtap mode bridge"))
		tap_skip("no macvtap can be made");
	netdev_up("kmmv0");
	netdev_up("kmmv1");
	a = macvtap_open("kmmv0");
	b = macvtap_open("kmmv1");
	/* struct virtio_net_hdr comes first, of 10 bytes */
	memset(frame, 0, sizeof(frame));
	frame_make(frame + 10, 500, mac);
	for (int i = 0; i < FRAMES; i++) {
		REQUIRE(WAIT_FOR(macvtap_takes(a, b, frame, 510), METER_APPEARS_MS),
			"a macvtap takes no frame");
		sent += 500;
	}
	EXPECT(WAIT_FOR(value("net_tx_bytes") >= sent, METER_APPEARS_MS), "net_tx_bytes: %llu",
	       value("net_tx_bytes"));
	sleep_ms(1500);
	tx = value("net_tx_bytes");
	rx = value("net_rx_bytes");
	EXPECT_EQ(tx, netdev_stat("kmmv0", "tx_bytes") + netdev_stat("kmmv1", "tx_bytes"),
		  "net_tx_bytes");
	EXPECT_EQ(rx, netdev_stat("kmmv0", "rx_bytes") + netdev_stat("kmmv1", "rx_bytes"),
		  "net_rx_bytes");
	EXPECT(rx >= sent, "net_rx_bytes: %llu, sent %llu", rx, sent);
	close(a);
	close(b);
	end_macvtap();
	EXPECT(value("net_tx_bytes") >= tx, "net_tx_bytes went back");
}

static void child_with_tap(void *arg)
{
	volatile __u64 *said = arg;
	int fd;

	start();
	fd = tun_open(TAP, false, false);
	said[1] = tun_write(fd, FRAMES, 700);
	said[0] = id;
	/* And gone at once, tap and VM, in whatever order. */
	_exit(0);
}

/* All is in the final record, also what nobody had looked at before the end. */
static void test_final(void)
{
	volatile __u64 *said = shared_page();
	struct kvm_meter_vm rec;
	struct meter_map map;

	need_module("tun");
	meter_map_open(&map, "kvm_meter_ended");
	for (unsigned int i = 0; i < 10; i++) {
		REQUIRE(!wait_child(spawn(child_with_tap, (void *)said)), "the child failed");
		meter_wait_ended(&map, said[0], &rec);
		EXPECT_EQ(rec.net_tx_bytes, said[1], "net_tx_bytes in the end");
	}
}

/* A tap that others made: it is found by the file only. */
static int open_made(void)
{
	REQUIRE(!run_shell(NULL, 0, "ip tuntap add dev " TAP " mode tap"), "ip tuntap");
	return tun_open(TAP, false, false);
}

static void remove_made(void)
{
	run_shell(NULL, 0, "ip tuntap del dev " TAP " mode tap 2>/dev/null");
}

struct apart {
	volatile int fd, stop;
};

static void *open_apart(void *arg)
{
	struct apart *a = arg;

	REQUIRE(!unshare(CLONE_FILES), "unshare: %s", strerror(errno));
	a->fd = open_made();
	while (!a->stop) {
		tun_write(a->fd, 1, 100);
		sleep_ms(20);
	}
	return NULL;
}

/* In a descriptor table of a thread's own; then at a descriptor beyond a hole. */
static void test_tables(void)
{
	struct rlimit lim = { 100000, 100000 };
	struct apart apart = {};
	pthread_t thread;
	__u64 before;
	int fd;

	need_module("tun");
	if (setrlimit(RLIMIT_NOFILE, &lim))
		tap_skip("no more descriptors: %s", strerror(errno));
	tap_at_end(remove_made);
	remove_made();
	start();
	REQUIRE(!pthread_create(&thread, NULL, open_apart, &apart), "pthread_create");
	EXPECT(WAIT_FOR(value("net_tx_bytes"), METER_APPEARS_MS),
	       "a tap in a table of a thread's own was not found");
	apart.stop = 1;
	pthread_join(thread, NULL);
	remove_made();
	before = value("net_tx_bytes");
	fd = open_made();
	REQUIRE(dup2(fd, 90000) == 90000, "dup2: %s", strerror(errno));
	close(fd);
	EXPECT(WAIT_FOR(tun_write(90000, 1, 100) && value("net_tx_bytes") > before,
			METER_APPEARS_MS), "a tap at descriptor 90000 was not found");
	EXPECT_EQ(meter_u64("health/cut_walks"), 0, "health/cut_walks");
	close(90000);
	meter_expect_healthy(NULL);
}

/* The tap is the last of very many descriptors; then it is beyond what is looked at. */
static void test_many_files(void)
{
	struct rlimit lim = { 100000, 100000 };
	int null, fd, last = 0;
	__u64 sent;

	need_module("tun");
	if (setrlimit(RLIMIT_NOFILE, &lim))
		tap_skip("no more descriptors: %s", strerror(errno));
	start();
	null = open("/dev/null", O_RDWR);
	while (last < 30000)
		last = dup(null);
	fd = tun_open(TAP, false, false);
	sent = tun_write(fd, FRAMES, 400);
	EXPECT(WAIT_FOR(value("net_tx_bytes") == sent, METER_APPEARS_MS),
	       "net_tx_bytes behind %d descriptors: %llu", last, value("net_tx_bytes"));
	EXPECT_EQ(meter_u64("health/cut_walks"), 0, "health/cut_walks");
	while (last < 70000)
		last = dup(null);
	/* So many are looked at every 16 seconds. */
	EXPECT(WAIT_FOR(meter_u64("health/cut_walks"), 2 * METER_APPEARS_MS),
	       "health/cut_walks is 0");
	/* What was found before goes on. */
	sent += tun_write(fd, 1, 400);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes");
	meter_expect_healthy("cut_walks");
}

static void *busy(void *stop)
{
	while (!*(volatile int *)stop) {
		int fd = tun_open("kmbusy", false, false);

		tun_write(fd, 3, 100);
		close(fd);
	}
	return NULL;
}

/* The module goes while devices come and go, and comes again. */
static void test_unload(void)
{
	volatile int stop = 0;
	pthread_t thread;
	struct vcpu *v;
	struct vm *vm;
	int fd;

	need_module("tun");
	vm = vm_create(1, 0);
	v = &vm->vcpus[0];
	vcpu_program(v, guest_spin_io, 1, 0);
	vcpu_start(v, -1);
	fd = tun_open(TAP, false, false);
	REQUIRE(!pthread_create(&thread, NULL, busy, (void *)&stop), "pthread_create");
	for (unsigned int i = 0; i < repeats(10); i++) {
		id = meter_wait_tid(v->tid);
		tun_write(fd, 10, 100);
		sleep_ms(100);
		REQUIRE(!meter_unload(), "rmmod");
		REQUIRE(!meter_load(NULL), "insmod");
	}
	stop = 1;
	pthread_join(thread, NULL);
	id = meter_wait_tid(v->tid);
	EXPECT(WAIT_FOR(({ tun_write(fd, 1, 100); value("net_tx_bytes"); }), METER_APPEARS_MS),
	       "the tap was not found again");
	v->data->stop = 1;
	vcpu_join(v);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "disk: O_DIRECT by threads that have gone", test_direct, 0 },
	{ "disk: through the page cache", test_cached, 0 },
	{ "disk: io_uring's workers", test_uring, 0 },
	{ "net: a tap comes, is used, and goes", test_tap, 0 },
	{ "net: queues are counted once", test_queues, 0 },
	{ "net: another name, another namespace", test_namespace, 0 },
	{ "net: a tap that was there before", test_persistent, 0 },
	{ "net: macvtap", test_macvtap, 0 },
	{ "net: final records", test_final, 0 },
	{ "net: holes and tables among descriptors", test_tables, 0 },
	{ "net: many descriptors", test_many_files, 0 },
	{ "net: rmmod while devices come and go", test_unload, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
