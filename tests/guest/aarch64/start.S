/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of the aarch64 test guests, vectors, and the few things that C cannot say. What is linked
 * at the start of RAM is an arm64 Image (Documentation/arch/arm64/booting.rst of Linux); what is
 * linked elsewhere is entered at its first byte too, so it begins the same way.
 */
#define STACK_BYTES	16384
#define CPUS_MAX	16

#define MAIR		0xff04		/* 0: device nGnRE, 1: memory, write-back */
#define TCR		0x803510	/* 48 bits of address, pages of 4 KiB, cacheable walks, no TTBR1 */
#define SCTLR		0x30d01805	/* bits that are always set, M, C, I */
#define SCTLR_OFF	0x30d00800
#define FP_AND_SVE	0x330000	/* CPACR_EL1: neither traps */

	.section .head, "ax"
	.globl	head
head:
	b	start
	.long	0
	.quad	0			/* text_offset */
	.quad	image_bytes
	.quad	0xa			/* little endian, pages of 4 KiB, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

	.text
start:
	msr	daifset, #15
	adrp	x8, bss_start
	add	x8, x8, :lo12:bss_start
	adrp	x9, image_end
	add	x9, x9, :lo12:image_end
1:	stp	xzr, xzr, [x8], #16
	cmp	x8, x9
	b.lo	1b
	adrp	x8, entry
	add	x8, x8, :lo12:entry
	stp	x0, x1, [x8]
	stp	x2, x3, [x8, #16]
	adrp	x8, stacks
	add	x8, x8, :lo12:stacks
	add	sp, x8, #STACK_BYTES
	mov	x8, #FP_AND_SVE
	msr	cpacr_el1, x8
	msr	tpidr_el1, xzr
	bl	mmu_build
	bl	mmu_on
	bl	guest_main
	b	.

/* From PSCI: x0 = number of the CPU. */
	.globl	cpu_start
cpu_start:
	msr	daifset, #15
	mov	x19, x0
	msr	tpidr_el1, x0
	mov	x8, #FP_AND_SVE
	msr	cpacr_el1, x8
	bl	mmu_on
	adrp	x8, stacks
	add	x8, x8, :lo12:stacks
	add	x9, x19, #1
	mov	x10, #STACK_BYTES
	madd	x8, x9, x10, x8
	mov	sp, x8
	mov	x0, x19
	bl	cpu_started
	b	.

/* Without stack and memory. */
mmu_on:
	adrp	x8, vectors
	add	x8, x8, :lo12:vectors
	msr	vbar_el1, x8
	mov	x8, #MAIR
	msr	mair_el1, x8
	mrs	x9, id_aa64mmfr0_el1
	and	x9, x9, #15
	cmp	x9, #5			/* 48 bits: more needs pages of 64 KiB */
	mov	x8, #5
	csel	x9, x9, x8, lo
	movz	x8, #(TCR & 0xffff)
	movk	x8, #(TCR >> 16), lsl #16
	orr	x8, x8, x9, lsl #32
	msr	tcr_el1, x8
	adrp	x8, mmu_tables
	msr	ttbr0_el1, x8
	dsb	sy
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	movz	x8, #(SCTLR & 0xffff)
	movk	x8, #(SCTLR >> 16), lsl #16
	msr	sctlr_el1, x8
	isb
	ret

/* void jump_on(uint64_t to, x0, x1, x2, x3): as a loader leaves to what it has loaded. Caches go
 * off without being cleaned: nothing that was written is needed any more, but for what is left to
 * x3 below, and the host reads and writes through the same caches. */
	.globl	jump_on
jump_on:
	msr	daifset, #15
	mov	x8, x0
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	mov	x3, x4
	movz	x9, #(SCTLR_OFF & 0xffff)
	movk	x9, #(SCTLR_OFF >> 16), lsl #16
	msr	sctlr_el1, x9
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	br	x8

/* uint64_t hvc(function, x1, x2, x3) */
	.globl	hvc
hvc:
	hvc	#0
	ret

	.macro	vector to
	.balign	128
	b	\to
	.endm

	.balign	2048
vectors:
	.rept	4			/* with the stack of EL0 */
	vector	exception
	.endr
	vector	exception
	vector	interrupt
	vector	exception
	vector	exception
	.rept	8			/* from EL0 */
	vector	exception
	.endr

interrupt:
	sub	sp, sp, #192
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x0, elr_el1
	mrs	x1, spsr_el1
	stp	x0, x1, [sp, #160]
	bl	gic_interrupt
	ldp	x0, x1, [sp, #160]
	msr	elr_el1, x0
	msr	spsr_el1, x1
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	add	sp, sp, #192
	eret

/* uint64_t store_pair(uint64_t at): ESR_EL1 of the exception that it takes, 0 for none */
	.globl	store_pair
store_pair:
	mov	x3, x0
	mov	x0, #0
the_pair:
	stp	xzr, xzr, [x3]
	dsb	sy
	ret

exception:
	mrs	x1, elr_el1
	adr	x2, the_pair
	cmp	x1, x2
	b.ne	1f
	add	x1, x1, #4
	msr	elr_el1, x1
	mrs	x0, esr_el1
	eret
1:	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	bl	fault
	b	.

	.bss
	.balign	16
stacks:
	.skip	STACK_BYTES * CPUS_MAX
	.globl	entry
entry:	.skip	32

	.section .note.GNU-stack, "", @progbits
