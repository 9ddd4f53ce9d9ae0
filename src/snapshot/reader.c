/* SPDX-License-Identifier: Apache-2.0 */
/* Random access to chunks, for one thread. */
#include "snapshot/chunk.h"
#include "snapshot/index.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define READER_LEAVES 16

/* A leaf with what its parents say put in: 64 MiB of RAM in chunks of the default size, 50 KiB. */
struct resolved {
	uint64_t number;
	uint32_t n; /* chunks */
	bool valid;
	uint8_t depth[SNAP_LEAF_CHUNKS]; /* of the file: 0 for the child */
	struct entry entry[SNAP_LEAF_CHUNKS];
};

struct snap_reader {
	const struct snap *s;
	struct resolved *kept[READER_LEAVES]; /* leaf i in slot i % READER_LEAVES; NULL: none yet */
	struct leaf *leaf;		      /* of one file */
	uint8_t *frame;			      /* of a leaf */
	uint8_t *stored;		      /* of a chunk */
	ZSTD_DCtx *zstd;
	struct {
		const struct snap *s;
		struct gcm *gcm; /* NULL when it is not encrypted */
	} chain[SNAP_CHAIN_MAX]; /* the child first */
};

struct snap_span snap_chunk_span(const struct snap *s, uint64_t chunk)
{
	return geometry_chunk(&s->g, chunk);
}

uint64_t snap_chunk_at(const struct snap *s, uint64_t offset)
{
	return geometry_find(&s->g, offset);
}

uint64_t snap_zeros(const struct snap *s, uint64_t chunk)
{
	uint64_t number = chunk / SNAP_LEAF_CHUNKS;
	struct entry place = root_entry_(s, number);

	while (place.kind == ENTRY_PARENT) {
		s = s->parent;
		place = root_entry_(s, number);
	}
	return place.kind == ENTRY_ZERO ? number * SNAP_LEAF_CHUNKS + place.chunks - chunk : 0;
}

/* Keys for each file of the chain; room for the largest chunk of any. */
static int open_chain(struct snap_reader *rd, struct err *e)
{
	uint32_t most = 0;
	unsigned i = 0;
	int r = 0;

	for (const struct snap *s = rd->s; !r && s && i < SNAP_CHAIN_MAX; s = s->parent, i++) {
		most = s->g.stored_max > most ? s->g.stored_max : most;
		rd->chain[i].s = s;
		r = seal_start(s->seal, false, &rd->chain[i].gcm, e);
	}
	if (!r && i == SNAP_CHAIN_MAX && rd->chain[i - 1].s->parent)
		r = err_set(e, ERR_LIMIT, "a chain of more than %d snapshots", SNAP_CHAIN_MAX);
	rd->stored = r ? NULL : malloc(most);
	return r || rd->stored ? r : err_set(e, ERR_NOMEM, "out of memory");
}

int snap_reader_new(const struct snap *s, struct snap_reader **out, struct err *e)
{
	int r = ram_readable_(s, e);

	if (r)
		return r;
	struct snap_reader *rd = calloc(1, sizeof *rd);
	if (!rd)
		return err_set(e, ERR_NOMEM, "out of memory");
	rd->s = s;
	rd->leaf = malloc(sizeof *rd->leaf);
	rd->frame = malloc(LEAF_BYTES_MAX);
	rd->zstd = ZSTD_createDCtx();
	r = rd->leaf && rd->frame && rd->zstd ? open_chain(rd, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (r) {
		snap_reader_free(rd);
		return r;
	}
	*out = rd;
	return 0;
}

void snap_reader_free(struct snap_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < READER_LEAVES; i++)
		free(r->kept[i]);
	for (size_t i = 0; i < SNAP_CHAIN_MAX; i++)
		gcm_free(r->chain[i].gcm);
	free(r->leaf);
	ZSTD_freeDCtx(r->zstd);
	free(r->frame);
	free(r->stored);
	free(r);
}

/* Chunks that are still the parent's are what the leaf of the next file says. Returns how many are
 * left. */
static uint32_t put_in(struct resolved *to, const struct leaf *l, unsigned depth)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < l->n; i++)
		for (uint32_t c = l->first[i]; c < l->first[i] + l->entry[i].chunks; c++) {
			if (depth && to->entry[c].kind != ENTRY_PARENT)
				continue;
			to->entry[c] = l->entry[i];
			to->depth[c] = (uint8_t)depth;
			left += l->entry[i].kind == ENTRY_PARENT;
		}
	return left;
}

static int resolve(struct snap_reader *r, struct resolved *to, uint64_t number, struct err *e)
{
	uint32_t left = 1;

	to->valid = false;
	to->number = number;
	to->n = geometry_leaf_chunks(&r->s->g, number);
	for (unsigned depth = 0; left; depth++) {
		const struct snap *s = r->chain[depth].s;
		int failed = leaf_read_(s, number, r->frame, r->leaf, e);
		if (failed && depth)
			err_where(e, "parent %s", snap_parent(r->chain[depth - 1].s)->file);
		if (failed)
			return failed;
		left = put_in(to, r->leaf, depth);
	}
	to->valid = true;
	return 0;
}

static int need_leaf(struct snap_reader *r, uint64_t number, const struct resolved **out,
		     struct err *e)
{
	struct resolved **k = &r->kept[number % READER_LEAVES];

	if (!*k)
		*k = calloc(1, sizeof **k);
	if (!*k)
		return err_set(e, ERR_NOMEM, "out of memory");
	*out = *k;
	return (*k)->valid && (*k)->number == number ? 0 : resolve(r, *k, number, e);
}

int snap_reader_zeros(struct snap_reader *r, uint64_t chunk, uint64_t *n, struct err *e)
{
	const struct resolved *l;

	*n = snap_zeros(r->s, chunk);
	if (*n)
		return 0;
	int failed = need_leaf(r, chunk / SNAP_LEAF_CHUNKS, &l, e);
	if (failed)
		return failed;
	for (uint32_t c = chunk % SNAP_LEAF_CHUNKS; c < l->n && l->entry[c].kind == ENTRY_ZERO; c++)
		++*n;
	return 0;
}

int reader_frame_(struct snap_reader *r, uint64_t chunk, struct stored *out, bool *is_plain,
		  struct err *e)
{
	const struct resolved *l;
	int failed = need_leaf(r, chunk / SNAP_LEAF_CHUNKS, &l, e);

	if (failed)
		return failed;
	const struct entry *en = &l->entry[chunk % SNAP_LEAF_CHUNKS];
	unsigned depth = l->depth[chunk % SNAP_LEAF_CHUNKS];
	*is_plain = en->kind == ENTRY_RAW;
	if (en->kind == ENTRY_ZERO) {
		*out = (struct stored){.n = 0};
		return 0;
	}
	*out = (struct stored){r->stored, en->length, en->offset, en->digest, "RAM chunk"};
	failed = io_read_at(r->chain[depth].s->src, out->data, out->n, out->at, e);
	if (!failed)
		failed = frame_fetch_(r->chain[depth].gcm, SEAL_CHUNK, chunk, out, e);
	if (failed && depth)
		err_where(e, "parent %s", snap_parent(r->chain[depth - 1].s)->file);
	return failed;
}

int snap_reader_chunk(struct snap_reader *r, uint64_t chunk, uint8_t *out, struct err *e)
{
	size_t bytes = geometry_chunk(&r->s->g, chunk).bytes;
	struct stored st;
	bool is_plain;
	int failed = reader_frame_(r, chunk, &st, &is_plain, e);

	if (!failed && !st.n)
		memset(out, 0, bytes);
	else if (!failed && is_plain)
		memcpy(out, st.data, bytes);
	else if (!failed)
		failed = chunk_decode(r->zstd, st.data, st.n, st.at, out, bytes, e);
	return failed;
}
