/* SPDX-License-Identifier: Apache-2.0 */
/* A multiboot kernel (Multiboot Specification 0.6.96): an ELF file, or with GUEST_FLAT an image that
 * says itself where it lies; its header is then not at its start. */
#define MAGIC		0x1badb002
#define WANTS		0x00000003	/* pages for modules, memory sizes */
#define ADDRESSES	0x00010000
#ifdef GUEST_FLAT
#define FLAGS		(WANTS | ADDRESSES)
#else
#define FLAGS		WANTS
#endif
#define STACK_BYTES	4096

	.section .header, "a"
	.fill	0x84, 1, 0xf4
	.balign	4
header:
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)
#ifdef GUEST_FLAT
	.long	header, image_start, data_end, bss_end, start
#endif

	.text
	.code32
	.globl	start
start:
	mov	$stack + STACK_BYTES, %esp
	push	%ebx
	push	%eax
	call	multiboot
	ud2

	.bss
	.balign	16
stack:
	.skip	STACK_BYTES

	.section .note.GNU-stack, "", @progbits
