/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/held.h"
#include "snapshot/chunk.h"
#include "snapshot/spill.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

struct item {
	enum { NOWHERE, IN_MEMORY, IN_FILE } where; /* NOWHERE: not held, or plain */
	enum taken_kind kind;
	uint32_t length;
	uint64_t at;
};

struct plain {
	uint64_t chunk;
	bool used;
	uint8_t *bytes;
};

struct held {
	const struct geometry *g;
	/* The first copies are in memory, what does not fit is in the file. No place is used again.
	 */
	uint64_t memory, in_memory;
	uint8_t *room;
	bool hurry;
	struct spill spill;
	ZSTD_CCtx *zstd;
	uint8_t *frame; /* that was just made */

	pthread_mutex_t lock; /* guards what follows */
	struct item *item;    /* of each chunk */
	struct plain plain[HELD_PLAIN];
	unsigned plain_n, next; /* how many are used, and which was put first */
};

static const struct item all_zero = {.where = IN_MEMORY, .kind = TAKEN_ZERO};

int held_new(struct held **out, const struct geometry *g, const struct snap_live_opts *o,
	     struct err *e)
{
	struct held *h = calloc(1, sizeof *h);

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->g = g;
	h->memory = o->memory;
	pthread_mutex_init(&h->lock, NULL);
	h->zstd = ZSTD_createCCtx();
	h->frame = malloc(CHUNK_STORED_MAX((size_t)g->chunk_bytes));
	h->item = calloc(g->chunks, sizeof *h->item);
	h->room = mmap(NULL, h->memory, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool ok =
	    h->zstd && h->frame && h->item && h->room != MAP_FAILED &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(h->zstd, ZSTD_c_compressionLevel, (int)o->level));
	for (unsigned i = 0; ok && i < HELD_PLAIN; i++)
		ok = (h->plain[i].bytes = malloc(g->chunk_bytes));
	int r = spill_init(&h->spill, o->spill_fd, o->encrypt_spill, e);
	if (!r && !ok)
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (r) {
		held_free(h);
		return r;
	}
	*out = h;
	return 0;
}

void held_free(struct held *h)
{
	if (!h)
		return;
	if (h->room != MAP_FAILED)
		munmap(h->room, h->memory);
	for (unsigned i = 0; i < HELD_PLAIN; i++)
		free(h->plain[i].bytes);
	ZSTD_freeCCtx(h->zstd);
	spill_fini(&h->spill);
	free(h->frame);
	free(h->item);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static int store(struct held *h, const uint8_t *data, struct item *i, struct err *e)
{
	bool fits = i->length <= h->memory - h->in_memory;

	if (!fits && h->spill.fd < 0)
		return err_set(e, ERR_NOMEM, "no room for copies of memory");
	i->where = fits ? IN_MEMORY : IN_FILE;
	if (!fits)
		return spill_put(&h->spill, data, i->length, &i->at, e);
	i->at = h->in_memory;
	memcpy(h->room + i->at, data, i->length);
	h->in_memory += i->length;
	return 0;
}

/* What is kept of @bytes: the frame, or the bytes where that is no shorter or takes too long. */
static int make_item(struct held *h, const uint8_t *bytes, size_t n, struct item *out,
		     struct err *e)
{
	size_t length = n;

	*out = all_zero;
	if (chunk_is_zero(bytes, n))
		return 0;
	if (!h->hurry)
		length = ZSTD_compress2(h->zstd, h->frame, CHUNK_STORED_MAX(n), bytes, n);
	if (ZSTD_isError(length))
		return err_set(e, ERR_NOMEM, "no memory to compress with");
	bool frame = length < n;
	out->kind = frame ? TAKEN_FRAME : TAKEN_BYTES;
	out->length = (uint32_t)(frame ? length : n);
	return store(h, frame ? h->frame : bytes, out, e);
}

/* With the lock held. */
static struct plain *plain_of(struct held *h, uint64_t chunk)
{
	for (unsigned i = 0; i < HELD_PLAIN; i++)
		if (h->plain[i].used && h->plain[i].chunk == chunk)
			return &h->plain[i];
	return NULL;
}

/* The one that was put first, if it has not been taken since. */
static bool oldest(struct held *h, unsigned *out)
{
	pthread_mutex_lock(&h->lock);
	while (h->plain_n && !h->plain[h->next].used) {
		h->next = (h->next + 1) % HELD_PLAIN;
		h->plain_n--;
	}
	bool any = h->plain_n;
	*out = h->next;
	pthread_mutex_unlock(&h->lock);
	return any;
}

bool held_settle(struct held *h, int *r, struct err *e)
{
	struct item made;
	unsigned i;

	if (!oldest(h, &i))
		return false;
	/* Its bytes stay: only this thread puts others in their place. */
	struct plain *p = &h->plain[i];
	uint64_t chunk = p->chunk;
	*r = make_item(h, p->bytes, geometry_chunk(h->g, chunk).bytes, &made, e);
	pthread_mutex_lock(&h->lock);
	if (!*r && p->used) { /* nobody took it meanwhile */
		p->used = false;
		h->item[chunk] = made;
	}
	pthread_mutex_unlock(&h->lock);
	return true;
}

void held_hurry(struct held *h)
{
	h->hurry = true;
}

/* What is held of it is not right any more. */
static void forget(struct held *h, uint64_t chunk)
{
	pthread_mutex_lock(&h->lock);
	struct plain *p = plain_of(h, chunk);
	if (p)
		p->used = false;
	h->item[chunk].where = NOWHERE;
	pthread_mutex_unlock(&h->lock);
}

static int put_item(struct held *h, uint64_t chunk, const uint8_t *bytes, struct err *e)
{
	struct item i = all_zero;
	int r = bytes ? make_item(h, bytes, geometry_chunk(h->g, chunk).bytes, &i, e) : 0;

	if (r)
		return r;
	pthread_mutex_lock(&h->lock);
	h->item[chunk] = i;
	pthread_mutex_unlock(&h->lock);
	return 0;
}

int held_put(struct held *h, uint64_t chunk, const uint8_t *bytes, struct err *e)
{
	int r = 0;

	forget(h, chunk);
	if (!bytes || h->hurry)
		return put_item(h, chunk, bytes, e);
	/* Room is made in order, so that the next slot is the oldest one. */
	unsigned i;
	while (!r && oldest(h, &i) && h->plain_n == HELD_PLAIN)
		if (!held_settle(h, &r, e))
			break;
	if (r)
		return r;
	pthread_mutex_lock(&h->lock);
	struct plain *p = &h->plain[(h->next + h->plain_n) % HELD_PLAIN];
	pthread_mutex_unlock(&h->lock);
	memcpy(p->bytes, bytes, geometry_chunk(h->g, chunk).bytes);
	pthread_mutex_lock(&h->lock);
	p->chunk = chunk;
	p->used = true;
	h->plain_n++;
	pthread_mutex_unlock(&h->lock);
	return 0;
}

int held_take(struct held *h, uint64_t chunk, uint8_t *room, struct taken *out, struct err *e)
{
	size_t bytes = geometry_chunk(h->g, chunk).bytes;

	pthread_mutex_lock(&h->lock);
	struct item i = h->item[chunk];
	struct plain *p = plain_of(h, chunk);
	if (p) {
		memcpy(room, p->bytes, bytes);
		p->used = false;
		i = (struct item){.kind = TAKEN_BYTES, .length = (uint32_t)bytes};
	}
	h->item[chunk].where = NOWHERE;
	pthread_mutex_unlock(&h->lock);
	*out = (struct taken){i.kind, i.length};
	if (i.where == IN_FILE)
		return spill_get(&h->spill, i.at, room, i.length, e);
	if (i.where == IN_MEMORY)
		memcpy(room, h->room + i.at, i.length);
	return p || i.where
		   ? 0
		   : err_set(e, ERR_BUG, "chunk %llu was not held", (unsigned long long)chunk);
}
