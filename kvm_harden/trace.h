/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_harden

#if !defined(_KVM_HARDEN_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KVM_HARDEN_TRACE_H

#include <linux/tracepoint.h>

#include <kvm_harden/abi.h>

#include "zone_parse.h"

#define show_flush(what)						\
	__print_flags(what, "+", { KVM_HARDEN_IBPB, "ibpb" }, { KVM_HARDEN_L1D, "l1d" })

/* A VM-entry into another trust domain than the core's last one. */
TRACE_EVENT(kvm_harden_switch,
	TP_PROTO(u64 vm, u32 vcpu, u64 to, u64 from, u64 from_vm, u32 flush, u32 covered, u64 ns),
	TP_ARGS(vm, vcpu, to, from, from_vm, flush, covered, ns),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, to)
		__field(u64, from)
		__field(u64, from_vm)
		__field(u64, ns)
		__field(u32, vcpu)
		__field(u32, flush)
		__field(u32, covered)
	),

	TP_fast_assign(
		__entry->vm = vm;
		__entry->to = to;
		__entry->from = from;
		__entry->from_vm = from_vm;
		__entry->ns = ns;
		__entry->vcpu = vcpu;
		__entry->flush = flush;
		__entry->covered = covered;
	),

	TP_printk("vm=%llu vcpu=%u domain=%#llx from=%#llx from_vm=%llu flush=%s covered=%s ns=%llu",
		  __entry->vm, __entry->vcpu, __entry->to, __entry->from, __entry->from_vm,
		  show_flush(__entry->flush), show_flush(__entry->covered), __entry->ns)
);

/* A guest has reached into a no-go zone. */
TRACE_EVENT(kvm_harden_violation,
	TP_PROTO(u64 vm, u32 vcpu, u64 gpa, u32 kind, u64 rip, u64 zone, u32 action),
	TP_ARGS(vm, vcpu, gpa, kind, rip, zone, action),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, gpa)
		__field(u64, rip)
		__field(u64, zone)
		__field(u32, vcpu)
		__field(u32, kind)
		__field(u32, action)
	),

	TP_fast_assign(
		__entry->vm = vm;
		__entry->gpa = gpa;
		__entry->rip = rip;
		__entry->zone = zone;
		__entry->vcpu = vcpu;
		__entry->kind = kind;
		__entry->action = action;
	),

	TP_printk("vm=%llu vcpu=%u gpa=%#llx access=%s rip=%#llx zone=%llu action=%s",
		  __entry->vm, __entry->vcpu, __entry->gpa,
		  __print_symbolic(__entry->kind, { ZONE_R, "r" }, { ZONE_W, "w" },
				   { ZONE_X, "x" }),
		  __entry->rip, __entry->zone,
		  __print_symbolic(__entry->action, { ZONE_STOP, "stop" },
				   { ZONE_FAULT, "fault" }, { ZONE_KILL, "kill" },
				   { ZONE_LOG, "log" }))
);

#endif /* _KVM_HARDEN_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
