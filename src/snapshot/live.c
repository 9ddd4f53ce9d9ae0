/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/held.h"
#include "snapshot/live.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ARM_STEP       (64 * MIB) /* protected at once: other users of the address space wait so long */
#define ARM_ROUNDS     4	  /* how often what was written meanwhile is protected again */
#define MEMORY_DEFAULT (64 * MIB)
#define WAITING_MAX    256
#define RETRY_MS       1

/* Chunks that have a part in the pages from @offset on, and those pages. */
struct pages {
	uint64_t first, n, offset, bytes;
};

static struct pages pages_of(const struct snap_live *l, uint64_t chunk, uint64_t n)
{
	struct snap_span from = geometry_chunk(&l->g, chunk), to = geometry_chunk(&l->g, chunk + n - 1);
	struct mem_part part = mem_pages(l->mem, from.offset, to.offset + to.bytes - from.offset);
	struct pages p = {
	    .first = geometry_find(&l->g, part.offset), .offset = part.offset, .bytes = part.bytes};

	p.n = geometry_find(&l->g, part.offset + part.bytes - 1) - p.first + 1;
	return p;
}

/* Reading a hole would fill it. */
const uint8_t *live_bytes_(const struct snap_live *l, uint64_t chunk)
{
	struct snap_span s = geometry_chunk(&l->g, chunk);

	return mem_has_data(l->mem, s.offset, s.bytes) ? l->mem->host + s.offset : NULL;
}

/* --- who writes ----------------------------------------------------------------------------- */

static bool move(struct snap_live *l, uint64_t chunk, uint8_t from, uint8_t to)
{
	return atomic_compare_exchange_strong(&l->state[chunk], &from, to);
}

static int hold_chunk(struct snap_live *l, uint64_t chunk, struct err *e)
{
	if (!move(l, chunk, CHUNK_PROTECTED, CHUNK_BUSY))
		return 0;
	int r = held_put(l->held, chunk, live_bytes_(l, chunk), e);
	/* Known before anybody finds that the chunk is not there. */
	if (r)
		l->error = *e;
	l->stats.copied_chunks++;
	l->state[chunk] = CHUNK_HELD;
	return r;
}

/* False while a codec thread is copying one of the chunks. */
static bool all_copied(const struct snap_live *l, const struct pages *p)
{
	for (uint64_t i = 0; i < p->n; i++)
		if (l->state[p->first + i] < CHUNK_HELD)
			return false;
	return true;
}

static void open_early(struct snap_live *l, const struct pages *p)
{
	for (uint64_t i = 0; i < p->n; i++)
		if (move(l, p->first + i, CHUNK_PROTECTED, CHUNK_OPEN))
			l->stats.early_chunks++;
}

/* False: look again soon. */
static bool serve(struct snap_live *l, uint64_t offset, int *r, struct err *e)
{
	struct pages p = pages_of(l, geometry_find(&l->g, offset), 1);

	if (!l->begun) {
		open_early(l, &p);
	} else {
		for (uint64_t i = 0; !*r && i < p.n; i++)
			*r = hold_chunk(l, p.first + i, e);
		if (!*r && !all_copied(l, &p))
			return false;
	}
	if (!*r)
		*r = uffd_protect(l->uffd, p.offset, p.bytes, false, e);
	return true;
}

struct waiting {
	uint64_t offset[WAITING_MAX];
	unsigned n;
};

static int serve_all(struct snap_live *l, struct waiting *w, struct err *e)
{
	struct uffd_fault f;
	unsigned kept = 0;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < w->n; i++)
		if (r || !serve(l, w->offset[i], &r, e))
			w->offset[kept++] = w->offset[i];
	w->n = kept;
	while (!r && w->n < WAITING_MAX && uffd_next(l->uffd, &f))
		if (!serve(l, f.offset, &r, e))
			w->offset[w->n++] = f.offset;
	pthread_mutex_unlock(&l->lock);
	return r;
}

/* The guest must not suffer from a capture that failed: nobody waits any more. */
static void give_up(struct snap_live *l, const struct err *e)
{
	pthread_mutex_lock(&l->lock);
	l->error = *e;
	(void)!uffd_unregister(l->uffd, 0, l->mem->size, NULL);
	pthread_mutex_unlock(&l->lock);
}

static void *serve_main(void *arg)
{
	struct snap_live *l = arg;
	struct pollfd fds[] = {{l->uffd->fd, POLLIN, 0}, {l->stop_fd, POLLIN, 0}};
	struct waiting waiting = {.n = 0};
	struct err e = ERR_INIT;
	bool settled = false;
	int r = 0;

	while (!r) {
		/* While nobody writes, what was copied in haste is compressed. */
		int n = poll(fds, ARRAY_LEN(fds), settled ? 0 : waiting.n ? RETRY_MS : -1);
		if (n < 0 && errno != EINTR)
			r = err_sys(&e, ERR_IO, errno, "poll");
		if (fds[1].revents)
			break;
		if (!r && (n || waiting.n))
			r = serve_all(l, &waiting, &e);
		settled = !r && l->begun && held_settle(l->held, &r, &e);
	}
	if (r)
		give_up(l, &e);
	return NULL;
}

/* --- arming --------------------------------------------------------------------------------- */

static int protect_all(struct snap_live *l, struct err *e)
{
	struct err why = ERR_INIT;
	int r = uffd_register(l->uffd, 0, l->mem->size, UFFD_PROTECT, &why);

	if (r)
		return err_sys(e, ERR_FEATURE, why.sys, "guest memory cannot be protected: %s",
			       why.msg);
	l->armed = true;
	for (uint64_t at = 0; !r && at < l->mem->size; at += ARM_STEP) {
		uint64_t left = l->mem->size - at;
		r = uffd_protect(l->uffd, at, left < ARM_STEP ? left : ARM_STEP, true, e);
	}
	return r;
}

/* The open chunks from @first on. Under the lock: a fault opens state and pages together. */
static int protect_run(struct snap_live *l, uint64_t first, uint64_t *n, struct err *e)
{
	int r = 0;

	*n = 0;
	pthread_mutex_lock(&l->lock);
	while (first + *n < l->g.chunks && move(l, first + *n, CHUNK_OPEN, CHUNK_PROTECTED))
		++*n;
	if (*n) {
		struct pages p = pages_of(l, first, *n);
		r = uffd_protect(l->uffd, p.offset, p.bytes, true, e);
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

/* All that is open. @n: how many chunks. */
static int protect_open(struct snap_live *l, uint64_t *n, struct err *e)
{
	uint64_t run;
	int r = 0;

	*n = 0;
	for (uint64_t c = 0; !r && c < l->g.chunks; c++) {
		if (l->state[c] != CHUNK_OPEN)
			continue;
		r = protect_run(l, c, &run, e);
		*n += run;
		c += run;
	}
	return r;
}

static int start_serving(struct snap_live *l, struct err *e)
{
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0)
		return err_sys(e, ERR_IO, errno, "eventfd");
	int sys = pthread_create(&l->thread, NULL, serve_main, l);
	l->started = !sys;
	return sys ? err_sys(e, ERR_NOMEM, sys, "cannot start a thread") : 0;
}

static int prepare(struct snap_live *l, const struct layout *layout, const struct snap_live_opts *o,
		   struct err *e)
{
	struct snap_live_opts full = *o;

	full.chunk_bytes = o->chunk_bytes ? o->chunk_bytes : SNAP_CHUNK_DEFAULT;
	full.level = o->level ? o->level : SNAP_LEVEL_DEFAULT;
	full.memory = o->memory ? o->memory : MEMORY_DEFAULT;
	int r = geometry_init(&l->g, layout, full.chunk_bytes, e);
	if (r)
		return r;
	l->state = calloc(l->g.chunks, sizeof *l->state);
	return l->state ? held_new(&l->held, &l->g, &full, e)
			: err_set(e, ERR_NOMEM, "out of memory");
}

int snap_live_new(const struct guest_mem *mem, const struct layout *layout,
		  const struct snap_live_opts *opts, struct snap_live **out, struct err *e)
{
	struct snap_live *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->mem = mem;
	l->stop_fd = -1;
	l->error = (struct err)ERR_INIT;
	pthread_mutex_init(&l->lock, NULL);
	int r = prepare(l, layout, opts, e);
	if (r) {
		snap_live_end(l, NULL);
		return r;
	}
	*out = l;
	return 0;
}

int snap_live_arm(struct uffd *u, const struct layout *layout, const struct snap_live_opts *opts,
		  struct snap_live **out, struct err *e)
{
	struct snap_live *l;
	uint64_t again;
	int r = uffd_can_protect(u, e);

	if (!r)
		r = snap_live_new(u->mem, layout, opts, &l, e);
	if (r)
		return r;
	l->uffd = u;
	r = start_serving(l, e);
	if (!r)
		r = protect_all(l, e);
	for (int i = 0; !r && i < ARM_ROUNDS; i++) {
		r = protect_open(l, &again, e);
		if (again < FEW_CHUNKS)
			break;
	}
	if (r) {
		snap_live_end(l, NULL);
		return r;
	}
	*out = l;
	return 0;
}

int live_check_(struct snap_live *l, struct err *e)
{
	pthread_mutex_lock(&l->lock);
	int code = l->error.code;
	if (code && e)
		*e = l->error;
	pthread_mutex_unlock(&l->lock);
	return -code;
}

int snap_live_begin(struct snap_live *l, const uint64_t *pages, struct err *e)
{
	if (!l->uffd)
		return precopy_last_(l, pages, e);
	/* A fault that is being served may still open what it was about. */
	pthread_mutex_lock(&l->lock);
	l->begun = true;
	pthread_mutex_unlock(&l->lock);
	int r = live_check_(l, e);
	return r ? r : protect_open(l, &l->stats.late_chunks, e);
}

void snap_live_end(struct snap_live *l, struct snap_live_stats *stats)
{
	uint64_t one = 1;

	if (!l)
		return;
	/* First: whoever waits goes on when memory is not registered any more. */
	if (l->armed)
		(void)!uffd_unregister(l->uffd, 0, l->mem->size, NULL);
	if (l->started && write(l->stop_fd, &one, sizeof one) == sizeof one)
		pthread_join(l->thread, NULL);
	if (stats)
		*stats = l->stats;
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	held_free(l->held);
	free((void *)l->state);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* --- who saves ------------------------------------------------------------------------------ */

static int take_one(struct snap_live *l, uint64_t chunk, uint8_t *room, struct taken *out,
		    struct err *e)
{
	size_t bytes = geometry_chunk(&l->g, chunk).bytes;

	if (!move(l, chunk, CHUNK_PROTECTED, CHUNK_BUSY)) {
		/* The thread that serves writers is never far from done with a chunk. */
		while (l->state[chunk] == CHUNK_BUSY)
			sched_yield();
		return held_take(l->held, chunk, room, out, e);
	}
	const uint8_t *from = live_bytes_(l, chunk);
	*out = (struct taken){TAKEN_ZERO, 0};
	if (from) {
		*out = (struct taken){TAKEN_BYTES, (uint32_t)bytes};
		memcpy(room, from, bytes);
	}
	l->state[chunk] = CHUNK_DONE;
	return 0;
}

/* Pages of chunks that have all been copied are free to be written to. */
static int open_done(struct snap_live *l, uint64_t chunk, uint64_t n, struct err *e)
{
	struct pages p = pages_of(l, chunk, n);

	return l->uffd && all_copied(l, &p) ? uffd_protect(l->uffd, p.offset, p.bytes, false, e)
					    : 0;
}

int live_take_(struct snap_live *l, uint64_t chunk, uint64_t n, uint8_t *room, struct taken *out,
	       struct err *e)
{
	int r = live_check_(l, e);

	for (uint64_t i = 0; !r && i < n; i++)
		r = take_one(l, chunk + i, room + i * l->g.chunk_bytes, &out[i], e);
	if (!r)
		r = open_done(l, chunk, n, e);
	if (!r)
		return 0;
	/* What became of the whole capture says more than what that led to. */
	int why = live_check_(l, e);
	return why ? why : r;
}

void live_skip_(struct snap_live *l, uint64_t chunk, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		move(l, chunk + i, CHUNK_PROTECTED, CHUNK_DONE);
}
