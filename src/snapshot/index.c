/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/chunk.h"
#include "snapshot/index.h"

#include <inttypes.h>
#include <string.h>

int read_checked_(const struct io_src *src, void *out, size_t n, uint64_t at,
		  const uint8_t digest[static SHA256_BYTES], const char *what, struct err *e)
{
	uint8_t got[SHA256_BYTES];

	int r = io_read_at(src, out, n, at, e);
	if (r) {
		err_where(e, "%s", what);
		return r;
	}
	sha256_of(out, n, got);
	if (memcmp(got, digest, SHA256_BYTES))
		return err_at(e, ERR_CHECKSUM, at, "%s is damaged", what);
	return 0;
}

static const uint8_t *raw_entry(const struct snap *s, uint64_t leaf)
{
	return s->root_frame + ROOT_HEAD + leaf * ENTRY_BYTES;
}

struct entry root_entry_(const struct snap *s, uint64_t leaf)
{
	struct entry en;

	/* root_check_() has seen it decode. */
	(void)!entry_decode(raw_entry(s, leaf), 0, &en, NULL);
	return en;
}

uint64_t root_span_start_(const struct snap *s, uint64_t leaf)
{
	if (!leaf)
		return s->footer.place[PLACE_MANIFEST].offset +
		       s->footer.place[PLACE_MANIFEST].length;
	struct entry en = root_entry_(s, leaf - 1);
	return en.offset + en.length;
}

/* Of a leaf: how many entries it has, from its length; 0 for a length that none has. */
static uint32_t leaf_entries(const struct entry *place)
{
	if (place->length <= LEAF_HEAD || (place->length - LEAF_HEAD) % ENTRY_BYTES)
		return 0;
	uint32_t n = (place->length - LEAF_HEAD) / ENTRY_BYTES;
	return n <= place->chunks ? n : 0;
}

uint64_t run_length_(bool is_raw, enum entry_kind kind, uint64_t bytes)
{
	return kind == ENTRY_ZERO && !is_raw ? zero_frame_length(bytes) : 0;
}

bool snap_incremental_(const struct snap *s)
{
	return s->info.required & UINT64_C(1) << SNAP_REQ_INCREMENTAL;
}

/* What may stand in this file, in a leaf or in the root. */
static int check_kind(const struct snap *s, const struct entry *en, bool in_leaf, uint64_t at,
		      struct err *e)
{
	bool is_raw = s->info.is_raw;

	if (en->kind == ENTRY_RAW && !(is_raw && in_leaf))
		return err_at(e, ERR_RANGE, at + 12, "entry of kind %u", en->kind);
	if (en->kind == ENTRY_ZSTD && is_raw && in_leaf)
		return err_at(e, ERR_STRUCTURE, at + 12, "a compressed chunk in a raw file");
	if (en->kind == ENTRY_PARENT && !snap_incremental_(s))
		return err_at(e, ERR_STRUCTURE, at + 12, "chunks of the parent, and there is none");
	for (size_t i = 0; is_raw && en->kind == ENTRY_ZERO && i < SHA256_BYTES; i++)
		if (en->digest[i])
			return err_at(e, ERR_RANGE, at + 16 + i, "a digest, and no frame");
	return 0;
}

/* A run of zeros of a raw file is where its first chunk is. */
static uint64_t run_place(const struct snap *s, uint64_t chunk, uint64_t pos)
{
	return s->info.is_raw ? raw_chunk_(&s->g, &s->raw, chunk) : pos;
}

/* Before a leaf there is at least one frame of RAM, but for a raw file, where all of RAM is before.
 */
static bool leaf_place_ok(const struct snap *s, const struct entry *en, uint64_t pos)
{
	return s->info.is_raw ? en->offset == pos : en->offset > pos;
}

static int check_root_entry(const struct snap *s, uint64_t i, const struct entry *en, uint64_t pos,
			    uint64_t at, struct err *e)
{
	uint64_t end = s->footer.place[PLACE_ROOT].offset;
	uint32_t chunks = geometry_leaf_chunks(&s->g, i);
	int r = check_kind(s, en, false, at, e);

	if (r)
		return r;
	if (en->chunks != chunks)
		return err_at(e, ERR_STRUCTURE, at + 14,
			      "leaf %" PRIu64 " of %u chunks, not %" PRIu32, i, en->chunks, chunks);
	if (en->kind == ENTRY_LEAF ? !leaf_place_ok(s, en, pos)
				   : en->offset != run_place(s, i * SNAP_LEAF_CHUNKS, pos))
		return err_at(e, ERR_STRUCTURE, at, "leaf %" PRIu64 " is said to be at 0x%" PRIx64,
			      i, en->offset);
	uint64_t bytes = geometry_bytes(&s->g, i * SNAP_LEAF_CHUNKS, chunks);
	if (en->kind == ENTRY_LEAF ? !leaf_entries(en)
				   : en->length != run_length_(s->info.is_raw, en->kind, bytes))
		return err_at(e, ERR_STRUCTURE, at + 8, "leaf %" PRIu64 " of %" PRIu32 " bytes", i,
			      en->length);
	if (!num_inside(en->offset, en->length, 0, end))
		return err_at(e, ERR_STRUCTURE, at, "leaf %" PRIu64 " lies past the root", i);
	return 0;
}

int root_check_(const struct snap *s, struct err *e)
{
	uint64_t root = s->footer.place[PLACE_ROOT].offset,
		 pos = s->info.is_raw ? s->raw.end : root_span_start_(s, 0);

	for (uint64_t i = 0; i < s->root.leaves; i++) {
		uint64_t at = root + ROOT_HEAD + i * ENTRY_BYTES;
		struct entry en;
		int r = entry_decode(raw_entry(s, i), at, &en, e);
		if (!r)
			r = check_root_entry(s, i, &en, pos, at, e);
		if (r)
			return r;
		if (!s->info.is_raw || en.kind == ENTRY_LEAF)
			pos = en.offset + en.length;
	}
	if (pos != root)
		return err_at(e, ERR_STRUCTURE, pos, "bytes between index and root");
	return 0;
}

static int check_head(const struct leaf *l, const uint8_t *frame, uint64_t at, struct err *e)
{
	int r = frame_head_check(frame, FRAME_LEAF, LEAF_HEAD + (uint64_t)l->n * ENTRY_BYTES, at,
				 "index leaf", e);
	if (r)
		return r;
	if (num_le32(frame + 8) != l->number)
		return err_at(e, ERR_STRUCTURE, at + 8,
			      "leaf %" PRIu32 " in place of leaf %" PRIu64, num_le32(frame + 8),
			      l->number);
	if (num_le32(frame + 12) != l->n)
		return err_at(e, ERR_STRUCTURE, at + 12,
			      "leaf of %" PRIu32 " entries, not %" PRIu32, num_le32(frame + 12),
			      l->n);
	return 0;
}

/* Entry @i of a leaf of @chunks must lie at @pos, but where a raw file has its place. */
static int check_entry(const struct snap *s, const struct leaf *l, uint32_t i, uint32_t chunks,
		       uint64_t pos, uint64_t at, struct err *e)
{
	const struct entry *en = &l->entry[i];
	bool run = en->kind != ENTRY_ZSTD && en->kind != ENTRY_RAW;
	int r = check_kind(s, en, true, at, e);

	if (r)
		return r;
	if (!en->chunks || en->chunks > chunks - l->first[i] || (!run && en->chunks != 1))
		return err_at(e, ERR_STRUCTURE, at + 14, "entry for %u chunks", en->chunks);
	if (run && i && l->entry[i - 1].kind == en->kind)
		return err_at(e, ERR_STRUCTURE, at + 12, "two entries for one run");
	pos = run_place(s, l->chunk + l->first[i], pos);
	if (en->offset != pos)
		return err_at(e, ERR_STRUCTURE, at,
			      "chunk is said to be at 0x%" PRIx64 ", and not 0x%" PRIx64,
			      en->offset, pos);
	uint64_t bytes = geometry_bytes(&s->g, l->chunk + l->first[i], en->chunks);
	if (run			    ? en->length != run_length_(s->info.is_raw, en->kind, bytes)
	    : en->kind == ENTRY_RAW ? en->length != bytes
				    : !en->length || en->length > s->g.stored_max)
		return err_at(e, ERR_STRUCTURE, at + 8, "chunk of %" PRIu32 " bytes", en->length);
	return 0;
}

static int check_entries(const struct snap *s, struct leaf *l, const uint8_t *frame,
			 const struct entry *place, struct err *e)
{
	uint64_t pos = s->info.is_raw ? place->offset : root_span_start_(s, l->number);
	uint32_t chunks = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		size_t in = LEAF_HEAD + (size_t)i * ENTRY_BYTES;
		int r = entry_decode(frame + in, place->offset + in, &l->entry[i], e);
		l->first[i] = chunks;
		if (!r)
			r = check_entry(s, l, i, place->chunks, pos, place->offset + in, e);
		if (r)
			return r;
		pos += s->info.is_raw ? 0 : l->entry[i].length;
		chunks += l->entry[i].chunks;
	}
	if (chunks != place->chunks)
		return err_at(e, ERR_STRUCTURE, place->offset + 12,
			      "entries for %" PRIu32 " chunks of %u", chunks, place->chunks);
	if (pos != place->offset)
		return err_at(e, ERR_STRUCTURE, pos, "bytes between chunks and index leaf");
	if (l->n == 1 && l->entry[0].kind != ENTRY_ZSTD && l->entry[0].kind != ENTRY_RAW)
		return err_at(e, ERR_STRUCTURE, place->offset, "index leaf of a single run");
	return 0;
}

int leaf_read_(const struct snap *s, uint64_t number, uint8_t *frame, struct leaf *out,
	       struct err *e)
{
	struct entry place = root_entry_(s, number);

	out->number = number;
	out->chunk = number * SNAP_LEAF_CHUNKS;
	if (place.kind != ENTRY_LEAF) {
		out->n = 1;
		out->entry[0] = place;
		out->first[0] = 0;
		return 0;
	}
	out->n = leaf_entries(&place);
	int r =
	    read_checked_(s->src, frame, place.length, place.offset, place.digest, "index leaf", e);
	if (!r)
		r = check_head(out, frame, place.offset, e);
	return r ? r : check_entries(s, out, frame, &place, e);
}

const struct entry *leaf_find_(const struct leaf *l, uint32_t in_leaf)
{
	uint32_t low = 0, high = l->n - 1;

	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;
		if (l->first[middle] <= in_leaf)
			low = middle;
		else
			high = middle - 1;
	}
	return &l->entry[low];
}
