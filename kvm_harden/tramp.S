/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>
#include <asm/ibt.h>

#define ZONE_FILTER_MASK	0x7fff	/* ZONE_FILTER_BITS - 1; hook_mmu.c checks */

/*
 * Where KVM's functions call instead of ftrace's empty hook. Almost always no
 * zone is near, which a look at one bit tells; the arguments stay where they
 * are. %rax, %r10 and %r11 are free at the start of a function.
 */
.macro TAKE_ARGS
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	push	%r8
	push	%r9
.endm

.macro GIVE_ARGS
	pop	%r9
	pop	%r8
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
.endm

/* Is there a zone near frame %r10 of the VM of vCPU %rdi? Carry: there may be. */
.macro NEAR_ZONE
	mov	(%rdi), %rax
	shr	$12, %rax
	shr	$9, %r10
	add	%r10, %rax
	and	$ZONE_FILTER_MASK, %eax
	bt	%rax, kvm_harden_zone_filter(%rip)
.endm

/* int kvm_mmu_page_fault(vcpu, gpa, error_code, insn, insn_len) */
SYM_FUNC_START(kvm_harden_tramp_fault)
	ENDBR
	mov	%rsi, %r10
	shr	$12, %r10
	NEAR_ZONE
	jc	1f
	RET
1:	TAKE_ARGS
	call	kvm_harden_on_fault
	GIVE_ARGS
	test	%eax, %eax
	js	2f
	/* Answered: back to KVM's caller, with the answer in %eax. */
	lea	kvm_harden_tramp_leave(%rip), %r10
	mov	%r10, (%rsp)
2:	RET
SYM_FUNC_END(kvm_harden_tramp_fault)

/* In place of the rest of the function. */
SYM_FUNC_START(kvm_harden_tramp_leave)
	ENDBR
	RET
SYM_FUNC_END(kvm_harden_tramp_leave)

/* bool make_spte(vcpu, sp, slot, pte_access, gfn, ...) */
SYM_FUNC_START(kvm_harden_tramp_make_spte)
	ENDBR
	mov	%r8, %r10
	NEAR_ZONE
	jc	1f
	RET
1:	TAKE_ARGS
	call	kvm_harden_on_make_spte
	GIVE_ARGS
	mov	%eax, %ecx
	RET
SYM_FUNC_END(kvm_harden_tramp_make_spte)
