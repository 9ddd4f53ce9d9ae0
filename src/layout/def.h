/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/layout/: the language that definitions are written in. A row says where a region
 * starts, how long it is, what it lies in and when it is there; build.c turns rows into regions.
 */
#ifndef LAYOUT_DEF_H
#define LAYOUT_DEF_H

#include "layout/layout.h"

enum row_start {
	START_AT,    /* @start */
	START_AFTER, /* end of row @ref, or of @otherwise when that is absent, but not below @start;
		      * then aligned up to @align */
	START_BEFORE, /* so that it ends where row @ref starts; without one at @start; if that is 0
		       * where @in ends. Then aligned down to @align */
};

enum row_size {
	SIZE_BYTES,	 /* @size */
	SIZE_PARAM,	 /* parameter @param, rounded up to a multiple of @size unless that is 0 */
	SIZE_PARAM_MOST, /* parameter @param, but @size at most */
	SIZE_PER_VCPU,	 /* @size for each vCPU */
	SIZE_RAM,	 /* all of RAM */
	SIZE_RAM_BELOW,	 /* the part of RAM below address @size, from @start on */
	SIZE_RAM_REST,	 /* the part of RAM that SIZE_RAM_BELOW of @size left over */
	SIZE_TO_LIMIT,	 /* up to the address limit */
};

/* The last three are 1 for yes. */
enum row_param {
	PARAM_NONE,
	PARAM_KERNEL,
	PARAM_INITRD,
	PARAM_SWIOTLB,
	PARAM_FIRMWARE,
	PARAM_PVM_FIRMWARE,
	PARAM_GICV2,
	PARAM_GICV3,
	PARAM_ITS,
};

/* A row whose size comes out as 0 is absent, unless it is SIZE_BYTES: then it marks a point. */
struct layout_row {
	const char *name;
	const char *in; /* row it lies in; NULL for none */
	const char *ref, *otherwise;
	uint64_t start, size;
	uint64_t align; /* power of two; 0: any place will do */
	const char *note;
	uint16_t irq; /* LAYOUT_NO_IRQ by the macros below */
	uint8_t kind, start_rule, size_rule, param;
	uint8_t when; /* only there when this parameter is not 0; PARAM_NONE: always */
};

/* What a definition takes besides RAM, vCPUs and address bits. */
enum layout_takes {
	TAKES_KERNEL = 1,   /* kernel_bytes, initrd_bytes */
	TAKES_FIRMWARE = 2, /* firmware_bytes, and needs them */
	TAKES_SWIOTLB = 4,
	TAKES_PVM_FIRMWARE = 8,
	TAKES_GIC = 16, /* gic_version, and needs it */
	TAKES_ITS = 32,
};

struct layout_def {
	const char *id;
	const char *summary;
	uint64_t ram_bytes_min;
	uint64_t firmware_bytes_max; /* of those that take any */
	uint32_t vcpus_max;
	uint8_t phys_bits_min, phys_bits_max;
	uint8_t takes;
	const struct layout_row *row;
	size_t n_rows;
};

extern const struct layout_def layout_x86_64_linux_1, layout_x86_64_linux_2;
extern const struct layout_def layout_x86_64_bios_1, layout_x86_64_bios_2;
extern const struct layout_def layout_aarch64_linux_1, layout_aarch64_linux_2;
extern const struct layout_def layout_aarch64_bios_1, layout_aarch64_bios_2;

/* --- rows ----------------------------------------------------------------------------------- */

/* At a fixed place, of a fixed size; IRQ: the line wired to it. */
#define WIRED(NAME, IN, KIND, START, SIZE, IRQ, NOTE)                                              \
	{                                                                                          \
		.name = NAME, .in = IN, .kind = KIND, .start_rule = START_AT, .start = START,      \
		.size_rule = SIZE_BYTES, .size = SIZE, .irq = IRQ, .note = NOTE                    \
	}
#define AT(NAME, IN, KIND, START, SIZE, NOTE)                                                      \
	WIRED(NAME, IN, KIND, START, SIZE, LAYOUT_NO_IRQ, NOTE)
/* The same, only when parameter WHEN is not 0. */
#define AT_WHEN(WHEN, NAME, IN, KIND, START, SIZE, NOTE)                                           \
	{                                                                                          \
		.name = NAME, .in = IN, .kind = KIND, .start_rule = START_AT, .start = START,      \
		.size_rule = SIZE_BYTES, .size = SIZE, .irq = LAYOUT_NO_IRQ, .note = NOTE,         \
		.when = WHEN                                                                       \
	}
/* Anything else: the rest of the fields by their names. */
#define ROW(NAME, IN, KIND, NOTE, ...)                                                             \
	{                                                                                          \
		.name = NAME, .in = IN, .kind = KIND, .irq = LAYOUT_NO_IRQ, .note = NOTE,          \
		__VA_ARGS__                                                                        \
	}

#endif
