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

program guest_end

	.section .note.GNU-stack, "", @progbits
