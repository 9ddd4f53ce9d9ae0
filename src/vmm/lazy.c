/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/lazy.h"

#include "snapshot/workset.h"
#include "vmm/sandbox.h"
#include "vmm/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* Chunks that a thread takes at once in ascending order. */
#define STRIDE	    8
#define THREADS_MAX SNAP_THREADS_MAX
#define FAULTS_MAX	256 /* that wait for the thread that has their chunk; more, in the kernel */
#define RETRY_MS	1
#define BACKGROUND_NICE 5

/* Of a chunk. KNOWN: missing, and in the recorded working set. Whoever makes it BUSY fills it. */
enum chunk_state { CHUNK_MISSING, CHUNK_KNOWN, CHUNK_BUSY, CHUNK_PRESENT };

struct worker {
	struct lazy *l;
	struct snap_reader *reader;
	uint8_t *buf; /* of a chunk */
	pthread_t thread;
	bool started;
};

struct lazy {
	struct lazy_setup setup;
	struct uffd uffd;
	uint8_t *again; /* huge pages are filled here, chunk by chunk; NULL: they are not huge */
	uint64_t chunks;
	_Atomic uint8_t *state;	   /* of each chunk, an enum chunk_state */
	struct workset set, found; /* recorded before; the first faults on other chunks now */

	struct worker fault, fill[THREADS_MAX];
	unsigned threads;
	_Atomic uint32_t next_known;
	_Atomic uint64_t cursor;  /* next chunk in ascending order */
	_Atomic unsigned filling; /* threads that are not done */
	atomic_bool stop, failed;

	int stop_fd; /* ends the fault thread: all is there, or @stop */
	int done_fd; /* tells the loop that it has ended */
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof one) < 0)
		return; /* set already */
}

/* The first failure counts; whoever waits for a page goes on waiting. */
static void fail(struct lazy *l, const struct err *e)
{
	if (!atomic_exchange(&l->failed, true)) {
		l->stop = true;
		l->setup.failed(l->setup.arg, e);
	}
}

/* @was: what it was before. */
static bool claim(struct lazy *l, uint64_t chunk, enum chunk_state *was)
{
	uint8_t state = l->state[chunk];

	while (state < CHUNK_BUSY)
		if (atomic_compare_exchange_weak(&l->state[chunk], &state, CHUNK_BUSY)) {
			*was = state;
			return true;
		}
	return false;
}

/* Whatever is wrong with the file: it is named. */
static int read_failed(struct lazy *l, int r, struct err *e)
{
	if (r)
		err_file(e, l->setup.file);
	return r;
}

static int zeros_at(struct worker *w, uint64_t chunk, uint64_t *n, struct err *e)
{
	return read_failed(w->l, snap_reader_zeros(w->reader, chunk, n, e), e);
}

/* A huge page can be mapped when all of it is there. Of threads that fill it the last one sees
 * that. */
static bool is_whole(const struct lazy *l, struct mem_part page)
{
	uint64_t last = snap_chunk_at(l->setup.snap, page.offset + page.bytes - 1);

	for (uint64_t c = snap_chunk_at(l->setup.snap, page.offset); c <= last; c++)
		if (l->state[c] != CHUNK_PRESENT)
			return false;
	return true;
}

static int map_pages(struct lazy *l, struct snap_span filled, struct err *e)
{
	const struct guest_mem *m = l->setup.mem;
	struct mem_part all = mem_pages(m, filled.offset, filled.bytes), page;
	int r = 0;

	for (uint64_t at = all.offset; !r && at < all.offset + all.bytes; at += page.bytes) {
		page = mem_pages(m, at, 1);
		if (is_whole(l, page))
			r = uffd_continue(&l->uffd, at, e);
	}
	return r;
}

/* A chunk that was claimed. */
static int fill_chunk(struct worker *w, uint64_t chunk, struct err *e)
{
	struct lazy *l = w->l;
	struct snap_span span = snap_chunk_span(l->setup.snap, chunk);
	uint8_t *to = l->again ? l->again + span.offset : w->buf;
	uint64_t zeros;
	int r = zeros_at(w, chunk, &zeros, e);

	if (!r && !zeros)
		r = read_failed(l, snap_reader_chunk(w->reader, chunk, to, e), e);
	if (!r && !l->again)
		r = zeros ? uffd_zero(&l->uffd, span.offset, span.bytes, e)
			  : uffd_fill(&l->uffd, span.offset, to, span.bytes, e);
	if (r)
		return r;
	l->state[chunk] = CHUNK_PRESENT;
	return l->again ? map_pages(l, span, e) : 0;
}

/* --- in the background ---------------------------------------------------------------------- */

static int fill_known(struct worker *w, struct err *e)
{
	struct lazy *l = w->l;
	enum chunk_state was;
	int r = 0;

	while (!r && !l->stop) {
		uint32_t i = l->next_known++;
		if (i >= l->set.n)
			break;
		if (claim(l, l->set.chunk[i], &was))
			r = fill_chunk(w, l->set.chunk[i], e);
	}
	return r;
}

/* Chunks of zeros are left alone: when all others are there, what is missing is zero. */
static int fill_stride(struct worker *w, uint64_t chunk, uint64_t end, struct err *e)
{
	enum chunk_state was;
	uint64_t zeros;
	int r = 0;

	while (!r && chunk < end && !w->l->stop) {
		r = zeros_at(w, chunk, &zeros, e);
		if (!r && !zeros && claim(w->l, chunk, &was))
			r = fill_chunk(w, chunk, e);
		chunk += zeros ? zeros : 1;
	}
	return r;
}

static int fill_rest(struct worker *w, struct err *e)
{
	struct lazy *l = w->l;
	int r = 0;

	while (!r && !l->stop) {
		uint64_t chunk = atomic_fetch_add(&l->cursor, STRIDE);
		if (chunk >= l->chunks)
			break;
		uint64_t end = chunk + STRIDE;
		r = fill_stride(w, chunk, end < l->chunks ? end : l->chunks, e);
	}
	return r;
}

static void *fill_main(void *arg)
{
	struct worker *w = arg;
	struct err e = ERR_INIT;

	/* The guest and the faults it waits for come first. */
	setpriority(PRIO_PROCESS, 0, BACKGROUND_NICE);
	int r = sandbox_drop_capabilities(&e);
	if (!r)
		r = fill_known(w, &e);
	if (!r)
		r = fill_rest(w, &e);
	if (r)
		fail(w->l, &e);
	else if (--w->l->filling == 0)
		signal_fd(w->l->stop_fd);
	return NULL;
}

/* --- faults --------------------------------------------------------------------------------- */

static bool claim_for_fault(struct lazy *l, uint64_t chunk)
{
	enum chunk_state was;
	bool mine = claim(l, chunk, &was);

	if (mine && was == CHUNK_MISSING)
		workset_add(&l->found, chunk);
	return mine;
}

/* False while another thread is filling a part of the page: then that one maps it. */
static bool serve_huge(struct worker *w, uint64_t offset, int *r, struct err *e)
{
	struct lazy *l = w->l;
	struct mem_part page = mem_pages(l->setup.mem, offset, 1);
	uint64_t last = snap_chunk_at(l->setup.snap, page.offset + page.bytes - 1);

	for (uint64_t c = snap_chunk_at(l->setup.snap, page.offset); !*r && c <= last; c++)
		if (claim_for_fault(l, c))
			*r = fill_chunk(w, c, e);
	if (*r || !is_whole(l, page))
		return *r;
	/* Once more: it may have been mapped before this fault was told of. */
	*r = uffd_continue(&l->uffd, offset, e);
	return true;
}

/* False while another thread is filling the chunk: then nobody knows yet that the page is there. */
static bool serve(struct worker *w, uint64_t offset, int *r, struct err *e)
{
	struct lazy *l = w->l;
	uint64_t chunk = snap_chunk_at(l->setup.snap, offset);

	if (l->again)
		return serve_huge(w, offset, r, e);
	if (claim_for_fault(l, chunk)) {
		*r = fill_chunk(w, chunk, e);
		return true;
	}
	if (l->state[chunk] == CHUNK_BUSY)
		return false;
	/* It was filled before; the page may have been given back since by the guest. */
	*r = uffd_zero(&l->uffd, offset, l->setup.mem->page_bytes, e);
	return true;
}

/* Those whose chunk another thread has, looked at again and again until it is there. */
struct pending {
	uint64_t offset[FAULTS_MAX];
	unsigned n;
};

static int serve_pending(struct worker *w, struct pending *p, struct err *e)
{
	unsigned kept = 0;
	int r = 0;

	for (unsigned i = 0; i < p->n; i++)
		if (r || !serve(w, p->offset[i], &r, e))
			p->offset[kept++] = p->offset[i];
	p->n = kept;
	return r;
}

static int serve_new(struct worker *w, struct pending *p, struct err *e)
{
	struct uffd_fault f;
	int r = 0;

	while (!r && p->n < FAULTS_MAX && uffd_next(&w->l->uffd, &f))
		if (!serve(w, f.offset, &r, e))
			p->offset[p->n++] = f.offset;
	return r;
}

/* Until @stop_fd says so. What is not served then, the end of registration wakes. */
static int serve_all(struct worker *w, struct err *e)
{
	struct lazy *l = w->l;
	struct pollfd fds[] = {{l->uffd.fd, POLLIN, 0}, {l->stop_fd, POLLIN, 0}};
	struct pending pending = {.n = 0};
	int r = sandbox_drop_capabilities(e);

	while (!r) {
		fds[0].events = pending.n < FAULTS_MAX ? POLLIN : 0;
		if (poll(fds, ARRAY_LEN(fds), pending.n ? RETRY_MS : -1) < 0 && errno != EINTR)
			return err_sys(e, ERR_IO, errno, "poll");
		if (fds[1].revents)
			return 0;
		r = serve_pending(w, &pending, e);
		if (!r)
			r = serve_new(w, &pending, e);
	}
	return r;
}

/* The loop must find a thread that has ended: it serves who waits for the loop. So when this one is
 * through with its own last chunk, all is there, and missing pages may be zeros. */
static void *fault_main(void *arg)
{
	struct worker *w = arg;
	struct lazy *l = w->l;
	struct err e = ERR_INIT;
	int r = serve_all(w, &e);

	if (r)
		fail(l, &e);
	if (r || l->stop || l->filling)
		return NULL;
	uffd_close(&l->uffd);
	signal_fd(l->done_fd);
	return NULL;
}

/* --- the whole ------------------------------------------------------------------------------ */

static void write_workset(struct lazy *l)
{
	if (l->setup.workset_fd < 0 || !l->found.n)
		return;
	for (uint32_t i = 0; i < l->found.n; i++)
		workset_add(&l->set, l->found.chunk[i]);
	/* It costs time if it is not there, nothing else. */
	(void)!workset_write(l->setup.workset_fd, snap_info(l->setup.snap)->uuid, &l->set, NULL);
}

static void join(struct lazy *l)
{
	l->stop = true;
	signal_fd(l->stop_fd);
	for (unsigned i = 0; i < l->threads; i++)
		if (l->fill[i].started)
			pthread_join(l->fill[i].thread, NULL);
	if (l->fault.started)
		pthread_join(l->fault.thread, NULL);
	l->threads = 0;
	l->fault.started = false;
}

static void on_done(void *arg, uint32_t events)
{
	struct lazy *l = arg;

	loop_del(l->setup.loop, l->done_fd);
	join(l);
	write_workset(l);
	l->setup.loaded(l->setup.arg);
}

static void worker_fini(struct worker *w)
{
	snap_reader_free(w->reader);
	free(w->buf);
}

void lazy_free(struct lazy *l)
{
	if (!l)
		return;
	join(l);
	worker_fini(&l->fault);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		worker_fini(&l->fill[i]);
	workset_fini(&l->set);
	workset_fini(&l->found);
	uffd_close(&l->uffd);
	mem_unmap_again(l->setup.mem, l->again);
	free((void *)l->state);
	if (l->done_fd >= 0) {
		loop_del(l->setup.loop, l->done_fd);
		close(l->done_fd);
	}
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	if (l->setup.workset_fd >= 0)
		close(l->setup.workset_fd);
	snap_close(l->setup.snap);
	free(l);
}

static int worker_init(struct worker *w, struct lazy *l, struct err *e)
{
	w->l = l;
	w->buf = malloc(snap_ram(l->setup.snap)->chunk_bytes);
	return w->buf ? snap_reader_new(l->setup.snap, &w->reader, e)
		      : err_set(e, ERR_NOMEM, "out of memory");
}

static int start_thread(struct worker *w, void *(*main)(void *), struct err *e)
{
	int r = thread_new(&w->thread, main, w, e);

	w->started = !r;
	return r;
}

static int start_threads(struct lazy *l, unsigned threads, struct err *e)
{
	int r = worker_init(&l->fault, l, e);

	for (unsigned i = 0; !r && i < threads; i++)
		r = worker_init(&l->fill[i], l, e);
	if (!r)
		r = start_thread(&l->fault, fault_main, e);
	l->filling = threads;
	for (; !r && l->threads < threads; l->threads++)
		r = start_thread(&l->fill[l->threads], fill_main, e);
	return r;
}

/* Of what it names, only what lazy_arm_() registers counts: the file may say anything. */
static void read_workset(struct lazy *l)
{
	const struct snap *s = l->setup.snap;
	uint32_t kept = 0;

	if (l->setup.workset_fd >= 0)
		(void)!workset_read(l->setup.workset_fd, snap_info(s)->uuid, l->chunks, &l->set,
				    NULL);
	for (uint32_t i = 0; i < l->set.n; i++) {
		uint64_t chunk = l->set.chunk[i];
		if (snap_zeros(s, chunk))
			continue;
		l->state[chunk] = CHUNK_KNOWN;
		l->set.chunk[kept++] = chunk;
	}
	l->set.n = kept;
}

static int begin(struct lazy *l, struct err *e)
{
	bool huge = l->setup.mem->page_bytes == MEM_HUGE_BYTES;

	l->chunks = snap_info(l->setup.snap)->chunks;
	l->state = calloc(l->chunks, sizeof *l->state);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!l->state)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (l->stop_fd < 0 || l->done_fd < 0)
		return err_sys(e, ERR_IO, errno, "eventfd");
	read_workset(l);
	int r = lazy_arm_(&l->uffd, l->setup.mem, l->setup.snap, e);
	if (!r && huge && !(l->again = mem_map_again(l->setup.mem, e)))
		r = -ERR_NOMEM;
	if (!r)
		r = loop_add(l->setup.loop, l->done_fd, EPOLLIN, on_done, l, e);
	return r ? r : start_threads(l, l->setup.threads ? l->setup.threads : 2, e);
}

int lazy_start(const struct lazy_setup *setup, struct lazy **out, struct err *e)
{
	struct lazy *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->setup = *setup;
	l->uffd = (struct uffd)UFFD_INIT;
	l->stop_fd = l->done_fd = -1;
	int r = setup->threads > THREADS_MAX
		    ? err_set(e, ERR_USAGE, "%u threads, at most %d", setup->threads, THREADS_MAX)
		    : begin(l, e);
	if (r) {
		/* Threads that were started use what is the caller's again. */
		join(l);
		l->setup.snap = NULL;
		l->setup.workset_fd = -1;
		lazy_free(l);
		return r;
	}
	*out = l;
	return 0;
}
