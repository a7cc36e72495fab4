/* SPDX-License-Identifier: GPL-2.0 */
/* Kernel threads that work for a VMM: vhost's, where they are no threads of it. */
#ifndef _KVM_METER_KWORKER_H
#define _KVM_METER_KWORKER_H

#include "process.h"

void kvm_meter_kworkers_scan(struct meter_process *p);
void kvm_meter_kworkers_settle(struct meter_process *p);
void kvm_meter_kworkers_drop(struct meter_process *p);
void kvm_meter_kworkers_pass(void);
void kvm_meter_kworkers_exit(void);

#endif /* _KVM_METER_KWORKER_H */
