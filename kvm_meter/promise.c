// SPDX-License-Identifier: GPL-2.0
#include "promise.h"

#define TOPO_SMT	1		/* type of a level in leaves 0xb and 0x1f */
#define MAX_SHIFT	8		/* of a core; anything else is no core's */

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *entries, int nr,
					   __u32 function, __u32 index)
{
	int i;

	for (i = 0; i < nr; i++) {
		const struct kvm_cpuid_entry2 *e = &entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

/* Bits that it takes to tell @n from each other. */
static unsigned int bits(__u32 n)
{
	unsigned int shift = 0;

	while (shift < 31 && 1u << shift < n)
		shift++;
	return shift;
}

static bool levels(const struct kvm_cpuid_entry2 *e, unsigned int *shift)
{
	/* Without a number of CPUs the leaf says nothing. */
	if (!e || !(e->ebx & 0xffff) || (e->ecx >> 8 & 0xff) != TOPO_SMT)
		return false;
	*shift = (e->ebx & 0xffff) > 1 ? e->eax & 0x1f : 0;
	return true;
}

/**
 * promise_shift() - How many low bits of the APIC id tell the threads of a core apart
 * @entries: CPUID of a vCPU
 * @nr: how many
 *
 * In the order in which Linux asks: leaves 0x1f and 0xb; AMD's 0x8000001e, where the
 * CPU says that it has it; leaf 1 by leaf 4.
 *
 * Return: 0 if each core has one thread, or the CPUID says nothing of cores.
 */
unsigned int promise_shift(const struct kvm_cpuid_entry2 *entries, int nr)
{
	const struct kvm_cpuid_entry2 *e, *amd, *cores;
	unsigned int shift = 0;

	if (levels(find(entries, nr, 0x1f, 0), &shift) || levels(find(entries, nr, 0xb, 0), &shift))
		goto out;
	amd = find(entries, nr, 0x80000001, 0);
	e = find(entries, nr, 0x8000001e, 0);
	if (e && amd && amd->ecx & 1u << 22) {
		shift = bits((e->ebx >> 8 & 0xff) + 1);
		goto out;
	}
	e = find(entries, nr, 1, 0);
	cores = find(entries, nr, 4, 0);
	if (e && cores && cores->eax & 0x1f && e->edx & 1u << 28) {
		unsigned int all = bits(e->ebx >> 16 & 0xff), per = bits((cores->eax >> 26) + 1);

		shift = all > per ? all - per : 0;
	}
out:
	return shift > MAX_SHIFT ? 0 : shift;
}
