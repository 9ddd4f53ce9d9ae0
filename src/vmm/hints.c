/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hints.h"

#include "base/timer.h"
#include "devices/virtio.h"

#include <stdlib.h>

#define SECOND_NS 1000000000ull
#define SILENT_S  1  /* a guest that names nothing for so long has no more to say */
#define MOST_S	  10 /* and one that goes on is not waited for */

struct hints {
	struct vm *vm;
	struct device *balloon; /* NULL: it was told that this is over */
	struct virtio_balloon_hints host;
	uint64_t *named;   /* a bit for each page of the host */
	uint64_t *since;   /* written to since the start, as far as it was looked up */
	uint64_t *earlier; /* written to before, which is for the tracker to know; NULL: it knows */
	void (*ready)(void *arg);
	void *arg;
	struct timer timer;
	unsigned seconds;
	bool heard;	  /* since the timer last expired */
	bool told;	  /* ready */
	atomic_bool over; /* there is no more to hear */
};

/* --- what the guest says -------------------------------------------------------------------- */

/* Only whole pages: what else lies in them was not named. */
static void on_named(void *arg, struct gpa at, uint64_t bytes)
{
	struct hints *h = arg;
	const struct guest_mem *mem = &h->vm->mem;
	uint64_t page = mem_track_bytes(),
		 start = (uint64_t)((const uint8_t *)mem_ro(mem, at, bytes) - mem->host);
	uint64_t i = (start + page - 1) / page, end = (start + bytes) / page;

	h->heard = true;
	while (i < end) {
		uint64_t n = 64 - i % 64 < end - i ? 64 - i % 64 : end - i;
		h->named[i / 64] |= (n == 64 ? UINT64_MAX : (1ull << n) - 1) << i % 64;
		i += n;
	}
}

static void on_over(void *arg)
{
	struct hints *h = arg;

	h->over = true;
	timer_in(&h->timer, 0);
}

static void on_timer(void *arg, uint32_t events)
{
	struct hints *h = arg;

	if (!timer_is_due(&h->timer) || h->told)
		return;
	/* Before it is looked whether all is over, which sets it as well. */
	timer_in(&h->timer, SILENT_S * SECOND_NS);
	h->seconds += SILENT_S;
	h->told = h->over || !h->heard || h->seconds >= MOST_S;
	h->heard = false;
	if (h->told)
		h->ready(h->arg);
}

/* --- what is written to --------------------------------------------------------------------- */

/* All until now, added to @out, and it is forgotten. */
static int take_writes(struct hints *h, uint64_t *out, struct err *e)
{
	mem_take_dirty(&h->vm->mem, out);
	return arch_collect_writes(h->vm->arch, out, e);
}

static void give_back_writes(struct hints *h)
{
	if (h->earlier)
		mem_mark_pages(&h->vm->mem, h->earlier);
	free(h->earlier);
	h->earlier = NULL;
}

/* --- from start to end ---------------------------------------------------------------------- */

static int start(struct hints *h, struct err *e)
{
	struct vm *vm = h->vm;
	uint64_t words = mem_track_words(vm->mem.size);

	h->named = calloc(words, sizeof *h->named);
	h->since = calloc(words, sizeof *h->since);
	h->earlier = calloc(words, sizeof *h->earlier);
	if (!h->named || !h->since || !h->earlier)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = timer_init(&h->timer, vm->loop, CLOCK_MONOTONIC, on_timer, h, e);
	if (!r)
		r = track_start(&vm->track, vm->arch, &vm->mem, e);
	/* A device may be about to write to what it told of before. The guest has a use for that
	 * now, and what comes there is not what a page is used for that it names later. */
	if (!r)
		r = take_writes(h, h->earlier, e);
	return r;
}

int hints_start(struct vm *vm, void (*ready)(void *arg), void *arg, struct hints **out,
		struct err *e)
{
	struct device *balloon = vm_device(vm, "virtio-balloon");
	struct hints *h = balloon && !vm->held ? calloc(1, sizeof *h) : NULL;

	*out = NULL;
	if (!balloon || vm->held)
		return 0;
	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->vm = vm;
	h->host = (struct virtio_balloon_hints){on_named, on_over, h};
	h->ready = ready;
	h->arg = arg;
	h->timer.fd = -1;
	int r = start(h, e);
	if (!r) {
		timer_in(&h->timer, SILENT_S * SECOND_NS);
		h->balloon = virtio_balloon_hint(balloon, &h->host) ? balloon : NULL;
	}
	if (h->balloon)
		*out = h;
	else
		hints_free(h);
	return r;
}

static bool end_hinting(struct hints *h)
{
	bool counts = h->balloon && virtio_balloon_hint_done(h->balloon);

	h->balloon = NULL;
	timer_fini(&h->timer);
	return counts;
}

void hints_saw(struct hints *h, struct track *t)
{
	for (uint64_t i = 0; i < mem_track_words(h->vm->mem.size); i++) {
		h->since[i] |= t->fresh[i];
		if (!h->earlier)
			continue;
		t->fresh[i] |= h->earlier[i];
		t->taken[i] |= h->earlier[i];
	}
	free(h->earlier);
	h->earlier = NULL;
}

int hints_take(struct hints *h, uint64_t **out, uint64_t *bytes, struct err *e)
{
	if (!h)
		return 0;
	uint64_t words = mem_track_words(h->vm->mem.size);
	bool counts = end_hinting(h);
	uint64_t *now = calloc(words, sizeof *now);
	int r = now ? take_writes(h, now, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (now)
		mem_mark_pages(&h->vm->mem, now);
	if (!r) {
		*bytes = 0;
		for (uint64_t i = 0; i < words; i++) {
			h->named[i] = counts ? h->named[i] & ~h->since[i] & ~now[i] : 0;
			*bytes += (uint64_t)__builtin_popcountll(h->named[i]) * mem_track_bytes();
		}
		*out = h->named;
		h->named = NULL;
	}
	free(now);
	give_back_writes(h);
	return r;
}

void hints_free(struct hints *h)
{
	if (!h)
		return;
	end_hinting(h);
	give_back_writes(h);
	track_rest(&h->vm->track, h->vm->arch, &h->vm->mem);
	free(h->named);
	free(h->since);
	free(h);
}
