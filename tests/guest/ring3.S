/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the test guest, and the few things that C cannot say. As little as possible runs in
 * ring 0: a KVM without hardware virtualization emulates it, a million instructions a second.
 *
 *   entry64  Linux 64-bit boot protocol, rsi = boot_params
 *   entry32  PVH, ebx = start info, 32 bits without paging (only in the PVH build)
 */
#define CPUS_MAX	16
#define STACK0_BYTES	4096
#define STACK3_BYTES	4096

#define CR0_PE		0x00000001
#define CR0_PE_PG	0x80000001
#define CR4_PAE		0x20
#define MSR_EFER	0xc0000080
#define EFER_LME	0x100
#define PAGE_PWU	0x07	/* present, writable, user */
#define PAGE_LARGE	0x80
#define LAPIC_ID	0x20	/* register; the id is in its bits 31-24 */

/* Selectors: those of long mode's iret and of a TSS, in gdt below. */
#define SEL_CODE0	0x08
#define SEL_DATA0	0x10
#define SEL_DATA3	0x1b
#define SEL_CODE3	0x23
#define SEL_CODE32	0x28
#define SEL_TASK	0x30	/* of the first CPU; the next is 16 further */
#define RFLAGS_FIXED	0x0002

	/* From 32 bits without paging to \to in 64 bits. */
	.macro	enter_long to
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$identity_pml4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	mov	$EFER_LME, %eax
	xor	%edx, %edx
	wrmsr
	mov	$CR0_PE_PG, %eax
	mov	%eax, %cr0
	ljmp	$SEL_CODE0, $\to
	.endm

	.text
	.code64
	.globl entry64
entry64:
	cli
	mov	%rsi, %rdi
	xor	%esi, %esi
	jmp	start64

#ifdef GUEST_PVH
	.section .note.Xen, "a", @note
	.long	2f - 1f, 4f - 3f, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
1:	.asciz	"Xen"
2:	.balign	4
3:	.long	entry32
4:	.balign	4

	.text
	.code32
entry32:
	cli
	mov	%ebx, %ebp
	lgdt	gdt_pointer
	enter_long 1f
	.code64
1:	xor	%edi, %edi
	mov	%ebp, %esi
#endif

/* rdi = boot_params or 0, rsi = PVH start info or 0 */
start64:
	lea	stacks0 + STACK0_BYTES(%rip), %rsp
	lea	identity_pml4(%rip), %rax
	mov	%rax, %cr3
	lgdt	gdt_pointer(%rip)
	mov	$SEL_DATA0, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	push	$SEL_CODE0
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	call	setup			/* ring3.c; rax: rflags of ring 3 */
	xor	%ebx, %ebx

/* rbx = number of the CPU, rax = rflags */
drop:
	mov	%rax, %rcx
	lidt	idt_pointer(%rip)
	mov	%rbx, %rax
	shl	$4, %eax
	add	$SEL_TASK, %eax
	ltr	%ax
	mov	$SEL_DATA3, %eax
	mov	%eax, %ds
	mov	%eax, %es
	lea	1(%rbx), %rax
	imul	$STACK3_BYTES, %rax
	lea	stacks3(%rax), %rax
	push	$SEL_DATA3
	push	%rax
	or	$RFLAGS_FIXED, %rcx
	push	%rcx
	push	$SEL_CODE3
	lea	ring3(%rip), %rax
	push	%rax
	iretq

ring3:
	xor	%ebp, %ebp
	mov	%rbx, %rdi
	call	work			/* ring3.c; does not return */
	ud2

/* Other CPUs start here, in real mode: copied to a page below 1 MiB. */
	.balign	16
	.code16
	.globl	ap_start, ap_end
ap_start:
	cli
	lgdtl	%cs:ap_gdt - ap_start
	mov	$CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $ap32
ap_gdt:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_end:

	.code32
ap32:
	mov	$SEL_DATA0, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	enter_long ap64
	.code64
ap64:
	mov	lapic(%rip), %rax
	mov	LAPIC_ID(%rax), %ebx
	shr	$24, %ebx
	lea	1(%rbx), %rax
	imul	$STACK0_BYTES, %rax
	lea	stacks0(%rax), %rsp
	xor	%eax, %eax
	jmp	drop

/* Exceptions 0 to 31: number and error code to fault() in ring3.c, which ends it all. */
	.balign	16
	.globl	exceptions
exceptions:
	.set	n, 0
	.rept	32
	.balign	16
	.if	n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21
	/* the processor has pushed an error code */
	.else
	push	$0
	.endif
	push	$n
	jmp	exception_any
	.set	n, n + 1
	.endr

exception_any:
	mov	(%rsp), %rdi
	mov	8(%rsp), %rsi
	mov	16(%rsp), %rdx
	mov	%cr2, %rcx
	and	$-16, %rsp
	call	fault
	ud2

/* Invalid opcode: ud2 in ring 3 calls the function in rax in ring 0. A KVM without hardware
 * virtualization may honour neither IOPL nor int in ring 3; exceptions it has to. */
	.balign	16
	.globl	invalid_opcode
invalid_opcode:
	testb	$3, 8(%rsp)
	jz	1f
	addq	$2, (%rsp)
	sub	$8, %rsp
	call	*%rax
	add	$8, %rsp
	iretq
1:	push	$0
	push	$6
	jmp	exception_any

/* Timer of the local APIC: counted, acknowledged, back. */
	.balign	16
	.globl	tick
tick:
	incq	tick_count(%rip)
	push	%rax
	mov	lapic(%rip), %rax
	movl	$0, 0xb0(%rax)			/* end of interrupt */
	pop	%rax
	iretq

	.data
	.balign	16
	.globl	gdt
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* code, ring 0 */
	.quad	0x00cf93000000ffff	/* data, ring 0 */
	.quad	0x00cff3000000ffff	/* data, ring 3 */
	.quad	0x00affb000000ffff	/* code, ring 3 */
	.quad	0x00cf9b000000ffff	/* code, 32 bits, ring 0 */
	.fill	CPUS_MAX * 2, 8, 0	/* TSS of each CPU: setup() */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt
idt_pointer:
	.word	256 * 16 - 1
	.quad	idt

/* The first GiB, for both entries. setup() adds the work area. */
	.balign	4096
	.globl	identity_pml4
identity_pml4:
	.quad	identity_pdpt + PAGE_PWU
	.fill	511, 8, 0
	.globl	identity_pdpt
identity_pdpt:
	.quad	identity_pd + PAGE_PWU
	.fill	511, 8, 0
identity_pd:
	.set	page, 0
	.rept	512
	.quad	page + PAGE_PWU + PAGE_LARGE
	.set	page, page + 0x200000
	.endr

	.bss
	.balign	16
	.globl	stacks0
stacks0:
	.skip	STACK0_BYTES * CPUS_MAX
stacks3:
	.skip	STACK3_BYTES * CPUS_MAX

	.section .note.GNU-stack, "", @progbits
