/* SPDX-License-Identifier: GPL-2.0 */
/* Final records, and what becomes of those that there is no room for any more. */
#ifndef _KVM_METER_OWNER_H
#define _KVM_METER_OWNER_H

#include <kvm_meter/abi.h>

#define METER_OWNERS	1024

void kvm_meter_owner_keep(const struct kvm_meter_vm *final, u32 payer);
int kvm_meter_owner_init(unsigned int ended_slots);
void kvm_meter_owner_exit(void);

#endif /* _KVM_METER_OWNER_H */
