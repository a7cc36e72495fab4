// SPDX-License-Identifier: GPL-2.0
/* vcpu->pid is a struct pid *, protected by RCU where there is no pid_lock. */
#include <linux/kvm_host.h>

struct pid *probe(struct kvm_vcpu *vcpu);
struct pid *probe(struct kvm_vcpu *vcpu)
{
	return rcu_dereference(vcpu->pid);
}
