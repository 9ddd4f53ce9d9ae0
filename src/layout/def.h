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
	START_AFTER, /* end of row @ref, but not below @start; then aligned up to @align */
};

enum row_size {
	SIZE_BYTES,	/* @size */
	SIZE_PARAM,	/* parameter @param, rounded up to @align */
	SIZE_RAM_BELOW, /* the part of RAM below address @size, from @start on */
	SIZE_RAM_REST,	/* the part of RAM that SIZE_RAM_BELOW of @size left over */
	SIZE_TO_LIMIT,	/* up to the address limit */
};

enum row_param { PARAM_NONE, PARAM_KERNEL, PARAM_INITRD };

/* A row whose size comes out as 0 is absent, unless it is SIZE_BYTES: then it marks a point. */
struct layout_row {
	const char *name;
	const char *in; /* row it lies in; NULL for none */
	const char *ref;
	uint64_t start, size, align;
	const char *note;
	uint16_t irq; /* LAYOUT_NO_IRQ by the macros in the tables */
	uint8_t kind, start_rule, size_rule, param;
};

struct layout_def {
	const char *id;
	const char *summary;
	uint64_t ram_bytes_min;
	uint32_t vcpus_max;
	uint8_t phys_bits_max;
	const struct layout_row *row;
	size_t n_rows;
};

extern const struct layout_def layout_x86_64_linux_1;

#endif
