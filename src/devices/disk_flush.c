/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushing. A bit of an overlay's bitmap may reach the medium only after the cluster it speaks for;
 * so dirty pages of the bitmap are copied, the file is synced, the copies are written and the file
 * is synced again. Bits that are set meanwhile wait for the next flush. Images that were switched
 * away from come first, lowest first: what lies on top of them counts on them.
 */
#include "devices/disk_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LAYER_OLD UINT32_MAX

static struct disk_layer *layer_now(struct disk *d)
{
	return d->flush.layer == LAYER_OLD ? d->old : &d->layer[d->flush.layer];
}

static void take_pages(struct disk *d)
{
	struct disk_layer *l = layer_now(d);
	struct flush *f = &d->flush;

	f->n = f->i = 0;
	if (!l->dirty)
		return;
	for (; f->page_next < l->head.bitmap_bytes / DISK_BITMAP_PAGE && f->n < FLUSH_PAGES;
	     f->page_next++) {
		if (!l->dirty[f->page_next])
			continue;
		if (!f->copy)
			f->copy = malloc((size_t)FLUSH_PAGES * DISK_BITMAP_PAGE);
		if (!f->copy) {
			f->job.result = -ERR_NOMEM;
			return;
		}
		memcpy(f->copy + (size_t)f->n * DISK_BITMAP_PAGE,
		       l->bitmap + f->page_next * DISK_BITMAP_PAGE, DISK_BITMAP_PAGE);
		l->dirty[f->page_next] = 0;
		f->page[f->n++] = (uint32_t)f->page_next;
	}
}

/* A frozen image keeps the time at which it was frozen, whatever is still written to it. */
static void set_time(struct disk *d, struct disk_layer *l)
{
	uint64_t ns = d->flush.layer == LAYER_OLD ? d->old_ns : d->frozen_ns[d->flush.layer];
	struct timespec t[2] = {
	    {.tv_nsec = UTIME_OMIT},
	    {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)},
	};

	if (futimens(l->img.fd, t))
		d->flush.job.result = disk_result_(-errno);
}

static void start_sync(struct disk *d)
{
	struct flush *f = &d->flush;
	bool frozen = f->layer > 0;

	f->step = FLUSH_SYNC;
	take_pages(d);
	if (frozen && !f->job.result)
		set_time(d, layer_now(d));
	if (f->job.result)
		return;
	struct op *op = disk_op_new_(d, &f->job);
	op->kind = frozen && !f->n ? OP_SYNC_ALL : OP_SYNC;
	op->fd = layer_now(d)->img.fd;
	disk_op_queue_(d, op);
}

/* Pages that lie side by side go together. */
static void write_pages(struct disk *d)
{
	struct flush *f = &d->flush;
	struct disk_layer *l = layer_now(d);

	while (f->i < f->n && !f->job.result) {
		uint32_t first = f->i, n = 1;
		while (first + n < f->n && f->page[first + n] == f->page[first] + n)
			n++;
		struct op *op = disk_op_new_(d, &f->job);
		if (!op)
			return;
		op->kind = OP_WRITE;
		op->fd = l->img.fd;
		op->at = DISK_HEADER_BYTES + (uint64_t)f->page[first] * DISK_BITMAP_PAGE;
		op->bytes = (uint64_t)n * DISK_BITMAP_PAGE;
		op->iov[0] = (struct iovec){f->copy + (size_t)first * DISK_BITMAP_PAGE, op->bytes};
		op->iov_n = 1;
		f->i += n;
		disk_op_queue_(d, op);
	}
}

static void begin(struct disk *d)
{
	struct flush *f = &d->flush;

	f->served = f->wait;
	f->wait = NULL;
	f->job = (struct job){.result = d->lost};
	f->layer = d->old ? LAYER_OLD : d->unsettled;
	f->page_next = 0;
	if (f->job.result)
		f->step = FLUSH_SYNC;
	else
		start_sync(d);
}

static void finish(struct disk *d)
{
	struct flush *f = &d->flush;
	struct disk_layer *l = layer_now(d);
	int result = f->job.result;

	if (result) {
		for (uint32_t i = 0; i < f->n; i++)
			l->dirty[f->page[i]] = 1;
		f->n = 0;
	}
	free(f->copy);
	f->copy = NULL;
	f->step = FLUSH_IDLE;
	while (f->served) {
		struct disk_req *req = f->served;
		f->served = req->next;
		req->done(req, result);
	}
}

/* This layer is on the medium: to the next one. True when that was the last. */
static bool next_layer(struct disk *d)
{
	struct flush *f = &d->flush;

	if (!f->layer)
		return true;
	if (f->layer == LAYER_OLD) {
		disk_old_free_(d);
		f->layer = d->unsettled;
	} else {
		d->unsettled = --f->layer;
	}
	f->page_next = 0;
	start_sync(d);
	return false;
}

bool disk_flush_pump_(struct disk *d)
{
	struct flush *f = &d->flush;

	if (f->step == FLUSH_IDLE && f->wait)
		begin(d);
	if (f->step == FLUSH_WRITE)
		write_pages(d);
	if (f->step == FLUSH_IDLE || f->job.in_flight)
		return false;
	if (f->job.result) {
		finish(d);
		return true;
	}
	if (f->step == FLUSH_WRITE) {
		if (f->i == f->n)
			start_sync(d);
	} else if (f->n) {
		f->step = FLUSH_WRITE;
	} else if (next_layer(d)) {
		finish(d);
	}
	return true;
}

void disk_flush_add_(struct disk *d, struct disk_req *req)
{
	struct flush *f = &d->flush;

	req->next = NULL;
	if (f->wait)
		f->wait_last->next = req;
	else
		f->wait = req;
	f->wait_last = req;
}
