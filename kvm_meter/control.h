/* SPDX-License-Identifier: GPL-2.0 */
/* Arming and disarming, and what status says about it. */
#ifndef _KVM_METER_CONTROL_H
#define _KVM_METER_CONTROL_H

#include <linux/types.h>

int kvm_meter_control_init(bool arm);
void kvm_meter_control_exit(void);
int kvm_meter_arm(void);
int kvm_meter_disarm(void);
bool kvm_meter_armed(void);
int kvm_meter_control_guard(bool on);
int kvm_meter_status(char *buf);
void kvm_meter_trouble(const char *why);

#endif /* _KVM_METER_CONTROL_H */
