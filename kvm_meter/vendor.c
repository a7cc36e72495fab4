// SPDX-License-Identifier: GPL-2.0
#include "vendor.h"

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <asm/cpufeature.h>
#include <asm/hypervisor.h>
#include <asm/mshyperv.h>

#include "btf_file.h"
#include "hooks.h"
#include "tapfile.h"

#define EVMCS_PARAM	"/sys/module/kvm_intel/parameters/enlightened_vmcs"

/*
 * Under Hyper-V kvm_intel may keep its VMCS in memory ("enlightened"), where
 * VMREAD does not reach. Whether it does is up to Hyper-V and to a parameter,
 * which kvm_intel clears when it is loaded and does not.
 */
static bool enlightened_vmcs(void)
{
#if IS_ENABLED(CONFIG_HYPERV)
	struct file *file = filp_open(EVMCS_PARAM, O_RDONLY, 0);
	loff_t pos = 0;
	ssize_t len;
	char value;

	if (IS_ERR(file))
		goto guess;
	len = kernel_read(file, &value, 1, &pos);
	fput(file);
	if (len == 1)
		return value != 'N';
guess:
	return x86_hyper_type == X86_HYPER_MS_HYPERV &&
	       (ms_hyperv.nested_features & HV_X64_ENLIGHTENED_VMCS_VERSION);
#else
	return false;
#endif
}

/* Want of memory says nothing about this KVM. */
static int read_error(long ret)
{
	return ret == -ENOMEM ? -ENOMEM : -ENODEV;
}

static const char *check_svm(const struct btf_blob *vmlinux, int *err)
{
	long vmcb = kvm_meter_btf_offset(vmlinux, "kvm_amd", "vcpu_svm", "vmcb");

	if (vmcb == -ESRCH) {
		*err = 0;
		return "waiting: kvm_amd is not loaded";
	}
	if (vmcb < 0) {
		*err = read_error(vmcb);
		return "unavailable: the BTF of kvm_amd cannot be read";
	}
	if (vmcb != sizeof(struct kvm_vcpu))
		return "unavailable: struct vcpu_svm has a layout that is not known";
	return NULL;
}

/* Nothing of kvm_intel's layout is relied on, only that it is there. */
static const char *check_vmx(const struct btf_blob *vmlinux, int *err)
{
	long vcpu = kvm_meter_btf_offset(vmlinux, "kvm_intel", "vcpu_vmx", "vcpu");

	if (vcpu == -ESRCH) {
		*err = 0;
		return "waiting: kvm_intel is not loaded";
	}
	if (vcpu < 0) {
		*err = read_error(vcpu);
		return "unavailable: the BTF of kvm_intel cannot be read";
	}
	if (enlightened_vmcs())
		return "unavailable: Hyper-V's enlightened VMCS hides exit reasons";
	return NULL;
}

/**
 * kvm_meter_vendor_check() - Look at the KVM that is loaded
 * @vendor: whose it is
 * @err: why not, for the caller's caller; 0 if it is only not there yet
 *
 * Context: process; reads /sys/kernel/btf.
 * Return: NULL if exits can be read, otherwise the reason why not.
 */
const char *kvm_meter_vendor_check(enum kvm_meter_vendor *vendor, int *err)
{
	struct btf_blob vmlinux = {};
	const char *text;
	int ret;

	*err = -ENODEV;
	ret = kvm_meter_btf_load("vmlinux", &vmlinux);
	if (ret) {
		*err = read_error(ret);
		return "unavailable: /sys/kernel/btf/vmlinux cannot be read";
	}
	kvm_meter_hook_sched_layout(btf_member_offset(&vmlinux, NULL, "cfs_rq",
						      "throttle_count"));
	/* If it is there yet; otherwise when it comes. */
	kvm_meter_tun_layout(&vmlinux);
	if (boot_cpu_has(X86_FEATURE_SVM)) {
		*vendor = KVM_METER_VENDOR_AMD;
		text = check_svm(&vmlinux, err);
	} else if (boot_cpu_has(X86_FEATURE_VMX)) {
		*vendor = KVM_METER_VENDOR_INTEL;
		text = check_vmx(&vmlinux, err);
	} else {
		text = "unavailable: this CPU has neither SVM nor VMX";
	}
	kvm_meter_btf_unload(&vmlinux);
	return text;
}
