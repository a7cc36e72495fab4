/* SPDX-License-Identifier: GPL-2.0 */
/* Sums per VM, worked out off the entry/exit path. */
#ifndef _KVM_METER_FOLD_H
#define _KVM_METER_FOLD_H

#include "registry.h"

void kvm_meter_fold_vm(struct meter_vm *vm, struct kvm_meter_vm *sum);
void kvm_meter_fold_start(void);
void kvm_meter_fold_stop(void);

#endif /* _KVM_METER_FOLD_H */
