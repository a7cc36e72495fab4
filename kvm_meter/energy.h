/* SPDX-License-Identifier: GPL-2.0 */
/* Energy, by VM. Where the host does not count it, there is none: not zero. */
#ifndef _KVM_METER_ENERGY_H
#define _KVM_METER_ENERGY_H

#include <kvm_meter/abi.h>

#include "energy_split.h"

/*
 * A VM that has ended gets a reading of its own when this has passed since the last
 * one, and so many times what that one took, but for that no more than the third.
 */
#define ENERGY_SETTLE_MS	100
#define ENERGY_SETTLE_TIMES	50
#define ENERGY_SETTLE_MOST_MS	1000

struct meter_vm;

/* Under vm_mutex, but for readers of the accounts. */
struct meter_energy {
	struct energy_account used;
	struct energy_account error;
	u64 reading;		/* last one that it took part in */
	bool settled;		/* it has ended, and nothing is due any more */
};

int kvm_meter_energy_init(void);
void kvm_meter_energy_exit(void);
void kvm_meter_energy_start(void);
void kvm_meter_energy_stop(void);

bool kvm_meter_energy_known(void);
bool kvm_meter_energy_made_up(void);
const char *kvm_meter_energy_source_name(void);

/* vm_mutex held. */
bool kvm_meter_energy_settle(struct meter_vm *vm);
void kvm_meter_energy_forget(struct meter_vm *vm);
void kvm_meter_energy_fold(const struct meter_vm *vm, struct kvm_meter_vm *sum);

#endif /* _KVM_METER_ENERGY_H */
