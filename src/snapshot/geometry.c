/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/geometry.h"
#include "snapshot/chunk.h"

#include <string.h>

int geometry_init(struct geometry *g, const struct layout *l, uint32_t chunk_bytes, struct err *e)
{
	if (chunk_bytes < SNAP_CHUNK_MIN || chunk_bytes > SNAP_CHUNK_MAX ||
	    chunk_bytes & (chunk_bytes - 1))
		return err_set(e, ERR_RANGE, "chunks of %u bytes", chunk_bytes);
	*g = (struct geometry){.chunk_bytes = chunk_bytes,
			       .stored_max = CHUNK_STORED_MAX(chunk_bytes)};
	/* No overflow: layout_check() keeps each of 64 regions below 2^52. */
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (!layout_backed(l, r))
			continue;
		g->part[g->n].offset = g->bytes;
		g->part[g->n].bytes = r->size;
		g->part[g->n].chunk = g->chunks;
		g->n++;
		g->bytes += r->size;
		g->chunks += (r->size + chunk_bytes - 1) / chunk_bytes;
	}
	if (!g->n)
		return err_set(e, ERR_STRUCTURE, "no region is backed by RAM");
	g->leaves = (g->chunks + SNAP_LEAF_CHUNKS - 1) / SNAP_LEAF_CHUNKS;
	return 0;
}

struct snap_span geometry_chunk(const struct geometry *g, uint64_t chunk)
{
	uint32_t i = g->n - 1;

	while (g->part[i].chunk > chunk)
		i--;
	uint64_t in = (chunk - g->part[i].chunk) * g->chunk_bytes;
	uint64_t left = g->part[i].bytes - in;
	return (struct snap_span){g->part[i].offset + in,
				  left < g->chunk_bytes ? left : g->chunk_bytes};
}

uint64_t geometry_find(const struct geometry *g, uint64_t offset)
{
	uint32_t i = g->n - 1;

	while (g->part[i].offset > offset)
		i--;
	return g->part[i].chunk + (offset - g->part[i].offset) / g->chunk_bytes;
}

uint64_t geometry_bytes(const struct geometry *g, uint64_t chunk, uint64_t n)
{
	struct snap_span last = geometry_chunk(g, chunk + n - 1);

	return last.offset + last.bytes - geometry_chunk(g, chunk).offset;
}

bool geometry_same(const struct geometry *a, const struct geometry *b)
{
	return a->chunk_bytes == b->chunk_bytes && !memcmp(a->part, b->part, sizeof a->part);
}

bool geometry_fits(const struct geometry *g, const struct guest_mem *ram)
{
	if (ram->slot_n != g->n || ram->size != g->bytes)
		return false;
	for (uint32_t i = 0; i < g->n; i++)
		if (ram->slot[i].offset != g->part[i].offset ||
		    ram->slot[i].size != g->part[i].bytes)
			return false;
	return true;
}
