/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of RAM at once, and with it every byte of the file. One walk over the index, under a lock,
 * hands out pieces in file order; the threads read, check and decode them.
 */
#include "snapshot/chunk.h"
#include "snapshot/walk.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct load {
	struct snap *s;
	struct guest_mem *ram; /* NULL to verify only */
	bool to_file;	       /* that it is */
	const struct snap_progress *progress;
	pthread_mutex_t lock;
	struct walk walk;
	uint64_t done; /* bytes of RAM */
	int failed;    /* first failure, and what it was */
	struct err err;
};

/* What one thread works with. */
struct loader {
	struct load *l;
	struct piece piece;
	struct err err;
	ZSTD_DCtx *zstd;
	struct gcm *gcm; /* NULL when it is not encrypted */
	uint8_t *stored, *scratch;
	struct snap_reader *reader; /* for chunks of parents; NULL: there are none */
	uint8_t zero_frame[ZERO_FRAME_MAX];
};

static void fail(struct load *l, int r, const struct err *e)
{
	pthread_mutex_lock(&l->lock);
	if (!l->failed) {
		l->failed = r;
		l->err = *e;
	}
	pthread_mutex_unlock(&l->lock);
}

/* Where the bytes of a chunk come first; deliver() brings them to where they belong. */
static uint8_t *room(const struct loader *t, uint64_t chunk)
{
	const struct load *l = t->l;

	return l->ram && !l->to_file ? l->ram->host + geometry_chunk(&l->s->g, chunk).offset
				     : t->scratch;
}

static int deliver(const struct loader *t, uint64_t chunk, struct err *e)
{
	const struct load *l = t->l;
	struct snap_span s = geometry_chunk(&l->s->g, chunk);

	return l->to_file ? mem_fill(l->ram, s.offset, t->scratch, s.bytes, e) : 0;
}

static int load_frame(struct loader *t, const struct entry *en, uint64_t chunk, uint8_t *frame,
		      struct err *e)
{
	struct load *l = t->l;
	struct stored st = {frame, en->length, en->offset, en->digest, "RAM chunk"};
	bool zero = en->kind == ENTRY_ZERO;

	int r = frame_fetch_(zero ? NULL : t->gcm, SEAL_CHUNK, chunk, &st, e);
	if (r)
		return r;
	if (zero) {
		/* There is one way to write it: nothing need be decoded. */
		zero_frame_encode(geometry_bytes(&l->s->g, chunk, en->chunks), t->zero_frame);
		if (memcmp(frame, t->zero_frame, en->length))
			return err_at(e, ERR_ENCODING, en->offset,
				      "frame of zeros is not as it must be");
		return 0;
	}
	r = chunk_decode(t->zstd, st.data, st.n, st.at, room(t, chunk),
			 geometry_chunk(&l->s->g, chunk).bytes, e);
	return r ? r : deliver(t, chunk, e);
}

/* Whoever maps the file sees these bytes. */
static int check_zeros(struct loader *t, uint64_t chunk, struct err *e)
{
	const struct snap *s = t->l->s;
	uint64_t at = raw_chunk_(&s->g, &s->raw, chunk), n = geometry_chunk(&s->g, chunk).bytes;

	if (io_next_data(s->src, at) >= at + n)
		return 0;
	int r = io_read_at(s->src, t->scratch, n, at, e);
	size_t zeros = r ? 0 : chunk_zeros(t->scratch, n);
	if (!r && zeros < n)
		r = err_at(e, ERR_ENCODING, at + zeros, "a chunk of zeros is none");
	return r;
}

static int load_raw(struct loader *t, const struct entry *en, uint64_t chunk, struct err *e)
{
	int r = 0;

	if (en->kind == ENTRY_RAW) {
		r = read_checked_(t->l->s->src, room(t, chunk), en->length, en->offset, en->digest,
				  "RAM chunk", e);
		return r ? r : deliver(t, chunk, e);
	}
	for (uint32_t i = 0; !r && i < en->chunks; i++)
		r = check_zeros(t, chunk + i, e);
	return r;
}

/* Chunks that the file leaves to its parents. What else they hold is not looked at. */
static int load_from_parents(struct loader *t, uint64_t chunk, uint64_t n, struct err *e)
{
	int r = 0;

	for (uint64_t end = chunk + n, zeros; !r && chunk < end; chunk += zeros ? zeros : 1) {
		r = snap_reader_zeros(t->reader, chunk, &zeros, e);
		if (r || zeros)
			continue;
		r = snap_reader_chunk(t->reader, chunk, room(t, chunk), e);
		if (!r)
			r = deliver(t, chunk, e);
	}
	return r;
}

static int load_piece(struct loader *t, struct err *e)
{
	const struct piece *p = &t->piece;
	uint64_t chunk = p->chunk;

	int r = io_read_at(t->l->s->src, t->stored, p->length, p->offset, e);
	for (uint32_t i = 0; !r && i < p->n; i++) {
		const struct entry *en = &p->entry[i];
		r = t->l->s->info.is_raw ? load_raw(t, en, chunk, e)
		    : en->kind == ENTRY_PARENT
			? load_from_parents(t, chunk, en->chunks, e)
			: load_frame(t, en, chunk, t->stored + (en->offset - p->offset), e);
		chunk += en->chunks;
	}
	return r;
}

/* False at the end, and when somebody failed. */
static bool next_piece(struct loader *t)
{
	struct load *l = t->l;
	bool more = false;

	pthread_mutex_lock(&l->lock);
	if (!l->failed && l->progress->cancel && atomic_load(l->progress->cancel))
		l->failed = err_set(&l->err, ERR_CANCELLED, "cancelled");
	if (!l->failed)
		l->failed = walk_next(&l->walk, &t->piece, &more, &l->err);
	more &= !l->failed;
	pthread_mutex_unlock(&l->lock);
	return more;
}

static void run(struct loader *t, bool tell)
{
	struct load *l = t->l;

	while (next_piece(t)) {
		int r = load_piece(t, &t->err);
		if (r) {
			fail(l, r, &t->err);
			return;
		}
		pthread_mutex_lock(&l->lock);
		l->done += geometry_bytes(&l->s->g, t->piece.chunk, t->piece.chunks);
		uint64_t done = l->done;
		pthread_mutex_unlock(&l->lock);
		if (tell && l->progress->fn)
			l->progress->fn(l->progress->arg, done, l->s->g.bytes);
	}
}

static void *thread_main(void *arg)
{
	run(arg, false);
	return NULL;
}

static void loader_free(struct loader *t)
{
	if (!t)
		return;
	snap_reader_free(t->reader);
	ZSTD_freeDCtx(t->zstd);
	gcm_free(t->gcm);
	free(t->stored);
	free(t->scratch);
	free(t);
}

static struct loader *loader_new(struct load *l)
{
	struct loader *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->l = l;
	t->err = (struct err)ERR_INIT;
	t->zstd = ZSTD_createDCtx();
	t->stored = malloc(piece_bytes_max(&l->s->g));
	t->scratch = malloc(l->s->g.chunk_bytes);
	if (t->zstd && t->stored && t->scratch &&
	    !seal_start(l->s->seal, false, &t->gcm, NULL) &&
	    (!l->s->parent || !snap_reader_new(l->s, &t->reader, NULL)))
		return t;
	loader_free(t);
	return NULL;
}

static int run_threads(struct load *l, unsigned threads)
{
	struct loader *t[SNAP_THREADS_MAX];
	pthread_t id[SNAP_THREADS_MAX];
	unsigned made = 0, started = 1;
	int r = 0;

	for (; made < threads; made++) {
		t[made] = loader_new(l);
		if (!t[made]) {
			r = err_set(&l->err, ERR_NOMEM, "out of memory");
			break;
		}
	}
	/* With fewer threads than wanted it takes longer, that is all. */
	for (; !r && started < threads; started++)
		if (pthread_create(&id[started], NULL, thread_main, t[started]))
			break;
	if (!r)
		run(t[0], true);
	for (unsigned i = 1; !r && i < started; i++)
		pthread_join(id[i], NULL);
	for (unsigned i = 0; i < made; i++)
		loader_free(t[i]);
	return r ? r : l->failed;
}

static int load_all(struct snap *s, struct guest_mem *ram, const struct snap_load_opts *opts,
		    struct err *e)
{
	static const struct snap_load_opts none;
	unsigned threads = opts && opts->threads ? opts->threads : 2;

	if (threads > SNAP_THREADS_MAX)
		return err_set(e, ERR_USAGE, "%u threads, at most %d", threads, SNAP_THREADS_MAX);
	struct load *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->s = s;
	l->ram = ram;
	l->to_file = ram && mem_is_file(ram);
	l->progress = opts ? &opts->progress : &none.progress;
	l->err = (struct err)ERR_INIT;
	pthread_mutex_init(&l->lock, NULL);
	int r = walk_start(&l->walk, s, &l->err);
	if (!r)
		r = run_threads(l, threads);
	walk_fini(&l->walk);
	pthread_mutex_destroy(&l->lock);
	if (r && e)
		*e = l->err;
	free(l);
	return r;
}

int snap_load_ram(struct snap *s, struct guest_mem *ram, const struct snap_load_opts *opts,
		  struct err *e)
{
	int r = ram_readable_(s, e);

	if (r)
		return r;
	if (!geometry_fits(&s->g, ram))
		return err_set(e, ERR_USAGE, "memory is not that of the snapshot's layout");
	return load_all(s, ram, opts, e);
}

int snap_verify(struct snap *s, const struct snap_load_opts *opts, struct err *e)
{
	int r = ram_readable_(s, e);

	return r ? r : load_all(s, NULL, opts, e);
}
