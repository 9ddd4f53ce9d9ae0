/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/disk_engine.h"

#include "base/crypto.h"

#include <stdlib.h>
#include <unistd.h>

uint64_t disk_bytes(const struct disk *d)
{
	return d->layer[0].bytes;
}

bool disk_read_only(const struct disk *d)
{
	return d->read_only;
}

const char *disk_path(const struct disk *d)
{
	return d->layer[0].img.path;
}

/* Frees everything but the descriptors of the images. */
static void disk_free(struct disk *d)
{
	disk_ring_close_(d);
	for (uint32_t i = 0; i < d->n; i++)
		disk_layer_fini_(&d->layer[i]);
	free(d);
}

static int check_chain(const struct disk_chain *chain, struct err *e)
{
	if (!chain->n || chain->n > DISK_CHAIN_MAX)
		return err_set(e, ERR_LIMIT, "chain of %u images", chain->n);
	for (uint32_t i = 0; i < chain->n; i++) {
		const struct disk_image_fd *img = &chain->image[i];
		if ((img->format == DISK_RAW) != (i == chain->n - 1))
			return err_set(e, ERR_STRUCTURE, "%s: a raw image is the lowest",
				       img->path);
	}
	return 0;
}

static int open_layers(struct disk *d, const struct disk_chain *chain, struct err *e)
{
	for (; d->n < chain->n; d->n++) {
		struct disk_layer *l = &d->layer[d->n];
		int r = disk_layer_open_(l, &chain->image[d->n], e);
		if (r)
			return r;
		if (l->bytes != d->layer[0].bytes) {
			disk_layer_fini_(l);
			return err_set(e, ERR_STRUCTURE, "%s: another size than what lies on it",
				       l->img.path);
		}
	}
	return 0;
}

/* Snapshots and overlays that know this image by its generation must see that it went on. An empty
 * one is nothing that could have gone on: a restore does without the sync. */
static int new_generation(struct disk_layer *l, struct err *e)
{
	if (!l->written && !l->head.spare)
		return 0;
	l->head.spare = false;
	int r = secret_random(l->head.generation, sizeof l->head.generation, e);
	if (!r)
		r = disk_header_write_(l->img.fd, &l->head, e);
	if (!r)
		r = disk_sync_(l->img.fd, e);
	if (r)
		err_where(e, "%s", l->img.path);
	return r;
}

int disk_open(struct loop *l, const struct disk_chain *chain, bool read_only, struct disk **out,
	      struct err *e)
{
	int r = check_chain(chain, e);

	if (r)
		return r;
	struct disk *d = calloc(1, sizeof *d);
	if (!d)
		return err_set(e, ERR_NOMEM, "out of memory");
	d->loop = l;
	d->read_only = read_only;
	d->event_fd = -1;
	r = open_layers(d, chain, e);
	if (!r)
		r = disk_ring_open_(d, e);
	if (!r && !read_only && chain->n > 1)
		r = new_generation(&d->layer[0], e);
	if (r) {
		disk_free(d);
		return r;
	}
	*out = d;
	return 0;
}

struct waiter {
	struct disk_req req;
	bool done;
	int result;
};

static void on_waited(struct disk_req *req, int result)
{
	struct waiter *w = req->owner;

	w->done = true;
	w->result = result;
}

int disk_settle(struct disk *d, struct err *e)
{
	struct waiter w = {.req = {.op = DISK_FLUSH, .done = on_waited, .owner = &w}};

	disk_submit(d, &w.req);
	while (!w.done) {
		disk_ring_reap_(d, true);
		disk_pump_(d);
	}
	if (w.result)
		return err_set(e, (enum err_code) - w.result, "%s: cannot be written to the medium",
			       disk_path(d));
	return 0;
}

int disk_close(struct disk *d, struct err *e)
{
	if (!d)
		return 0;
	disk_drain(d);
	int r = disk_settle(d, e);
	disk_old_free_(d);
	for (uint32_t i = 0; i < d->n; i++)
		disk_unlock_and_close_(&d->layer[i].img);
	disk_free(d);
	return r;
}

void disk_drain(struct disk *d)
{
	disk_pump_(d);
	while (disk_busy_(d)) {
		disk_ring_reap_(d, true);
		disk_pump_(d);
	}
}

static int check_request(const struct disk *d, const struct disk_req *req)
{
	uint64_t bytes = 0;

	if (req->op != DISK_READ && d->read_only)
		return -ERR_WRONG_STATE;
	if (req->offset % DISK_SECTOR || req->bytes % DISK_SECTOR ||
	    !num_inside(req->offset, req->bytes, 0, disk_bytes(d)))
		return -ERR_RANGE;
	if (req->op != DISK_READ && req->op != DISK_WRITE)
		return 0;
	for (int i = 0; i < req->iov_n; i++)
		if (!num_add(bytes, req->iov[i].iov_len, &bytes))
			return -ERR_RANGE;
	return bytes == req->bytes ? 0 : -ERR_RANGE;
}

void disk_submit(struct disk *d, struct disk_req *req)
{
	if (req->op == DISK_FLUSH) {
		if (d->read_only) {
			req->done(req, 0);
			return;
		}
		disk_flush_add_(d, req);
	} else {
		int r = check_request(d, req);
		if (r || !req->bytes) {
			req->done(req, r);
			return;
		}
		req->next = NULL;
		if (d->queue)
			d->queue_last->next = req;
		else
			d->queue = req;
		d->queue_last = req;
	}
	disk_pump_(d);
}
