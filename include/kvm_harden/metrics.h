/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The one descriptor table of kvm_harden, in the manner of
 * <kvm_meter/metrics.h>: the record of the BPF map, the sysfs attributes and the
 * documentation check are generated from it.
 *
 * C(name, description): a __u64 counter that a VM has, and its sum over all
 * VMs, those that are gone or have no slot included. The unit is the end of
 * the name: _ns nanoseconds, otherwise a number of events.
 */
#ifndef _KVM_HARDEN_METRICS_H
#define _KVM_HARDEN_METRICS_H

#define KVM_HARDEN_COUNTERS(C)						\
	C(switches, "VM-entries after another trust domain on the same core") \
	C(ibpb, "branch predictor barriers decided on")			\
	C(l1d, "L1D flushes decided on")				\
	C(covered, "flushes not done because KVM does them itself")	\
	C(uncovered, "flushes of KVM's that were counted on and did not come") \
	C(flush_ns, "time that the flushes took")			\
	C(predicted_ns, "time that the flushes of a dry run would have taken") \
	C(sibling_conflict_ns, "time in the guest beside another trust domain on the same core")

/* What a VM's record starts with; the counters follow directly. */
#define KVM_HARDEN_VM_HEAD(F)						\
	F(__u64, vm_id, "id of the VM, as in kvm_meter; 0: the slot is free") \
	F(__u32, domain, "trust domain; 0: of its own")			\
	F(__u32, policy, "KVM_HARDEN_*: the flush policy")

#endif /* _KVM_HARDEN_METRICS_H */
