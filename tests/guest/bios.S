/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware for tests, 64 KiB: from the reset vector by protected mode to long mode, where bios.c goes
 * on. It is linked to lie below 4 GiB's and 1 MiB's last 64 KiB alike: the first instructions run in
 * the former, all others in the latter.
 */
#define CR0_PE_ET	0x00000011	/* caches on, which reset leaves off */
#define CR0_PE_ET_PG	0x80000011
#define CR4_PAE		0x20
#define MSR_EFER	0xc0000080
#define EFER_LME	0x100
#define PAGE_PW		0x03		/* present, writable */
#define PAGE_LARGE	0x80

#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18

#define RESET_OFFSET	0xff00		/* of the section .reset in its segment: bios.ld */
#define STACK_BYTES	4096

	.section .reset, "ax"
	.code16
reset_start:
real:
	cli
	cld
	lgdtl	%cs:(gdt_pointer - reset_start + RESET_OFFSET)
	mov	$CR0_PE_ET, %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $protected

	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* code, 64 bits */
	.quad	0x00cf93000000ffff	/* data */
	.quad	0x00cf9b000000ffff	/* code, 32 bits */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.org	0xf0			/* the reset vector, 16 bytes before the end */
	jmp	real
	.org	0x100

	.text
	.code32
protected:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	/* RAM is not empty after a reset that the guest asked for. */
	mov	$bss_start, %edi
	mov	$bss_dwords, %ecx
	xor	%eax, %eax
	rep stosl

	movl	$pdpt + PAGE_PW, pml4
	mov	$pd + PAGE_PW, %eax
	mov	$pdpt, %edi
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$4096, %eax
	add	$8, %edi
	dec	%ecx
	jnz	1b
	mov	$PAGE_PW + PAGE_LARGE, %eax
	mov	$pd, %edi
	mov	$4 * 512, %ecx
1:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	dec	%ecx
	jnz	1b

	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	mov	$EFER_LME, %eax
	xor	%edx, %edx
	wrmsr
	mov	$CR0_PE_ET_PG, %eax
	mov	%eax, %cr0
	ljmp	$SEL_CODE64, $long_mode

	.code64
long_mode:
	lea	stack + STACK_BYTES(%rip), %rsp
	call	bios
	ud2

/* No handler for what follows, nor for that: the machine is reset. */
	.globl	triple_fault
triple_fault:
	lidt	no_idt(%rip)
	ud2
no_idt:
	.word	0
	.quad	0

/* Copied to a page below 1 MiB, where the other CPUs start: counted, and that is all. */
	.code16
	.globl	ap_start, ap_count, ap_end
ap_start:
	lock incw %cs:(ap_count - ap_start)
1:	cli
	hlt
	jmp	1b
ap_count:
	.word	0
ap_end:

	.bss
	.balign	4096
	.globl	pml4
pml4:
	.skip	4096
pdpt:
	.skip	4096
pd:
	.skip	4 * 4096
stack:
	.skip	STACK_BYTES

	.section .note.GNU-stack, "", @progbits
