// SPDX-License-Identifier: GPL-2.0
/* The role of a table has four bits of access, one of them for reading. */
#include <linux/kvm_host.h>

#pragma GCC diagnostic error "-Woverflow"

const union kvm_mmu_page_role probe = { .access = 8 };
