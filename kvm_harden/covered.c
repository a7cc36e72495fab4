// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's own flushes, so that none is done twice.
 *
 * IBPB: at vCPU load, if another vCPU was loaded on that CPU before (6.x
 * vmx_vcpu_load_vmcs() and svm_vcpu_load(), 7.x kvm_arch_vcpu_load()), where the
 * kernel uses the barrier for user space: then sysfs says so. AMD CPUs that do
 * one at every VM-exit leave that at load out, and need it less.
 *
 * L1D: after the entry event, in vmx_l1d_flush(), "always" or on the request
 * flags that are public, as kvm_intel's parameter says. KVM counts what it did,
 * so that the prediction is checked at the exit.
 */
#include "covered.h"

#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>

#include <kvm_harden/abi.h>

#include "compat_l1tf.h"

#define SPECTRE_V2	"/sys/devices/system/cpu/vulnerabilities/spectre_v2"
#define SRSO		"/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow"
#define L1D_PARAMETER	"/sys/module/kvm_intel/parameters/vmentry_l1d_flush"

enum kvm_l1d {
	KVM_L1D_NEVER,
	KVM_L1D_COND,
	KVM_L1D_ALWAYS,
};

static bool kvm_ibpb __read_mostly;
static enum kvm_l1d kvm_l1d __read_mostly;

/* A line of a sysfs file; "" where there is none. */
static void read_line(const char *path, char *buf, size_t size)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	ssize_t len = 0;
	loff_t pos = 0;

	if (!IS_ERR(file)) {
		len = kernel_read(file, buf, size - 1, &pos);
		filp_close(file, NULL);
	}
	buf[len > 0 ? len : 0] = '\0';
	strim(buf);
}

void kvm_harden_covered_refresh(void)
{
	char line[256];
	bool ibpb;

	read_line(SPECTRE_V2, line, sizeof(line));
	ibpb = strstr(line, "IBPB: conditional") || strstr(line, "IBPB: always-on");
	/* Told not to mind, the kernel takes the weaker SBPB where there is one (bugs.c). */
	read_line(SRSO, line, sizeof(line));
	WRITE_ONCE(kvm_ibpb, ibpb && strncmp(line, "Vulnerable", 10));

	read_line(L1D_PARAMETER, line, sizeof(line));
	if (!strcmp(line, "always"))
		WRITE_ONCE(kvm_l1d, KVM_L1D_ALWAYS);
	else if (!strcmp(line, "cond"))
		WRITE_ONCE(kvm_l1d, KVM_L1D_COND);
	else
		WRITE_ONCE(kvm_l1d, KVM_L1D_NEVER);
}

u32 kvm_harden_covered(const struct kvm_vcpu *vcpu, bool loaded)
{
	u32 what = 0;

	if (loaded && READ_ONCE(kvm_ibpb))
		what |= KVM_HARDEN_IBPB;
	switch (READ_ONCE(kvm_l1d)) {
	case KVM_L1D_ALWAYS:
		what |= KVM_HARDEN_L1D;
		break;
	case KVM_L1D_COND:
		if (compat_l1tf_requested(vcpu))
			what |= KVM_HARDEN_L1D;
		break;
	case KVM_L1D_NEVER:
		break;
	}
	return what;
}

static void refresh_fn(struct work_struct *work)
{
	kvm_harden_covered_refresh();
}

static DECLARE_WORK(refresh_work, refresh_fn);

/* Root has changed the parameter: trust it no more until it has been read. */
void kvm_harden_covered_wrong(void)
{
	WRITE_ONCE(kvm_l1d, KVM_L1D_NEVER);
	schedule_work(&refresh_work);
}

void kvm_harden_covered_exit(void)
{
	cancel_work_sync(&refresh_work);
}

const char *kvm_harden_covered_ibpb(void)
{
	return READ_ONCE(kvm_ibpb) ? "on load" : "never";
}

const char *kvm_harden_covered_l1d(void)
{
	switch (READ_ONCE(kvm_l1d)) {
	case KVM_L1D_ALWAYS:
		return "always";
	case KVM_L1D_COND:
		return "cond";
	case KVM_L1D_NEVER:
		break;
	}
	return "never";
}
