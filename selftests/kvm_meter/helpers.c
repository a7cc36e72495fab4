// SPDX-License-Identifier: GPL-2.0
/*
 * What a VM costs beside its vCPUs: threads of the VMM, those that are gone too,
 * vhost's workers, interrupts; against clocks of the threads' own and the scheduler.
 */
#include "meter.h"
#include "netdev.h"
#include "vhost.h"
#include "vmm.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TAP		"kmtap0"
#define SHORT_THREADS	200
#define CROWD		3000
#define LOOK_MS		1000	/* by then a look at a crowd is over, and has been */
/* A thread that runs just now is charged at the next tick (HZ is 250). */
#define TICK		(4 * NSEC_PER_MSEC)

static __u64 id;

static __u64 value(const char *name)
{
	return meter_u64("vms/%llu/%s", id, name);
}

/* A VM of this process whose vCPU has run once and rests, in its main thread. */
static struct vm *start(void)
{
	struct vm *vm = vm_create(1, 0);

	vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
	vcpu_run(&vm->vcpus[0]);
	id = meter_wait_tid(getpid());
	return vm;
}

/* A VM whose vCPU has a thread of its own. */
static struct vcpu *start_thread(const char *program, int cpu)
{
	struct vcpu *v = &vm_create(1, 0)->vcpus[0];

	vcpu_program(v, program, 1, 0);
	vcpu_start(v, cpu);
	id = meter_wait_tid(v->tid);
	return v;
}

/* First number of a schedstat: CPU time. */
static __u64 sched_ns(pid_t pid, pid_t tid)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	return read_file(path, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Of all threads but @but. */
static __u64 all_sched_ns(pid_t pid, pid_t but)
{
	struct dirent *e;
	char path[64];
	__u64 sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	REQUIRE(dir, "%s", path);
	while ((e = readdir(dir)))
		if (atoi(e->d_name) && atoi(e->d_name) != but)
			sum += sched_ns(pid, atoi(e->d_name));
	closedir(dir);
	return sum;
}

/* By the thread's own CPU clock, which is exact at any moment. */
static void burn_cpu(__u64 ns)
{
	__u64 end = thread_cpu_ns() + ns;

	while (thread_cpu_ns() < end)
		;
}

struct helper {
	pthread_t thread;
	__u64 burn;
	volatile int burnt, stop;
	__u64 used;
};

static void *help(void *arg)
{
	struct helper *h = arg;

	burn_cpu(h->burn);
	h->used = thread_cpu_ns();
	h->burnt = 1;
	while (!h->stop)
		sleep_ms(5);
	return NULL;
}

static void helper_start(struct helper *h, __u64 burn)
{
	memset(h, 0, sizeof(*h));
	h->burn = burn;
	REQUIRE(!pthread_create(&h->thread, NULL, help, h), "pthread_create");
}

static void helper_end(struct helper *h)
{
	h->stop = 1;
	pthread_join(h->thread, NULL);
}

/* Threads that live: the scheduler's numbers of the same threads. */
static void test_living(void)
{
	__u64 vmm[2], truth[2], guest;
	struct helper h[3];
	struct vcpu *v;

	need_cpus(2);
	v = start_thread(guest_spin, 1);
	sleep_ms(50);
	truth[0] = all_sched_ns(getpid(), v->tid);
	vmm[0] = value("vmm_ns");
	guest = value("guest_ns");
	for (int i = 0; i < 3; i++)
		helper_start(&h[i], 100 * (i + 1) * NSEC_PER_MSEC);
	for (int i = 0; i < 3; i++)
		REQUIRE(WAIT_FOR(h[i].burnt, 60000), "a helper does not end");
	truth[1] = all_sched_ns(getpid(), v->tid);
	vmm[1] = value("vmm_ns");
	tap_diag("vmm_ns %llu us, scheduler %llu us", (vmm[1] - vmm[0]) / 1000,
		 (truth[1] - truth[0]) / 1000);
	EXPECT(truth[1] - truth[0] >= 600 * NSEC_PER_MSEC, "helpers did not burn");
	/* Between the two reads this thread has run, and a tick may be missing. */
	EXPECT_NEAR(vmm[1] - vmm[0], truth[1] - truth[0], 2 * TICK + 10 * NSEC_PER_MSEC,
		    "vmm_ns by schedstat");
	/* The vCPU's own time is not in it. */
	EXPECT(value("guest_ns") - guest > 100 * NSEC_PER_MSEC, "the guest did not run");
	for (int i = 0; i < 3; i++)
		helper_end(&h[i]);
	v->data->stop = 1;
	vcpu_join(v);
	meter_expect_healthy(NULL);
}

static void *short_life(void *arg)
{
	__u64 *used = arg;

	burn_cpu(NSEC_PER_MSEC);
	*used = thread_cpu_ns();
	return NULL;
}

/*
 * Threads that live for less than a tick: the kernel's own sum over dead threads
 * takes what was charged before, the meter all of it.
 */
static void test_dead(void)
{
	__u64 vmm[2], own[2], threads = 0, used, kernel[2];
	pthread_t thread;
	struct vcpu *v;

	v = start_thread(guest_done, -1);
	vcpu_join(v);
	vmm[0] = value("vmm_ns");
	own[0] = thread_cpu_ns();
	kernel[0] = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < SHORT_THREADS; i++) {
		REQUIRE(!pthread_create(&thread, NULL, short_life, &used), "pthread_create");
		pthread_join(thread, NULL);
		threads += used;
	}
	own[1] = thread_cpu_ns();
	kernel[1] = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	vmm[1] = value("vmm_ns");
	tap_diag("vmm_ns %llu us; %d threads %llu us, this one %llu us; the kernel's sum %llu us",
		 (vmm[1] - vmm[0]) / 1000, SHORT_THREADS, threads / 1000, (own[1] - own[0]) / 1000,
		 (kernel[1] - kernel[0]) / 1000);
	threads += own[1] - own[0];
	/* What a thread uses after it has looked at its clock is not in the truth. */
	EXPECT(vmm[1] - vmm[0] + TICK >= threads, "vmm_ns %llu of %llu", vmm[1] - vmm[0], threads);
	EXPECT(vmm[1] - vmm[0] <= threads + SHORT_THREADS * NSEC_PER_MSEC + TICK,
	       "vmm_ns %llu of %llu", vmm[1] - vmm[0], threads);
	meter_expect_healthy(NULL);
}

/* A thread that ran vCPUs and does something else: each of its times is in one place. */
static void test_turns(void)
{
	__u64 cost[2], cpu[2], vmm[2], host[2];
	struct vm *vm, *second;
	struct helper h;

	vm = start();
	second = vm_create(1, 0);
	cost[0] = value("cost_ns");
	vmm[0] = value("vmm_ns");
	host[0] = value("host_ns");
	cpu[0] = thread_cpu_ns();
	/* It is the vCPU's thread: host time. */
	burn_cpu(200 * NSEC_PER_MSEC);
	for (int i = 0; i < 20; i++) {
		vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
		vcpu_run(&vm->vcpus[0]);
		burn_cpu(NSEC_PER_MSEC);
	}
	cost[1] = value("cost_ns");
	vmm[1] = value("vmm_ns");
	host[1] = value("host_ns");
	cpu[1] = thread_cpu_ns();
	EXPECT_NEAR(cost[1] - cost[0], cpu[1] - cpu[0], (cpu[1] - cpu[0]) / 50 + 2 * TICK,
		    "cost_ns of a VMM with one thread");
	EXPECT(host[1] - host[0] >= 220 * NSEC_PER_MSEC, "host_ns %llu", host[1] - host[0]);
	EXPECT(vmm[1] - vmm[0] <= 2 * TICK, "vmm_ns %llu", vmm[1] - vmm[0]);
	/* Another thread takes it over; the first one's time is the VMM's again. */
	vcpu_program(&vm->vcpus[0], guest_io, 10, 0);
	vcpu_start(&vm->vcpus[0], -1);
	vcpu_join(&vm->vcpus[0]);
	vmm[0] = value("vmm_ns");
	burn_cpu(100 * NSEC_PER_MSEC);
	sleep_ms(20);
	vmm[1] = value("vmm_ns");
	EXPECT_NEAR(vmm[1] - vmm[0], 100 * NSEC_PER_MSEC, 20 * NSEC_PER_MSEC,
		    "vmm_ns of a thread that ran a vCPU once");
	vm_destroy(second);
	/* Nothing but helpers. */
	helper_start(&h, 50 * NSEC_PER_MSEC);
	REQUIRE(WAIT_FOR(h.burnt, 60000), "a helper does not end");
	helper_end(&h);
	EXPECT(value("vmm_ns") - vmm[1] >= 50 * NSEC_PER_MSEC, "vmm_ns of a helper");
	meter_expect_healthy(NULL);
}

struct stand_in {
	struct vcpu *v;
	__u64 burn, used;
};

static int run_instead(void *arg)
{
	struct stand_in *s = arg;

	do {
		vcpu_program(s->v, guest_io, 1000, 0);
		vcpu_run(s->v);
		s->used = thread_cpu_ns();
	} while (s->used < s->burn);
	_exit(0);
}

/*
 * A process that shares the memory, and nothing else, runs the vCPU for a while. What
 * it used for it is not taken off what this one uses.
 */
static void test_stand_in(void)
{
	struct stand_in s = { .burn = 300 * NSEC_PER_MSEC };
	__u64 vmm, own;
	char *stack;
	pid_t pid;

	s.v = &start()->vcpus[0];
	stack = mmap(NULL, 1u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stack != MAP_FAILED, "mmap");
	/* CLONE_VFORK: it uses this thread's local storage. */
	pid = clone(run_instead, stack + (1u << 20), CLONE_VM | CLONE_VFORK | SIGCHLD, &s);
	REQUIRE(pid > 0, "clone: %s", strerror(errno));
	REQUIRE(!wait_child(pid), "the child failed");
	tap_diag("the child used %llu us", s.used / 1000);
	EXPECT(s.used >= s.burn, "the child used %llu", s.used);
	vmm = value("vmm_ns");
	own = thread_cpu_ns();
	burn_cpu(200 * NSEC_PER_MSEC);
	sleep_ms(20);
	EXPECT_NEAR(value("vmm_ns") - vmm, thread_cpu_ns() - own, 2 * TICK + 5 * NSEC_PER_MSEC,
		    "vmm_ns after the child");
	meter_expect_healthy(NULL);
}

static void *no_life(void *arg)
{
	return arg;
}

static void *churn(void *stop)
{
	pthread_t thread;

	while (!*(volatile int *)stop) {
		if (!pthread_create(&thread, NULL, no_life, NULL))
			pthread_join(thread, NULL);
	}
	return NULL;
}

struct turns {
	struct vcpu *v[2];
	volatile int *stop;
};

static void *take_turns(void *arg)
{
	struct turns *t = arg;

	for (unsigned int i = 0; !*t->stop; i++) {
		vcpu_program(t->v[i % 2], guest_done, 1, 0);
		vcpu_run(t->v[i % 2]);
	}
	return NULL;
}

static pthread_mutex_t crowd_mutex = PTHREAD_MUTEX_INITIALIZER;

static void *stand_by(void *arg)
{
	pthread_mutex_lock(&crowd_mutex);
	pthread_mutex_unlock(&crowd_mutex);
	return arg;
}

/* A look at so many threads takes long. */
static void crowd_start(pthread_t *crowd)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32 << 10);
	pthread_mutex_lock(&crowd_mutex);
	for (int i = 0; i < CROWD; i++)
		REQUIRE(!pthread_create(&crowd[i], &attr, stand_by, NULL), "pthread_create");
	pthread_attr_destroy(&attr);
}

static void crowd_end(pthread_t *crowd)
{
	pthread_mutex_unlock(&crowd_mutex);
	for (int i = 0; i < CROWD; i++)
		pthread_join(crowd[i], NULL);
}

/* Threads are born and die, and vCPUs change hands, all the time: it is paid for. */
static void test_churn(void)
{
	__u64 ids[2], vmm[2], cost, cpu, wall, last, now;
	volatile int stop = 0;
	struct turns turns = { .stop = &stop };
	static pthread_t crowd[CROWD];
	pthread_t thread[4];
	struct helper h;

	/* What was before the VM is not its. */
	crowd_start(crowd);
	burn_cpu(500 * NSEC_PER_MSEC);
	for (int i = 0; i < 3; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, churn, (void *)&stop), "pthread_create");
	wall = raw_ns();
	turns.v[0] = &start()->vcpus[0];
	vmm[0] = value("vmm_ns");
	wall = raw_ns() - wall;
	EXPECT(vmm[0] <= wall * nr_cpus_online(), "vmm_ns %llu after %llu", vmm[0], wall);

	turns.v[1] = &vm_create(1, 0)->vcpus[0];
	REQUIRE(!pthread_create(&thread[3], NULL, take_turns, &turns), "pthread_create");
	/* Its directory is complete when it has its vCPU. */
	REQUIRE(WAIT_FOR(meter_vms(getpid(), ids, 2) == 2 &&
			 meter_exists("vms/%llu/vcpus/0/tid", ids[1]), METER_APPEARS_MS),
		"no second VM");
	wall = raw_ns();
	for (int i = 0; i < 2; i++)
		vmm[i] = meter_u64("vms/%llu/vmm_ns", ids[i]);
	cost = meter_u64("vms/%llu/cost_ns", ids[0]) + meter_u64("vms/%llu/cost_ns", ids[1]);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	helper_start(&h, 300 * NSEC_PER_MSEC);
	last = vmm[0];
	for (int i = 0; i < 50 || !h.burnt; i++) {
		now = value("vmm_ns");
		EXPECT(now >= last, "vmm_ns went back from %llu to %llu", last, now);
		last = now;
		sleep_ms(5);
	}
	/* With so many threads a read may be of a look before. */
	sleep_ms(LOOK_MS);
	for (int i = 0; i < 2; i++) {
		vmm[i] = meter_u64("vms/%llu/vmm_ns", ids[i]) - vmm[i];
		EXPECT(vmm[i] >= h.used / 2 - TICK, "vmm_ns %llu while a helper used %llu", vmm[i],
		       h.used);
	}
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	sleep_ms(LOOK_MS);
	cost = meter_u64("vms/%llu/cost_ns", ids[0]) + meter_u64("vms/%llu/cost_ns", ids[1]) -
	       cost;
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = raw_ns() - wall;
	tap_diag("cost_ns %llu us, the kernel's sum %llu us; %llu looks were not exact",
		 cost / 1000, cpu / 1000, meter_u64("health/torn_reads"));
	/* All of it, in the end; the kernel's sum is short of threads that die young. */
	EXPECT(cost + cpu / 20 + 5 * TICK >= cpu, "cost_ns %llu of %llu", cost, cpu);
	EXPECT(cost <= wall * nr_cpus_online(), "cost_ns %llu in %llu", cost, wall);
	helper_end(&h);
	crowd_end(crowd);
	meter_expect_healthy("torn_reads");
}

/* All that a process uses is in cost_ns once. */
static void test_whole(void)
{
	__u64 cost[2], cpu[2];
	struct helper h;
	struct vcpu *v;

	need_cpus(2);
	v = start_thread(guest_spin_io, 1);
	sleep_ms(50);
	cpu[0] = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	cost[0] = value("cost_ns");
	helper_start(&h, 400 * NSEC_PER_MSEC);
	REQUIRE(WAIT_FOR(h.burnt, 60000), "a helper does not end");
	sleep_ms(500);
	cpu[1] = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	cost[1] = value("cost_ns");
	tap_diag("cost_ns %llu us, the process %llu us", (cost[1] - cost[0]) / 1000,
		 (cpu[1] - cpu[0]) / 1000);
	EXPECT_NEAR(cost[1] - cost[0], cpu[1] - cpu[0], (cpu[1] - cpu[0]) / 50 +
		    3 * TICK + 10 * NSEC_PER_MSEC, "cost_ns by the CPU time of the process");
	helper_end(&h);
	v->data->stop = 1;
	vcpu_join(v);
}

/* Two VMs of one process bear its helpers in equal parts. */
static void test_split(void)
{
	__u64 ids[2], vmm[2][2], growth;
	struct vcpu *v[2];
	struct helper h;

	for (int i = 0; i < 2; i++) {
		v[i] = start_thread(guest_spin_cpuid, -1);
		ids[i] = id;
	}
	/* What the second found has been split, or not; from now on. */
	sleep_ms(1500);
	for (int i = 0; i < 2; i++) {
		v[i]->data->stop = 1;
		vcpu_join(v[i]);
		vmm[0][i] = meter_u64("vms/%llu/vmm_ns", ids[i]);
	}
	helper_start(&h, 300 * NSEC_PER_MSEC);
	REQUIRE(WAIT_FOR(h.burnt, 60000), "a helper does not end");
	helper_end(&h);
	for (int i = 0; i < 2; i++)
		vmm[1][i] = meter_u64("vms/%llu/vmm_ns", ids[i]) - vmm[0][i];
	growth = vmm[1][0] + vmm[1][1];
	tap_diag("vmm_ns of the two: %llu and %llu us", vmm[1][0] / 1000, vmm[1][1] / 1000);
	EXPECT(growth >= 300 * NSEC_PER_MSEC, "vmm_ns of both: %llu", growth);
	/* This thread runs between the two reads. */
	EXPECT_NEAR(vmm[1][0], vmm[1][1], 2 * TICK + 5 * NSEC_PER_MSEC, "halves");
}

static void child_with_helper(void *arg)
{
	volatile __u64 *said = arg;
	struct helper h;

	start();
	helper_start(&h, 150 * NSEC_PER_MSEC);
	while (!h.burnt)
		sleep_ms(1);
	said[0] = id;
	said[1] = h.used;
	/* The helper dies with the process, at the same time as the VM. */
	_exit(0);
}

/* The final record has threads that died with the VM. */
static void test_final(void)
{
	volatile __u64 *said = shared_page();
	struct kvm_meter_vm rec;
	struct meter_map map;

	meter_map_open(&map, "kvm_meter_ended");
	for (unsigned int i = 0; i < 10; i++) {
		REQUIRE(!wait_child(spawn(child_with_helper, (void *)said)), "the child failed");
		meter_wait_ended(&map, said[0], &rec);
		EXPECT(rec.vmm_ns >= said[1], "vmm_ns in the end: %llu of %llu",
		       (unsigned long long)rec.vmm_ns, (unsigned long long)said[1]);
		EXPECT_EQ(rec.cost_ns, rec.guest_ns + rec.host_ns + rec.vmm_ns + rec.vhost_ns,
			  "cost_ns");
	}
	meter_expect_healthy(NULL);
}

/* The worker: a thread of ours, or one of the kernel's with our number in its name. */
static pid_t vhost_worker(pid_t *owner)
{
	char want[32], buf[64];
	pid_t tid;

	snprintf(want, sizeof(want), "vhost-%d", getpid());
	run_shell(buf, sizeof(buf), "grep -lx %s /proc/%d/task/*/comm 2>/dev/null | "
		  "sed 's,.*/task/\\([0-9]*\\)/comm,\\1,'", want, getpid());
	tid = atoi(buf);
	*owner = getpid();
	if (tid)
		return tid;
	run_shell(buf, sizeof(buf), "grep -lx %s /proc/[0-9]*/comm 2>/dev/null | "
		  "sed 's,/proc/\\([0-9]*\\)/comm,\\1,'", want);
	*owner = atoi(buf);
	return *owner;
}

/* Its time, and its bytes once: the tap is open in the VMM too. */
static void test_vhost(void)
{
	__u64 vhost[2], vmm[2], truth[2], tx, sent;
	struct vhost *v;
	pid_t tid, pid;
	int tap;

	need_module("tun");
	start();
	tap = tun_open(TAP, false, true);
	v = vhost_open(tap);
	tid = vhost_worker(&pid);
	REQUIRE(tid, "no worker of vhost");
	tap_diag("the worker is %s %d", pid == getpid() ? "thread" : "kernel thread", tid);
	vhost_send(v, 1, 100);
	/* A kernel thread is looked for once a second. */
	REQUIRE(WAIT_FOR(value("vhost_ns"), METER_APPEARS_MS), "vhost_ns is 0");
	truth[0] = sched_ns(pid, tid);
	vhost[0] = value("vhost_ns");
	vmm[0] = value("vmm_ns");
	tx = value("net_tx_bytes");
	EXPECT_EQ(tx, 100, "net_tx_bytes of a frame");
	EXPECT_NEAR(vhost[0], truth[0], TICK, "vhost_ns from the beginning");
	sent = vhost_send(v, 20000, 1000);
	sleep_ms(20);
	truth[1] = sched_ns(pid, tid);
	vhost[1] = value("vhost_ns");
	vmm[1] = value("vmm_ns");
	tap_diag("vhost_ns %llu us, scheduler %llu us, vmm_ns %llu us",
		 (vhost[1] - vhost[0]) / 1000, (truth[1] - truth[0]) / 1000,
		 (vmm[1] - vmm[0]) / 1000);
	EXPECT_NEAR(vhost[1] - vhost[0], truth[1] - truth[0], 2 * TICK, "vhost_ns by schedstat");
	EXPECT(vhost[1] > vhost[0], "vhost_ns did not grow");
	EXPECT_EQ(value("net_tx_bytes") - tx, sent, "net_tx_bytes");
	EXPECT_EQ(netdev_stat(TAP, "rx_bytes"), sent + tx, "rx_bytes of the tap");
	/* The worker goes; what it used stays. */
	vhost_close(v);
	sleep_ms(1500);
	EXPECT(value("vhost_ns") >= vhost[1], "vhost_ns went back");
	EXPECT(value("vhost_ns") <= vhost[1] + 20 * NSEC_PER_MSEC, "vhost_ns goes on");
	meter_expect_healthy(NULL);
}

/* vhost-net holds the tap, whose descriptor the VMM has closed. */
static void test_closed(void)
{
	struct vhost *v;
	__u64 sent;
	int tap;

	need_module("tun");
	start();
	tap = tun_open(TAP, false, true);
	v = vhost_open(tap);
	sent = vhost_send(v, 10, 100);
	EXPECT(WAIT_FOR(value("net_tx_bytes") == sent, METER_APPEARS_MS), "net_tx_bytes: %llu",
	       value("net_tx_bytes"));
	close(tap);
	/* It is looked what is open once a second. */
	sleep_ms(2500);
	sent += vhost_send(v, 1000, 500);
	EXPECT_EQ(value("net_tx_bytes"), sent, "net_tx_bytes of a tap that only vhost-net has");
	vhost_close(v);
	EXPECT(WAIT_FOR(value("net_tx_bytes") == sent, METER_APPEARS_MS), "net_tx_bytes: %llu",
	       value("net_tx_bytes"));
	meter_expect_healthy(NULL);
}

static void compete(void *arg)
{
	(void)arg;
	pin_thread(0, 1);
	for (;;)
		;
}

static __u64 reason_ns(const char *names)
{
	struct meter_reason r[KVM_METER_REASONS];
	unsigned int n = meter_reasons(id, METER_VM, r, ARRAY_SIZE(r));
	__u64 ns = 0;

	for (unsigned int i = 0; i < n; i++)
		if (strstr(names, r[i].name))
			ns += r[i].time_ns;
	return ns;
}

/*
 * A guest that computes leaves for interrupts only. Alone on its CPU all that it
 * is out of the guest is theirs; beside a competitor its waits are not.
 */
static void test_irq(void)
{
	static const char *const names = "interrupt EXTERNAL_INTERRUPT";
	struct meter_counters a, b;
	__u64 irq[2], time[2];
	struct vcpu *v;
	pid_t other;

	need_cpus(2);
	pin_thread(0, 0);
	v = start_thread(guest_spin, 1);
	sleep_ms(200);
	for (int round = 0; round < 2; round++) {
		other = round ? spawn(compete, NULL) : 0;
		time[0] = reason_ns(names);
		irq[0] = value("irq_ns");
		meter_counters(id, METER_VM, &a);
		sleep_ms(2000);
		meter_counters(id, METER_VM, &b);
		irq[1] = value("irq_ns") - irq[0];
		time[1] = reason_ns(names) - time[0];
		if (other)
			end_child(other);
		tap_diag("irq_ns %llu us, exits for interrupts %llu us, host %llu us, steal %llu us",
			 irq[1] / 1000, time[1] / 1000, (b.host_ns - a.host_ns) / 1000,
			 (b.steal_ns - a.steal_ns) / 1000);
		EXPECT(irq[1] > 0, "irq_ns is 0");
		/* The reads are not of one moment: some more interrupts. */
		EXPECT(irq[1] <= b.host_ns - a.host_ns + 20 * NSEC_PER_MSEC,
		       "irq_ns %llu of host_ns %llu", irq[1], b.host_ns - a.host_ns);
		/* What is left out is the time without a CPU, and the way back in. */
		EXPECT(time[1] + 20 * NSEC_PER_MSEC >= irq[1] + b.steal_ns - a.steal_ns,
		       "irq_ns %llu and steal_ns %llu are more than %llu", irq[1],
		       b.steal_ns - a.steal_ns, time[1]);
		if (round)
			EXPECT(b.steal_ns - a.steal_ns > 500 * NSEC_PER_MSEC,
			       "it was alone: %llu", b.steal_ns - a.steal_ns);
		else
			EXPECT(irq[1] * 2 > b.host_ns - a.host_ns, "irq_ns %llu of host_ns %llu",
			       irq[1], b.host_ns - a.host_ns);
	}
	v->data->stop = 1;
	vcpu_join(v);
}

static void *spawner(void *stop)
{
	pthread_t thread;
	__u64 used;

	while (!*(volatile int *)stop) {
		if (!pthread_create(&thread, NULL, short_life, &used))
			pthread_join(thread, NULL);
	}
	return NULL;
}

/* rmmod while threads are born and die, and while others read. */
static void test_unload(void)
{
	volatile int stop = 0;
	pthread_t thread[3];
	__u64 last, now;
	struct vcpu *v;

	v = start_thread(guest_spin_cpuid, -1);
	for (int i = 0; i < 3; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, spawner, (void *)&stop),
			"pthread_create");
	for (unsigned int i = 0; i < repeats(10); i++) {
		id = meter_wait_tid(v->tid);
		last = 0;
		for (int n = 0; n < 20; n++) {
			now = value("vmm_ns");
			EXPECT(now >= last, "vmm_ns went back from %llu to %llu", last, now);
			last = now;
			sleep_ms(5);
		}
		REQUIRE(!meter_unload(), "rmmod");
		REQUIRE(!meter_load(NULL), "insmod");
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	meter_wait_tid(v->tid);
	v->data->stop = 1;
	vcpu_join(v);
	meter_expect_healthy(NULL);
}

static const struct tap_test tests[] = {
	{ "threads that live", test_living, 0 },
	{ "threads that die young", test_dead, 0 },
	{ "a thread that runs a vCPU at times", test_turns, 0 },
	{ "another process runs the vCPU", test_stand_in, 0 },
	{ "threads and turns come and go", test_churn, 0 },
	{ "the whole process once", test_whole, 0 },
	{ "two VMs in a process", test_split, 0 },
	{ "threads that die with the VM", test_final, 0 },
	{ "vhost", test_vhost, 0 },
	{ "vhost-net holds a closed tap", test_closed, 0 },
	{ "interrupts", test_irq, 0 },
	{ "rmmod while threads come and go", test_unload, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}
