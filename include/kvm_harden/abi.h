/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The public interface of kvm_harden: the record of the BPF map kvm_harden_vm.
 * An element is a VM; its counters only grow, each is read by itself.
 */
#ifndef _KVM_HARDEN_ABI_H
#define _KVM_HARDEN_ABI_H

#include <linux/types.h>

#include <kvm_harden/metrics.h>

#define KVM_HARDEN_ABI_VERSION	1

/* What a flush policy can ask for. */
enum {
	KVM_HARDEN_IBPB		= 1 << 0,
	KVM_HARDEN_L1D		= 1 << 1,
	KVM_HARDEN_HOST		= 1 << 2,	/* at every VM-entry */
	KVM_HARDEN_DEFAULT	= 1u << 31,	/* whatever flush/default says */
};

struct kvm_harden_vm {
#define KVM_HARDEN_FIELD(type, name, desc)	type name;
#define KVM_HARDEN_COUNTER(name, desc)		__u64 name;
	KVM_HARDEN_VM_HEAD(KVM_HARDEN_FIELD)
	KVM_HARDEN_COUNTERS(KVM_HARDEN_COUNTER)
#undef KVM_HARDEN_FIELD
#undef KVM_HARDEN_COUNTER
};

#endif /* _KVM_HARDEN_ABI_H */
