/* SPDX-License-Identifier: Apache-2.0 */
/* What a layout must consist of, row by row, as it stands in the published table. */
#ifndef TEST_LAYOUT_ROWS_H
#define TEST_LAYOUT_ROWS_H

#include "layout/layout.h"

#define NO_LINE LAYOUT_NO_IRQ

/* A row; a table of them ends with one that has no name. */
struct row {
	const char *name;
	const char *in; /* the row it lies in, NULL for none */
	enum region_kind kind;
	uint64_t start, end;
	uint16_t line;
};

/** rows_build() - the layout, which must come about. */
void rows_build(const char *id, const struct layout_params *p, struct layout *l);

/** rows_expect() - @l has every row of the @n tables, as they say, and no other. */
void rows_expect(const struct layout *l, const struct row *const *tables, size_t n);

/** rows_absent() - none of these; NULL ends the list. */
void rows_absent(const struct layout *l, const char *const *names);

/** rows_backed() - the RAM stream consists of the @n pieces {start, end}, in this order. */
void rows_backed(const struct layout *l, const uint64_t (*piece)[2], size_t n);

#endif
