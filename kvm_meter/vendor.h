/* SPDX-License-Identifier: GPL-2.0 */
/* Which KVM this is, and whether its layout is the one that is relied on. */
#ifndef _KVM_METER_VENDOR_H
#define _KVM_METER_VENDOR_H

#include <kvm_meter/abi.h>

const char *kvm_meter_vendor_check(enum kvm_meter_vendor *vendor, int *err);

#endif /* _KVM_METER_VENDOR_H */
