// SPDX-License-Identifier: GPL-2.0
/*
 * The second line: an entry that KVM is about to make in a second-level page
 * table gets no right that a zone denies, wherever the fault came from. What
 * may not be executed depends on it alone.
 */
#include <linux/kvm_host.h>
#include <linux/rcupdate.h>

#include "compat_kvm.h"
#include "hook_mmu.h"
#include "zone.h"

/* KVM's ACC_*: what make_spte() takes; the widths of the role tell which. */
#ifdef COMPAT_ACCESS_4
#define ACC_READ	1u
#define ACC_WRITE	2u
#define ACC_USER	4u
#define ACC_EXEC	8u
#else
#define ACC_EXEC	1u
#define ACC_WRITE	2u
#define ACC_READ	4u
#define ACC_USER	0u
#endif

/* Of the low six bits of an entry, a bit for each of their values: can only be executed. */
#define EXECUTE_ONLY	0x1010101010101010ull

/* Frames that an entry of a table has. */
static u64 entry_pages(const void *sp)
{
	const union kvm_mmu_page_role *role = sp + harden_kvm.role_offset;

	return KVM_PAGES_PER_HPAGE(role->level);
}

/*
 * An entry without any right would be reserved for MMIO: memory that is denied
 * altogether keeps the right to be read, as it is not mapped in the VMM at all.
 */
static u32 stripped(u32 access, u32 deny)
{
	if (deny & ZONE_W)
		access &= ~ACC_WRITE;
	if (deny & ZONE_X) {
		access &= ~ACC_EXEC;
		/* On EPT the other bit is execution in user mode. */
		if (harden_kvm.ept)
			access &= ~ACC_USER;
	} else if (deny & ZONE_R) {
		access &= ~ACC_READ;
	}
	return access;
}

/*
 * KVM looks at each entry that it has made for what it would not make, and warns of
 * memory that can only be executed. The mask is the vCPU's own, and is made anew
 * when the guest's mode changes.
 */
static void expect_execute_only(struct kvm_vcpu *vcpu)
{
	*compat_spte_check(vcpu->arch.mmu) &= ~EXECUTE_ONLY;
}

/* Under kvm->mmu_lock, from any vCPU at once: no lock, no message. */
u32 kvm_harden_on_make_spte(struct kvm_vcpu *vcpu, void *sp,
			    const struct kvm_memory_slot *slot, u32 access, u64 gfn)
{
	u64 pages = entry_pages(sp), start = gfn & ~(pages - 1);
	const struct zone_vm *vm;
	bool wait;

	rcu_read_lock();
	vm = kvm_harden_zone_vm(vcpu->kvm);
	if (vm)
		access = stripped(access, kvm_harden_zone_denied(vm, start, start + pages, &wait));
	rcu_read_unlock();
	if (harden_kvm.execute_only && (access & (ACC_READ | ACC_EXEC)) == ACC_EXEC)
		expect_execute_only(vcpu);
	return access;
}
