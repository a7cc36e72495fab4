// SPDX-License-Identifier: GPL-2.0
/* vma->vm_flags is for reading, vm_flags_set() and vm_flags_clear() write. */
#include <linux/mm.h>

void probe(struct vm_area_struct *vma);
void probe(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYREAD);
}
