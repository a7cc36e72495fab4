/* SPDX-License-Identifier: GPL-2.0 */
/* The hook points. Each file hook_*.c installs and removes its own. */
#ifndef _KVM_METER_HOOKS_H
#define _KVM_METER_HOOKS_H

#include <linux/types.h>

#include <kvm_meter/abi.h>

struct file;
struct kvm;
struct kvm_vcpu;

/* kvm_entry and kvm_exit */
int kvm_meter_hook_exit_add(enum kvm_meter_vendor vendor);
void kvm_meter_hook_exit_del(void);
void kvm_meter_hook_exit_settle(void);
u64 kvm_meter_late_exit_ns(const struct kvm_vcpu *vcpu, u64 now);

/* sched_switch and sched_wakeup */
int kvm_meter_hook_sched_add(void);
void kvm_meter_hook_sched_del(void);
void kvm_meter_hook_sched_layout(long throttle_count);

/* kvm_arch_destroy_vm() */
int kvm_meter_hook_destroy_add(void);
void kvm_meter_hook_destroy_del(void);
bool kvm_meter_hook_destroy_live(void);
int kvm_meter_symbol(const char *name, unsigned long *addr);

/* VMs that are already there */
void kvm_meter_discover(void);
struct file *kvm_meter_vm_file(const struct kvm *kvm);
struct file *kvm_meter_vcpu_file(const struct kvm_vcpu *vcpu);

#endif /* _KVM_METER_HOOKS_H */
