/* SPDX-License-Identifier: GPL-2.0 */
/* The worker that follows the hooks: new VMs get a directory, ended ones a final record. */
#ifndef _KVM_METER_RETIRE_H
#define _KVM_METER_RETIRE_H

void kvm_meter_retire_kick(void);
void kvm_meter_retire_all(void);
int kvm_meter_retire_init(void);
void kvm_meter_retire_exit(void);

#endif /* _KVM_METER_RETIRE_H */
