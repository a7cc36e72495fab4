/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM's tracepoints, defined and exported by kvm.ko. Its own trace.h is not
 * among the kernel headers.
 */
#ifndef _KVM_METER_KVM_TRACE_H
#define _KVM_METER_KVM_TRACE_H

#include <linux/tracepoint-defs.h>

extern struct tracepoint __tracepoint_kvm_entry;
extern struct tracepoint __tracepoint_kvm_exit;

#endif /* _KVM_METER_KVM_TRACE_H */
