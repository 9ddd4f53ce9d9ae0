/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel images assembled by hand, after the boot protocol and the ELF gABI, for the tests of
 * booting. */
#ifndef TESTS_ARCH_BOOT_IMAGES_H
#define TESTS_ARCH_BOOT_IMAGES_H

#include "base/base.h"

#include <string.h>

#define IMAGE_BYTES 0x3000

struct image {
	uint8_t b[IMAGE_BYTES];
	size_t len;
};

/* A bzImage with two setup sectors; the kernel proper is at 0x600, every byte of it 0xab. */
static inline void image_bzimage(struct image *i)
{
	*i = (struct image){.len = 0x600 + 0x1230};
	memset(i->b, 0xee, 0x600); /* what must not leak into boot_params */
	memset(i->b + 0x600, 0xab, 0x1230);
	memset(i->b + 0x1f1, 0, 0x26c - 0x1f1);
	i->b[0x1f1] = 2;			 /* setup_sects */
	num_put_le32(i->b + 0x1f4, 0x1230 / 16); /* syssize */
	num_put_le16(i->b + 0x1fe, 0xaa55);	 /* boot_flag */
	i->b[0x200] = 0xeb;			 /* jump */
	i->b[0x201] = 0x26c - 0x202;
	memcpy(i->b + 0x202, "HdrS", 4);
	num_put_le16(i->b + 0x206, 0x020f);	/* version */
	i->b[0x211] = 0x01 | 0x80;		/* loadflags: LOADED_HIGH, CAN_USE_HEAP */
	num_put_le32(i->b + 0x22c, 0x7fffffff); /* initrd_addr_max */
	num_put_le32(i->b + 0x230, 0x200000);	/* kernel_alignment */
	i->b[0x234] = 1;			/* relocatable_kernel */
	num_put_le16(i->b + 0x236, 0x1);	/* xloadflags: XLF_KERNEL_64 */
	num_put_le32(i->b + 0x238, 0x7ff);	/* cmdline_size */
	num_put_le64(i->b + 0x250, 0xdddd);	/* setup_data */
	num_put_le64(i->b + 0x258, 0x1000000);	/* pref_address */
	num_put_le32(i->b + 0x260, 0x3378000);	/* init_size */
}

/* An ELF64 executable: 0x100 bytes of 0xcd in the file for 0x3000 at 2 MiB, and a second segment
 * of 0x80 bytes of 0xce at 4 MiB. Entry 0x200010. Headers: load, load, note. */
static inline void image_elf64(struct image *i)
{
	uint8_t *h = i->b;

	*i = (struct image){.len = 0x1200};
	memcpy(h, "\177ELF\2\1\1", 7);
	num_put_le16(h + 16, 2);  /* ET_EXEC */
	num_put_le16(h + 18, 62); /* EM_X86_64 */
	num_put_le64(h + 24, 0x200010);
	num_put_le64(h + 32, 64); /* e_phoff */
	num_put_le16(h + 54, 56);
	num_put_le16(h + 56, 3);
	for (unsigned n = 0; n < 2; n++) {
		uint8_t *p = h + 64 + 56 * n;
		num_put_le32(p, 1); /* PT_LOAD */
		num_put_le64(p + 8, 0x1000 + 0x100 * n);
		num_put_le64(p + 16, 0xffffffff80000000);
		num_put_le64(p + 24, 0x200000 * (n + 1));
		num_put_le64(p + 32, n ? 0x80 : 0x100);
		num_put_le64(p + 40, n ? 0x80 : 0x3000);
		memset(h + 0x1000 + 0x100 * n, 0xcd + (int)n, 0x100);
	}
	num_put_le32(h + 64 + 112, 0); /* PT_NULL until image_pvh() */
}

/* Makes image_elf64() a PVH kernel: a foreign note, then XEN_ELFNOTE_PHYS32_ENTRY = 0x200020. */
static inline void image_pvh(struct image *i)
{
	static const uint8_t notes[] = {
	    4, 0, 0, 0, 3, 0, 0, 0, 18, 0, 0, 0, 'G', 'N', 'U', 0, 1,	 2, 3,	  0,
	    4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0x20, 0, 0x20, 0,
	};
	uint8_t *p = i->b + 64 + 112;

	image_elf64(i);
	memcpy(i->b + 0x800, notes, sizeof notes);
	num_put_le32(p, 4); /* PT_NOTE */
	num_put_le64(p + 8, 0x800);
	num_put_le64(p + 32, sizeof notes);
	num_put_le64(p + 48, 4);
}

/* A 32-bit PVH kernel: one segment of 0x100 bytes at 2 MiB, note as above. */
static inline void image_pvh32(struct image *i)
{
	struct image wide;
	uint8_t *h = i->b, *p = h + 52;

	image_pvh(&wide);
	*i = (struct image){.len = 0x1200};
	memcpy(h, "\177ELF\1\1\1", 7);
	num_put_le16(h + 16, 2);
	num_put_le16(h + 18, 3); /* EM_386 */
	num_put_le32(h + 24, 0x200010);
	num_put_le32(h + 28, 52);
	num_put_le16(h + 42, 32);
	num_put_le16(h + 44, 2);
	num_put_le32(p, 1);
	num_put_le32(p + 4, 0x1000);
	num_put_le32(p + 8, 0xc0000000);
	num_put_le32(p + 12, 0x200000);
	num_put_le32(p + 16, 0x100);
	num_put_le32(p + 20, 0x180);
	num_put_le32(p + 32, 4);
	num_put_le32(p + 36, 0x800);
	num_put_le32(p + 48, 40);
	num_put_le32(p + 60, 4);
	memcpy(h + 0x800, wide.b + 0x800, 40);
	memset(h + 0x1000, 0xcd, 0x100);
}

/* A multiboot header at @at of the file: wants pages and memory sizes. */
static inline void image_multiboot_header(struct image *i, size_t at, uint32_t flags)
{
	num_put_le32(i->b + at, 0x1badb002);
	num_put_le32(i->b + at + 4, flags);
	num_put_le32(i->b + at + 8, -(0x1badb002 + flags));
}

/* image_elf64() with a multiboot header, and image_pvh32() with one in place of its note. */
static inline void image_multiboot64(struct image *i)
{
	image_elf64(i);
	image_multiboot_header(i, 0x900, 3);
}

static inline void image_multiboot32(struct image *i)
{
	image_pvh32(i);
	i->b[0x820] = 'Y';
	image_multiboot_header(i, 0x900, 3);
}

/* No ELF file: from 0x40 on 0x400 bytes of 0xcf go to 1 MiB, with 0x1000 bytes in memory. The header
 * lies 0x80 bytes further, the entry is 0x100100. */
static inline void image_flat(struct image *i)
{
	uint8_t *h = i->b + 0x80 + 0x40;

	*i = (struct image){.len = 0x500};
	memset(i->b, 0xee, i->len);
	memset(i->b + 0x40, 0xcf, 0x400);
	image_multiboot_header(i, 0x80 + 0x40, 0x10003);
	num_put_le32(h + 12, 0x100080);
	num_put_le32(h + 16, 0x100000);
	num_put_le32(h + 20, 0x100400);
	num_put_le32(h + 24, 0x101000);
	num_put_le32(h + 28, 0x100100);
}

#endif
