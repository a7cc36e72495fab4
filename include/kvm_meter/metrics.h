/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The one descriptor table of kvm_meter: every field of every exported record
 * stands here once, with its name, type and meaning. The C structures (abi.h),
 * the BTF of the BPF maps (kvm_meter/btf_gen.c), the sysfs attributes
 * (kvm_meter/sysfs_vm.c), the operator tool and the documentation check are
 * all generated from it. A new counter is one line.
 *
 * C(name, description): a __u64 counter that a vCPU and a VM both have. The
 * unit is the end of the name: _ns nanoseconds, otherwise a number of events.
 * F(type, name, description): a scalar of a record that is no counter.
 * S(length, name, description): a NUL-terminated string.
 */
#ifndef _KVM_METER_METRICS_H
#define _KVM_METER_METRICS_H

/* The first four share a cache line with KVM_METER_VCPU_HOT: keep the order. */
#define KVM_METER_COUNTERS(C)						\
	C(entries, "VM-entries")					\
	C(exits, "VM-exits; the sum over reasons")			\
	C(guest_ns, "time in the guest")				\
	C(host_ns, "time on a CPU outside the guest: KVM and the VMM")	\
	C(steal_ns, "time runnable without a CPU")			\
	C(idle_ns, "time asleep")					\
	C(wall_ns, "time since the vCPU was first seen")		\
	C(throttled_ns, "part of steal_ns caused by cgroup cpu.max")	\
	C(blocked_ns, "part of idle_ns neither halted nor stopped")	\
	C(halt_poll_ns, "part of host_ns spent polling in HLT")		\
	C(synthetic_exits, "exits KVM counted without a guest run")	\
	C(preemptions, "times the vCPU thread lost its CPU while runnable") \
	C(migrations, "times the vCPU entered on another CPU than last")

/* What a vCPU record starts with; the counters follow directly. */
#define KVM_METER_VCPU_HOT(F)						\
	F(__u64, seq, "updates off the fast path, completed; see kvm_meter_read_begin()") \
	F(__u64, moves, "updates off the fast path, begun")		\
	F(__u64, since_ns, "meter clock at the last change of state")	\
	F(__u32, state, "enum kvm_meter_state")				\
	F(__u32, cpu, "host CPU of the last VM-entry")

#define KVM_METER_VCPU_IDENT(F)						\
	F(__u64, vm_id, "id of the VM; 0: the slot is free")		\
	F(__u32, vcpu_id, "KVM's id of the vCPU")			\
	F(__u32, tid, "thread that ran the vCPU last; 0: none is known")		\
	F(__u64, first_ns, "meter clock when the vCPU was first seen")	\
	F(__u64, clock_mult, "meter clock: ns = (TSC * clock_mult) >> 32") \
	F(__u64, failed, "VM-entries that failed: no exit followed")	\
	F(__u64, reserved0, "0; keeps each record on its own cache lines") \
	F(__u64, reserved1, "0")

#define KVM_METER_VM_HEAD(F)						\
	F(__u64, seq, "odd while the record is being written")		\
	F(__u64, vm_id, "id of the VM; 0: the slot is free")		\
	F(__u64, created_ns, "CLOCK_REALTIME when the VM was first seen") \
	F(__u64, ended_ns, "CLOCK_REALTIME when it ended; 0: it runs")	\
	F(__u64, as_of_ns, "CLOCK_REALTIME of the last fold")		\
	F(__u64, start_ns, "start of the process, ns since host boot")	\
	F(__u64, cgroup_id, "cgroup of the process when the VM arrived") \
	F(__u32, pid, "process id (tgid) of the VMM")			\
	F(__u32, uid, "user id of the VMM")				\
	F(__u32, vcpus, "vCPUs seen")					\
	F(__u32, flags, "KVM_METER_VM_*")

#define KVM_METER_COMM_LEN	64
#define KVM_METER_CGROUP_LEN	256
#define KVM_METER_BOOT_ID_LEN	40

#define KVM_METER_VM_STRINGS(S)						\
	S(KVM_METER_COMM_LEN, comm, "name of the process, escaped")	\
	S(KVM_METER_CGROUP_LEN, cgroup, "cgroup path when the VM arrived") \
	S(KVM_METER_BOOT_ID_LEN, boot_id, "boot id of the host")

/* Totals of what fell out of kvm_meter_ended, by owner. */
#define KVM_METER_OWNER_HEAD(F)						\
	F(__u64, seq, "odd while the record is being written")		\
	F(__u64, cgroup_id, "cgroup of the VMs; 0: any")		\
	F(__u32, uid, "user id of the VMs; all ones: any")		\
	F(__u32, used, "1: the record is in use")			\
	F(__u64, vms, "VMs whose final records were folded in here")

#define KVM_METER_INFO_HEAD(F)						\
	F(__u32, abi_version, "KVM_METER_ABI_VERSION")			\
	F(__u32, vendor, "enum kvm_meter_vendor; 0: not known yet")	\
	F(__u32, vcpu_slots, "capacity of kvm_meter_vcpu")		\
	F(__u32, vm_slots, "capacity of kvm_meter_vm")			\
	F(__u32, ended_slots, "capacity of kvm_meter_ended")		\
	F(__u32, owner_slots, "capacity of kvm_meter_owner")		\
	F(__u32, vcpus_used, "slots in use, at the last fold")		\
	F(__u32, vms_used, "slots in use, at the last fold")		\
	F(__u32, armed, "1: the meter is running")			\
	F(__u32, reasons, "exit reasons with a name, \"unknown\" among them")			\
	F(__u64, clock_mult, "meter clock: ns = (TSC * clock_mult) >> 32") \
	F(__u64, vms_ended, "VMs that ended since the module came")

#endif /* _KVM_METER_METRICS_H */
