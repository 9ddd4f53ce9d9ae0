/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/layout.h"

#include <inttypes.h>
#include <string.h>

#define PAGE	   4096
#define PORT_LIMIT 0x10000

static int check_place(const struct layout *l, const struct layout_region *r, struct err *e)
{
	uint64_t limit = r->kind == REGION_PIO ? PORT_LIMIT : layout_limit(l);

	if (!r->name[0])
		return err_set(e, ERR_STRUCTURE, "region without a name");
	if (!num_inside(r->start, r->size, 0, limit))
		return err_set(e, ERR_RANGE, "%s reaches past the address limit 0x%" PRIx64, r->name,
			       limit);
	if (layout_backed(l, r) && (r->start % PAGE || r->size % PAGE))
		return err_set(e, ERR_STRUCTURE, "%s is backed but not page-aligned", r->name);
	return 0;
}

static int check_parent(const struct layout *l, uint32_t i, struct err *e)
{
	const struct layout_region *r = &l->region[i];

	if (!r->parent)
		return 0;
	if (r->parent > i)
		return err_set(e, ERR_STRUCTURE, "%s stands before the region it lies in", r->name);
	const struct layout_region *in = &l->region[r->parent - 1];
	if ((in->kind == REGION_PIO) != (r->kind == REGION_PIO) ||
	    !num_inside(r->start, r->size, in->start, in->size))
		return err_set(e, ERR_STRUCTURE, "%s does not lie in %s", r->name, in->name);
	return 0;
}

/* Order, names and overlap against every earlier region; there are at most 64. */
static int check_pairs(const struct layout *l, uint32_t i, struct err *e)
{
	const struct layout_region *r = &l->region[i];

	for (uint32_t j = 0; j < i; j++) {
		const struct layout_region *q = &l->region[j];
		if (!strcmp(q->name, r->name))
			return err_set(e, ERR_DUPLICATE, "%s stands there twice", r->name);
		bool q_pio = q->kind == REGION_PIO, r_pio = r->kind == REGION_PIO;
		if (q_pio != r_pio ? q_pio : q->start > r->start)
			return err_set(e, ERR_STRUCTURE, "%s is not in order", r->name);
		if (q_pio == r_pio && q->parent == r->parent && region_end(q) > r->start && r->size)
			return err_set(e, ERR_STRUCTURE, "%s overlaps %s", r->name, q->name);
	}
	return 0;
}

int layout_check(const struct layout *l, struct err *e)
{
	uint64_t ram = 0;

	if (l->params.phys_bits < 32 || l->params.phys_bits > 52)
		return err_set(e, ERR_RANGE, "%u physical address bits", l->params.phys_bits);
	if (!l->region_n)
		return err_set(e, ERR_STRUCTURE, "no regions");
	for (uint32_t i = 0; i < l->region_n; i++) {
		int r = check_place(l, &l->region[i], e);
		if (!r)
			r = check_parent(l, i, e);
		if (!r)
			r = check_pairs(l, i, e);
		if (r)
			return r;
		if (l->region[i].kind == REGION_RAM && !l->region[i].parent)
			ram += l->region[i].size;
	}
	/* Each is below 2^52 and there are 64: no overflow. On a split below 1 MiB the reserved
	 * part between two pieces of RAM is part of the RAM size as well. */
	if (ram > l->params.ram_bytes || layout_backed_bytes(l) < l->params.ram_bytes)
		return err_set(e, ERR_STRUCTURE,
			       "RAM regions hold %" PRIu64 " bytes, the machine has %" PRIu64, ram,
			       l->params.ram_bytes);
	return 0;
}
