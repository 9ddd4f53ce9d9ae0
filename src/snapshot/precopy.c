/* SPDX-License-Identifier: Apache-2.0 */
/* A live capture where memory cannot be protected: copied while the guest runs, again where it
 * wrote meanwhile, and the last of it while it stands still. */
#include "snapshot/held.h"
#include "snapshot/live.h"

#define ROUNDS_MAX 8

static bool is_among(const struct snap_live *l, const uint64_t *pages, uint64_t chunk)
{
	struct snap_span s = geometry_chunk(&l->g, chunk);

	return !pages || mem_any_dirty(pages, s.offset, s.bytes);
}

static int copy_chunk(struct snap_live *l, uint64_t chunk, struct err *e)
{
	l->state[chunk] = CHUNK_HELD;
	return held_put(l->held, chunk, live_bytes_(l, chunk), e);
}

int snap_live_again(struct snap_live *l, const uint64_t *pages, const struct snap_progress *p,
		    struct err *e)
{
	uint64_t n = 0;
	int r = 0;

	for (uint64_t c = 0; !r && c < l->g.chunks; c++) {
		if (p->cancel && *p->cancel)
			return err_set(e, ERR_CANCELLED, "cancelled");
		if (is_among(l, pages, c)) {
			r = copy_chunk(l, c, e);
			n++;
		}
		if (p->fn)
			p->fn(p->arg, geometry_bytes(&l->g, 0, c + 1), l->g.bytes);
	}
	l->stats.copied_chunks += n;
	l->stats.early_chunks += l->rounds ? n : 0;
	l->last_chunks = n;
	l->rounds++;
	return r;
}

bool snap_live_settled(const struct snap_live *l, const uint64_t *pages)
{
	uint64_t n = 0;

	for (uint64_t c = 0; c < l->g.chunks; c++)
		n += is_among(l, pages, c);
	/* Each round takes as long as what it copies, and the guest writes as fast as ever. */
	return n <= FEW_CHUNKS || l->rounds >= ROUNDS_MAX || n > l->last_chunks / 4 * 3;
}

int precopy_last_(struct snap_live *l, const uint64_t *pages, struct err *e)
{
	int r = 0;

	held_hurry(l->held);
	for (uint64_t c = 0; !r && c < l->g.chunks; c++)
		if (is_among(l, pages, c)) {
			r = copy_chunk(l, c, e);
			l->stats.late_chunks++;
		}
	return r;
}
