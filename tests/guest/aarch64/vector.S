/* SPDX-License-Identifier: Apache-2.0 */
/* State that C does not touch: vector registers, and pointer authentication. */
	.text

/* uint64_t sve_bytes(void): of a vector */
	.arch	armv8.2-a+sve
	.globl	sve_bytes
sve_bytes:
	rdvl	x0, #1
	ret

/* void sve_load(const void *z, const void *p, uint64_t ffr): the first @ffr bytes' bits are set */
	.globl	sve_load
sve_load:
	whilelo	p0.b, xzr, x2
	wrffr	p0.b
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	ldr	p\n, [x1, #\n, mul vl]
	.endr
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ldr	z\n, [x0, #\n, mul vl]
	.endr
	ret

/* void sve_store(void *z, void *p, void *ffr) */
	.globl	sve_store
sve_store:
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	str	p\n, [x1, #\n, mul vl]
	.endr
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	str	z\n, [x0, #\n, mul vl]
	.endr
	rdffr	p0.b
	str	p0, [x2]
	ret

/* void simd_load(const void *v), void simd_store(void *v) */
	.arch	armv8-a
	.globl	simd_load
simd_load:
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ldr	q\n, [x0, #\n * 16]
	.endr
	ret

	.globl	simd_store
simd_store:
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	str	q\n, [x0, #\n * 16]
	.endr
	ret

/* void pauth_keys(const uint64_t key[10]) */
	.arch	armv8.3-a
	.globl	pauth_keys
pauth_keys:
	.macro	key lo, hi, at
	ldp	x1, x2, [x0, #\at]
	msr	\lo, x1
	msr	\hi, x2
	.endm
	key	apiakeylo_el1, apiakeyhi_el1, 0
	key	apibkeylo_el1, apibkeyhi_el1, 16
	key	apdakeylo_el1, apdakeyhi_el1, 32
	key	apdbkeylo_el1, apdbkeyhi_el1, 48
	key	apgakeylo_el1, apgakeyhi_el1, 64
	isb
	ret

/* void pauth_sign(uint64_t pointer, uint64_t modifier, uint64_t out[4]) */
	.globl	pauth_sign
pauth_sign:
	mov	x3, x0
	pacia	x3, x1
	mov	x4, x0
	pacib	x4, x1
	stp	x3, x4, [x2]
	mov	x3, x0
	pacda	x3, x1
	pacdb	x0, x1
	stp	x3, x0, [x2, #16]
	ret

/* void pauth_check(uint64_t signed_and_out[4], uint64_t modifier) */
	.globl	pauth_check
pauth_check:
	ldp	x2, x3, [x0]
	autia	x2, x1
	autib	x3, x1
	stp	x2, x3, [x0]
	ldp	x2, x3, [x0, #16]
	autda	x2, x1
	autdb	x3, x1
	stp	x2, x3, [x0, #16]
	ret

/* uint64_t pauth_generic(uint64_t value, uint64_t modifier) */
	.globl	pauth_generic
pauth_generic:
	pacga	x0, x0, x1
	ret

	.section .note.GNU-stack, "", @progbits
