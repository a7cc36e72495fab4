// SPDX-License-Identifier: GPL-2.0
/* Running vCPUs: in the caller's thread, or each in one of its own. */
#include "vmm.h"

#include <cpuid.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KICK_SIGNAL	SIGUSR1

static __thread struct vcpu *self;

static void futex_wait(int *word, int value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(int *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void set_and_wake(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	futex_wake(word);
}

static void wait_until(int *word, int value)
{
	int now;

	while ((now = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != value)
		futex_wait(word, now);
}

/* A kick that comes just before KVM_RUN must not be lost. */
static void on_kick(int sig)
{
	(void)sig;
	if (self)
		self->run->immediate_exit = 1;
}

int vcpu_run_once(struct vcpu *v)
{
	v->runs++;
	if (ioctl(v->fd, KVM_RUN, 0))
		return -errno;
	return v->run->exit_reason;
}

/* Where a guest was when something went wrong. */
void vcpu_show(struct vcpu *v)
{
	struct kvm_sregs sregs;
	struct kvm_regs r;

	if (ioctl(v->fd, KVM_GET_REGS, &r) || ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return;
	tap_diag("rip %llx (guest_start + %llx) rsp %llx rflags %llx", r.rip, r.rip - GUEST_CODE,
		 r.rsp, r.rflags);
	tap_diag("rax %llx rcx %llx rdx %llx rsi %llx rdi %llx r8 %llx r9 %llx", r.rax, r.rcx,
		 r.rdx, r.rsi, r.rdi, r.r8, r.r9);
	tap_diag("cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x idt %llx", sregs.cr0,
		 sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer, sregs.cs.selector, sregs.idt.base);
	tap_diag("count %llu progress %llu irqs %llu", v->data->count, v->data->progress,
		 v->data->irqs);
}

/*
 * QEMU's TCG with a thread per CPU now and then leaves a guest in a state that
 * it cannot have got into by itself: the host's registers in place of its own,
 * or a triple fault. That is so on kernels that no module was ever loaded into.
 */
static bool emulated(void)
{
	unsigned int eax, sig[3];

	__cpuid(0x40000000, eax, sig[0], sig[1], sig[2]);
	return !memcmp(sig, "TCGTCGTCGTCG", 12);
}

void vcpu_blame(struct vcpu *v, bool shutdown)
{
	struct kvm_regs r;

	if (!emulated() || ioctl(v->fd, KVM_GET_REGS, &r))
		return;
	if (shutdown || r.rip >> 47)
		tap_again("the emulator broke a guest, by its state: once more");
}

bool vcpu_handle(struct vcpu *v, int reason)
{
	struct kvm_run *run = v->run;

	switch (reason) {
	case -EINTR:
	case KVM_EXIT_INTR:
		v->interrupted++;
		return false;
	case -EAGAIN:
		return false;
	case KVM_EXIT_IO:
		if (run->io.port == GUEST_PORT_DONE)
			return true;
		v->io++;
		if (v->burn_ns)
			burn_ns(v->burn_ns);
		if (v->yield)
			sched_yield();
		return false;
	case KVM_EXIT_MMIO:
		v->mmio++;
		return false;
	case KVM_EXIT_HLT:
		v->hlts++;
		return false;
	default:
		vcpu_show(v);
		vcpu_blame(v, reason == KVM_EXIT_SHUTDOWN);
		REQUIRE(false, "vCPU %u: KVM_RUN gave %d", v->id, reason);
		return true;
	}
}

void vcpu_run(struct vcpu *v)
{
	while (!vcpu_handle(v, vcpu_run_once(v)))
		;
	v->done = 1;
}

/*
 * Out of HLT without an interrupt: the guest goes on behind it. The thread
 * that runs the vCPU has to be out of KVM_RUN, as the ioctl takes its mutex.
 */
void vcpu_wake(struct vcpu *v)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };

	REQUIRE(!ioctl(v->fd, KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE: %s",
		strerror(errno));
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	self = v;
	if (v->cpu >= 0)
		pin_thread(0, v->cpu);
	set_and_wake(&v->tid, syscall(SYS_gettid));
	for (;;) {
		/* In this order: a kick after the command sets it again. */
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		switch (__atomic_load_n(&v->command, __ATOMIC_SEQ_CST)) {
		case VCPU_PAUSE:
			set_and_wake(&v->paused, 1);
			futex_wait(&v->command, VCPU_PAUSE);
			continue;
		case VCPU_STOP:
			return NULL;
		}
		if (v->paused)
			set_and_wake(&v->paused, 0);
		if (vcpu_handle(v, vcpu_run_once(v)))
			break;
	}
	set_and_wake(&v->done, 1);
	return NULL;
}

void vcpu_start(struct vcpu *v, int cpu)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigaction(KICK_SIGNAL, &sa, NULL);
	v->cpu = cpu;
	v->tid = 0;
	v->done = 0;
	v->paused = 0;
	v->command = VCPU_RUN;
	REQUIRE(!pthread_create(&v->thread, NULL, vcpu_thread, v), "pthread_create");
	v->threaded = true;
	while (!__atomic_load_n(&v->tid, __ATOMIC_SEQ_CST))
		futex_wait(&v->tid, 0);
}

void vcpu_kick(struct vcpu *v)
{
	if (v->threaded)
		pthread_kill(v->thread, KICK_SIGNAL);
}

void vcpu_pause(struct vcpu *v)
{
	set_and_wake(&v->command, VCPU_PAUSE);
	vcpu_kick(v);
	wait_until(&v->paused, 1);
}

void vcpu_pause_at_exit(struct vcpu *v)
{
	set_and_wake(&v->command, VCPU_PAUSE);
	wait_until(&v->paused, 1);
}

void vcpu_resume(struct vcpu *v)
{
	set_and_wake(&v->command, VCPU_RUN);
}

void vcpu_join(struct vcpu *v)
{
	if (!v->threaded)
		return;
	pthread_join(v->thread, NULL);
	v->threaded = false;
}

void vcpu_stop(struct vcpu *v)
{
	if (!v->threaded)
		return;
	set_and_wake(&v->command, VCPU_STOP);
	vcpu_kick(v);
	vcpu_join(v);
}
