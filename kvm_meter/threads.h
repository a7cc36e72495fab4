/* SPDX-License-Identifier: GPL-2.0 */
/* What the threads of a VMM use: CPU time and disk I/O, without loss. */
#ifndef _KVM_METER_THREADS_H
#define _KVM_METER_THREADS_H

#include "process.h"

void kvm_meter_threads_base(struct meter_process *p, u64 *now);
bool kvm_meter_threads_sum(struct meter_process *p, u64 *now);
void kvm_meter_threads_left(const struct signal_struct *signal, u64 ns);

/* Hooks: a thread begins to exit; it has left its CPU for good. */
void kvm_meter_thread_exits(struct task_struct *task);
void kvm_meter_thread_dead(struct task_struct *task);

#endif /* _KVM_METER_THREADS_H */
