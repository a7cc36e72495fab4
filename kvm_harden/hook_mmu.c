// SPDX-License-Identifier: GPL-2.0
#include "hook_mmu.h"

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/text-patching.h>

#include <kvm_meter/guard.h>

#include "compat_ftrace.h"
#include "compat_msr.h"
#include "zone.h"
#include "zone_slots.h"
#include "zone_vm.h"

static_assert(ZONE_FILTER_BITS - 1 == 0x7fff);	/* ZONE_FILTER_MASK in tramp.S */
static_assert(ZONE_FILTER_SHIFT == 9 && PAGE_SHIFT == 12);
static_assert(!offsetof(struct kvm_vcpu, kvm));

#define EPT_CAP_EXECUTE_ONLY	1

struct hook_mmu_kvm harden_kvm;
static const char *unavailable = "not looked at yet";
static unsigned int users;	/* zones, under zone_mutex */

/* Functions of KVM's that call us. */
struct hook {
	const char *name, *args;
	void (*tramp)(void);
	unsigned long addr;
	bool filtered;			/* ops has its filter, until the module goes */
	struct ftrace_ops ops;
};

static void on_commit(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op,
		      struct ftrace_regs *fregs);

static struct hook hooks[] = {
	{ "kvm_mmu_page_fault", "vcpu cr2_or_gpa error_code insn insn_len",
	  kvm_harden_tramp_fault },
	{ "make_spte", "vcpu sp slot pte_access gfn", kvm_harden_tramp_make_spte },
};

static struct hook commit_hook = {
	.name = "kvm_arch_commit_memory_region",
	.args = "kvm old new change",
	.ops = {
		.func = on_commit,
		.flags = FTRACE_OPS_FL_SAVE_REGS,
	},
};

/* KVM has changed a VM's slots, and frees what belonged to the old one next. */
static void on_commit(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op,
		      struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);
	struct kvm *kvm = (struct kvm *)regs->di;
	enum kvm_mr_change change = regs->cx;
	struct zone_vm *vm;

	rcu_read_lock();
	vm = change == KVM_MR_FLAGS_ONLY ? NULL : kvm_harden_zone_vm(kvm);
	if (vm) {
		if (change == KVM_MR_DELETE || change == KVM_MR_MOVE)
			kvm_harden_slots_gone(kvm, vm, (struct kvm_memory_slot *)regs->si);
		WRITE_ONCE(vm->slots_changed, true);
	}
	rcu_read_unlock();
	if (vm)
		kvm_harden_zone_check();
}

static bool param_on(const char *path)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	loff_t pos = 0;
	char value = 'N';

	if (IS_ERR(file))
		return false;
	if (kernel_read(file, &value, 1, &pos) != 1)
		value = 'N';
	fput(file);
	return value == 'Y' || value == '1';
}

static const char *look_at_vendor(const struct btf_blob *btf)
{
	u64 cap = 0;
	long sev, active;

	if (boot_cpu_has(X86_FEATURE_SVM)) {
		if (!param_on("/sys/module/kvm_amd/parameters/npt"))
			return "kvm_amd does not use nested paging, or is not loaded";
		sev = kvm_meter_guard_offset(btf, "kvm_amd", "kvm_svm", "sev_info");
		active = kvm_meter_guard_offset(btf, "kvm_amd", "kvm_sev_info", "active");
		if (sev < 0 || active < 0)
			return "it cannot be told which guests are encrypted (BTF of kvm_amd)";
		harden_kvm.sev_offset = sev + active;
		return NULL;
	}
	if (!param_on("/sys/module/kvm_intel/parameters/ept"))
		return "kvm_intel does not use EPT, or is not loaded";
	harden_kvm.ept = true;
	if (!compat_rdmsr_safe(MSR_IA32_VMX_EPT_VPID_CAP, &cap))
		harden_kvm.execute_only = cap & EPT_CAP_EXECUTE_ONLY;
	return NULL;
}

static const char *look_at_hook(const struct btf_blob *btf, struct hook *hook)
{
	if (kvm_meter_guard_args(btf, "kvm", hook->name, hook->args))
		return "a function of KVM's has arguments that are not known";
	hook->addr = kvm_meter_guard_symbol(hook->name);
	return hook->addr ? NULL : "a function of KVM's is not there";
}

static const char *look_with(const struct btf_blob *btf)
{
	const char *text = look_at_vendor(btf);
	int i;

	if (text)
		return text;
	harden_kvm.role_offset = kvm_meter_guard_offset(btf, "kvm", "kvm_mmu_page", "role");
	if (harden_kvm.role_offset < 0)
		return "struct kvm_mmu_page has a layout that is not known";
	for (i = 0; !text && i < ARRAY_SIZE(hooks); i++)
		text = look_at_hook(btf, &hooks[i]);
	return text ?: look_at_hook(btf, &commit_hook);
}

static const char *look(void)
{
	struct btf_blob *btf = kvm_meter_guard_btf();
	const char *text;

	if (IS_ERR(btf))
		return "the kernel's BTF cannot be read";
	text = look_with(btf);
	kvm_meter_guard_btf_free(btf);
	return text;
}

/**
 * kvm_harden_hook_mmu_look() - Find out what KVM is like
 *
 * The vendor's module may come after this one: then it is called again. It reads
 * files in sysfs, so that it cannot be called from there, nor under zone_mutex.
 *
 * Context: process.
 */
void kvm_harden_hook_mmu_look(void)
{
	static DEFINE_MUTEX(look_mutex);

	mutex_lock(&look_mutex);
	if (unavailable) {
		const char *text = look();

		/* Pairs with why_unavailable(): who sees that it is there sees what it is. */
		smp_store_release(&unavailable, text);
	}
	mutex_unlock(&look_mutex);
}

static const char *why_unavailable(void)
{
	/* Pairs with the store in kvm_harden_hook_mmu_look(). */
	return smp_load_acquire(&unavailable);
}

/** kvm_harden_hook_mmu_unfit() - Why this cannot be denied here; NULL: it can */
const char *kvm_harden_hook_mmu_unfit(u32 deny)
{
	const char *text = why_unavailable();

	if (text)
		return text;
	if (!(deny & ZONE_R) || deny == (ZONE_R | ZONE_W | ZONE_X))
		return NULL;
	if (deny != (ZONE_R | ZONE_W))
		return "memory that may be written cannot be unreadable";
	if (!harden_kvm.ept)
		return "NPT has no memory that can only be executed";
	return harden_kvm.execute_only ? NULL :
	       "this CPU's EPT has no memory that can only be executed";
}

int kvm_harden_hook_mmu_available(char *buf)
{
	const char *text = why_unavailable();

	if (text)
		return sysfs_emit(buf, "unavailable: %s\n", text);
	return sysfs_emit(buf, "w x wx %srwx\n", harden_kvm.execute_only ? "rw " : "");
}

/** kvm_harden_hook_mmu_vm_fit() - Can this VM have zones? */
int kvm_harden_hook_mmu_vm_fit(struct kvm *kvm)
{
	bool encrypted = harden_kvm.sev_offset && *(bool *)((char *)kvm + harden_kvm.sev_offset);

#ifdef COMPAT_VM_TYPE
	encrypted |= kvm->arch.vm_type != KVM_X86_DEFAULT_VM;
#endif
	if (encrypted)
		return kvm_harden_zone_refuse(-EOPNOTSUPP,
					      "the guest's memory is encrypted or private");
	return 0;
}

/* A filter is kept: ops whose filter has been freed cannot be used again. */
static int hook_filter(struct hook *hook)
{
	int ret = hook->filtered ? 0 : ftrace_set_filter_ip(&hook->ops, hook->addr, 0, 1);

	hook->filtered = !ret;
	return ret;
}

static int hook_add(struct hook *hook)
{
	int ret = hook_filter(hook);

	if (ret)
		return ret;
	return hook->tramp ? compat_ftrace_direct_add(&hook->ops, (unsigned long)hook->tramp) :
			     register_ftrace_function(&hook->ops);
}

static void hook_del(struct hook *hook)
{
	if (hook->tramp)
		compat_ftrace_direct_del(&hook->ops, (unsigned long)hook->tramp);
	else
		unregister_ftrace_function(&hook->ops);
}

/* Does KVM's function begin with a call, or with INT3 while that is being changed? */
static bool hook_live(const struct hook *hook)
{
	u8 insn;

	return !copy_from_kernel_nofault(&insn, (void *)hook->addr, 1) &&
	       (insn == CALL_INSN_OPCODE || insn == INT3_INSN_OPCODE);
}

/* What is wrong with the hooks; NULL: nothing. */
const char *kvm_harden_hook_mmu_trouble(void)
{
	int i;

	if (!READ_ONCE(users))
		return NULL;
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!hook_live(&hooks[i]))
			return hooks[i].name;
	return hook_live(&commit_hook) ? NULL : commit_hook.name;
}

static void dels(int n)
{
	while (n--)
		hook_del(&hooks[n]);
	/* A vCPU may have been preempted in a trampoline. */
	synchronize_rcu_tasks();
}

static int adds(void)
{
	int i, ret = kvm_harden_hook_mmio_add();

	if (ret)
		return ret;
	for (i = 0; i < ARRAY_SIZE(hooks) && !ret; i++)
		ret = hook_add(&hooks[i]);
	if (ret)
		i--;
	else
		ret = hook_add(&commit_hook);
	if (!ret)
		return 0;
	dels(i);
	kvm_harden_hook_mmio_del();
	return ret;
}

/**
 * kvm_harden_hook_mmu_get() - Have KVM call us, for one more zone
 *
 * Context: process, zone_mutex held.
 * Return: 0 with the hooks in place, or why not.
 */
int kvm_harden_hook_mmu_get(void)
{
	int ret;

	lockdep_assert_held(&zone_mutex);
	if (users++)
		return 0;
	ret = adds();
	if (!ret && kvm_harden_hook_mmu_trouble()) {
		hook_del(&commit_hook);
		dels(ARRAY_SIZE(hooks));
		kvm_harden_hook_mmio_del();
		ret = -ENODEV;
	}
	if (!ret)
		return 0;
	users--;
	return kvm_harden_zone_refuse(ret == -ENOMEM ? ret : -EOPNOTSUPP,
				      "KVM's functions cannot be hooked (%d): is one of them traced by BPF?",
				      ret);
}

void kvm_harden_hook_mmu_put(void)
{
	lockdep_assert_held(&zone_mutex);
	if (--users)
		return;
	hook_del(&commit_hook);
	dels(ARRAY_SIZE(hooks));
	kvm_harden_hook_mmio_del();
}

/* The module goes. */
void kvm_harden_hook_mmu_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].filtered)
			ftrace_free_filter(&hooks[i].ops);
	if (commit_hook.filtered)
		ftrace_free_filter(&commit_hook.ops);
}
