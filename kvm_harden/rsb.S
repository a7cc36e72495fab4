/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

/*
 * An IBPB leaves the return stack buffer of some CPUs as it is
 * (X86_BUG_IBPB_NO_RET); overwriting it costs little beside an IBPB, so that
 * it is done on all.
 */
SYM_FUNC_START(kvm_harden_rsb_fill)
	__FILL_RETURN_BUFFER(%rax, RSB_CLEAR_LOOPS)
	RET
SYM_FUNC_END(kvm_harden_rsb_fill)
