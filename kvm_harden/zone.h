/* SPDX-License-Identifier: GPL-2.0 */
/*
 * No-go zones: ranges of guest-physical memory that the guest cannot use.
 *
 * A zone is enforced twice, see Documentation/design.rst: its memory is mapped
 * into the VMM with less than all rights (shield.c), which every path of KVM to
 * guest memory obeys, and entries that KVM makes in the second-level page table
 * are stripped of rights (clamp.c).
 *
 * Locks, outermost first:
 *   zone_mutex    zones, VMs with zones, shields (process context)
 *   shield work   one at a time for a shield; takes the VMM's mmap_lock
 *   kvm->mmu_lock (clamp.c)
 * The hooks in KVM take none of them: they find zone_vms and maps by RCU.
 */
#ifndef _KVM_HARDEN_ZONE_H
#define _KVM_HARDEN_ZONE_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "zone_map.h"
#include "zone_parse.h"

struct file;
struct kvm;
struct kvm_vcpu;
struct shield;

#define ZONES_MAX	4096	/* in all: what reading one list of them may cost */

enum zone_state {
	ZONE_ARMING,		/* the guest waits until it is known how it ends */
	ZONE_ARMED,
	ZONE_SUSPENDED,
	ZONE_OPEN,		/* a log zone that has been violated */
};

struct nogo {
	struct kobject kobj;
	u64 id;
	struct zone_spec spec;
	u64 start, end;			/* frames, from gpa and size */
	enum zone_state state;		/* under zone_mutex; read without */
	enum zone_state next;		/* what it becomes; what the mapping is made by */
	struct zone_vm *vm;
	struct list_head link;		/* in vm->zones; RCU */
	struct rcu_head rcu;
	struct zone_seg *behind;	/* memory behind it in the VMM, under zone_mutex */
	unsigned int behind_count;
	bool taken;			/* somebody is removing it */
	bool tried;			/* removing all, it could not be */

	raw_spinlock_t lock;		/* what follows */
	u64 violations;
	u64 last_gpa, last_rip, last_ns;
	u32 last_access;
	int last_vcpu;
	bool opening;			/* a log zone waits for its worker */
	struct delayed_work log_work;
	unsigned long log_next;		/* jiffies: not opened before that */
};

struct zone_vm {
	struct hlist_node by_kvm;	/* RCU */
	struct list_head link;		/* under zone_mutex */
	struct kvm *kvm;		/* compared, not followed, but in hooks; NULL: ended */
	u64 id;
	struct shield *shield;
	struct list_head zones;		/* RCU; changed under zone_mutex */
	struct zone_map __rcu *map;	/* what is denied, by frame */
	struct list_head lpages;	/* huge pages held off, under zone_mutex */
	bool slots_changed;
	bool warned;			/* that its memory cannot be followed */
	struct rcu_head rcu;
};

extern struct mutex zone_mutex;

/* Hooks: under rcu_read_lock(). */
struct zone_vm *kvm_harden_zone_vm(const struct kvm *kvm);
u32 kvm_harden_zone_denied(const struct zone_vm *vm, u64 start, u64 end, bool *wait);
void kvm_harden_zone_vm_ended(const struct kvm *kvm);

int kvm_harden_zone_create(const struct zone_spec *spec);
int kvm_harden_zone_remove(struct nogo *zone);
int kvm_harden_zone_suspend(struct nogo *zone, bool suspend);
int kvm_harden_zone_disarm(void);
bool kvm_harden_zone_log(struct nogo *zone);
void kvm_harden_zone_check(void);
const char *kvm_harden_zone_why(void);
u64 kvm_harden_zone_last_id(void);
int kvm_harden_zone_refuse(int err, const char *fmt, ...) __printf(2, 3);
int kvm_harden_zone_status(char *buf);

int kvm_harden_zone_init(void);
void kvm_harden_zone_exit(void);
void kvm_harden_zone_quiet(void);

/* zone_sysfs.c */
int kvm_harden_zone_show(struct nogo *zone);
void kvm_harden_zone_hide(struct nogo *zone);
void kvm_harden_zone_event(struct nogo *zone, const char *what);
int kvm_harden_zones_init(void);
void kvm_harden_zones_exit(void);

#endif /* _KVM_HARDEN_ZONE_H */
