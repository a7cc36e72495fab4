// SPDX-License-Identifier: GPL-2.0
/* vma->vm_flags is for reading, vma->__vm_flags is what is written. */
#include <linux/mm.h>

void probe(struct vm_area_struct *vma);
void probe(struct vm_area_struct *vma)
{
	ACCESS_PRIVATE(vma, __vm_flags) = vma->vm_flags | VM_DONTDUMP;
}
