/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a snapshot from front to back: what is not known before the end stands at the end. */
#include "snapshot/chunk.h"
#include "snapshot/index.h"
#include "snapshot/live.h"
#include "snapshot/manifest.h"
#include "snapshot/out.h"
#include "snapshot/pack.h"

#include <stdlib.h>
#include <string.h>

struct writer {
	struct out out;
	struct geometry g;
	struct seal *seal; /* NULL when it is not to be encrypted */
	struct header header;
	struct footer footer;
	uint8_t digest[SHA256_BYTES]; /* what the footer ends with */
	struct root root;
	struct buf root_frame;
	uint32_t entries; /* of the leaf so far */
	uint32_t run;	  /* chunks of one kind that came last and have no entry yet */
	enum entry_kind run_kind;
	uint8_t leaf[LEAF_BYTES_MAX];
	/* Of a raw file: where RAM goes, the payload frame being written, and the leaves, which
	 * follow the last. */
	bool raw;
	struct raw_map map;
	struct raw_piece piece;
	struct buf leaves;
	uint8_t zero_frame[ZERO_FRAME_MAX];
};

static void put_entry(const struct place *p, enum entry_kind kind, uint32_t chunks, uint8_t *out)
{
	struct entry en = {.offset = p->offset,
			   .length = (uint32_t)p->length,
			   .kind = kind,
			   .chunks = (uint16_t)chunks};

	memcpy(en.digest, p->digest, SHA256_BYTES);
	entry_encode(&en, out);
}

static uint8_t *next_entry(struct writer *w)
{
	return w->leaf + LEAF_HEAD + (size_t)w->entries++ * ENTRY_BYTES;
}

/* The entry of the run that came last, and of zeros the frame; @next is the chunk after it. */
static int put_run(struct writer *w, uint64_t next, struct place *p, struct err *e)
{
	uint64_t bytes = geometry_bytes(&w->g, next - w->run, w->run);
	size_t n = run_length_(w->raw, w->run_kind, bytes);
	int r = 0;

	*p = (struct place){.offset = w->out.at};
	if (w->raw) {
		p->offset = raw_chunk_(&w->g, &w->map, next - w->run);
		w->root.zero_chunks += w->run;
	} else if (w->run_kind == ENTRY_ZERO) {
		zero_frame_encode(bytes, w->zero_frame);
		r = out_frame(&w->out, w->zero_frame, n, (uint32_t)bytes, p, e);
		w->root.zero_chunks += w->run;
		w->root.zero_frames++;
		w->root.stored_bytes += n;
	} else {
		w->root.parent_chunks += w->run;
	}
	put_entry(p, w->run_kind, w->run, next_entry(w));
	w->run = 0;
	return r;
}

/* At once, or behind the last of RAM; where that is was known from the beginning. */
static int put_leaf(struct writer *w, size_t n, struct place *p, struct err *e)
{
	if (!w->raw)
		return out_frame(&w->out, w->leaf, n, 0, p, e);
	*p = (struct place){.offset = w->map.end + w->leaves.len, .length = n};
	sha256_of(w->leaf, n, p->digest);
	buf_put(&w->leaves, w->leaf, n);
	return w->leaves.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

/* @next is the chunk after the leaf, which covers @chunks. */
static int end_leaf(struct writer *w, uint64_t next, uint32_t chunks, struct err *e)
{
	bool single = w->run == chunks;
	struct place p;
	uint8_t en[ENTRY_BYTES];
	int r = 0;

	if (w->run)
		r = put_run(w, next, &p, e);
	if (!r && !single) {
		size_t n = LEAF_HEAD + (size_t)w->entries * ENTRY_BYTES;
		frame_head_put(FRAME_LEAF, n - FRAME_HEAD, w->leaf);
		num_put_le32(w->leaf + 8, w->root.leaves);
		num_put_le32(w->leaf + 12, w->entries);
		r = put_leaf(w, n, &p, e);
	}
	if (r)
		return r;
	put_entry(&p, single ? w->run_kind : ENTRY_LEAF, chunks, en);
	buf_put(&w->root_frame, en, sizeof en);
	w->root.leaves++;
	w->entries = 0;
	return 0;
}

/* Whether chunk @i of a batch belongs to a run, and of what. */
static bool in_run(const struct packed *b, uint64_t i, enum entry_kind *kind)
{
	*kind = b->is_run ? b->run : ENTRY_ZERO;
	return b->is_run || b->item[i].zero;
}

static int put_frame(struct writer *w, uint64_t chunk, const struct packed *b, uint64_t i,
		     const uint8_t *frame, struct err *e)
{
	struct place p = {.offset = w->out.at, .length = b->item[i].length};
	/* A decoder of zstd gets nothing out of ciphertext. */
	uint64_t plain = w->seal ? 0 : geometry_chunk(&w->g, chunk).bytes;

	memcpy(p.digest, b->item[i].digest, SHA256_BYTES);
	put_entry(&p, ENTRY_ZSTD, 1, next_entry(w));
	w->root.zstd_chunks++;
	w->root.stored_bytes += p.length;
	return out_frame_known(&w->out, frame, p.length, (uint32_t)plain, e);
}

/* Padding and the head of the next payload frame, when the one before is full. */
static int begin_payload(struct writer *w, struct snap_span s, struct err *e)
{
	if (s.offset < w->piece.offset + w->piece.bytes)
		return 0;
	raw_next_(&w->g, &w->map, &w->piece);
	uint64_t padding = w->piece.at - w->out.at - 2 * FRAME_HEAD;
	int r = out_begin(&w->out, FRAME_PADDING, padding, e);
	if (!r)
		r = out_zeros(&w->out, padding, e);
	return r ? r : out_begin(&w->out, FRAME_PAYLOAD, w->piece.bytes, e);
}

/* @bytes: NULL for zeros. */
static int put_raw(struct writer *w, uint64_t chunk, const struct packed *b, uint64_t i,
		   const uint8_t *bytes, struct err *e)
{
	struct snap_span s = geometry_chunk(&w->g, chunk);
	int r = begin_payload(w, s, e);

	if (r)
		return r;
	if (!bytes)
		return out_zeros(&w->out, s.bytes, e);
	struct place p = {.offset = w->out.at, .length = s.bytes};
	memcpy(p.digest, b->item[i].digest, SHA256_BYTES);
	put_entry(&p, ENTRY_RAW, 1, next_entry(w));
	w->root.raw_chunks++;
	w->root.stored_bytes += s.bytes;
	return out_bytes(&w->out, bytes, s.bytes, e);
}

static int put_chunk(struct writer *w, uint64_t chunk, const struct packed *b, uint64_t i,
		     const uint8_t *frame, struct err *e)
{
	enum entry_kind kind;
	bool run = in_run(b, i, &kind);
	struct place p;
	int r = 0;

	if (w->run && (!run || kind != w->run_kind))
		r = put_run(w, chunk, &p, e);
	if (!r && run) {
		w->run_kind = kind;
		w->run++;
	}
	if (!r && w->raw)
		r = put_raw(w, chunk, b, i, run ? NULL : frame, e);
	else if (!r && !run)
		r = put_frame(w, chunk, b, i, frame, e);
	uint32_t in_leaf = (uint32_t)(chunk % SNAP_LEAF_CHUNKS) + 1;
	if (!r && (in_leaf == SNAP_LEAF_CHUNKS || chunk + 1 == w->g.chunks))
		r = end_leaf(w, chunk + 1, in_leaf, e);
	return r;
}

static int put_ram(struct writer *w, struct pack *pack, const struct snap_progress *progress,
		   struct err *e)
{
	const struct packed *b;
	int r = 0;

	for (uint64_t chunk = 0; !r && chunk < w->g.chunks;) {
		if (progress->cancel && atomic_load(progress->cancel))
			return err_set(e, ERR_CANCELLED, "cancelled");
		r = pack_next(pack, &b, e);
		const uint8_t *frame = r ? NULL : b->data;
		for (uint64_t i = 0; !r && i < b->n; i++) {
			r = put_chunk(w, chunk++, b, i, frame, e);
			if (!b->is_run && !b->item[i].zero)
				frame += b->item[i].length;
		}
		if (!r && progress->fn)
			progress->fn(progress->arg, geometry_bytes(&w->g, 0, chunk), w->g.bytes);
	}
	return r;
}

static int put_header(struct writer *w, const struct snapshot_identity *id, struct err *e)
{
	uint8_t frame[HEADER_BYTES];

	memcpy(w->header.uuid, id->uuid, sizeof w->header.uuid);
	header_encode(&w->header, frame);
	return out_frame(&w->out, frame, sizeof frame, 0, &w->footer.place[PLACE_HEADER], e);
}

/* What a reader would refuse must not be written: names come from people, state from devices. */
static int read_back(const uint8_t *frame, size_t n, struct err *e)
{
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	int r = snap_manifest_decode(frame + FRAME_HEAD, n - FRAME_HEAD, HEADER_BYTES + FRAME_HEAD,
				     &m, e);

	snap_manifest_fini(&m);
	return r;
}

/* @b: the frame behind seal_front() bytes, SEAL_EXTRA more than needed in all. */
static int put_sealed_manifest(struct writer *w, struct gcm *x, struct buf *b, struct err *e)
{
	struct place *p = &w->footer.place[PLACE_MANIFEST];
	uint8_t *frame = b->data + seal_front(x);
	size_t n = b->len - SEAL_EXTRA;

	frame_head_put(FRAME_MANIFEST, n - FRAME_HEAD, frame);
	int r = read_back(frame, n, e);
	if (!r)
		r = frame_store_(x, SEAL_MANIFEST, 0, b->data, &n, p->digest, e);
	/* As readers have it, who see no more than the frame. */
	if (!r && n > SNAP_MANIFEST_MAX + FRAME_HEAD)
		r = err_set(e, ERR_LIMIT, "manifest of %zu bytes", n);
	p->offset = w->out.at;
	p->length = n;
	return r ? r : out_frame_known(&w->out, b->data, n, 0, e);
}

/* The caller's manifest with `ram` put in where it belongs. */
static int put_manifest(struct writer *w, const struct snap_manifest *m, struct snapshot_ram *ram,
			const struct snapshot_parent *parent, struct err *e)
{
	struct snap_manifest full = SNAP_MANIFEST_INIT;
	struct buf b = BUF_INIT;
	struct gcm *x = NULL;
	int r = seal_start(w->seal, true, &x, e);

	for (uint32_t i = 0; !r && i < m->n; i++) {
		r = snap_manifest_add(&full, m->item[i].desc, m->item[i].id, m->item[i].st, e);
		if (!r && m->item[i].desc == &machine_desc)
			r = snap_manifest_add(&full, &snapshot_ram_desc, "", ram, e);
		/* Borrowed, and only read. */
		if (!r && parent && m->item[i].desc == &machine_desc)
			r = snap_manifest_add(&full, &snapshot_parent_desc, "",
					      (void *)(uintptr_t)parent, e);
	}
	buf_grow(&b, seal_front(x) + FRAME_HEAD);
	if (!r)
		r = snap_manifest_encode(&full, &b, e);
	/* Room for a tag; without a seal as much again, unused. */
	buf_grow(&b, SEAL_EXTRA - seal_front(x));
	if (!r && b.failed)
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (!r)
		r = put_sealed_manifest(w, x, &b, e);
	gcm_free(x);
	buf_free(&b);
	snap_manifest_fini(&full);
	return r;
}

/* Of a raw file. */
static int put_leaves(struct writer *w, struct err *e)
{
	int r = 0;

	for (size_t at = 0, n; !r && at < w->leaves.len; at += n) {
		n = FRAME_HEAD + num_le32(w->leaves.data + at + 4);
		r = out_frame_known(&w->out, w->leaves.data + at, n, 0, e);
	}
	return r;
}

static int put_root(struct writer *w, struct err *e)
{
	if (w->root_frame.failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	root_encode(&w->root, w->root_frame.data);
	return out_frame(&w->out, w->root_frame.data, w->root_frame.len, 0,
			 &w->footer.place[PLACE_ROOT], e);
}

static int write_all(struct writer *w, const struct snap_manifest *m, const struct guest_mem *mem,
		     const struct snap_write_opts *o, struct err *e)
{
	struct snapshot_ram ram = {.stream_bytes = w->g.bytes,
				   .chunk_bytes = w->g.chunk_bytes,
				   .level = w->raw ? 0 : (uint8_t)o->level};
	struct pack *pack;

	/* Compression begins while the manifest is still being written. */
	const struct pack_setup setup = {
	    .g = &w->g,
	    .ram = mem,
	    .live = o->live,
	    .from = o->from,
	    .changed = o->changed,
	    .unused = o->unused,
	    .seal = w->seal,
	    .raw = w->raw,
	    .threads = o->threads,
	    .level = o->level,
	};
	int r = pack_start(&pack, &setup, e);
	if (r)
		return r;
	r = put_header(w, m->item[0].st, e);
	if (!r)
		r = put_manifest(w, m, &ram, o->parent, e);
	if (w->raw)
		raw_place_(&w->g, w->out.at, &w->map);
	if (!r)
		r = put_ram(w, pack, &o->progress, e);
	pack_stop(pack);
	if (!r && o->live)
		r = live_check_(o->live, e);
	if (!r)
		r = put_leaves(w, e);
	if (!r)
		r = put_root(w, e);
	w->footer.ram_bytes = w->g.bytes;
	if (!r)
		r = out_finish(&w->out, &w->footer, w->seal, o->sign, w->digest, e);
	return r;
}

static int check_args(struct geometry *g, const struct snap_manifest *m,
		      const struct guest_mem *ram, const struct snap_write_opts *o, struct err *e)
{
	static const struct state_desc *const lead[] = {&snapshot_identity_desc, &layout_desc,
							&machine_desc};

	if (o->threads > SNAP_THREADS_MAX)
		return err_set(e, ERR_USAGE, "%u threads, at most %d", o->threads,
			       SNAP_THREADS_MAX);
	if (o->level > SNAP_LEVEL_MAX)
		return err_set(e, ERR_USAGE, "level %u, at most %d", o->level, SNAP_LEVEL_MAX);
	int r = manifest_order_(m, lead, ARRAY_LEN(lead), e);
	if (!r)
		r = layout_check(m->item[1].st, e);
	if (!r)
		r = geometry_init(g, m->item[1].st, o->chunk_bytes, e);
	if (r)
		return r;
	if (!o->parent != !o->changed)
		return err_set(e, ERR_USAGE, "a parent and what changed since it go together");
	if (o->raw && (o->parent || o->master))
		return err_set(e, ERR_USAGE, "the encoding raw does not go together with %s",
			       o->parent ? "a parent" : "encryption");
	if (o->from && o->unused)
		return err_set(e, ERR_USAGE, "a snapshot that is copied has no unused pages");
	if (o->from ? !geometry_same(&o->from->g, g) : !geometry_fits(g, ram))
		return err_set(e, ERR_USAGE, "memory is not that of the layout");
	if (o->live && !geometry_same(&o->live->g, g))
		return err_set(e, ERR_USAGE, "the capture cuts memory otherwise");
	if (ROOT_HEAD + g->leaves * ENTRY_BYTES > SNAP_ROOT_MAX)
		return err_set(e, ERR_LIMIT, "%llu bytes of RAM need larger chunks than %u bytes",
			       (unsigned long long)g->bytes, g->chunk_bytes);
	return 0;
}

/* Keys of its own for this file, and what the header says of them. */
static int prepare_keys(struct writer *w, const struct snap_write_opts *o, struct err *e)
{
	struct header *h = &w->header;
	int r = 0;

	if (o->parent)
		h->required |= 1ull << SNAP_REQ_INCREMENTAL;
	if (o->raw)
		h->required |= 1ull << SNAP_REQ_RAW;
	if (o->sign)
		h->optional |= 1ull << SNAP_OPT_SIGNED;
	if (!o->master)
		return 0;
	h->required |= 1ull << SNAP_REQ_ENCRYPTED;
	h->kdf = o->master->kdf;
	w->g.stored_max += SEAL_EXTRA;
	if (o->salt)
		memcpy(h->salt, o->salt, sizeof h->salt);
	else
		r = secret_random(h->salt, sizeof h->salt, e);
	return r ? r : seal_new(&o->master->key, h->salt, &w->seal, e);
}

static void fill_stats(const struct writer *w, struct snap_stats *out)
{
	*out = (struct snap_stats){
	    .file_bytes = w->footer.file_bytes,
	    .ram_bytes = w->g.bytes,
	    .stored_bytes = w->root.stored_bytes,
	    .zero_chunks = w->root.zero_chunks,
	    .zstd_chunks = w->root.zstd_chunks,
	    .raw_chunks = w->root.raw_chunks,
	    .parent_chunks = w->root.parent_chunks,
	    .zero_frames = w->root.zero_frames,
	};
	memcpy(out->digest, w->digest, sizeof out->digest);
}

int snap_write(int fd, const struct snap_manifest *m, const struct guest_mem *ram,
	       const struct snap_write_opts *opts, struct snap_stats *stats, struct err *e)
{
	struct snap_write_opts o = opts ? *opts : (struct snap_write_opts){0};
	struct writer *w = calloc(1, sizeof *w);

	if (!w)
		return err_set(e, ERR_NOMEM, "out of memory");
	o.threads = o.threads ? o.threads : 2;
	o.level = o.level ? o.level : SNAP_LEVEL_DEFAULT;
	o.chunk_bytes = o.chunk_bytes ? o.chunk_bytes : SNAP_CHUNK_DEFAULT;
	w->raw = o.raw;
	int r = check_args(&w->g, m, ram, &o, e);
	if (!r)
		r = prepare_keys(w, &o, e);
	if (!r) {
		buf_grow(&w->root_frame, ROOT_HEAD);
		r = out_init(&w->out, fd, o.progress.cancel, e);
		if (!r)
			r = write_all(w, m, ram, &o, e);
		out_fini(&w->out);
	}
	if (!r && stats)
		fill_stats(w, stats);
	seal_free(w->seal);
	buf_free(&w->root_frame);
	buf_free(&w->leaves);
	free(w);
	return r;
}
