/* SPDX-License-Identifier: GPL-2.0 */
/* What a VM has cost: the counters that only a VM has. */
#ifndef _KVM_METER_BILL_H
#define _KVM_METER_BILL_H

#include "registry.h"

struct meter_bill {
	KVM_METER_VM_COUNTERS(__KVM_METER_C)
};

void kvm_meter_bill(struct meter_vm *vm, struct meter_bill *bill);
void kvm_meter_bill_fold(struct meter_vm *vm, struct kvm_meter_vm *sum);

#endif /* _KVM_METER_BILL_H */
