/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The one descriptor table of kvm_meter: every field of every exported record
 * stands here once, with its name, type and meaning. The C structures (abi.h),
 * the BTF of the BPF maps (kvm_meter/btf_gen.c), the sysfs attributes
 * (kvm_meter/sysfs_vm.c), the operator tool and the documentation check are
 * all generated from it. A new counter is one line.
 *
 * C(name, description): a __u64 counter. The unit is the end of the name: _ns
 * nanoseconds, _bytes bytes, _uj microjoules, otherwise a number of events.
 * F(type, name, description): a scalar of a record that is no counter.
 * S(length, name, description): a NUL-terminated string.
 * H(name, description): a histogram of times that a vCPU and a VM both have.
 * N(name, description): a number for each node of the host.
 */
#ifndef _KVM_METER_METRICS_H
#define _KVM_METER_METRICS_H

/*
 * Counters that a vCPU and a VM both have. The first four share a cache line
 * with KVM_METER_VCPU_HOT: keep the order.
 */
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
	C(migrations, "times the vCPU entered on another CPU than last") \
	C(waits, "waits for a CPU that are over; the sum over wait_hist") \
	C(wakeups, "times the vCPU thread was woken")			\
	C(starved, "waits that were kept from the guest")		\
	C(starved_ns, "part of steal_ns that was kept from the guest")	\
	C(steal_idle_ns, "part of steal_ns in which the guest had halted the vCPU") \
	C(spin_exits, "exits for spinning with PAUSE")			\
	C(spin_on_preempted, "spin_exits while another vCPU of the VM waited for a CPU") \
	C(promise_apart_ns, "part of guest_ns while its promised sibling ran on another core") \
	C(promise_crowded_ns, "part of guest_ns beside a vCPU of its VM that was promised another core") \
	KVM_METER_SMT_COUNTERS(C)					\
	KVM_METER_NUMA_COUNTERS(C)

/* Their sum is guest_ns. Only where CPUs have siblings. */
#define KVM_METER_SMT_COUNTERS(C)					\
	C(smt_idle_ns, "part of guest_ns beside an idle sibling")	\
	C(smt_own_ns, "part of guest_ns beside a vCPU of its own VM")	\
	C(smt_other_ns, "part of guest_ns beside a vCPU of another VM")	\
	C(smt_host_ns, "part of guest_ns beside a thread of the host")

/* Only where there is more than one node. */
#define KVM_METER_NUMA_COUNTERS(C)					\
	C(remote_ns, "part of guest_ns on another node than most of the VM's memory")

/* All of one unit and range: see KVM_METER_HIST in abi.h. */
#define KVM_METER_HISTS(H)						\
	H(wait_hist, "waits for a CPU, by their time")			\
	H(wake_hist, "wake-ups, by the time until the next VM-entry")

/* By node; all nodes from KVM_METER_NODES - 1 on are in the last place. */
#define KVM_METER_VCPU_NODES(N)						\
	N(node_guest_ns, "guest_ns by node")

#define KVM_METER_VM_NODES(N)						\
	N(node_guest_ns, "guest_ns by node")				\
	N(node_memory_bytes, "guest memory by node, as of the last sample")

/* Of VMs and owners. All ones (KVM_METER_NONE) where the host counts no energy. */
#define KVM_METER_VM_ENERGY(C)						\
	C(energy_uj, "energy used, in microjoules")			\
	C(energy_error_uj, "by how much energy_uj may be wrong")

/* Counters that only a VM has: of its process, and sums. They follow directly. */
#define KVM_METER_VM_COUNTERS(C)					\
	C(vmm_ns, "CPU time of the VMM's threads that run no vCPU")	\
	C(vhost_ns, "CPU time of kernel threads that work for the VMM")	\
	C(irq_ns, "part of host_ns after exits for host interrupts")	\
	C(cost_ns, "guest_ns + host_ns + vmm_ns + vhost_ns")		\
	C(disk_read_bytes, "bytes that the VMM had read from storage")	\
	C(disk_write_bytes, "bytes that the VMM gave to be written")	\
	C(net_rx_bytes, "bytes that came to the guest by tap devices")	\
	C(net_tx_bytes, "bytes that the guest sent by tap devices")

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
	F(__u32, wait_kind, "KVM_METER_WAIT_*: what the last wait was")	\
	F(__u32, place, "KVM_METER_BESIDE_* and _PLACE_*: what it runs beside") \
	F(__u64, placed_ns, "guest_ns as far as it is in what place says") \
	F(__u32, node, "node that guest_ns belongs to since placed_ns")	\
	F(__u32, reserved1, "0")					\
	F(__u64, reserved0, "0; keeps each record on its own cache lines")

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
	F(__u32, flags, "KVM_METER_VM_*")				\
	F(__u32, memory_node, "node with most of its memory; all ones: not known") \
	F(__u32, preferred_node, "the same of nodes that have CPUs")	\
	F(__u32, preferred_gain_permille, "thousandths of accesses that would be local there, and are not") \
	F(__u32, reserved0, "0")

/*
 * A VM's memory, as of the end of the last window: kvm_meter/active.c. Where
 * active_window_ms is 0, there has been none, and all of them are 0.
 */
#define KVM_METER_VM_MEMORY(F)						\
	F(__u64, active_bytes, "guest memory accessed in the window, an estimate") \
	F(__u64, active_error_bytes, "active_bytes is off by no more, 19 times of 20") \
	F(__u64, active_window_ms, "length of the window; 0: there has been none") \
	F(__u64, active_samples, "pages that were looked at")		\
	F(__u64, active_as_of_ns, "CLOCK_REALTIME of the end of the window") \
	F(__u64, memory_bytes, "guest memory that pages were drawn from") \
	F(__u64, huge_bytes, "guest memory that KVM maps by 2 MiB or more") \
	F(__u64, rss_bytes, "memory that the VMM's process has in RAM")

/* The same of a longer window, which a running VM begins and ends more rarely. */
#define KVM_METER_VM_MEMORY_SLOW(F)					\
	F(__u64, active_slow_bytes, "guest memory accessed in the slow window") \
	F(__u64, active_slow_error_bytes, "active_slow_bytes is off by no more, 19 times of 20") \
	F(__u64, active_slow_window_ms, "length of the slow window; 0: none has ended") \
	F(__u64, active_slow_as_of_ns, "CLOCK_REALTIME of the end of the slow window")

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
	F(__u32, host, "KVM_METER_HOST_*: what this host has")		\
	F(__u32, reserved0, "0")					\
	F(__u64, clock_mult, "meter clock: ns = (TSC * clock_mult) >> 32") \
	F(__u64, vms_ended, "VMs that ended since the module came")	\
	F(__u64, energy_seq, "odd while the fields after energy_kind are being written") \
	F(__u32, energy_kind, "enum kvm_meter_energy")			\
	F(__u32, reserved1, "0")

/* The host's energy, at the end of kvm_meter_info's head. KVM_METER_NONE without. */
#define KVM_METER_ENERGY(F)						\
	F(__u64, package_uj, "energy of the packages while the meter was armed") \
	F(__u64, idle_uj, "part of package_uj drawn with nothing running") \
	F(__u64, vms_uj, "part of package_uj used by vCPUs")		\
	F(__u64, host_uj, "part of package_uj used by everything else")	\
	F(__u64, idle_uw, "power with nothing running, in microwatts")	\
	F(__u64, idle_error_uw, "by how much idle_uw may be wrong")	\
	F(__u64, readings, "readings of the counters")

#endif /* _KVM_METER_METRICS_H */
