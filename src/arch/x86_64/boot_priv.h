/* SPDX-License-Identifier: Apache-2.0 */
/* Shared between the files of booting: readers of images, and writers of what a kernel expects. */
#ifndef ARCH_X86_64_BOOT_PRIV_H
#define ARCH_X86_64_BOOT_PRIV_H

#include "arch/x86_64/boot.h"

/* --- readers: 0 or what kernel_open() returns ---------------------------------------------- */

bool kernel_is_bzimage_(const struct io_src *file);
int kernel_open_bzimage_(const struct io_src *file, struct kernel *k, struct err *e);
int kernel_open_elf_(const struct io_src *file, struct kernel *k, struct err *e);
/* @k: with the segments and the entry of an ELF file, if it is one. Not @found: nothing was done. */
int kernel_open_multiboot_(const struct io_src *file, struct kernel *k, bool *found,
			   struct err *e);

/* --- the memory map as firmware tells it --------------------------------------------------- */

#define BOOT_RANGES_MAX 64

/* Types of address ranges: ACPI 6.4, 15.2; PVH's start info has the same numbers. */
enum boot_range_type { BOOT_RANGE_RAM = 1, BOOT_RANGE_RESERVED = 2 };

struct boot_range {
	uint64_t start, size;
	enum boot_range_type type;
};

struct boot_map {
	uint32_t n;
	struct boot_range range[BOOT_RANGES_MAX]; /* ascending, without overlap */
};

int boot_map_(const struct layout *l, struct boot_map *map, struct err *e);

/* --- writers ------------------------------------------------------------------------------- */

/* What all of them work on; the addresses are where things have been put. */
struct boot_job {
	const struct kernel *k;
	const struct layout *l;
	struct guest_mem *m;
	struct boot_entry *out;
	struct boot_map map;
	struct gpa cmdline, rsdp, initrd;
	uint64_t cmdline_bytes /* with the NUL */, initrd_bytes;
};

/* A row that lies in RAM, as memory to write to: zeroed, at least @bytes long. */
int boot_row_(const struct boot_job *j, const char *name, uint64_t bytes, struct gpa *at,
	      void **host, struct err *e);
int boot_gdt_(const struct boot_job *j, struct err *e);
int boot_paging_(const struct boot_job *j, uint64_t *mapped_bytes, struct err *e);
int boot_params_(const struct boot_job *j, struct gpa *at, struct err *e);
int boot_pvh_(const struct boot_job *j, struct gpa *at, struct err *e);
int boot_multiboot_(const struct boot_job *j, struct gpa *at, struct err *e);

#endif
