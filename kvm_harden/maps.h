/* SPDX-License-Identifier: GPL-2.0 */
/* The BPF map kvm_harden_vm: an element for each slot of the meter's VMs. */
#ifndef _KVM_HARDEN_MAPS_H
#define _KVM_HARDEN_MAPS_H

#include <kvm_harden/abi.h>

int kvm_harden_maps_init(void);
void kvm_harden_maps_exit(void);
struct kvm_harden_vm *kvm_harden_map_vm(unsigned int slot);
u32 kvm_harden_map_id(void);

#endif /* _KVM_HARDEN_MAPS_H */
