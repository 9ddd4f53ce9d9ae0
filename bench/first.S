/* SPDX-License-Identifier: Apache-2.0 */
/* A guest whose first instructions end the virtual machine: its start, and nothing else, takes
 * time. Entered by PVH, which both VMMs know; ends by port 0xf4, isa-debug-exit. */
	.section .note.Xen, "a", @note
	.long	2f - 1f, 4f - 3f, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
1:	.asciz	"Xen"
2:	.balign	4
3:	.long	entry
4:	.balign	4

	.text
	.code32
	.globl	entry
entry:
	xor	%eax, %eax
	out	%al, $0xf4
	hlt

	.section .note.GNU-stack, "", @progbits
