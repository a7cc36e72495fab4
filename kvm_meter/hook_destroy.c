// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a VM: an ftrace hook on kvm_arch_destroy_vm(), which KVM calls
 * when the last file descriptor is gone and before any vCPU is freed. The hook
 * is permanent as long as the module is loaded: the kernel refuses
 * kernel.ftrace_enabled=0 meanwhile.
 */
#include "hooks.h"

#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>

#include "registry.h"

#define DESTROY_VM	"kvm_arch_destroy_vm"

static void on_destroy_vm(unsigned long ip, unsigned long parent_ip,
			  struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);

	kvm_meter_vm_end((struct kvm *)regs->di);
}

static struct ftrace_ops destroy_ops = {
	.func = on_destroy_vm,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_PERMANENT,
};

/**
 * kvm_meter_symbol() - Address of a function that is not exported
 * @name: its name
 * @addr: filled in
 *
 * A kprobe that is never armed tells it; behind the ENDBR, if it has one. Arming
 * it would walk all that ftrace has in the kernel, twice.
 *
 * Return: 0, or an error: -ENOMEM says nothing about the function.
 */
int kvm_meter_symbol(const char *name, unsigned long *addr)
{
	struct kprobe kp = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	int ret = register_kprobe(&kp);

	if (ret)
		return ret;
	*addr = (unsigned long)kp.addr;
	unregister_kprobe(&kp);
	return 0;
}

/**
 * kvm_meter_hook_destroy_add() - Start to see VMs end
 *
 * Context: process.
 */
int kvm_meter_hook_destroy_add(void)
{
	unsigned long addr;
	int ret = kvm_meter_symbol(DESTROY_VM, &addr);

	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		pr_err("this kernel's KVM has no " DESTROY_VM "(): it is not supported\n");
		return -ENODEV;
	}
	ret = ftrace_set_filter_ip(&destroy_ops, addr, 0, 1);
	if (ret) {
		pr_err(DESTROY_VM "() cannot be traced (%d)\n", ret);
		return ret;
	}
	ret = register_ftrace_function(&destroy_ops);
	if (ret) {
		pr_err("cannot hook " DESTROY_VM "() (%d)%s\n", ret,
		       ret == -EBUSY ? ": set sysctl kernel.ftrace_enabled=1 first" : "");
		/* Not ftrace_set_filter_ip() again: an emptied filter stays allocated. */
		ftrace_free_filter(&destroy_ops);
	}
	return ret;
}

void kvm_meter_hook_destroy_del(void)
{
	unregister_ftrace_function(&destroy_ops);
	ftrace_free_filter(&destroy_ops);
}

bool kvm_meter_hook_destroy_live(void)
{
	return destroy_ops.flags & FTRACE_OPS_FL_ENABLED;
}
