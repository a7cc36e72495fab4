// SPDX-License-Identifier: GPL-2.0
#include "flush.h"

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>

#include <kvm_meter/guard.h>

#include "compat_msr.h"

/*
 * The displacement: 64 KiB, as much as KVM's own software flush reads, enough
 * to replace every line of the L1D caches of 32 and 48 KiB that there are
 * (arch/x86/kvm/vmx/vmx.c, vmx_l1d_flush(); Documentation/admin-guide/hw-vuln/
 * l1tf.rst, "VMENTER").
 */
#define L1D_ORDER	4
#define L1D_BYTES	(PAGE_SIZE << L1D_ORDER)
#define CACHE_LINE	64

#define COST_SAMPLES	31

enum l1d_way {
	L1D_BY_MSR,
	L1D_BY_READING,
};

static struct {
	u32 available, assumed;
	enum l1d_way l1d_way;
	void *pages;
	u64 cost[HARDEN_PRIMITIVE_COUNT];
} flush __read_mostly;

static void flush_ibpb(void)
{
	compat_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	kvm_harden_rsb_fill();
}

/* First a byte of each page, so that no page walk brings lines in later on. */
static void flush_l1d_by_reading(void)
{
	unsigned long at;

	for (at = 0; at < L1D_BYTES; at += PAGE_SIZE)
		READ_ONCE(*(u8 *)(flush.pages + at));
	/* the second pass is not to begin before the first is through */
	asm volatile("lfence" ::: "memory");
	for (at = 0; at < L1D_BYTES; at += CACHE_LINE)
		READ_ONCE(*(u8 *)(flush.pages + at));
	asm volatile("lfence" ::: "memory");
}

static void flush_l1d(void)
{
	if (flush.l1d_way == L1D_BY_MSR)
		compat_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		flush_l1d_by_reading();
}

/**
 * kvm_harden_flush() - Flush this CPU
 * @what: KVM_HARDEN_IBPB, KVM_HARDEN_L1D or both, of those that are available
 *
 * The predictors first: what the barrier itself reads is then flushed as well.
 *
 * Context: interrupts off.
 */
void kvm_harden_flush(u32 what)
{
	if (what & KVM_HARDEN_IBPB)
		flush_ibpb();
	if (what & KVM_HARDEN_L1D)
		flush_l1d();
}

u32 kvm_harden_flush_available(void)
{
	return flush.available;
}

bool kvm_harden_flush_assumed(void)
{
	return flush.assumed;
}

const char *kvm_harden_flush_how(enum harden_primitive primitive)
{
	if (!(flush.available & BIT(primitive)))
		return "";
	if (primitive == HARDEN_IBPB)
		return flush.assumed & KVM_HARDEN_IBPB ? "IA32_PRED_CMD (assumed)"
						       : "IA32_PRED_CMD";
	if (flush.l1d_way == L1D_BY_READING)
		return "displacement read of 64 KiB";
	return flush.assumed & KVM_HARDEN_L1D ? "IA32_FLUSH_CMD (assumed)" : "IA32_FLUSH_CMD";
}

u64 kvm_harden_flush_cost(enum harden_primitive primitive)
{
	return flush.cost[primitive];
}

u64 kvm_harden_flush_costs(u32 what)
{
	return (what & KVM_HARDEN_IBPB ? flush.cost[HARDEN_IBPB] : 0) +
	       (what & KVM_HARDEN_L1D ? flush.cost[HARDEN_L1D] : 0);
}

static int compare(const void *a, const void *b)
{
	const u64 x = *(u64 *)a, y = *(u64 *)b;

	return x < y ? -1 : x > y;
}

/* The median: an interrupt of the hypervisor below must not count. */
static u64 calibrate(u32 what)
{
	u64 sample[COST_SAMPLES];
	unsigned long flags;
	int i;

	for (i = 0; i < COST_SAMPLES; i++) {
		u64 start;

		local_irq_save(flags);
		start = kvm_meter_guard_clock();
		kvm_harden_flush(what);
		sample[i] = kvm_meter_guard_clock() - start;
		local_irq_restore(flags);
	}
	sort(sample, COST_SAMPLES, sizeof(*sample), compare, NULL);
	return sample[COST_SAMPLES / 2];
}

static int take_assumptions(const char *assume)
{
	char *text = kstrdup(assume, GFP_KERNEL), *rest = text, *word;
	int ret = 0;

	if (!text)
		return -ENOMEM;
	while ((word = strsep(&rest, ",")) && !ret) {
		if (!strcmp(word, "ibpb"))
			flush.assumed |= KVM_HARDEN_IBPB;
		else if (!strcmp(word, "l1d"))
			flush.assumed |= KVM_HARDEN_L1D;
		else if (*word)
			ret = -EINVAL;
	}
	kfree(text);
	if (ret)
		pr_err("assume=%s: must be ibpb, l1d or ibpb,l1d\n", assume);
	return ret;
}

/* An MSR that is assumed must at least take the write. */
static int try_assumed(u32 msr, u64 value, const char *name)
{
	if (!compat_wrmsr_safe(msr, value))
		return 0;
	pr_err("assume=%s: the CPU refuses the MSR %#x\n", name, msr);
	return -ENODEV;
}

/**
 * kvm_harden_flush_init() - See what this CPU can flush, and what it costs
 * @assume: names of primitives to take for present, for tests; or ""
 *
 * Context: process.
 */
int kvm_harden_flush_init(const char *assume)
{
	int ret, i;

	memset(&flush, 0, sizeof(flush));
	ret = take_assumptions(assume);
	if (ret)
		return ret;
	/* AMD's IBPB has a CPUID bit of its own, which the kernel merges. */
	if (boot_cpu_has(X86_FEATURE_IBPB) || boot_cpu_has(X86_FEATURE_AMD_IBPB))
		flush.assumed &= ~KVM_HARDEN_IBPB;
	else if (!(flush.assumed & KVM_HARDEN_IBPB))
		goto no_ibpb;
	else if (try_assumed(MSR_IA32_PRED_CMD, PRED_CMD_IBPB, "ibpb"))
		return -ENODEV;
	flush.available |= KVM_HARDEN_IBPB;

no_ibpb:
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		flush.assumed &= ~KVM_HARDEN_L1D;
		flush.l1d_way = L1D_BY_MSR;
	} else if (flush.assumed & KVM_HARDEN_L1D) {
		if (try_assumed(MSR_IA32_FLUSH_CMD, L1D_FLUSH, "l1d"))
			return -ENODEV;
		flush.l1d_way = L1D_BY_MSR;
	} else {
		flush.l1d_way = L1D_BY_READING;
		flush.pages = (void *)__get_free_pages(GFP_KERNEL, L1D_ORDER);
		if (!flush.pages)
			return -ENOMEM;
		/* pages that differ: the hypervisor below shall not merge them */
		for (i = 0; i < 1 << L1D_ORDER; i++)
			memset(flush.pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	}
	flush.available |= KVM_HARDEN_L1D;

	for (i = 0; i < HARDEN_PRIMITIVE_COUNT; i++)
		if (flush.available & BIT(i))
			flush.cost[i] = calibrate(BIT(i));
	return 0;
}

void kvm_harden_flush_exit(void)
{
	free_pages((unsigned long)flush.pages, L1D_ORDER);
	flush.pages = NULL;
}
