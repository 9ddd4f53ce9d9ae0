/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include <string.h>

__extension__ typedef unsigned __int128 wide;

static wide end_of(const struct layout_region *r)
{
	return (wide)r->start + r->size;
}

static bool is_pio(const struct layout_region *r)
{
	return r->kind == REGION_PIO;
}

static bool overlap(const struct layout_region *a, const struct layout_region *b)
{
	return is_pio(a) == is_pio(b) && a->size && b->size && a->start < end_of(b) &&
	       b->start < end_of(a);
}

/* Is @a the region that @b lies in, or one that that one lies in? */
static bool holds(const struct layout *l, uint32_t a, uint32_t b)
{
	for (uint32_t parent = l->region[b].parent; parent; parent = l->region[parent - 1].parent)
		if (parent - 1 == a)
			return true;
	return false;
}

static bool backed_kind(const struct layout_region *r)
{
	return r->kind == REGION_RAM || r->kind == REGION_RESERVED_RAM ||
	       r->kind == REGION_FIRMWARE;
}

/* Memory of its own: not a part of other memory. */
static bool backed(const struct layout *l, const struct layout_region *r)
{
	if (!backed_kind(r) || !r->size)
		return false;
	for (uint32_t parent = r->parent; parent; parent = l->region[parent - 1].parent)
		if (backed_kind(&l->region[parent - 1]))
			return false;
	return true;
}

static bool region_valid(const struct layout *l, uint32_t i)
{
	const struct layout_region *r = &l->region[i];
	wide limit = is_pio(r) ? 0x10000 : (wide)1 << l->params.phys_bits;

	if (!r->name[0] || r->start > limit || end_of(r) > limit)
		return false;
	if (backed(l, r) && (r->start % 4096 || r->size % 4096))
		return false;
	if (r->parent) {
		const struct layout_region *in = &l->region[r->parent - 1];
		if (is_pio(in) != is_pio(r) || r->start < in->start || end_of(r) > end_of(in))
			return false;
	}
	return true;
}

bool oracle_valid(const struct layout *l)
{
	wide ram = 0, sum = 0;

	if (!l->region_n || l->params.phys_bits < 32 || l->params.phys_bits > 52)
		return false;
	for (uint32_t i = 0; i < l->region_n; i++)
		if (l->region[i].parent > i)
			return false;
	for (uint32_t i = 0; i < l->region_n; i++)
		if (!region_valid(l, i))
			return false;
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		for (uint32_t j = 0; j < l->region_n; j++) {
			const struct layout_region *q = &l->region[j];
			if (j == i)
				continue;
			if (!strcmp(q->name, r->name))
				return false;
			if (j < i && (is_pio(q) > is_pio(r) ||
				      (is_pio(q) == is_pio(r) && q->start > r->start)))
				return false;
			if (overlap(q, r) && !holds(l, j, i) && !holds(l, i, j))
				return false;
		}
		if (backed(l, r))
			sum += r->size;
		if (!r->parent && r->kind == REGION_RAM)
			ram += r->size;
	}
	return ram <= l->params.ram_bytes && sum >= l->params.ram_bytes;
}

uint64_t oracle_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}
