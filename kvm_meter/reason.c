// SPDX-License-Identifier: GPL-2.0
/*
 * The names are those of Linux's own tables (uapi/asm/svm.h and vmx.h) in the
 * kernel that the module is built for. A code keeps its slot as long as the
 * module is loaded; kvm_meter_info says which slot is which.
 */
#include "reason.h"

#include <linux/build_bug.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "maps.h"

struct reason {
	u64 code;
	const char *name;
};

static const struct reason svm_reasons[] = { SVM_EXIT_REASONS };
static const struct reason vmx_reasons[] = { VMX_EXIT_REASONS };

/* No exit has it. */
#define REASON_NOBODY	(KVM_METER_REASON_UNKNOWN - 1)

static_assert(ARRAY_SIZE(svm_reasons) <= REASON_NOBODY);
static_assert(ARRAY_SIZE(vmx_reasons) <= REASON_NOBODY);
static_assert(sizeof(struct kvm_meter_vcpu) <= U16_MAX);

u16 meter_reason_offset[REASON_CODES] __read_mostly;

/*
 * VMX has one reason for NMIs and for the guest's exceptions: left out. A slot that
 * is not needed is nobody's.
 */
unsigned int meter_irq_slot[METER_IRQ_REASONS] __read_mostly;

static const u64 svm_irq_codes[METER_IRQ_REASONS] = { SVM_EXIT_INTR, SVM_EXIT_NMI };
static const u64 vmx_irq_codes[METER_IRQ_REASONS] = { EXIT_REASON_EXTERNAL_INTERRUPT, ~0ull };
u32 meter_code_hlt __read_mostly, meter_code_pause __read_mostly;

static const struct reason *reasons;
static unsigned int reason_count;

static u16 slot_offset(unsigned int slot)
{
	return offsetof(struct kvm_meter_vcpu, reasons) +
	       slot * sizeof(struct kvm_meter_reason);
}

/**
 * kvm_meter_reason_any() - Find an exit code, in the fast table or not
 * @rec: vCPU record
 * @code: as the hardware gave it
 *
 * Context: any.
 * Return: the code's place in @rec; that of "unknown" if it has no name.
 */
struct kvm_meter_reason *kvm_meter_reason_any(struct kvm_meter_vcpu *rec, u64 code)
{
	unsigned int i;

	if (code < REASON_CODES)
		return meter_reason(rec, code);
	/* 32 bits on kernels before 6.19, 64 since; some codes are negative. */
	for (i = 0; i < reason_count; i++)
		if ((u32)reasons[i].code == (u32)code)
			return &rec->reasons[i];
	return &rec->reasons[KVM_METER_REASON_UNKNOWN];
}

/**
 * kvm_meter_reason_set_vendor() - Choose the table of exit reasons
 * @vendor: whose exit codes are to come
 *
 * Context: process, while no exit is being recorded. The vendor of a host does
 * not change, so that slots keep their meaning.
 */
int kvm_meter_reason_set_vendor(enum kvm_meter_vendor vendor)
{
	struct kvm_meter_info *info = kvm_meter_map_info();
	const u64 *irq_codes;
	unsigned int i, j;

	switch (vendor) {
	case KVM_METER_VENDOR_AMD:
		irq_codes = svm_irq_codes;
		reasons = svm_reasons;
		reason_count = ARRAY_SIZE(svm_reasons);
		meter_code_hlt = SVM_EXIT_HLT;
		meter_code_pause = SVM_EXIT_PAUSE;
		break;
	case KVM_METER_VENDOR_INTEL:
		irq_codes = vmx_irq_codes;
		reasons = vmx_reasons;
		reason_count = ARRAY_SIZE(vmx_reasons);
		meter_code_hlt = EXIT_REASON_HLT;
		meter_code_pause = EXIT_REASON_PAUSE_INSTRUCTION;
		break;
	default:
		return -EINVAL;
	}

	for (i = 0; i < REASON_CODES; i++)
		meter_reason_offset[i] = slot_offset(KVM_METER_REASON_UNKNOWN);
	for (i = 0; i < reason_count; i++) {
		if (reasons[i].code < REASON_CODES)
			meter_reason_offset[reasons[i].code] = slot_offset(i);
		info->names[i].code = reasons[i].code;
		strscpy(info->names[i].name, reasons[i].name, sizeof(info->names[i].name));
	}
	for (j = 0; j < METER_IRQ_REASONS; j++) {
		meter_irq_slot[j] = REASON_NOBODY;
		for (i = 0; i < reason_count; i++)
			if (reasons[i].code == irq_codes[j])
				meter_irq_slot[j] = i;
	}
	info->names[KVM_METER_REASON_UNKNOWN].code = U32_MAX;
	strscpy(info->names[KVM_METER_REASON_UNKNOWN].name, "unknown",
		sizeof(info->names[0].name));
	info->reasons = reason_count + 1;
	info->vendor = vendor;
	return 0;
}

const char *kvm_meter_reason_name(unsigned int slot)
{
	return slot < reason_count ? reasons[slot].name : "unknown";
}
