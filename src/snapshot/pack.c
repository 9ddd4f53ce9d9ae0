/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/pack.h"
#include "snapshot/chunk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

struct slot {
	struct packed batch;
	bool hole[PACK_BATCH_CHUNKS]; /* never written: zero without looking */
	bool done, failed;
};

/* Batches are numbered; batch i is in slot i % slots from when it is taken until it is released. */
struct pack {
	const struct geometry *g;
	const struct guest_mem *ram;
	unsigned level, threads, slots;
	uint32_t per_batch;
	struct slot *slot;
	pthread_t *thread;

	pthread_mutex_t lock;
	pthread_cond_t may_take, has_done;
	uint64_t batches, taken, handed, released;
	uint64_t next_data; /* of the file behind RAM: all between a query and this is a hole */
	bool stop;
};

/* Reading a hole of a memfd would fill it with a page of zeros: a sparse guest would become a full
 * one by being saved. Asked in ascending order, under the lock. */
static bool is_hole(struct pack *p, struct span s)
{
	if (p->ram->fd < 0)
		return false;
	if (p->next_data < s.offset) {
		off_t at = lseek(p->ram->fd, (off_t)s.offset, SEEK_DATA);
		if (at < 0 && errno != ENXIO) /* a file that knows no holes */
			return false;
		p->next_data = at < 0 ? UINT64_MAX : (uint64_t)at;
	}
	return p->next_data >= s.offset + s.bytes;
}

static struct slot *take(struct pack *p)
{
	struct slot *s = NULL;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && p->taken < p->batches && p->taken - p->released >= p->slots)
		pthread_cond_wait(&p->may_take, &p->lock);
	if (!p->stop && p->taken < p->batches) {
		uint64_t chunk = p->taken * p->per_batch, left = p->g->chunks - chunk;
		s = &p->slot[p->taken++ % p->slots];
		s->done = s->failed = false;
		s->batch.chunk = chunk;
		s->batch.n = left < p->per_batch ? (uint32_t)left : p->per_batch;
		for (uint32_t i = 0; i < s->batch.n; i++)
			s->hole[i] = is_hole(p, geometry_chunk(p->g, chunk + i));
	}
	pthread_mutex_unlock(&p->lock);
	return s;
}

static bool pack_batch(struct pack *p, struct slot *s, ZSTD_CCtx *zstd)
{
	size_t used = 0, room = CHUNK_STORED_MAX((size_t)p->g->chunk_bytes);

	for (uint32_t i = 0; i < s->batch.n; i++) {
		struct span span = geometry_chunk(p->g, s->batch.chunk + i);
		const uint8_t *ram = p->ram->host + span.offset;
		s->batch.item[i].zero = s->hole[i] || chunk_is_zero(ram, span.bytes);
		if (s->batch.item[i].zero)
			continue;
		size_t n = ZSTD_compress2(zstd, s->batch.data + used, room, ram, span.bytes);
		if (ZSTD_isError(n))
			return false;
		sha256_of(s->batch.data + used, n, s->batch.item[i].digest);
		s->batch.item[i].length = (uint32_t)n;
		used += n;
	}
	return true;
}

static void *worker(void *arg)
{
	struct pack *p = arg;
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	struct slot *s;

	bool ok = zstd && !ZSTD_isError(
			      ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, (int)p->level));
	while ((s = take(p))) {
		bool failed = !ok || !pack_batch(p, s, zstd);
		pthread_mutex_lock(&p->lock);
		s->failed = failed;
		s->done = true;
		pthread_cond_signal(&p->has_done);
		pthread_mutex_unlock(&p->lock);
	}
	ZSTD_freeCCtx(zstd);
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

int pack_start(struct pack **out, const struct geometry *g, const struct guest_mem *ram,
	       unsigned threads, unsigned level, struct err *e)
{
	struct pack *p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	p->g = g;
	p->ram = ram;
	p->level = level;
	/* One each in work, one being written, one ready. */
	p->slots = threads + 2;
	p->per_batch =
	    PACK_BATCH_BYTES > g->chunk_bytes ? (uint32_t)(PACK_BATCH_BYTES / g->chunk_bytes) : 1;
	p->batches = (g->chunks + p->per_batch - 1) / p->per_batch;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->may_take, NULL);
	pthread_cond_init(&p->has_done, NULL);
	p->slot = calloc(p->slots, sizeof *p->slot);
	p->thread = calloc(threads, sizeof *p->thread);
	bool ok = p->slot && p->thread;
	for (unsigned i = 0; ok && i < p->slots; i++) {
		p->slot[i].batch.data =
		    malloc(p->per_batch * CHUNK_STORED_MAX((size_t)g->chunk_bytes));
		ok = p->slot[i].batch.data;
	}
	int r = ok ? start_threads(p, threads, e) : err_set(e, ERR_NOMEM, "out of memory");
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
	bool failed = s->failed;
	p->handed++;
	pthread_mutex_unlock(&p->lock);
	if (failed)
		return err_set(e, ERR_NOMEM, "no memory to compress with");
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
	for (unsigned i = 0; p->slot && i < p->slots; i++)
		free(p->slot[i].batch.data);
	free(p->slot);
	free(p->thread);
	free(p);
}
