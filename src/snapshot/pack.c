/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/pack.h"
#include "snapshot/chunk.h"
#include "snapshot/index.h"
#include "snapshot/live.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct slot {
	struct packed batch;
	uint8_t *room; /* for chunks that are not taken from memory as they are */
	bool done;
	struct err error; /* code 0: none */
};

/* Batches are numbered; batch i is in slot i % slots from when it is taken until it is released. */
struct pack {
	struct pack_setup from;
	unsigned threads, slots; /* threads that were started */
	uint32_t per_batch;
	struct slot *slot;
	pthread_t *thread;

	pthread_mutex_t lock;
	pthread_cond_t may_take, has_done;
	uint64_t taken, handed, released;
	uint64_t next_chunk; /* not taken yet */
	uint64_t next_data;  /* of the file behind RAM: all between a query and this is a hole */
	bool stop;
};

static bool is_changed(const struct pack *p, uint64_t chunk)
{
	struct snap_span s = geometry_chunk(p->from.g, chunk);

	return !p->from.changed || mem_any_dirty(p->from.changed, s.offset, s.bytes);
}

/* How many chunks from next_chunk on, at most @most, are like it: changed, or not. */
static uint64_t alike(const struct pack *p, uint64_t most)
{
	bool changed = is_changed(p, p->next_chunk);
	uint64_t left = p->from.g->chunks - p->next_chunk, n = 1;

	most = most < left ? most : left;
	if (!p->from.changed)
		return most;
	while (n < most && is_changed(p, p->next_chunk + n) == changed)
		n++;
	return n;
}

/* Chunks from next_chunk on that were never written to. Reading a hole of a memfd would fill it
 * with a page of zeros: a sparse guest would become a full one by being saved. */
static uint64_t hole_chunks(struct pack *p)
{
	uint64_t offset = geometry_chunk(p->from.g, p->next_chunk).offset;

	if (p->from.from)
		return snap_zeros(p->from.from, p->next_chunk);
	if (p->next_data <= offset)
		p->next_data = mem_next_data(p->from.ram, offset);
	uint64_t end = p->next_data < p->from.g->bytes ? geometry_find(p->from.g, p->next_data)
						       : p->from.g->chunks;
	return end - p->next_chunk;
}

/* How much of @s has no bit set (or, @unused, one) in each page, from its start on. */
static uint64_t bytes_alike(const struct pack *p, struct snap_span s, bool unused)
{
	uint64_t page = mem_track_bytes(), at = s.offset, end = s.offset + s.bytes;

	while (at < end && (p->from.unused[at / page / 64] >> at / page % 64 & 1) == unused)
		at = (at / page + 1) * page;
	return (at < end ? at : end) - s.offset;
}

/* Chunks from next_chunk on in which nothing is used. */
static uint64_t unused_chunks(const struct pack *p)
{
	uint64_t end = p->next_chunk;
	struct snap_span s;

	if (!p->from.unused)
		return 0;
	for (; end < p->from.g->chunks; end++) {
		s = geometry_chunk(p->from.g, end);
		if (bytes_alike(p, s, true) < s.bytes)
			break;
	}
	return end - p->next_chunk;
}

/* What comes next: a run, or a batch of chunks to be looked at. */
static void next_batch(struct pack *p, struct packed *b)
{
	bool changed = is_changed(p, p->next_chunk);
	uint64_t zeros = changed ? unused_chunks(p) : 0;

	if (changed && !zeros)
		zeros = hole_chunks(p);
	b->chunk = p->next_chunk;
	b->is_run = !changed || zeros;
	b->run = changed ? ENTRY_ZERO : ENTRY_PARENT;
	b->n = alike(p, !changed ? UINT64_MAX : zeros ? zeros : p->per_batch);
	p->next_chunk += b->n;
}

static bool nothing_left(const struct pack *p)
{
	return p->stop || p->next_chunk == p->from.g->chunks;
}

static struct slot *fill_slot(struct pack *p)
{
	struct slot *s = &p->slot[p->taken++ % p->slots];

	s->error = (struct err)ERR_INIT;
	next_batch(p, &s->batch);
	s->done = s->batch.is_run;
	if (s->done && p->from.live)
		live_skip_(p->from.live, s->batch.chunk, s->batch.n);
	pthread_cond_signal(&p->has_done);
	return s;
}

/* A batch to work on; NULL when there is no more. A run is done when it is taken: it is the
 * writer's from then on, and its slot may soon be another batch's. */
static struct slot *take(struct pack *p)
{
	struct slot *s = NULL;

	pthread_mutex_lock(&p->lock);
	while (!s && !nothing_left(p)) {
		if (p->taken - p->released >= p->slots) {
			pthread_cond_wait(&p->may_take, &p->lock);
			continue;
		}
		s = fill_slot(p);
		if (s->done)
			s = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	return s;
}

/* What one thread works with. */
struct packer {
	ZSTD_CCtx *zstd;
	ZSTD_DCtx *unzstd; /* to write raw what is at hand compressed; NULL: it is not raw */
	struct gcm *gcm; /* NULL when the file is not encrypted */
	struct snap_reader *reader; /* of the snapshot that is copied; NULL: it is memory */
};

/* Where the codec reads chunks of a batch, and what it needs for that. */
struct input {
	const uint8_t *bytes;
	struct taken taken;
};

static void pack_chunk(struct packer *t, struct slot *s, uint64_t i, const struct input *in,
		       size_t bytes, size_t *used)
{
	uint8_t *room = s->batch.data + *used, *frame = room + seal_front(t->gcm);
	const uint8_t *plain = in->taken.kind == TAKEN_BYTES ? in->bytes : NULL;
	size_t n = in->taken.length;

	if (t->unzstd && in->taken.kind == TAKEN_FRAME) {
		if (chunk_decode(t->unzstd, in->bytes, n, ERR_NO_OFFSET, frame, bytes, &s->error))
			return;
		plain = frame;
	}
	s->batch.item[i].zero =
	    in->taken.kind == TAKEN_ZERO || (plain && chunk_is_zero(plain, bytes));
	if (s->batch.item[i].zero)
		return;
	if (plain && !t->unzstd)
		n = ZSTD_compress2(t->zstd, frame, CHUNK_STORED_MAX(bytes), plain, bytes);
	else if (plain == frame)
		n = bytes;
	else
		memcpy(frame, in->bytes, n);
	if (ZSTD_isError(n)) {
		err_set(&s->error, ERR_NOMEM, "no memory to compress with");
		return;
	}
	if (frame_store_(t->gcm, SEAL_CHUNK, s->batch.chunk + i, room, &n, s->batch.item[i].digest,
			 &s->error))
		return;
	s->batch.item[i].length = (uint32_t)n;
	*used += n;
}

/* The used pages of @s, and zeros for the others, into @room. @bytes: of @s; may be @room. */
static void leave_out(const struct pack *p, struct snap_span s, const uint8_t *bytes, uint8_t *room)
{
	for (bool unused = false; s.bytes; unused = !unused) {
		uint64_t n = bytes_alike(p, s, unused);
		if (unused)
			memset(room, 0, n);
		else if (bytes != room)
			memcpy(room, bytes, n);
		s.offset += n;
		s.bytes -= n;
		bytes += n;
		room += n;
	}
}

/* A hole among chunks that have something is not touched either. */
static struct input from_memory(const struct guest_mem *ram, struct snap_span s)
{
	return mem_has_data(ram, s.offset, s.bytes)
		   ? (struct input){ram->host + s.offset, {TAKEN_BYTES, (uint32_t)s.bytes}}
		   : (struct input){NULL, {TAKEN_ZERO, 0}};
}

/* Where chunk @i of a batch is. @taken: what a live capture gave. */
static int get_input(struct pack *p, struct packer *t, const struct slot *s, uint64_t i,
		     const struct taken *taken, struct input *out, struct err *e)
{
	struct snap_span span = geometry_chunk(p->from.g, s->batch.chunk + i);
	struct stored frame;
	bool is_plain;

	if (!p->from.from) {
		uint8_t *room = s->room ? s->room + i * p->from.g->chunk_bytes : NULL;
		*out =
		    p->from.live ? (struct input){room, taken[i]} : from_memory(p->from.ram, span);
		/* What was compressed before goes in as it is: unused pages are of any contents. */
		if (out->taken.kind == TAKEN_BYTES && p->from.unused &&
		    bytes_alike(p, span, false) < span.bytes) {
			leave_out(p, span, out->bytes, room);
			out->bytes = room;
		}
		return 0;
	}
	/* A frame goes on as it is: what is in it was checked by its digest. */
	int r = reader_frame_(t->reader, s->batch.chunk + i, &frame, &is_plain, e);
	if (!r)
		*out = (struct input){frame.data,
				      {!frame.n	  ? TAKEN_ZERO
				       : is_plain ? TAKEN_BYTES
						  : TAKEN_FRAME,
				       (uint32_t)frame.n}};
	return r;
}

static void pack_batch(struct pack *p, struct slot *s, struct packer *t)
{
	struct taken taken[PACK_BATCH_CHUNKS];
	struct input in;
	size_t used = 0;

	if (p->from.live &&
	    live_take_(p->from.live, s->batch.chunk, s->batch.n, s->room, taken, &s->error))
		return;
	for (uint64_t i = 0; i < s->batch.n && !s->error.code; i++)
		if (!get_input(p, t, s, i, taken, &in, &s->error))
			pack_chunk(t, s, i, &in,
				   geometry_chunk(p->from.g, s->batch.chunk + i).bytes, &used);
}

static bool packer_init(struct packer *t, const struct pack *p)
{
	t->zstd = ZSTD_createCCtx();
	t->unzstd = p->from.raw ? ZSTD_createDCtx() : NULL;
	return t->zstd && (t->unzstd || !p->from.raw) &&
	       !ZSTD_isError(
		   ZSTD_CCtx_setParameter(t->zstd, ZSTD_c_compressionLevel, (int)p->from.level)) &&
	       !seal_start(p->from.seal, true, &t->gcm, NULL) &&
	       (!p->from.from || !snap_reader_new(p->from.from, &t->reader, NULL));
}

static void *worker(void *arg)
{
	struct pack *p = arg;
	struct packer t = {0};
	struct slot *s;

	bool ok = packer_init(&t, p);
	while ((s = take(p))) {
		if (ok)
			pack_batch(p, s, &t);
		else
			err_set(&s->error, ERR_NOMEM, "no memory to compress with");
		pthread_mutex_lock(&p->lock);
		s->done = true;
		pthread_cond_signal(&p->has_done);
		pthread_mutex_unlock(&p->lock);
	}
	ZSTD_freeCCtx(t.zstd);
	ZSTD_freeDCtx(t.unzstd);
	gcm_free(t.gcm);
	snap_reader_free(t.reader);
	return NULL;
}

static int start_threads(struct pack *p, unsigned threads, struct err *e)
{
	for (; p->threads < threads; p->threads++) {
		int r = pthread_create(&p->thread[p->threads], NULL, worker, p);
		if (r)
			return err_sys(e, ERR_NOMEM, r, "cannot start a codec thread");
	}
	return 0;
}

static bool slot_init(const struct pack *p, struct slot *s)
{
	s->batch.data = malloc(p->per_batch * (size_t)p->from.g->stored_max);
	bool room = p->from.live || p->from.unused;
	if (room)
		s->room = malloc(p->per_batch * (size_t)p->from.g->chunk_bytes);
	return s->batch.data && (s->room || !room);
}

int pack_start(struct pack **out, const struct pack_setup *s, struct err *e)
{
	struct pack *p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	p->from = *s;
	/* One each in work, one being written, one ready. */
	p->slots = s->threads + 2;
	p->per_batch = PACK_BATCH_BYTES > p->from.g->chunk_bytes
			   ? (uint32_t)(PACK_BATCH_BYTES / p->from.g->chunk_bytes)
			   : 1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->may_take, NULL);
	pthread_cond_init(&p->has_done, NULL);
	p->slot = calloc(p->slots, sizeof *p->slot);
	p->thread = calloc(s->threads, sizeof *p->thread);
	bool ok = p->slot && p->thread;
	for (unsigned i = 0; ok && i < p->slots; i++)
		ok = slot_init(p, &p->slot[i]);
	int r = ok ? start_threads(p, s->threads, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (r) {
		pack_stop(p);
		return r;
	}
	*out = p;
	return 0;
}

int pack_next(struct pack *p, const struct packed **out, struct err *e)
{
	struct slot *s = &p->slot[p->handed % p->slots];

	pthread_mutex_lock(&p->lock);
	if (p->released != p->handed) {
		p->released = p->handed;
		pthread_cond_broadcast(&p->may_take);
	}
	while (p->taken <= p->handed || !s->done)
		pthread_cond_wait(&p->has_done, &p->lock);
	p->handed++;
	pthread_mutex_unlock(&p->lock);
	if (s->error.code) {
		if (e)
			*e = s->error;
		return -s->error.code;
	}
	*out = &s->batch;
	return 0;
}

void pack_stop(struct pack *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->may_take);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->has_done);
	pthread_cond_destroy(&p->may_take);
	pthread_mutex_destroy(&p->lock);
	for (unsigned i = 0; p->slot && i < p->slots; i++) {
		free(p->slot[i].batch.data);
		free(p->slot[i].room);
	}
	free(p->slot);
	free(p->thread);
	free(p);
}
