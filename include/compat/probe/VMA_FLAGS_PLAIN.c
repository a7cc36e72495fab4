// SPDX-License-Identifier: GPL-2.0
/* vma->vm_flags may be written. */
#include <linux/mm.h>

void probe(struct vm_area_struct *vma);
void probe(struct vm_area_struct *vma)
{
	vma->vm_flags = 0;
}
