/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/raw.h"
#include "snapshot/index.h"

/* Two frame heads fit in front of a payload, whatever the frame before left. */
static uint64_t payload_after(uint64_t end)
{
	return (end + 2 * FRAME_HEAD + RAW_ALIGN - 1) / RAW_ALIGN * RAW_ALIGN;
}

/* From the start of a region, when all frames before are full. */
static uint64_t in_file(uint64_t in)
{
	return in / RAW_FRAME_MAX * (RAW_FRAME_MAX + RAW_ALIGN) + in % RAW_FRAME_MAX;
}

/* No overflow: layout_check() keeps each of 64 regions below 2^52. */
void raw_place_(const struct geometry *g, uint64_t start, struct raw_map *out)
{
	out->end = start;
	for (uint32_t i = 0; i < g->n; i++) {
		out->at[i] = payload_after(out->end);
		out->end = out->at[i] + in_file(g->part[i].bytes - 1) + 1;
	}
}

uint64_t raw_chunk_(const struct geometry *g, const struct raw_map *m, uint64_t chunk)
{
	uint32_t i = g->n - 1;

	while (g->part[i].chunk > chunk)
		i--;
	return m->at[i] + in_file((chunk - g->part[i].chunk) * g->chunk_bytes);
}

bool raw_next_(const struct geometry *g, const struct raw_map *m, struct raw_piece *p)
{
	p->in += p->bytes;
	if (p->part < g->n && p->in == g->part[p->part].bytes) {
		p->part++;
		p->in = 0;
	}
	if (p->part == g->n)
		return false;
	uint64_t left = g->part[p->part].bytes - p->in;
	p->bytes = left < RAW_FRAME_MAX ? left : RAW_FRAME_MAX;
	p->offset = g->part[p->part].offset + p->in;
	p->at = m->at[p->part] + in_file(p->in);
	return true;
}

int snap_map_ram(const struct snap *s, struct guest_mem *ram, struct err *e)
{
	struct raw_piece p = {0};
	int r = ram_readable_(s, e);

	if (!r && (!s->info.is_raw || s->src->fd < 0))
		r = err_set(e, ERR_USAGE, "only a file of the encoding raw can be mapped");
	if (!r && !geometry_fits(&s->g, ram))
		r = err_set(e, ERR_USAGE, "memory is not that of the snapshot's layout");
	while (!r && raw_next_(&s->g, &s->raw, &p))
		r = mem_map(ram, p.offset, p.bytes, s->src->fd, p.at, e);
	return r;
}
