/* SPDX-License-Identifier: GPL-2.0 */
/* What the sampler may take of a CPU, and what it has taken. Under active_mutex. */
#ifndef _KVM_METER_ACTIVE_BUDGET_H
#define _KVM_METER_ACTIVE_BUDGET_H

#include <linux/types.h>

void kvm_meter_budget_start(void);
void kvm_meter_budget_woken(void);
u64 kvm_meter_budget_settle(unsigned int ppm);
void kvm_meter_budget_reserve(s64 ns);
u64 kvm_meter_budget_wait(unsigned int ppm);
u64 kvm_meter_budget_clock(void);
u64 kvm_meter_budget_granted(void);
u64 kvm_meter_budget_until(u64 granted_ns, unsigned int ppm);

#endif /* _KVM_METER_ACTIVE_BUDGET_H */
