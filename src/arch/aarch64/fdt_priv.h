/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/arch/aarch64/: writing device-tree nodes. */
#ifndef ARCH_AARCH64_FDT_PRIV_H
#define ARCH_AARCH64_FDT_PRIV_H

#include "layout/layout.h"
#include "state/machine.h"

#define FDT_CELLS_MAX 512

/* First and third cell of an interrupt (arm,gic.yaml). */
enum { FDT_SPI = 0, FDT_PPI = 1 };
enum { FDT_EDGE_RISING = 1, FDT_LEVEL_HIGH = 4, FDT_LEVEL_LOW = 8 };

/* How nodes refer to each other. */
enum { FDT_GIC = 1, FDT_ITS, FDT_CLOCK, FDT_POOL };

struct fdt {
	const struct layout *layout;
	void *blob;
	int error;	     /* of libfdt; the first one stays */
	const char *missing; /* a row that the layout lacks */
};

void fdt_node_(struct fdt *f, const char *name);
void fdt_node_at_(struct fdt *f, const char *name, uint64_t address);
void fdt_end_(struct fdt *f);

void fdt_bytes_(struct fdt *f, const char *name, const void *data, size_t n);
void fdt_flag_(struct fdt *f, const char *name);
void fdt_text_(struct fdt *f, const char *name, const char *text);
void fdt_cells_(struct fdt *f, const char *name, const uint32_t *cell, size_t n);
/* "reg" of at most four regions, addresses and sizes of two cells each. */
void fdt_reg_(struct fdt *f, const struct layout_region *const *region, size_t n);
static inline void fdt_cell_(struct fdt *f, const char *name, uint32_t v)
{
	fdt_cells_(f, name, &v, 1);
}
/* Several texts in one literal, a NUL between them. */
#define fdt_strings_(f, name, literal) fdt_bytes_(f, name, literal, sizeof(literal))

/* A row that must be there: an empty one when it is not, and the tree fails in the end. */
const struct layout_region *fdt_need_(struct fdt *f, const char *row);

void fdt_pci_(struct fdt *f, const struct machine *m);

#endif
