// SPDX-License-Identifier: GPL-2.0
/* vcpu->pid is protected by vcpu->pid_lock. */
#include <linux/kvm_host.h>

struct pid *probe(struct kvm_vcpu *vcpu);
struct pid *probe(struct kvm_vcpu *vcpu)
{
	read_lock(&vcpu->pid_lock);
	read_unlock(&vcpu->pid_lock);
	return vcpu->pid;
}
