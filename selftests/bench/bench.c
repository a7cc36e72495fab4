// SPDX-License-Identifier: GPL-2.0
/*
 * bench - what an exit of a virtual CPU costs, in ticks of the TSC
 *
 *	bench port		OUT, handled by this VMM
 *	bench cpuid		CPUID, handled inside KVM
 *	bench turns		OUT, two VMs in turn in one thread: each exit is followed
 *				by an entry of the other VM
 *	bench fault		a page that the guest touches for the first time
 *	bench switch		context switch between two threads that are no vCPUs
 *	bench others N CMD...	run CMD while N other vCPUs, entered once, sleep
 *	bench zone CMD...	run CMD while another VM has a no-go zone
 *	bench own WHAT		port, cpuid or fault while that VM has one elsewhere
 *
 * Prints the median over short batches: a batch that a timer tick fell into
 * does not count. Under QEMU's -icount shift=0 a tick is one instruction.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define BATCHES		101
#define BATCH		100		/* exits, or context switches */
#define WARMUP		2000
#define ENTRY		0x1000
#define VCPUS_PER_VM	100
#define RAM		0x4000
#define ZONE		0x3000		/* a page of RAM that nothing uses */
#define FRESH		0x1000000	/* where pages are that no guest has touched */
#define FRESH_PAGES	(BATCHES * BATCH + WARMUP + BATCH)
#define PAGE		0x1000
#define METER_VMS	"/sys/kernel/kvm_meter/vms"
#define ZONES		"/sys/kernel/kvm_harden/zones"

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static int kvm_fd, run_size;
static int zone_wanted;		/* in each VM that is measured */

/* loop: out %al, $0x10; jmp loop */
static const unsigned char port_code[] = { 0xe6, 0x10, 0xeb, 0xfc };

/* start: mov $BATCH, %esi; loop: cpuid; dec %esi; jnz loop; out %al, $0x10; jmp start */
static const unsigned char cpuid_code[] = {
	0x66, 0xbe, BATCH, 0, 0, 0, 0x0f, 0xa2, 0x66, 0x4e, 0x75, 0xfa, 0xe6, 0x10, 0xeb, 0xf0,
};

/*
 * 32 bits. start: mov $BATCH, %ecx; loop: mov %eax, (%esi); add $PAGE, %esi; dec %ecx;
 * jnz loop; out %al, $0x10; jmp start
 */
static const unsigned char fault_code[] = {
	0xb9, BATCH, 0, 0, 0, 0x89, 0x06, 0x81, 0xc6, 0, 0x10, 0, 0, 0x49, 0x75, 0xf5, 0xe6, 0x10,
	0xeb, 0xec,
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

static int xioctl(int fd, unsigned long req, const char *what, unsigned long arg)
{
	int ret = ioctl(fd, req, arg);

	if (ret < 0)
		die("%s", what);
	return ret;
}

static void open_kvm(void)
{
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		die("/dev/kvm");
	run_size = xioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0);
}

static int make_vm(const unsigned char *code, size_t len)
{
	int vm = xioctl(kvm_fd, KVM_CREATE_VM, "KVM_CREATE_VM", 0);
	struct kvm_userspace_memory_region mem = { .memory_size = RAM };
	char *ram;

	ram = mmap(NULL, mem.memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		die("guest memory");
	memcpy(ram + ENTRY, code, len);
	mem.userspace_addr = (unsigned long)ram;
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", (unsigned long)&mem);
	return vm;
}

static struct vcpu make_vcpu(int vm, int id)
{
	struct kvm_regs regs = { .rip = ENTRY, .rflags = 2 };
	struct kvm_sregs sregs;
	struct vcpu v;

	v.fd = xioctl(vm, KVM_CREATE_VCPU, "KVM_CREATE_VCPU", id);
	v.run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v.fd, 0);
	if (v.run == MAP_FAILED)
		die("struct kvm_run");
	xioctl(v.fd, KVM_GET_SREGS, "KVM_GET_SREGS", (unsigned long)&sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	xioctl(v.fd, KVM_SET_SREGS, "KVM_SET_SREGS", (unsigned long)&sregs);
	xioctl(v.fd, KVM_SET_REGS, "KVM_SET_REGS", (unsigned long)&regs);
	return v;
}

static void run(struct vcpu *v)
{
	xioctl(v->fd, KVM_RUN, "KVM_RUN", 0);
	if (v->run->exit_reason == KVM_EXIT_IO)
		return;
	errno = EPROTO;
	die("KVM_RUN ended with reason %u", v->run->exit_reason);
}

static int by_value(const void *a, const void *b)
{
	const unsigned long long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void report(unsigned long long *t, unsigned int per)
{
	qsort(t, BATCHES, sizeof(*t), by_value);
	printf("%.2f\n", (double)t[BATCHES / 2] / per);
}

static unsigned long long now(void)
{
	unsigned int aux;

	return __rdtscp(&aux);
}

/* The VM of this process that came last. */
static int find_vm(void)
{
	char path[300];
	struct dirent *e;
	int newest = 0;
	DIR *dir = opendir(METER_VMS);

	while (dir && (e = readdir(dir))) {
		int id = atoi(e->d_name), pid = 0;
		FILE *f;

		snprintf(path, sizeof(path), METER_VMS "/%s/pid", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%d", &pid) == 1 && pid == getpid() && id > newest)
			newest = id;
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return newest;
}

static void make_zone(void)
{
	char text[128];
	int fd = open(ZONES "/create", O_WRONLY | O_CLOEXEC);
	int len = snprintf(text, sizeof(text), "vm=%d gpa=%x size=%x deny=rwx action=stop\n",
			   find_vm(), ZONE, PAGE);

	if (fd < 0 || write(fd, text, len) != len)
		die("%s to " ZONES "/create", text);
	close(fd);
}

/* A new VM gives the module's worker something to do: let it finish. */
static void settle(struct vcpu *v)
{
	run(v);
	usleep(300000);
	if (!zone_wanted)
		return;
	make_zone();
	usleep(300000);
}

static void bench_port(void)
{
	struct vcpu v = make_vcpu(make_vm(port_code, sizeof(port_code)), 0);
	unsigned long long t[BATCHES];
	int i, j;

	settle(&v);
	for (i = 0; i < WARMUP; i++)
		run(&v);
	for (i = 0; i < BATCHES; i++) {
		t[i] = now();
		for (j = 0; j < BATCH; j++)
			run(&v);
		t[i] = now() - t[i];
	}
	report(t, BATCH);
}

static void bench_turns(void)
{
	struct vcpu a = make_vcpu(make_vm(port_code, sizeof(port_code)), 0);
	struct vcpu b = make_vcpu(make_vm(port_code, sizeof(port_code)), 0);
	unsigned long long t[BATCHES];
	int i, j;

	settle(&a);
	settle(&b);
	for (i = 0; i < WARMUP; i++)
		run(i & 1 ? &b : &a);
	for (i = 0; i < BATCHES; i++) {
		t[i] = now();
		for (j = 0; j < BATCH; j++)
			run(j & 1 ? &b : &a);
		t[i] = now() - t[i];
	}
	report(t, BATCH);
}

/* One port exit ends a batch; what it costs is taken off. */
static unsigned long long port_exit(void)
{
	struct vcpu port = make_vcpu(make_vm(port_code, sizeof(port_code)), 0);
	unsigned long long one = ~0ull, start;
	int i;

	settle(&port);
	for (i = 0; i < WARMUP; i++) {
		start = now();
		run(&port);
		start = now() - start;
		if (start < one)
			one = start;
	}
	return one;
}

static void batches(struct vcpu *v, unsigned long long one)
{
	unsigned long long t[BATCHES];
	int i;

	for (i = 0; i < WARMUP / BATCH; i++)
		run(v);
	for (i = 0; i < BATCHES; i++) {
		t[i] = now();
		run(v);
		t[i] = now() - t[i] - one;
	}
	report(t, BATCH);
}

static void bench_cpuid(void)
{
	unsigned long long one = port_exit();
	struct vcpu v = make_vcpu(make_vm(cpuid_code, sizeof(cpuid_code)), 0);

	settle(&v);
	batches(&v, one);
}

/* Flat and without paging, from the first fresh page on. */
static void protected_mode(struct vcpu *v)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_regs regs = { .rip = ENTRY, .rflags = 2, .rsi = FRESH };
	struct kvm_sregs sregs;

	data.selector = 16;
	data.type = 3;
	xioctl(v->fd, KVM_GET_SREGS, "KVM_GET_SREGS", (unsigned long)&sregs);
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.cr0 |= 1;
	xioctl(v->fd, KVM_SET_SREGS, "KVM_SET_SREGS", (unsigned long)&sregs);
	xioctl(v->fd, KVM_SET_REGS, "KVM_SET_REGS", (unsigned long)&regs);
}

/* Pages that the host has and the guest's page table has not, each of its own. */
static void bench_fault(void)
{
	struct kvm_userspace_memory_region mem = {
		.slot = 1, .guest_phys_addr = FRESH, .memory_size = FRESH_PAGES * PAGE,
	};
	unsigned long long one = port_exit();
	int vm = make_vm(fault_code, sizeof(fault_code));
	struct vcpu v = make_vcpu(vm, 0);
	char *ram = mmap(NULL, mem.memory_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ram == MAP_FAILED || madvise(ram, mem.memory_size, MADV_NOHUGEPAGE))
		die("guest memory");
	memset(ram, 1, mem.memory_size);
	mem.userspace_addr = (unsigned long)ram;
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", (unsigned long)&mem);
	protected_mode(&v);
	settle(&v);
	batches(&v, one);
}

static int ping[2], pong[2];

static void *echo(void *unused)
{
	char c;

	while (read(ping[0], &c, 1) == 1)
		if (write(pong[1], &c, 1) != 1)
			break;
	return unused;
}

static void round_trip(void)
{
	char c = 0;

	if (write(ping[1], &c, 1) != 1 || read(pong[0], &c, 1) != 1)
		die("pipe");
}

/* On one CPU a round trip over two pipes is two context switches. */
static void bench_switch(void)
{
	unsigned long long t[BATCHES];
	cpu_set_t cpu;
	pthread_t th;
	int i, j;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) || pipe(ping) || pipe(pong) ||
	    pthread_create(&th, NULL, echo, NULL))
		die("set-up");
	for (i = 0; i < WARMUP; i++)
		round_trip();
	for (i = 0; i < BATCHES; i++) {
		t[i] = now();
		for (j = 0; j < BATCH / 2; j++)
			round_trip();
		t[i] = now() - t[i];
	}
	report(t, BATCH);
}

static pthread_barrier_t entered;

struct other {
	int vm, id;
};

static void *other_vcpu(void *arg)
{
	struct other *o = arg;
	struct vcpu v = make_vcpu(o->vm, o->id);

	run(&v);
	pthread_barrier_wait(&entered);
	for (;;)
		pause();
	return NULL;
}

static int run_command(char **cmd)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		execv(cmd[0], cmd);
		die("%s", cmd[0]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int bench_others(int n, char **cmd)
{
	pthread_attr_t attr;
	int i, vm = -1;

	if (n < 1 || !*cmd) {
		errno = EINVAL;
		die("others N COMMAND");
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_barrier_init(&entered, NULL, n + 1);
	for (i = 0; i < n; i++) {
		struct other *o = malloc(sizeof(*o));
		pthread_t th;

		if (i % VCPUS_PER_VM == 0)
			vm = make_vm(port_code, sizeof(port_code));
		if (!o)
			die("malloc");
		o->vm = vm;
		o->id = i % VCPUS_PER_VM;
		errno = pthread_create(&th, &attr, other_vcpu, o);
		if (errno)
			die("thread %d", i);
	}
	pthread_barrier_wait(&entered);
	sleep(2);	/* let the meter see them asleep, and fold */
	return run_command(cmd);
}

/* Its vCPU does not run meanwhile. */
static int bench_zone(char **cmd)
{
	struct vcpu v = make_vcpu(make_vm(port_code, sizeof(port_code)), 0);

	zone_wanted = 1;
	settle(&v);
	return run_command(cmd);
}

static int bench(const char *what)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} all[] = {
		{ "port", bench_port }, { "cpuid", bench_cpuid }, { "turns", bench_turns },
		{ "fault", bench_fault }, { "switch", bench_switch },
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (strcmp(what, all[i].name))
			continue;
		all[i].fn();
		return 0;
	}
	fputs("usage: bench port | cpuid | turns | fault | switch | own WHAT | zone COMMAND... |\n"
	      "       others N COMMAND...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	open_kvm();
	if (!strcmp(what, "others") && argc > 3)
		return bench_others(atoi(argv[2]), argv + 3);
	if (!strcmp(what, "zone") && argc > 2)
		return bench_zone(argv + 2);
	if (!strcmp(what, "own") && argc > 2) {
		zone_wanted = 1;
		what = argv[2];
	}
	return bench(what);
}
