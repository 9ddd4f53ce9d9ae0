/* SPDX-License-Identifier: Apache-2.0 */
/* Random access: a leaf and a chunk at a time, the last of each kept. */
#include "snapshot/chunk.h"
#include "snapshot/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static int make_room(struct snap *s, struct err *e)
{
	if (s->zstd)
		return 0;
	s->leaf = s->leaf ? s->leaf : malloc(sizeof *s->leaf);
	s->chunk = s->chunk ? s->chunk : malloc(s->g.chunk_bytes);
	s->stored = s->stored ? s->stored : malloc(CHUNK_STORED_MAX(s->g.chunk_bytes));
	if (s->leaf && s->chunk && s->stored)
		s->zstd = ZSTD_createDCtx();
	return s->zstd ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int need_leaf(struct snap *s, uint64_t number, struct err *e)
{
	if (s->leaf_valid && s->leaf->number == number)
		return 0;
	s->leaf_valid = false;
	int r = leaf_read_(s, number, s->leaf, e);
	s->leaf_valid = !r;
	return r;
}

static int need_chunk(struct snap *s, uint64_t number, struct err *e)
{
	if (s->chunk_valid && s->chunk_number == number)
		return 0;
	s->chunk_valid = false;
	int r = need_leaf(s, number / SNAP_LEAF_CHUNKS, e);
	if (r)
		return r;
	const struct entry *en = leaf_find_(s->leaf, number % SNAP_LEAF_CHUNKS);
	size_t bytes = geometry_chunk(&s->g, number).bytes;
	if (en->kind == ENTRY_ZERO) {
		memset(s->chunk, 0, bytes);
	} else {
		r = read_checked_(s->src, s->stored, en->length, en->offset, en->digest,
				  "RAM chunk", e);
		if (!r)
			r = chunk_decode(s->zstd, s->stored, en->length, en->offset, s->chunk,
					 bytes, e);
		if (r)
			return r;
	}
	s->chunk_number = number;
	s->chunk_valid = true;
	return 0;
}

int snap_read_ram(struct snap *s, uint64_t offset, void *out, size_t n, struct err *e)
{
	uint8_t *p = out;
	int r = ram_readable_(s, e);

	if (r)
		return r;
	if (!num_inside(offset, n, 0, s->g.bytes))
		return err_set(e, ERR_RANGE,
			       "%zu bytes at 0x%" PRIx64 " of RAM, which has 0x%" PRIx64, n, offset,
			       s->g.bytes);
	r = make_room(s, e);
	while (!r && n) {
		uint64_t number = geometry_find(&s->g, offset);
		struct span span = geometry_chunk(&s->g, number);
		uint64_t in = offset - span.offset, k = span.bytes - in;
		k = k < n ? k : n;
		r = need_chunk(s, number, e);
		if (!r)
			memcpy(p, s->chunk + in, k);
		p += k;
		offset += k;
		n -= k;
	}
	return r;
}
