/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/chunk.h"
#include "snapshot/walk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES (64 * KIB)

static uint32_t piece_frames(const struct geometry *g)
{
	return PIECE_BYTES > g->chunk_bytes ? (uint32_t)(PIECE_BYTES / g->chunk_bytes) : 1;
}

/* A zero frame is never longer than a chunk: 14 bytes, and 4 for each 128 KiB of a leaf. */
size_t piece_bytes_max(const struct geometry *g)
{
	return piece_frames(g) * (size_t)g->stored_max;
}

static int next_table_part(struct walk *w, struct err *e)
{
	const struct place *p = &w->s->footer.place[PLACE_SEEK_TABLE];
	uint64_t left = p->offset + p->length - w->table_at;

	w->table_fill = left < TABLE_BYTES ? (uint32_t)left : TABLE_BYTES;
	w->table_used = 0;
	return io_read_at(w->s->src, w->table, w->table_fill, w->table_at, e);
}

static int check_table_digest(struct walk *w, struct err *e)
{
	const struct place *p = &w->s->footer.place[PLACE_SEEK_TABLE];
	struct sha256 *h = sha256_new();
	uint8_t got[SHA256_BYTES];
	int r = 0;

	for (w->table_at = p->offset; !r && w->table_at < p->offset + p->length;
	     w->table_at += w->table_fill) {
		r = next_table_part(w, e);
		if (!r)
			sha256_add(h, w->table, w->table_fill);
	}
	sha256_end(h, got);
	if (!r && memcmp(got, p->digest, SHA256_BYTES))
		r = err_at(e, ERR_CHECKSUM, p->offset, "seek table is damaged");
	w->table_at = p->offset;
	w->table_fill = w->table_used = 0;
	return r;
}

/* The next bytes of the seek table must be these. */
static int expect(struct walk *w, const uint8_t *want, size_t n, const char *what, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (w->table_used == w->table_fill) {
			int r = next_table_part(w, e);
			if (r)
				return r;
			if (!w->table_fill)
				return err_at(e, ERR_STRUCTURE, w->table_at,
					      "seek table ends early");
		}
		if (w->table[w->table_used] != want[i])
			return err_at(e, ERR_STRUCTURE, w->table_at, "seek table is wrong in %s",
				      what);
		w->table_used++;
		w->table_at++;
	}
	return 0;
}

static int expect_frame(struct walk *w, uint64_t stored, uint32_t plain, struct err *e)
{
	uint8_t entry[SEEK_ENTRY_BYTES];

	num_put_le32(entry, (uint32_t)stored);
	num_put_le32(entry + 4, plain);
	return expect(w, entry, sizeof entry, "a frame", e);
}

static int check_padding(struct walk *w, uint64_t at, uint64_t end, struct err *e)
{
	uint8_t got[4096];
	int r = 0;

	for (uint64_t n; !r && at < end; at += n) {
		n = end - at < sizeof got ? end - at : sizeof got;
		r = io_read_at(w->s->src, got, n, at, e);
		size_t zeros = r ? 0 : chunk_zeros(got, n);
		if (!r && zeros < n)
			r = err_at(e, ERR_ENCODING, at + zeros, "padding is not zero");
	}
	return r;
}

static int check_raw_head(struct walk *w, enum frame_magic magic, uint64_t at, uint64_t length,
			  const char *what, struct err *e)
{
	uint8_t head[FRAME_HEAD];
	int r = io_read_at(w->s->src, head, sizeof head, at, e);

	if (!r)
		r = frame_head_check(head, magic, length, at, what, e);
	return r ? r : expect_frame(w, length, 0, e);
}

/* What stands around the RAM of a raw file: no digest is of it, but there is one way to write it.
 */
static int check_raw_frames(struct walk *w, struct err *e)
{
	const struct snap *s = w->s;
	uint64_t pos = root_span_start_(s, 0);
	struct raw_piece p = {0};
	int r = 0;

	while (!r && raw_next_(&s->g, &s->raw, &p)) {
		uint64_t payload = p.at - FRAME_HEAD;
		r = check_raw_head(w, FRAME_PADDING, pos, payload - pos, "padding", e);
		if (!r)
			r = check_padding(w, pos + FRAME_HEAD, payload, e);
		if (!r)
			r = check_raw_head(w, FRAME_PAYLOAD, payload, FRAME_HEAD + p.bytes, "RAM",
					   e);
		pos = p.at + p.bytes;
	}
	return r;
}

int walk_start(struct walk *w, const struct snap *s, struct err *e)
{
	uint8_t head[FRAME_HEAD];

	*w = (struct walk){.s = s,
			   .leaf = malloc(sizeof *w->leaf),
			   .frame = malloc(LEAF_BYTES_MAX),
			   .table = malloc(TABLE_BYTES)};
	if (!w->leaf || !w->frame || !w->table)
		return err_set(e, ERR_NOMEM, "out of memory");
	w->leaf->n = 0;
	int r = check_table_digest(w, e);
	frame_head_put(FRAME_SEEK_TABLE, s->footer.place[PLACE_SEEK_TABLE].length - FRAME_HEAD,
		       head);
	if (!r)
		r = expect(w, head, sizeof head, "its head", e);
	if (!r)
		r = expect_frame(w, HEADER_BYTES, 0, e);
	if (!r)
		r = expect_frame(w, s->footer.place[PLACE_MANIFEST].length, 0, e);
	return r || !s->info.is_raw ? r : check_raw_frames(w, e);
}

void walk_fini(struct walk *w)
{
	free(w->leaf);
	free(w->frame);
	free(w->table);
}

/* Behind the last leaf. */
static int finish(struct walk *w, struct err *e)
{
	const struct root *got = &w->count, *said = &w->s->root;
	uint64_t at = w->s->footer.place[PLACE_ROOT].offset;
	uint8_t trailer[SEEK_TRAILER];

	int r = expect_frame(w, w->s->footer.place[PLACE_ROOT].length, 0, e);
	if (!r)
		r = expect_frame(w, FOOTER_BYTES, 0, e);
	seek_trailer_encode((uint32_t)w->s->footer.frames, trailer);
	if (!r)
		r = expect(w, trailer, sizeof trailer, "its trailer", e);
	if (r)
		return r;
	if (got->zero_chunks != said->zero_chunks)
		return err_at(e, ERR_STRUCTURE, at + 16,
			      "%" PRIu64 " zero chunks, the root says %" PRIu64, got->zero_chunks,
			      said->zero_chunks);
	if (got->parent_chunks != said->parent_chunks)
		return err_at(e, ERR_STRUCTURE, at + 40,
			      "%" PRIu64 " chunks of the parent, the root says %" PRIu64,
			      got->parent_chunks, said->parent_chunks);
	if (got->zero_frames != said->zero_frames)
		return err_at(e, ERR_STRUCTURE, at + 48,
			      "%" PRIu64 " zero frames, the root says %" PRIu64, got->zero_frames,
			      said->zero_frames);
	if (got->stored_bytes != said->stored_bytes)
		return err_at(e, ERR_STRUCTURE, at + 56,
			      "%" PRIu64 " bytes stored, the root says %" PRIu64, got->stored_bytes,
			      said->stored_bytes);
	return 0;
}

static int next_leaf(struct walk *w, struct err *e)
{
	int r = leaf_read_(w->s, w->next_leaf++, w->frame, w->leaf, e);

	if (r)
		w->leaf->n = 0;
	w->in_leaf = 0;
	return r;
}

static int take(struct walk *w, uint32_t i, struct piece *out, struct err *e)
{
	const struct entry *en = &w->leaf->entry[i];
	uint64_t plain = geometry_bytes(&w->s->g, w->leaf->chunk + w->leaf->first[i], en->chunks);

	out->entry[out->n++] = *en;
	out->chunks += en->chunks;
	if (w->s->info.is_raw) {
		if (en->kind == ENTRY_ZERO)
			w->count.zero_chunks += en->chunks;
		w->count.stored_bytes += en->length;
		return 0; /* a part of frames that were seen */
	}
	out->length += en->length;
	if (en->kind == ENTRY_PARENT) {
		w->count.parent_chunks += en->chunks;
		return 0; /* no frame */
	}
	if (en->kind == ENTRY_ZERO) {
		w->count.zero_chunks += en->chunks;
		w->count.zero_frames++;
	}
	w->count.stored_bytes += en->length;
	/* Nothing comes out of ciphertext, for a decoder of zstd. */
	if (w->s->seal && en->kind != ENTRY_ZERO)
		plain = 0;
	return expect_frame(w, en->length, (uint32_t)plain, e);
}

int walk_next(struct walk *w, struct piece *out, bool *more, struct err *e)
{
	int r = 0;

	*more = false;
	if (w->in_leaf == w->leaf->n) {
		if (w->next_leaf > w->s->g.leaves)
			return 0;
		if (w->next_leaf == w->s->g.leaves) {
			w->next_leaf++;
			return finish(w, e);
		}
		r = next_leaf(w, e);
		if (r)
			return r;
	}
	out->chunk = w->leaf->chunk + w->leaf->first[w->in_leaf];
	out->offset = w->leaf->entry[w->in_leaf].offset;
	out->n = 0;
	out->chunks = out->length = 0;
	while (!r && out->n < piece_frames(&w->s->g) && w->in_leaf < w->leaf->n)
		r = take(w, w->in_leaf++, out, e);
	if (!r && w->in_leaf == w->leaf->n) {
		struct entry place = root_entry_(w->s, w->leaf->number);
		if (place.kind == ENTRY_LEAF)
			r = expect_frame(w, place.length, 0, e);
	}
	*more = !r;
	return r;
}
