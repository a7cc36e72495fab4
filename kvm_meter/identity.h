/* SPDX-License-Identifier: GPL-2.0 */
/* Who a VM is: by this its bill is sent. */
#ifndef _KVM_METER_IDENTITY_H
#define _KVM_METER_IDENTITY_H

#include <linux/sched.h>
#include <linux/types.h>

#include <kvm_meter/abi.h>

struct cgroup;

struct meter_ident {
	pid_t pid;
	u32 uid;
	u32 payer;			/* user who answers for it, see _payer() */
	u64 created_ns;
	u64 start_ns;
	u64 cgroup_id;
	struct cgroup *cgroup;		/* held until the path is known */
	char comm[TASK_COMM_LEN];
};

void kvm_meter_ident_take(struct meter_ident *id, struct task_struct *task);
void kvm_meter_ident_publish(struct meter_ident *id, struct kvm_meter_vm *rec);
u32 kvm_meter_ident_payer(struct task_struct *task);
void kvm_meter_ident_drop(struct meter_ident *id);
int kvm_meter_ident_init(void);

#endif /* _KVM_METER_IDENTITY_H */
