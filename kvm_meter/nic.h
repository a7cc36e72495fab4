/* SPDX-License-Identifier: GPL-2.0 */
/* Network devices that are open in processes that run VMs, and their bytes. */
#ifndef _KVM_METER_NIC_H
#define _KVM_METER_NIC_H

#include "process.h"

int kvm_meter_nic_init(unsigned int slots);
void kvm_meter_nic_exit(void);

void kvm_meter_nics_scan(struct meter_process *p);
void kvm_meter_nics_settle(struct meter_process *p, u64 *now);
void kvm_meter_nics_drop(struct meter_process *p);

#endif /* _KVM_METER_NIC_H */
