/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a snapshot from front to back: what is not known before the end stands at the end. */
#include "snapshot/chunk.h"
#include "snapshot/manifest.h"
#include "snapshot/out.h"
#include "snapshot/pack.h"

#include <stdlib.h>
#include <string.h>

struct writer {
	struct out out;
	struct geometry g;
	struct footer footer;
	struct root root;
	struct buf root_frame;
	uint32_t entries; /* of the leaf so far */
	uint32_t run;	  /* zero chunks that came last and have no frame yet */
	uint8_t leaf[LEAF_BYTES_MAX];
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

/* The frame of the zero chunks that came last; @next is the chunk after them. */
static int put_zeros(struct writer *w, uint64_t next, struct place *p, struct err *e)
{
	uint64_t bytes = geometry_bytes(&w->g, next - w->run, w->run);
	size_t n = zero_frame_length(bytes);

	zero_frame_encode(bytes, w->zero_frame);
	int r = out_frame(&w->out, w->zero_frame, n, (uint32_t)bytes, p, e);
	put_entry(p, ENTRY_ZERO, w->run, next_entry(w));
	w->root.zero_chunks += w->run;
	w->root.zero_frames++;
	w->root.stored_bytes += n;
	w->run = 0;
	return r;
}

/* @next is the chunk after the leaf, which covers @chunks. */
static int end_leaf(struct writer *w, uint64_t next, uint32_t chunks, struct err *e)
{
	bool all_zero = w->run == chunks;
	struct place p;
	uint8_t en[ENTRY_BYTES];
	int r = 0;

	if (w->run)
		r = put_zeros(w, next, &p, e);
	if (!r && !all_zero) {
		size_t n = LEAF_HEAD + (size_t)w->entries * ENTRY_BYTES;
		frame_head_put(FRAME_LEAF, n - FRAME_HEAD, w->leaf);
		num_put_le32(w->leaf + 8, w->root.leaves);
		num_put_le32(w->leaf + 12, w->entries);
		r = out_frame(&w->out, w->leaf, n, 0, &p, e);
	}
	if (r)
		return r;
	put_entry(&p, all_zero ? ENTRY_ZERO : ENTRY_LEAF, chunks, en);
	buf_put(&w->root_frame, en, sizeof en);
	w->root.leaves++;
	w->entries = 0;
	return 0;
}

static int put_chunk(struct writer *w, uint64_t chunk, const struct packed *b, uint32_t i,
		     const uint8_t *frame, struct err *e)
{
	struct place p;
	int r = 0;

	if (b->item[i].zero) {
		w->run++;
	} else {
		if (w->run)
			r = put_zeros(w, chunk, &p, e);
		p.offset = w->out.at;
		p.length = b->item[i].length;
		memcpy(p.digest, b->item[i].digest, SHA256_BYTES);
		put_entry(&p, ENTRY_ZSTD, 1, next_entry(w));
		if (!r)
			r = out_frame_known(&w->out, frame, p.length,
					    (uint32_t)geometry_chunk(&w->g, chunk).bytes, e);
		w->root.zstd_chunks++;
		w->root.stored_bytes += p.length;
	}
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
		for (uint32_t i = 0; !r && i < b->n; i++) {
			r = put_chunk(w, chunk++, b, i, frame, e);
			if (!b->item[i].zero)
				frame += b->item[i].length;
		}
		if (!r && progress->fn)
			progress->fn(progress->arg, geometry_bytes(&w->g, 0, chunk), w->g.bytes);
	}
	return r;
}

static int put_header(struct writer *w, const struct snapshot_identity *id, struct err *e)
{
	struct header h = {0};
	uint8_t frame[HEADER_BYTES];

	memcpy(h.uuid, id->uuid, sizeof h.uuid);
	header_encode(&h, frame);
	return out_frame(&w->out, frame, sizeof frame, 0, &w->footer.place[PLACE_HEADER], e);
}

/* What a reader would refuse must not be written: names come from people, state from devices. */
static int read_back(const struct buf *b, struct err *e)
{
	struct snap_manifest m = SNAP_MANIFEST_INIT;
	int r = snap_manifest_decode(b->data + FRAME_HEAD, b->len - FRAME_HEAD,
				     HEADER_BYTES + FRAME_HEAD, &m, e);

	snap_manifest_fini(&m);
	return r;
}

/* The caller's manifest with `ram` put in where it belongs. */
static int put_manifest(struct writer *w, const struct snap_manifest *m, struct snapshot_ram *ram,
			struct err *e)
{
	struct snap_manifest full = SNAP_MANIFEST_INIT;
	struct buf b = BUF_INIT;
	int r = 0;

	for (uint32_t i = 0; !r && i < m->n; i++) {
		r = snap_manifest_add(&full, m->item[i].desc, m->item[i].id, m->item[i].st, e);
		if (!r && m->item[i].desc == &machine_desc)
			r = snap_manifest_add(&full, &snapshot_ram_desc, "", ram, e);
	}
	uint8_t *head = buf_grow(&b, FRAME_HEAD);
	if (!r && !head)
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (!r)
		r = snap_manifest_encode(&full, &b, e);
	if (!r)
		r = read_back(&b, e);
	if (!r) {
		frame_head_put(FRAME_MANIFEST, b.len - FRAME_HEAD, b.data);
		r = out_frame(&w->out, b.data, b.len, 0, &w->footer.place[PLACE_MANIFEST], e);
	}
	buf_free(&b);
	snap_manifest_fini(&full);
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
				   .level = (uint8_t)o->level};
	struct pack *pack;

	/* Compression begins while the manifest is still being written. */
	int r = pack_start(&pack, &w->g, mem, o->threads, o->level, e);
	if (r)
		return r;
	r = put_header(w, m->item[0].st, e);
	if (!r)
		r = put_manifest(w, m, &ram, e);
	if (!r)
		r = put_ram(w, pack, &o->progress, e);
	pack_stop(pack);
	if (!r)
		r = put_root(w, e);
	w->footer.ram_bytes = w->g.bytes;
	if (!r)
		r = out_finish(&w->out, &w->footer, e);
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
	if (!geometry_fits(g, ram))
		return err_set(e, ERR_USAGE, "memory is not that of the layout");
	if (ROOT_HEAD + g->leaves * ENTRY_BYTES > SNAP_ROOT_MAX)
		return err_set(e, ERR_LIMIT, "%llu bytes of RAM need larger chunks than %u bytes",
			       (unsigned long long)g->bytes, g->chunk_bytes);
	return 0;
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
	int r = check_args(&w->g, m, ram, &o, e);
	if (!r) {
		buf_grow(&w->root_frame, ROOT_HEAD);
		r = out_init(&w->out, fd, o.progress.cancel, e);
		if (!r)
			r = write_all(w, m, ram, &o, e);
		out_fini(&w->out);
	}
	if (!r && stats)
		*stats = (struct snap_stats){.file_bytes = w->footer.file_bytes,
					     .ram_bytes = w->g.bytes,
					     .stored_bytes = w->root.stored_bytes,
					     .zero_chunks = w->root.zero_chunks,
					     .zstd_chunks = w->root.zstd_chunks,
					     .zero_frames = w->root.zero_frames};
	buf_free(&w->root_frame);
	free(w);
	return r;
}
