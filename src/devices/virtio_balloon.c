/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio memory balloon (virtio 1.2, 5.5). What the guest gives up, and what it reports as free, is
 * discarded: it is neither in the host's memory nor in a snapshot.
 *
 * All queues are offered, so that they have the numbers of the specification: drivers count those
 * that are there. Hints of free pages come when somebody asks for them (5.5.6.6). They are handed
 * on and nothing is dropped: a driver may take a hinted page back and write to it before the hint
 * is read, so that only who knows of every write since the command may do without the page.
 */
#include "devices/virtio_dev.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 128
#define CLASS	   0x00ff00 /* unclassified, other */

enum { INFLATE, DEFLATE, STATS, HINTS, REPORTS, QUEUES };

#define FEATURES                                                                                   \
	(VIRTIO_RING_FEATURES | VIRTIO_BIT(VIRTIO_BALLOON_F_STATS_VQ) |                            \
	 VIRTIO_BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |                                             \
	 VIRTIO_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT) | VIRTIO_BIT(VIRTIO_BALLOON_F_PAGE_POISON) |  \
	 VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING))

/* Linux names 256 pages at a time. */
#define REQUEST_PAGES_MAX 4096
#define PASS_REQUESTS	  8

struct balloon {
	struct virtio v; /* first */
	struct virtio_balloon_state st;
	uint64_t dropped_bytes;
	bool has_stat[VIRTIO_BALLOON_STATS];
	uint64_t stat[VIRTIO_BALLOON_STATS];
	const struct virtio_balloon_hints *hints; /* whoever asked for them; NULL: nobody */
	bool naming; /* the driver has taken up the command, and has more to say */
	struct virtq_chain chain;
	uint32_t page[REQUEST_PAGES_MAX];
};

static struct balloon *balloon_of(struct device *d)
{
	return (struct balloon *)d;
}

/* --- pages that come and go ---------------------------------------------------------------- */

static bool drop(struct balloon *b, uint64_t at, uint64_t bytes)
{
	if (!mem_discard(b->v.host.mem, gpa(at), bytes))
		return false;
	b->dropped_bytes += bytes;
	return true;
}

/* Linux names pages one by one; those that follow each other, up or down, are dropped together. */
static bool drop_pages(struct balloon *b, unsigned n)
{
	for (unsigned i = 0, run; i < n; i += run) {
		uint64_t low = b->page[i], high = low;
		for (run = 1; i + run < n; run++) {
			uint64_t next = b->page[i + run];
			if (next == high + 1)
				high++;
			else if (next + 1 == low)
				low--;
			else
				break;
		}
		if (!drop(b, low * VIRTIO_BALLOON_PAGE, (high - low + 1) * VIRTIO_BALLOON_PAGE))
			return false;
	}
	return true;
}

/* Returns how many, or a negative number when it is no list of pages. */
static int read_pages(struct balloon *b)
{
	uint64_t bytes = b->chain.out_bytes;

	if (bytes % sizeof b->page[0] || bytes > sizeof b->page || b->chain.in_n)
		return -1;
	return (int)(virtq_read(&b->chain, 0, b->page, bytes) / sizeof b->page[0]);
}

static bool inflate(struct balloon *b)
{
	int n = read_pages(b);

	return n >= 0 && drop_pages(b, (unsigned)n);
}

/* A page that comes back is one of zeros, until the guest writes to it. */
static bool deflate(struct balloon *b)
{
	return read_pages(b) >= 0;
}

/* A guest that fills free pages with a value expects it there when it takes them. */
static bool may_drop_free_pages(const struct balloon *b)
{
	return !virtio_has_(&b->v, VIRTIO_BALLOON_F_PAGE_POISON) || !b->st.poison;
}

static bool reported(struct balloon *b)
{
	const struct virtq_chain *c = &b->chain;

	if (c->out_n)
		return false;
	for (unsigned i = 0; may_drop_free_pages(b) && i < c->in_n; i++)
		if (!drop(b, c->at[i].v, c->iov[i].iov_len))
			return false;
	return true;
}

/* The driver says which command it is at: one that is not ours any more has no hints for us. */
static bool follow(struct balloon *b)
{
	uint32_t command;

	if (virtq_read(&b->chain, 0, &command, sizeof command) != sizeof command ||
	    b->chain.out_bytes != sizeof command)
		return false;
	bool was_naming = b->naming;
	b->naming = b->hints && command == b->st.hint_command;
	if (was_naming && command == VIRTIO_BALLOON_CMD_ID_STOP)
		b->hints->over(b->hints->arg);
	return true;
}

static bool hinted(struct balloon *b)
{
	const struct virtq_chain *c = &b->chain;

	if (c->out_n && !follow(b))
		return false;
	for (unsigned i = c->out_n; b->naming && i < (unsigned)c->out_n + c->in_n; i++)
		b->hints->named(b->hints->arg, c->at[i], c->iov[i].iov_len);
	return true;
}

static bool take(struct balloon *b, struct virtio_queue *q)
{
	bool ok = q->index == INFLATE	? inflate(b)
		  : q->index == DEFLATE ? deflate(b)
		  : q->index == REPORTS ? reported(b)
					: hinted(b);

	return ok && virtq_push(&q->q, &b->chain, 0);
}

static void work_all(struct balloon *b, struct virtio_queue *q)
{
	int r = 1;

	virtq_quiet(&q->q);
	for (unsigned budget = PASS_REQUESTS; budget && r > 0; budget--) {
		r = virtq_pop(&q->q, &b->chain);
		if (r < 0 || (r > 0 && !take(b, q))) {
			virtio_broken_(&b->v);
			return;
		}
	}
	virtio_signal_(q);
	if (r > 0 || !virtq_wait(&q->q))
		virtio_again_(q);
}

/* --- statistics ---------------------------------------------------------------------------- */

static void read_stats(struct balloon *b)
{
	struct virtio_balloon_stat s;

	memset(b->has_stat, 0, sizeof b->has_stat);
	for (unsigned i = 0; i < 2 * VIRTIO_BALLOON_STATS; i++) {
		if (virtq_read(&b->chain, i * sizeof s, &s, sizeof s) != sizeof s)
			break;
		if (s.tag >= VIRTIO_BALLOON_STATS)
			continue;
		b->has_stat[s.tag] = true;
		b->stat[s.tag] = s.val;
	}
}

/* One buffer goes to and fro: it stays in the ring, read already, until new ones are asked for. */
static void work_stats(struct balloon *b, struct virtio_queue *q)
{
	int r = virtq_pop(&q->q, &b->chain);

	if (!r) {
		if (!virtq_wait(&q->q))
			virtio_again_(q);
		return;
	}
	bool ok = r > 0 && !b->chain.in_n;
	if (ok) {
		read_stats(b);
		virtq_unpop(&q->q, 1);
	}
	if (!ok || !virtq_wait_past(&q->q, 1)) /* a second one beside it */
		virtio_broken_(&b->v);
}

static void ask_for_stats(struct balloon *b)
{
	struct virtio_queue *q = &b->v.queue[STATS];

	if (!virtio_live_(&b->v) || !q->q.st->enabled)
		return;
	int r = virtq_pop(&q->q, &b->chain);
	if (r < 0 || (r > 0 && !virtq_push(&q->q, &b->chain, 0)))
		virtio_broken_(&b->v);
	else
		virtio_signal_(q);
}

static void work(struct virtio *v, struct virtio_queue *q)
{
	struct balloon *b = (struct balloon *)v;

	if (q->index == STATS)
		work_stats(b, q);
	else
		work_all(b, q);
}

/* --- configuration ------------------------------------------------------------------------- */

static void show(struct balloon *b)
{
	const struct virtio_balloon_config c = {
	    .num_pages = b->st.target_pages,
	    .actual = b->st.actual_pages,
	    .free_page_hint_cmd_id = b->hints		  ? b->st.hint_command
				     : b->st.hint_command ? VIRTIO_BALLOON_CMD_ID_DONE
							  : VIRTIO_BALLOON_CMD_ID_STOP,
	    .poison_val = b->st.poison,
	};

	memcpy(b->v.config, &c, sizeof c);
	b->v.config_bytes = sizeof c;
}

static void forget_hints(struct balloon *b)
{
	const struct virtio_balloon_hints *h = b->hints;

	b->hints = NULL;
	b->naming = false;
	b->st.hint_command = 0;
	if (h)
		h->over(h->arg);
}

/* A driver that is gone has nothing in the balloon: the pages are the guest's again. */
static void changed(struct virtio *v)
{
	struct balloon *b = (struct balloon *)v;

	if (!v->st->status) {
		b->st.actual_pages = b->st.poison = 0;
		memset(b->has_stat, 0, sizeof b->has_stat);
		forget_hints(b);
	}
	show(b);
}

static void configured(struct virtio *v, uint64_t offset, unsigned len, uint32_t value)
{
	struct balloon *b = (struct balloon *)v;

	if (len != sizeof value || !v->st->status)
		return;
	if (offset == offsetof(struct virtio_balloon_config, actual))
		b->st.actual_pages = value;
	else if (offset == offsetof(struct virtio_balloon_config, poison_val))
		b->st.poison = value;
	show(b);
}

void virtio_balloon_ask(struct device *d, uint64_t bytes)
{
	struct balloon *b = balloon_of(d);
	uint64_t pages = bytes / VIRTIO_BALLOON_PAGE;

	device_lock(d);
	b->st.target_pages = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages;
	show(b);
	virtio_config_changed_(&b->v);
	device_unlock(d);
}

void virtio_balloon_look(struct device *d, struct virtio_balloon_info *out)
{
	struct balloon *b = balloon_of(d);

	device_lock(d);
	*out = (struct virtio_balloon_info){
	    .target_bytes = (uint64_t)b->st.target_pages * VIRTIO_BALLOON_PAGE,
	    .actual_bytes = (uint64_t)b->st.actual_pages * VIRTIO_BALLOON_PAGE,
	    .dropped_bytes = b->dropped_bytes,
	    .ready = virtio_usable_(&b->v),
	};
	memcpy(out->has_stat, b->has_stat, sizeof out->has_stat);
	memcpy(out->stat, b->stat, sizeof out->stat);
	ask_for_stats(b);
	device_unlock(d);
}

/* Another than before, which a driver would take for the one that it is done with. */
static uint32_t next_command(uint32_t last)
{
	return last == UINT32_MAX || last <= VIRTIO_BALLOON_CMD_ID_DONE
		   ? VIRTIO_BALLOON_CMD_ID_DONE + 1
		   : last + 1;
}

bool virtio_balloon_hint(struct device *d, const struct virtio_balloon_hints *hints)
{
	struct balloon *b = balloon_of(d);

	device_lock(d);
	bool can = virtio_usable_(&b->v) && virtio_has_(&b->v, VIRTIO_BALLOON_F_FREE_PAGE_HINT) &&
		   b->v.queue[HINTS].q.st->enabled && may_drop_free_pages(b);
	if (can) {
		b->hints = hints;
		b->st.hint_command = next_command(b->st.hint_command);
		show(b);
		virtio_config_changed_(&b->v);
	}
	device_unlock(d);
	return can;
}

bool virtio_balloon_hint_done(struct device *d)
{
	struct balloon *b = balloon_of(d);

	device_lock(d);
	bool counts = b->hints && virtio_usable_(&b->v) && may_drop_free_pages(b);
	if (b->hints) {
		b->hints = NULL;
		b->naming = false;
		show(b);
		virtio_config_changed_(&b->v);
	}
	device_unlock(d);
	return counts;
}

/* --- life ---------------------------------------------------------------------------------- */

static int balloon_check(const struct device *d, const void *state, struct err *e)
{
	const struct virtio_balloon_state *st = state;
	int r = virtio_check_(d, state, e);

	if (!r && !st->virtio.status && (st->actual_pages || st->poison || st->hint_command))
		r = err_set(e, ERR_STRUCTURE, "%s: without a driver it has %u pages", d->id,
			    st->actual_pages);
	if (!r && st->hint_command == VIRTIO_BALLOON_CMD_ID_DONE)
		r = err_set(e, ERR_RANGE, "%s: %u is no command to hint", d->id, st->hint_command);
	return r;
}

static const struct device_class balloon_class = {
    .type = "virtio-balloon",
    .state = &virtio_balloon_state_desc,
    .pause = virtio_pause_,
    .resume = virtio_resume_,
    .pre_save = virtio_pre_save_,
    .check = balloon_check,
    .post_load = virtio_post_load_,
    .reset = virtio_reset_, /* what is asked for stays: that is no wish of the guest */
    .free = virtio_free_,
};

static const struct virtio_kind balloon_kind = {
    .cls = &balloon_class,
    .id = VIRTIO_ID_BALLOON,
    .pci_class = CLASS,
    .features = FEATURES,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE,
    .work = work,
    .changed = changed,
    .configured = configured,
};

void virtio_balloon_describe(struct machine_device *md, const char *id)
{
	virtio_describe_(md, id, &balloon_kind);
}

int virtio_balloon_new(const struct machine_device *md, const struct virtio_host *host,
		       struct device **out, struct err *e)
{
	struct balloon *b = calloc(1, sizeof *b);

	if (!b)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = virtio_init_(&b->v, &balloon_kind, &b->st, md, host, e);
	if (r) {
		free(b);
		return r;
	}
	b->v.queue[HINTS].q.only_names = true;
	*out = &b->v.fn.dev;
	return 0;
}
