/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes that run VMs: what they use beside their vCPUs, and how that is split
 * among their VMs. Each amount is growth since the process's first VM was seen.
 */
#ifndef _KVM_METER_PROCESS_H
#define _KVM_METER_PROCESS_H

#include <linux/list.h>
#include <linux/list_nulls.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>

struct meter_vm;

/* What is split among the VMs of a process. */
enum meter_share {
	SHARE_VMM_NS,
	SHARE_VHOST_NS,
	SHARE_DISK_READ,
	SHARE_DISK_WRITE,
	SHARE_NET_RX,
	SHARE_NET_TX,
	METER_SHARES
};

/* Threads whose CPU time is told apart. */
enum meter_class {
	CLASS_VMM,
	CLASS_VHOST,
	METER_CLASSES
};

#define METER_KWORKERS	64

struct meter_process {
	struct hlist_nulls_node by_signal;
	struct signal_struct *signal;	/* NULL: the slot is free */
	struct task_struct *task;	/* held: keeps signal */
	struct list_head link;		/* free list */
	struct list_head vms;		/* under process_lock, as is vm_count */
	unsigned int vm_count;
	u64 born_ns;			/* CLOCK_MONOTONIC when it was met */
	u32 payer;			/* user who answers for it */

	unsigned int pass;		/* of the last scan; under vm_mutex, as the next four */
	unsigned int scan_in;		/* passes until its files are looked at again */
	unsigned int vhost_files;
	unsigned int vhost_before;	/* the same when kthreads were looked for last */
	unsigned int in_vain;		/* looks for kthreads that found none */

	raw_spinlock_t lock;		/* a leaf, interrupts off; for the next six */
	unsigned int changes;		/* threads that died, or ceased to run a vCPU */
	unsigned int dying;		/* threads on their way out */
	unsigned int leaving;		/* the same, since before the base */
	u64 base_ns;			/* CLOCK_MONOTONIC of the base */
	u64 dead_ns[METER_CLASSES];	/* CPU time of threads that have died since then */
	u64 vcpu_ns;			/* CPU time of threads while they ran vCPUs */

	struct mutex mutex;		/* for the rest */
	bool closed;			/* the meter is being disarmed: that was all */
	bool based;			/* seen is valid */
	u64 settled_ns, took_ns;	/* CLOCK_MONOTONIC of the last time, and how long it took */
	u64 seen[METER_SHARES];		/* what has been split */
	struct {
		struct task_struct *task;	/* held */
		u64 seen_ns;
	} kworkers[METER_KWORKERS];
	u64 kworker_ns;

	struct list_head nics;		/* under nic_mutex, as is net */
	u64 net[2];			/* to and from the guest */
};

int kvm_meter_process_init(unsigned int slots);
void kvm_meter_process_exit(void);

/* A VM comes and goes. */
bool kvm_meter_process_join(struct meter_vm *vm, struct task_struct *task);
void kvm_meter_process_leave(struct meter_vm *vm);

void kvm_meter_process_scan(struct meter_process *p);
void kvm_meter_process_settle(struct meter_process *p);
void kvm_meter_process_look(struct meter_process *p);
void kvm_meter_process_close_all(void);
bool kvm_meter_process_dying(struct meter_process *p);
struct meter_process *kvm_meter_process_find(const struct signal_struct *signal);

#endif /* _KVM_METER_PROCESS_H */
