/* SPDX-License-Identifier: Apache-2.0 */
/* Any piece of RAM, by a reader of the handle's own; the last chunk is kept. */
#include "snapshot/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int make_room(struct snap *s, struct err *e)
{
	s->chunk = s->chunk ? s->chunk : malloc(s->g.chunk_bytes);
	if (!s->chunk)
		return err_set(e, ERR_NOMEM, "out of memory");
	return s->reader ? 0 : snap_reader_new(s, &s->reader, e);
}

static int need_chunk(struct snap *s, uint64_t number, struct err *e)
{
	if (s->chunk_valid && s->chunk_number == number)
		return 0;
	int r = snap_reader_chunk(s->reader, number, s->chunk, e);
	s->chunk_number = number;
	s->chunk_valid = !r;
	return r;
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
		struct snap_span span = geometry_chunk(&s->g, number);
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
