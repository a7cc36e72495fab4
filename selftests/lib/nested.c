// SPDX-License-Identifier: GPL-2.0
#include "nested.h"

#include <stdio.h>
#include <string.h>

static const struct nested_ops *ops;

void need_nested(void)
{
	char path[80], buf[8];

	ops = kvm_is_intel() ? &nested_vmx : &nested_svm;
	snprintf(path, sizeof(path), "/sys/module/%s/parameters/nested", ops->module);
	if (read_file(path, buf, sizeof(buf)) < 0 || (buf[0] != '1' && buf[0] != 'Y'))
		tap_skip("%s.nested is off", ops->module);
}

/* All memory one to one and at NESTED_ALIAS; at the zone's address is NESTED_OTHER. */
static void make_tables(struct scene *s)
{
	__u64 *pml4 = (__u64 *)(s->mem + NESTED_TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
	__u64 *pt = pd + 512, *alias = pt + 512;
	unsigned int split = s->gpa >> 21;

	memset(pml4, 0, 5 * 0x1000);
	pml4[0] = (NESTED_TABLES + 0x1000) | ops->pte_table;
	pdpt[0] = (NESTED_TABLES + 0x2000) | ops->pte_table;
	pdpt[NESTED_ALIAS >> 30] = (NESTED_TABLES + 0x4000) | ops->pte_table;
	for (__u64 i = 0; i < 512; i++) {
		alias[i] = i << 21 | ops->pte_large;
		pd[i] = i << 21 | ops->pte_large;
		pt[i] = (__u64)split << 21 | i << 12 | ops->pte_page;
	}
	pd[split] = (NESTED_TABLES + 0x3000) | ops->pte_table;
	pt[s->gpa >> 12 & 511] = NESTED_OTHER | ops->pte_page;
}

enum scene_end nested_run(struct scene *s, const struct nested *n)
{
	if (n->paging)
		make_tables(s);
	return ops->run(s, n);
}

bool nested_ended_well(struct scene *s, enum scene_end end)
{
	return end == SCENE_RAN && s->v->data->progress && ops->halted(s);
}
