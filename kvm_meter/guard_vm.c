// SPDX-License-Identifier: GPL-2.0
/* How a guard gets hold of a VM's memory slots and of KVM's inner layout. */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <kvm_meter/guard.h>

#include "btf_file.h"
#include "hooks.h"
#include "registry.h"

static struct kvm *live_vm(u64 id)
{
	struct meter_vm *vm;
	struct kvm *kvm = NULL;

	mutex_lock(&vm_mutex);
	for_each_meter_vm(vm)
		if (vm->id == id && READ_ONCE(vm->state) == METER_VM_LIVE)
			kvm = READ_ONCE(vm->kvm);
	mutex_unlock(&vm_mutex);
	return kvm;
}

/**
 * kvm_meter_guard_open() - Keep a VM from being destroyed
 * @id: of the VM
 * @kvm: the VM
 *
 * A reference by kvm_get_kvm() would not do: once the last file is closed, the
 * vendor's module can be removed under it.
 *
 * Context: process.
 * Return: a file of one of its vCPUs, for fput(), or an error: -ESRCH if there
 * is no such VM, or nobody has a vCPU of it open.
 */
struct file *kvm_meter_guard_open(u64 id, struct kvm **kvm)
{
	struct file *file;

	*kvm = live_vm(id);
	if (!*kvm)
		return ERR_PTR(-ESRCH);
	file = kvm_meter_vm_file(*kvm);
	if (IS_ERR(file))
		return file;
	/* Another VM may have come to lie where it was. */
	if (live_vm(id) != *kvm) {
		fput(file);
		return ERR_PTR(-ESRCH);
	}
	return file;
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_open);

/**
 * kvm_meter_guard_reopen() - The same for a VM that is known by its address
 * @kvm: compared, not followed; NULL: it has ended
 *
 * The caller has been told by ended() if the VM is gone, and looks again when he
 * has the file, which is of the VM that lies there then.
 *
 * Context: process.
 * Return: a file of one of its vCPUs, for fput(), or an error.
 */
struct file *kvm_meter_guard_reopen(const struct kvm *kvm)
{
	return kvm ? kvm_meter_vm_file(kvm) : ERR_PTR(-ESRCH);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_reopen);

/**
 * kvm_meter_guard_vcpu_file() - The file by which the current process runs a vCPU
 * @vcpu: vCPU
 *
 * Context: process, may not sleep.
 * Return: the file with a reference, or NULL.
 */
struct file *kvm_meter_guard_vcpu_file(const struct kvm_vcpu *vcpu)
{
	return kvm_meter_vcpu_file(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_vcpu_file);

/** kvm_meter_guard_symbol() - Address of a function of the kernel's; 0: there is none */
unsigned long kvm_meter_guard_symbol(const char *name)
{
	unsigned long addr;

	return kvm_meter_symbol(name, &addr) ? 0 : addr;
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_symbol);

/**
 * kvm_meter_guard_btf() - The kernel's BTF, to ask the next two with
 *
 * It is several megabytes: free it soon, with kvm_meter_guard_btf_free().
 *
 * Context: process; reads /sys/kernel/btf.
 * Return: the BTF or an error.
 */
struct btf_blob *kvm_meter_guard_btf(void)
{
	struct btf_blob *vmlinux = kzalloc(sizeof(*vmlinux), GFP_KERNEL);
	int ret;

	if (!vmlinux)
		return ERR_PTR(-ENOMEM);
	ret = kvm_meter_btf_load("vmlinux", vmlinux);
	if (!ret)
		return vmlinux;
	kfree(vmlinux);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_btf);

void kvm_meter_guard_btf_free(struct btf_blob *vmlinux)
{
	kvm_meter_btf_unload(vmlinux);
	kfree(vmlinux);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_btf_free);

/**
 * kvm_meter_guard_offset() - Where KVM keeps something
 * @vmlinux: BTF of the kernel
 * @module: kvm, kvm_amd or kvm_intel; where it is built in, the kernel is looked at
 * @type: name of a structure
 * @member: name of a direct member
 *
 * Context: process; reads /sys/kernel/btf.
 * Return: offset in bytes, or an error of btf_member_offset().
 */
long kvm_meter_guard_offset(const struct btf_blob *vmlinux, const char *module,
			    const char *type, const char *member)
{
	return kvm_meter_btf_offset(vmlinux, module, type, member);
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_offset);

/**
 * kvm_meter_guard_args() - Does a function of KVM's take these arguments?
 * @vmlinux: BTF of the kernel
 * @module: kvm, kvm_amd or kvm_intel
 * @function: its name
 * @args: names of its first arguments, apart by blanks
 *
 * Context: process; reads /sys/kernel/btf.
 * Return: 0, or an error of btf_check_args().
 */
int kvm_meter_guard_args(const struct btf_blob *vmlinux, const char *module,
			 const char *function, const char *args)
{
	struct btf_blob blob = {};
	int ret = kvm_meter_btf_load(module, &blob);

	if (!ret)
		ret = btf_check_args(vmlinux, &blob, function, args);
	else if (ret == -ENOENT)
		ret = btf_check_args(vmlinux, NULL, function, args);
	kvm_meter_btf_unload(&blob);
	return ret;
}
EXPORT_SYMBOL_GPL(kvm_meter_guard_args);
