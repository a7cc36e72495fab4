/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest useful VMM on KVM's ioctls: 2 MiB of memory, several vCPUs in
 * long mode, each run by its own thread or by the caller. Every failure ends
 * the test.
 */
#ifndef SELFTESTS_VMM_H
#define SELFTESTS_VMM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "guest.h"
#include "util.h"

enum vcpu_command {
	VCPU_RUN,
	VCPU_PAUSE,		/* leave the guest, sleep outside KVM_RUN */
	VCPU_STOP,		/* end the thread */
};

struct vm;

struct vcpu {
	struct vm *vm;
	unsigned int id;	/* KVM's id */
	int fd;
	struct kvm_run *run;
	struct guest_data *data;
	pthread_t thread;
	bool threaded;
	int cpu;		/* where its thread is pinned; -1: nowhere */
	int command;		/* enum vcpu_command, a futex */
	int paused;
	int done;		/* the guest program has ended */
	pid_t tid;
	__u64 burn_ns;		/* burn as much CPU after each port exit */
	bool yield;		/* and let another thread run */
	__u64 runs, io, mmio, hlts, interrupted;	/* exits that the VMM saw */
};

#define VM_IRQCHIP	0x1	/* in-kernel irqchip */
#define VM_HYPERV	0x2	/* Hyper-V's MSRs, with SynIC; needs the irqchip */

struct vm {
	int fd;
	unsigned int flags;
	unsigned int nr;
	char *mem;
	__u64 size;		/* of mem */
	struct vcpu *vcpus;
};

void need_kvm(void);		/* skip the test without KVM */
bool kvm_is_intel(void);

struct vm *vm_create(unsigned int nr_vcpus, unsigned int flags);
/* The same with vCPU ids from @first on, so that they tell VMs apart in a trace. */
struct vm *vm_create_ids(unsigned int nr_vcpus, unsigned int first, unsigned int flags);
/* One vCPU, in @size bytes of memory that the caller made; the VM unmaps them. */
struct vm *vm_create_in(void *mem, __u64 size, unsigned int flags);
/* Without vCPUs and memory, for the caller to fill. */
struct vm *vm_create_bare(unsigned int flags);
void vm_add_memory(struct vm *vm, __u32 slot, __u64 gpa, void *mem, __u64 size);
/* 0 or -errno; @size 0 deletes the slot. */
int vm_set_slot(struct vm *vm, __u32 slot, __u32 flags, __u64 gpa, void *mem, __u64 size);
/* Interrupts and faults of @vector go to @handler (guest.h); the table is at @idt. */
void vm_gate(struct vm *vm, __u64 idt, unsigned int vector, const char *handler);
struct vcpu *vm_add_vcpu(struct vm *vm, unsigned int id);
void vm_destroy(struct vm *vm);

/* Next run starts @program (guest.h), @count times. */
void vcpu_program(struct vcpu *v, const char *program, __u64 count, __u64 arg);
/* One KVM_RUN: the exit reason, or -errno. */
int vcpu_run_once(struct vcpu *v);
/* Account for what KVM_RUN returned; true when the program has ended. */
bool vcpu_handle(struct vcpu *v, int reason);
/* Print its registers; it has to be out of KVM_RUN. */
void vcpu_show(struct vcpu *v);
/* Run the test again if its emulator, not KVM, broke this guest. */
void vcpu_blame(struct vcpu *v, bool shutdown);
/* In the calling thread, to the end of the program. */
void vcpu_run(struct vcpu *v);
void vcpu_set_msr(struct vcpu *v, __u32 msr, __u64 value);
__u64 vcpu_get_msr(struct vcpu *v, __u32 msr);
void vcpu_wake(struct vcpu *v);	/* its thread only: runnable after HLT */

/* In a thread of its own, pinned unless @cpu is -1. */
void vcpu_start(struct vcpu *v, int cpu);
void vcpu_kick(struct vcpu *v);
void vcpu_pause(struct vcpu *v);	/* returns when it sleeps */
void vcpu_pause_at_exit(struct vcpu *v); /* the same, of a guest that exits; no signal */
void vcpu_resume(struct vcpu *v);
void vcpu_join(struct vcpu *v);		/* wait for the end of the program */
void vcpu_stop(struct vcpu *v);		/* end the thread wherever it is */

/* A statistic by KVM's stats fd of a vCPU or a VM; fails if there is none. */
__u64 kvm_stat(int fd, const char *name);

#endif /* SELFTESTS_VMM_H */
