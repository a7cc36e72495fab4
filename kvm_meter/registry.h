/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one registry of VMs and vCPUs.
 *
 * Slots are allocated once, when the module loads: a vCPU may be met for the
 * first time in the entry path, where nothing can be allocated. What a hook
 * finds by a stale pointer is therefore always a slot, never freed memory.
 *
 * Locks, outermost first:
 *   vm_mutex        VM slots against retire, fold and sysfs (process context)
 *   registry_lock   slot allocation, VM list; raw, interrupts off
 *   vcpu->lock      one vCPU's record, against all but the entry/exit path
 *   process->lock (threads.c)  a leaf
 *   task_table_lock (in registry.c)  the task hash; a leaf
 *   active_mutex    (in active.c)  what is sampled; inside vm_mutex, and outside of
 *                   registry_lock when all VMs are marked ended
 *   vm->probe_lock  keeps a VM from being destroyed; KVM's mmu_lock is inside
 * The scheduler's hooks run under a runqueue lock and take vcpu->lock only, so
 * nothing may be woken and nothing printed under vcpu->lock and the leaves.
 * Other locks of processes and their devices: see Documentation/design.rst.
 */
#ifndef _KVM_METER_REGISTRY_H
#define _KVM_METER_REGISTRY_H

#include <linux/atomic.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/list_nulls.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/rculist_nulls.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include <kvm_meter/abi.h>

#include "energy.h"
#include "hint.h"
#include "identity.h"
#include "process.h"
#include "ran.h"

struct active;
struct kvm;
struct kvm_vcpu;

/* Order in which a file prints its reasons: by first appearance, append-only. */
struct meter_order {
	u8 slot[KVM_METER_REASONS];
	u8 count;
};

/* A vCPU of the same VM that is not where the guest was told it is. */
struct meter_pair {
	u32 other;			/* KVM's id of it */
	bool apart;			/* a promised sibling, on another core; or the reverse */
	u64 ns;
};

#define METER_PAIRS	8

struct meter_vcpu {
	raw_spinlock_t lock;
	struct kvm_meter_vcpu *rec;	/* element of the map, for good */
	struct kvm_vcpu *vcpu;		/* NULL: ended or free */
	struct task_struct *task;	/* thread that runs it; compared, not followed */
	struct signal_struct *signal;	/* and its process's, likewise */
	int key_cpu;			/* CPU whose meter_cpu may hold it */
	bool entered;			/* kvm_exits_base is valid */
	bool late_exit;			/* exited, but the exit event is still to come */
	u64 task_base_ns;		/* CPU time that the thread had when it was mapped */
	u64 task_ns;			/* and when it was looked at last */
	struct kvm_meter_reason *reason; /* of the exit whose time runs, */
	u64 exit_ns;			/* since then; 0: none */
	u64 out_ns;			/* it lost its CPU since then; 0: it did not */
	u64 irq_out_ns;			/* time of exits for interrupts that was not on a CPU */
	u64 kvm_exits_base;
	u64 kvm_exits_seen;		/* what KVM's statistic was last */
	u64 halt_poll_base;
	struct meter_ran ran;
	u64 woken_ns;			/* and no entry since then; 0: none */
	bool waits;			/* is one of vm->waiting */
	int on_cpu;			/* its thread has that CPU; -1: none */
	u8 promise_shift;		/* as promise_shift() */
	u8 nr_pairs;
	struct meter_pair pairs[METER_PAIRS];
	struct meter_pair *apart, *crowded; /* to which guest time goes now, or NULL */
	struct meter_vcpu *mate;	/* promised as its sibling; or NULL */
	struct hlist_nulls_node by_vcpu;
	struct hlist_nulls_node by_task;
	struct meter_vm *vm;
	struct list_head link;		/* in vm->vcpus */
	struct kvm_meter_vcpu_head shown; /* what was shown last */
	struct meter_order order;	/* under order_mutex in sysfs_vm.c */
	struct kobject *dir;		/* under vm_mutex */
	u64 unknown_seen;		/* under vm_mutex: exits of no name that health has */
};

enum meter_vm_state {
	METER_VM_FREE,
	METER_VM_LIVE,
	METER_VM_ENDED,		/* waits for retire */
};

struct meter_vm {
	enum meter_vm_state state;
	u64 id;
	struct kvm *kvm;		/* compared, not followed; NULL once ended */
	struct kvm_meter_vm *rec;	/* element of the map, for good */
	struct list_head link;		/* free list or live list */
	struct list_head todo;		/* in the worker's queue */
	struct hlist_node by_kvm;
	struct list_head vcpus;		/* RCU; grows only, until retired */
	struct meter_ident ident;
	struct meter_process *process;
	struct list_head in_process;	/* in process->vms */
	u64 share[METER_SHARES];	/* under process_lock: of what the process uses */
	unsigned long wait_end;		/* under vm_mutex: jiffies; 0: retire has not put it off */
	atomic_t waiting;		/* vCPUs that are runnable without a CPU */
	raw_spinlock_t mates_lock;	/* who is whose mate: a leaf under vcpu->lock */
	u32 vcpu_count;
	u32 flags;
	u64 ended_ns;
	struct meter_energy energy;
	spinlock_t probe_lock;		/* keeps kvm from being destroyed */
	struct kvm_meter_memory memory;	/* under probe_lock */
	struct active *active;		/* under vm_mutex */
	struct meter_order order;	/* under order_mutex in sysfs_vm.c */
	struct kobject *dir;		/* under vm_mutex */
	unsigned int groups;		/* under vm_mutex: of files that are not always there */
	/* numa.c; written under vm_mutex */
	bool scanned;
	unsigned long scan_next;	/* jiffies */
	struct hint hint;
	u64 node_memory_bytes[KVM_METER_NODES];
	u64 node_guest_base[KVM_METER_NODES]; /* guest time at the last sample */
	struct kobject *numa_dir;	/* under vm_mutex, as these */
	struct kobject *node_dirs[KVM_METER_NODES];
};

/* What the entry/exit path needs to know on this CPU. */
struct meter_cpu {
	struct kvm_vcpu *key;		/* vCPU that rec is for; NULL or tagged: slow path */
	struct kvm_meter_vcpu *rec;
	struct kvm_meter_reason *reason; /* of the last exit */
	struct meter_vcpu *v;
};

DECLARE_PER_CPU_ALIGNED(struct meter_cpu, meter_cpu);

extern struct mutex vm_mutex;
extern struct meter_vm *meter_vms;
extern struct meter_vcpu *meter_vcpus;
extern unsigned int meter_vcpu_slots;

/* For all VMs whose records are in use; vm_mutex held. */
#define for_each_meter_vm(vm)						\
	for ((vm) = meter_vms; (vm) < meter_vms + meter_vcpu_slots; (vm)++) \
		if ((vm)->rec->vm_id)

int kvm_meter_registry_init(unsigned int slots);
void kvm_meter_registry_exit(void);

/* Any context with interrupts off; NULL if it is not known. */
struct meter_vcpu *kvm_meter_find_vcpu(const struct kvm_vcpu *vcpu);
struct meter_vcpu *kvm_meter_find_task(const struct task_struct *task);
struct meter_vm *kvm_meter_find_vm(const struct kvm *kvm);

struct meter_vcpu *kvm_meter_vcpu_add(struct kvm_vcpu *vcpu, struct task_struct *task,
				      struct task_struct *thread, u32 state, u32 flags);
void kvm_meter_vm_end(struct kvm *kvm);
void kvm_meter_vm_end_all(u32 flags);

/* Under vcpu->lock. */
bool kvm_meter_task_map(struct meter_vcpu *v, struct task_struct *task);
void kvm_meter_task_unmap(struct meter_vcpu *v);
void kvm_meter_cpu_release(struct meter_vcpu *v);
void kvm_meter_vcpu_refresh(struct meter_vcpu *v);

/* What threads and vCPUs have used. */
u64 kvm_meter_task_vcpu_ns(const struct task_struct *task, u64 ns);
u64 kvm_meter_vcpu_irq_ns(struct meter_vcpu *v);

/* The vCPU that this CPU's record is for, whether the key is tagged or not. */
static inline struct kvm_vcpu *kvm_meter_cpu_vcpu(const struct meter_cpu *c)
{
	return (struct kvm_vcpu *)((unsigned long)READ_ONCE(c->key) & ~1ul);
}

/*
 * Any CPU: let the next entry or exit of @c take the slow path, as no vCPU's
 * address is odd, and leave it to that to settle what the fast path holds.
 */
static inline void kvm_meter_cpu_tag(struct meter_cpu *c)
{
	struct kvm_vcpu *vcpu = kvm_meter_cpu_vcpu(c);

	if (vcpu)
		cmpxchg(&c->key, vcpu, (struct kvm_vcpu *)((unsigned long)vcpu | 1));
	else
		smp_mb(); /* as cmpxchg() is */
}

struct kvm_meter_guard;
void kvm_meter_registry_set_guard(const struct kvm_meter_guard *guard);

/* Worker's side; vm_mutex held. */
struct meter_vm *kvm_meter_vm_todo(void);
void kvm_meter_vm_todo_again(struct list_head *vms);
bool kvm_meter_vm_ended(struct meter_vm *vm);
void kvm_meter_vm_free(struct meter_vm *vm);
void kvm_meter_usage(u32 *vcpus, u32 *vms);
bool kvm_meter_slots_full(void);
int kvm_meter_vcpu_show_all(struct meter_vcpu *v, struct kvm_meter_vcpu_head *out,
			    struct kvm_meter_vm_reason *reasons, struct kvm_meter_vm *sum);

static inline int kvm_meter_vcpu_show(struct meter_vcpu *v, struct kvm_meter_vcpu_head *out,
				      struct kvm_meter_vm_reason *reasons)
{
	return kvm_meter_vcpu_show_all(v, out, reasons, NULL);
}

#endif /* _KVM_METER_REGISTRY_H */
