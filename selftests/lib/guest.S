/* SPDX-License-Identifier: GPL-2.0 */
/* Guest programs: position-independent, %rdi points to struct guest_data. */
#include "guest.h"

#define X2APIC_EOI	0x80b
#define X2APIC_SPIV	0x80f
#define X2APIC_LVTT	0x832
#define X2APIC_TMICT	0x838
#define X2APIC_TDCR	0x83e

	.section .rodata
	.balign 16

.macro program name
	.globl	\name
	.type	\name, @object
\name:
.endm

.macro x2apic_write reg value
	mov	$\reg, %ecx
	mov	$\value, %eax
	xor	%edx, %edx
	wrmsr
.endm

/* Do it count times. */
.macro counted insn:vararg
	mov	GUEST_COUNT(%rdi), %r8
1:	\insn
	incq	GUEST_PROGRESS(%rdi)
	dec	%r8
	jnz	1b
	jmp	guest_done
.endm

program guest_start

program guest_done
	out	%al, $GUEST_PORT_DONE
	jmp	guest_done

program guest_io
	counted	out %al, $GUEST_PORT

program guest_mmio
	mov	$GUEST_MMIO, %esi
	counted	mov %eax, (%rsi)

program guest_hlt
	counted	hlt

program guest_cpuid
	mov	GUEST_COUNT(%rdi), %r8
1:	xor	%eax, %eax
	cpuid
	incq	GUEST_PROGRESS(%rdi)
	dec	%r8
	jnz	1b
	jmp	guest_done

program guest_rdmsr
	mov	$GUEST_MSR, %ecx
	counted	rdmsr

program guest_wrmsr
	mov	$GUEST_MSR, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	counted	wrmsr

program guest_timer
	x2apic_write X2APIC_SPIV, 0x1ff
	x2apic_write X2APIC_LVTT, GUEST_VECTOR
	x2apic_write X2APIC_TDCR, 0xb
	mov	GUEST_COUNT(%rdi), %r8
1:	mov	$X2APIC_TMICT, %ecx
	mov	GUEST_ARG(%rdi), %eax
	xor	%edx, %edx
	mov	GUEST_IRQS(%rdi), %r9
	wrmsr
2:	sti
	hlt
	cli
	cmp	GUEST_IRQS(%rdi), %r9
	je	2b
	incq	GUEST_PROGRESS(%rdi)
	cmpq	$0, GUEST_STOP(%rdi)
	jne	guest_done
	dec	%r8
	jnz	1b
	jmp	guest_done

program guest_irq
	push	%rax
	push	%rcx
	push	%rdx
	incq	GUEST_IRQS(%rdi)
	x2apic_write X2APIC_EOI, 0
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

program guest_spin
	incq	GUEST_PROGRESS(%rdi)
	cmpq	$0, GUEST_STOP(%rdi)
	je	guest_spin
	jmp	guest_done

program guest_pause
	mov	$64, %ecx
1:	pause
	dec	%ecx
	jnz	1b
	incq	GUEST_PROGRESS(%rdi)
	cmpq	$0, GUEST_STOP(%rdi)
	je	guest_pause
	jmp	guest_done

program guest_spin_io
	out	%al, $GUEST_PORT
	incq	GUEST_PROGRESS(%rdi)
	cmpq	$0, GUEST_STOP(%rdi)
	je	guest_spin_io
	jmp	guest_done

program guest_spin_cpuid
	xor	%eax, %eax
	cpuid
	incq	GUEST_PROGRESS(%rdi)
	cmpq	$0, GUEST_STOP(%rdi)
	je	guest_spin_cpuid
	jmp	guest_done

program guest_work_io
	mov	GUEST_COUNT(%rdi), %r8
1:	mov	GUEST_ARG(%rdi), %r9
2:	dec	%r9
	jnz	2b
	out	%al, $GUEST_PORT
	incq	GUEST_PROGRESS(%rdi)
	dec	%r8
	jnz	1b
	jmp	guest_done

program guest_touch
	mov	GUEST_ARG(%rdi), %rsi
	mov	(%rsi), %rax
	incq	GUEST_PROGRESS(%rdi)
	jmp	guest_done

/* %rbx keeps the data, %r15 is where a fault goes on. */
.macro attack
	mov	%rdi, %rbx
	mov	GUEST_ARG(%rbx), %rsi
	mov	GUEST_COUNT(%rbx), %rcx
	lea	9f(%rip), %r15
.endm

.macro attacked
	incq	GUEST_PROGRESS(%rbx)
9:	mov	%rbx, %rdi
	cld
	jmp	guest_done
.endm

program guest_read
	attack
	mov	(%rsi), %rax
	mov	%rax, GUEST_LOOT(%rbx)
	attacked

program guest_read_string
	attack
	lea	GUEST_LOOT(%rbx), %rdi
	mov	$8, %ecx
	rep movsb
	attacked

program guest_read_sse
	attack
	mov	%cr4, %rax
	or	$0x200, %eax
	mov	%rax, %cr4
	movups	(%rsi), %xmm0
	movq	%xmm0, GUEST_LOOT(%rbx)
	attacked

program guest_write
	attack
	movq	$GUEST_MARK, (%rsi)
	attacked

program guest_write_string
	attack
	mov	%rsi, %rdi
	mov	$GUEST_MARK, %eax
	rep stosb
	attacked

program guest_write_locked
	attack
	mov	$GUEST_MARK, %eax
	lock xadd %rax, (%rsi)
	mov	%rax, GUEST_LOOT(%rbx)
	attacked

program guest_push
	attack
	mov	%rsp, %r14
	lea	8f(%rip), %r15
	mov	%rsi, %rsp
	mov	$GUEST_MARK, %eax
	push	%rax
	incq	GUEST_PROGRESS(%rbx)
8:	mov	%r14, %rsp
	mov	%rbx, %rdi
	jmp	guest_done

program guest_call
	attack
	call	*%rsi
	mov	%rax, GUEST_LOOT(%rbx)
	attacked

program guest_return_mark
	mov	$GUEST_MARK, %eax
	ret
program guest_return_mark_end

/* The limit has room for GUEST_INT and the faults. */
.macro load_table insn
	sub	$16, %rsp
	movw	$0x3ff, (%rsp)
	mov	%rsi, 2(%rsp)
	\insn	(%rsp)
	add	$16, %rsp
.endm

program guest_idt
	attack
	load_table lidt
	int	$GUEST_INT
	attacked

program guest_int
	movq	$GUEST_MARK, GUEST_LOOT(%rbx)
	iretq

program guest_segment
	attack
	load_table lgdt
	mov	$16, %eax
	mov	%ax, %fs
	movq	$GUEST_MARK, GUEST_LOOT(%rbx)
	attacked

program guest_outs
	attack
	mov	$GUEST_PORT, %edx
	rep outsb
	attacked

program guest_ins
	attack
	mov	%rsi, %rdi
	mov	$GUEST_PORT, %edx
	rep insb
	attacked

program guest_from_mmio
	attack
	mov	%rsi, %rdi
	mov	$GUEST_MMIO, %esi
	rep movsb
	attacked

program guest_to_mmio
	attack
	mov	$GUEST_MMIO, %edi
	rep movsb
	attacked

program guest_compare
	attack
	mov	%rsi, %rdi
	mov	$GUEST_MMIO, %esi
	xor	%eax, %eax
	cmpsq
	sete	%al
	mov	%rax, GUEST_LOOT(%rbx)
	attacked

program guest_compare_device
	attack
	mov	$GUEST_MMIO, %edi
	xor	%eax, %eax
	cmpsq
	sete	%al
	mov	%rax, GUEST_LOOT(%rbx)
	attacked

program guest_async_pf
	x2apic_write X2APIC_SPIV, 0x1ff
program guest_set_msr
	attack
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	attacked

.macro hypercall insn
	mov	GUEST_COUNT(%rdi), %rax
	mov	GUEST_ARG(%rdi), %rbx
	xor	%ecx, %ecx
	\insn
	mov	%rax, GUEST_LOOT(%rdi)
	incq	GUEST_PROGRESS(%rdi)
	jmp	guest_done
.endm

program guest_vmcall
	hypercall vmcall

program guest_vmmcall
	hypercall vmmcall

/* VMRUN of the VMCB at arg; r9 is count, for what runs then. */
program guest_vmrun
	attack
	mov	GUEST_COUNT(%rbx), %r9
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x1000, %eax
	wrmsr
	mov	$0xc0010117, %ecx
	mov	$GUEST_HSAVE, %eax
	xor	%edx, %edx
	wrmsr
	mov	%rsi, %rax
	vmrun
	stgi
	attacked

/* VMXON with its region at arg; r9 is count, and 9 is where it goes on if that fails. */
.macro vmx_begin
	attack
	mov	%rcx, %r9
	mov	%cr4, %rax
	or	$0x2000, %eax
	mov	%rax, %cr4
	mov	%cr0, %rax
	or	$0x20, %eax
	mov	%rax, %cr0
	sub	$16, %rsp
	mov	%rsi, (%rsp)
	vmxon	(%rsp)
	jbe	9f
.endm

/* A page after arg is the VMCS, two after it pairs of field and value, up to -1. */
program guest_vmlaunch
	vmx_begin
	add	$0x1000, %rsi
	mov	%rsi, (%rsp)
	vmclear	(%rsp)
	vmptrld	(%rsp)
	jbe	9f
	add	$0x1000, %rsi
1:	mov	(%rsi), %rax
	cmp	$-1, %rax
	je	2f
	mov	8(%rsi), %rdx
	vmwrite	%rdx, %rax
	add	$16, %rsi
	jmp	1b
2:	vmlaunch
	mov	$0x4400, %eax		/* it failed: VM-instruction error */
	vmread	%rax, %rdx
	not	%rdx
	mov	%rdx, GUEST_BAD(%rbx)
9:	mov	%rbx, %rdi
	jmp	guest_done
program guest_vmx_exit
	mov	$0x4402, %eax		/* exit reason */
	vmread	%rax, %rdx
	mov	%rdx, GUEST_BAD(%rbx)
	attacked

program guest_vmptrld
	vmx_begin
	mov	%r9, (%rsp)
	vmptrld	(%rsp)
	jbe	9f
	mov	$0x681e, %eax		/* guest RIP */
	vmread	%rax, %rdx
	mov	%rdx, GUEST_LOOT(%rbx)
	attacked

program guest_vmclear
	vmx_begin
	mov	%r9, (%rsp)
	vmclear	(%rsp)
	attacked

program guest_nested_read
	mov	(%r9), %rax
	mov	%rax, GUEST_LOOT(%rbx)
	hlt

program guest_nested_write
	movq	$GUEST_MARK, (%r9)
	hlt

program guest_nested_tpr
	mov	%cr8, %rax
	mov	%rax, GUEST_LOOT(%rbx)
	xor	$1, %eax
	mov	%rax, %cr8
	hlt

program guest_nested_done
	mov	%rbx, %rdi
	jmp	guest_done

program guest_pf
	incq	GUEST_PAGE_FAULTS(%rbx)
	jmp	1f
program guest_gp
	incq	GUEST_FAULTS(%rbx)
1:	mov	8(%rsp), %rax
	mov	%rax, GUEST_FAULT_RIP(%rbx)
	mov	%r15, 8(%rsp)
	add	$8, %rsp
	iretq

program guest_rsm
	rsm

program guest_poke
	mov	GUEST_ARG(%rdi), %rsi
	mov	%rsi, (%rsi)
	incq	GUEST_PROGRESS(%rdi)
	jmp	guest_done

program guest_sweep
	mov	GUEST_ARG(%rdi), %rsi
	mov	GUEST_COUNT(%rdi), %r8
1:	mov	(%rsi), %rax
	cmp	%rsi, %rax
	je	2f
	mov	%rsi, GUEST_BAD(%rdi)
2:	mov	%rax, (%rsi)
	add	GUEST_STRIDE(%rdi), %rsi
	dec	%r8
	jnz	1b
	incq	GUEST_PROGRESS(%rdi)
	cmpq	$0, GUEST_STOP(%rdi)
	je	guest_sweep
	jmp	guest_done

program guest_flood
	mov	%rdi, %rbx
	mov	GUEST_ARG(%rbx), %rsi
1:	lea	2f(%rip), %r15
	mov	(%rsi), %rax
2:	lea	3f(%rip), %r15
	mov	%rsi, (%rsi)
3:	incq	GUEST_PROGRESS(%rbx)
	cmpq	$0, GUEST_STOP(%rbx)
	je	1b
	jmp	guest_done

program guest_end

	.section .note.GNU-stack, "", @progbits
