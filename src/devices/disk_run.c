/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to jobs, jobs to operations, and back. */
#include "devices/disk_engine.h"

#include <errno.h>
#include <stdlib.h>

#define ZERO_BYTES (64 * KIB)

static uint8_t zeros[ZERO_BYTES];

int disk_result_(int sys)
{
	switch (sys) {
	case 0:
		return 0;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ERR_NOSPACE;
	case -ENOMEM:
		return -ERR_NOMEM;
	}
	return -ERR_IO;
}

static struct disk_layer *top(struct disk *d)
{
	return &d->layer[0];
}

static bool is_overlay(const struct disk_layer *l)
{
	return l->bitmap;
}

/* --- jobs to operations -------------------------------------------------------------------- */

/* Up to @max bytes of @c become the op's pieces of memory. */
static uint64_t cursor_take(struct cursor *c, struct op *op, uint64_t max)
{
	uint64_t taken = 0;

	while (taken < max && op->iov_n < OP_IOV && c->n) {
		struct iovec v = {zeros, sizeof zeros};
		if (c->n > 0) {
			v.iov_base = (char *)c->iov->iov_base + c->skip;
			v.iov_len = c->iov->iov_len - c->skip;
		}
		if (v.iov_len > max - taken) {
			v.iov_len = max - taken;
			c->skip += v.iov_len;
		} else if (c->n > 0) {
			c->iov++;
			c->n--;
			c->skip = 0;
		}
		if (v.iov_len)
			op->iov[op->iov_n++] = v;
		taken += v.iov_len;
	}
	return taken;
}

static void job_issue(struct disk *d, struct job *job)
{
	while (job->seg_i < job->seg_n && !job->result) {
		struct seg *seg = &job->seg[job->seg_i];
		if (!seg->bytes) {
			job->seg_i++;
			continue;
		}
		struct op *op = disk_op_new_(d, job);
		if (!op)
			return;
		struct disk_layer *l = top(d);
		uint64_t len = seg->bytes;
		if (seg->kind == SEG_READ)
			l = disk_layers_find_(d->layer, d->n, seg->offset, len, &len);
		if (seg->kind != SEG_PUNCH)
			len = cursor_take(&seg->from, op, len);
		op->kind = seg->kind == SEG_READ    ? OP_READ
			   : seg->kind == SEG_WRITE ? OP_WRITE
						    : OP_PUNCH;
		op->fd = l->img.fd;
		op->disk_offset = seg->offset;
		op->at = l->data_offset + seg->offset;
		op->bytes = len;
		seg->offset += len;
		seg->bytes -= len;
		disk_op_queue_(d, op);
	}
	if (job->result)
		job->seg_i = job->seg_n;
}

/* The file system or device cannot punch holes: write zeros. A discard need not do anything. */
static void no_punch(struct disk *d, struct job *job, struct op *op)
{
	d->no_punch = true;
	if (job->req->op == DISK_ZERO)
		job->seg[job->seg_n++] =
		    (struct seg){SEG_WRITE, op->disk_offset, op->bytes, {.n = -1}};
	else
		job->fills = false;
}

static void op_advance(struct op *op, uint64_t n)
{
	op->at += n;
	op->bytes -= n;
	while (n) {
		struct iovec *v = &op->iov[op->iov_first];
		size_t step = v->iov_len < n ? v->iov_len : n;
		v->iov_base = (char *)v->iov_base + step;
		v->iov_len -= step;
		if (!v->iov_len)
			op->iov_first++;
		n -= step;
	}
}

void disk_op_done_(struct disk *d, struct op *op, int result)
{
	struct job *job = op->job;
	bool moves = op->kind == OP_READ || op->kind == OP_WRITE;

	if (result == -EINTR || result == -EAGAIN) {
		disk_op_queue_(d, op);
		return;
	}
	if (moves && result > 0 && (uint64_t)result < op->bytes) {
		op_advance(op, (uint64_t)result);
		disk_op_queue_(d, op);
		return;
	}
	if (op->kind == OP_PUNCH && (result == -EOPNOTSUPP || result == -EINVAL))
		no_punch(d, job, op);
	else if (result < 0 || (moves && result == 0)) /* 0: the file became shorter */
		job->result = result < 0 ? disk_result_(result) : -ERR_IO;
	/* The kernel says once that data could not be written, and forgets it. */
	if (result < 0 && (op->kind == OP_SYNC || op->kind == OP_SYNC_ALL))
		d->lost = job->result;
	disk_op_free_(op);
}

/* --- requests to jobs ---------------------------------------------------------------------- */

static void add_seg(struct job *job, enum seg_kind kind, uint64_t offset, uint64_t bytes,
		    const struct iovec *iov, int iov_n)
{
	job->seg[job->seg_n++] = (struct seg){kind, offset, bytes, {iov, iov_n, 0}};
}

/* The part of the first cluster before the request, and of the last one after it. */
static struct seg edge_before(const struct job *job)
{
	uint64_t n = job->offset % DISK_CLUSTER;

	return (struct seg){.offset = job->offset - n, .bytes = n};
}

static struct seg edge_after(const struct disk *d, const struct job *job)
{
	uint64_t end = job->offset + job->bytes;
	uint64_t n = (DISK_CLUSTER - end % DISK_CLUSTER) % DISK_CLUSTER;

	if (n > disk_bytes(d) - end)
		n = disk_bytes(d) - end;
	return (struct seg){.offset = end, .bytes = n};
}

/* The pads have been read, or there are none. */
static void plan_change(struct disk *d, struct job *job)
{
	struct disk_req *req = job->req;
	bool punch = req->op != DISK_WRITE && !d->no_punch;

	job->padding = false;
	job->seg_n = job->seg_i = 0;
	if (job->pad) {
		struct seg before = edge_before(job), after = edge_after(d, job);
		if (job->pad_iov[0].iov_len)
			add_seg(job, SEG_WRITE, before.offset, before.bytes, &job->pad_iov[0], 1);
		if (job->pad_iov[1].iov_len)
			add_seg(job, SEG_WRITE, after.offset, after.bytes, &job->pad_iov[1], 1);
	}
	if (punch)
		add_seg(job, SEG_PUNCH, job->offset, job->bytes, NULL, 0);
	else if (req->op == DISK_WRITE)
		add_seg(job, SEG_WRITE, job->offset, job->bytes, req->iov, req->iov_n);
	else if (req->op == DISK_ZERO)
		add_seg(job, SEG_WRITE, job->offset, job->bytes, NULL, -1);
	else
		job->fills = false;
}

/* A change of clusters that the overlay does not have: what surrounds it comes along. */
static void plan_overlay(struct disk *d, struct job *job)
{
	struct disk_layer *l = top(d);
	struct seg before = edge_before(job), after = edge_after(d, job);
	struct iovec *pad = job->pad_iov;

	pad[0].iov_len = disk_layer_has_(l, job->first) ? 0 : before.bytes;
	pad[1].iov_len = disk_layer_has_(l, job->last) ? 0 : after.bytes;
	if (!pad[0].iov_len && !pad[1].iov_len) {
		plan_change(d, job);
		return;
	}
	job->pad = malloc(2 * (size_t)DISK_CLUSTER);
	if (!job->pad) {
		job->result = -ERR_NOMEM;
		return;
	}
	pad[0].iov_base = job->pad;
	pad[1].iov_base = job->pad + DISK_CLUSTER;
	if (pad[0].iov_len)
		add_seg(job, SEG_READ, before.offset, before.bytes, &pad[0], 1);
	if (pad[1].iov_len)
		add_seg(job, SEG_READ, after.offset, after.bytes, &pad[1], 1);
	job->padding = true;
}

static void job_plan(struct disk *d, struct job *job)
{
	struct disk_req *req = job->req;

	if (req->op == DISK_READ)
		add_seg(job, SEG_READ, job->offset, job->bytes, req->iov, req->iov_n);
	else if (job->fills)
		plan_overlay(d, job);
	else if (job->changes)
		plan_change(d, job);
}

static bool all_there(const struct disk_layer *l, uint64_t first, uint64_t last)
{
	for (uint64_t c = first; c <= last; c++)
		if (!disk_layer_has_(l, c))
			return false;
	return true;
}

/* A discard says that contents do not matter any more: of an overlay only whole clusters can go. */
static void shrink(const struct disk *d, struct job *job)
{
	uint64_t end = job->offset + job->bytes;

	job->offset = (job->offset + DISK_CLUSTER - 1) / DISK_CLUSTER * DISK_CLUSTER;
	if (end != disk_bytes(d))
		end -= end % DISK_CLUSTER;
	job->bytes = end > job->offset ? end - job->offset : 0;
}

static struct job job_for(struct disk *d, struct disk_req *req)
{
	struct job job = {.req = req, .offset = req->offset, .bytes = req->bytes};

	if (req->op == DISK_DISCARD && is_overlay(top(d)))
		shrink(d, &job);
	if (!job.bytes)
		return job;
	job.changes = req->op != DISK_READ;
	job.first = job.offset / DISK_CLUSTER;
	job.last = (job.offset + job.bytes - 1) / DISK_CLUSTER;
	if (job.changes && is_overlay(top(d)))
		job.fills = req->op != DISK_WRITE || !all_there(top(d), job.first, job.last);
	return job;
}

/* One fills up a cluster that the other fills up as well. Clusters that are there already are
 * written piece by piece, and pieces that meet there meet in the guest's request, which is its own
 * affair. */
static bool jobs_conflict(const struct job *a, const struct job *b)
{
	return a->fills && b->fills && a->first <= b->last && b->first <= a->last;
}

static void start_queued(struct disk *d)
{
	while (d->queue && d->jobs_busy < RING_DEPTH) {
		struct job job = job_for(d, d->queue), *free_job = NULL;
		for (size_t i = 0; i < RING_DEPTH; i++) {
			if (!d->job[i].req)
				free_job = &d->job[i];
			else if (jobs_conflict(&d->job[i], &job))
				return; /* and all behind it wait as well: it is rare */
		}
		d->queue = job.req->next;
		*free_job = job;
		d->jobs_busy++;
		top(d)->written |= job.changes;
		job_plan(d, free_job);
	}
}

static void job_finish(struct disk *d, struct job *job)
{
	struct disk_req *req = job->req;
	int result = job->result;

	if (job->padding && !result) {
		plan_change(d, job);
		return;
	}
	if (job->fills && !result)
		disk_layer_set_(top(d), job->first, job->last);
	free(job->pad);
	job->req = NULL;
	d->jobs_busy--;
	req->done(req, result);
}

static void run_jobs(struct disk *d)
{
	for (uint32_t i = 0; i < RING_DEPTH; i++) {
		struct job *job = &d->job[(d->turn + i) % RING_DEPTH];
		if (!job->req)
			continue;
		job_issue(d, job);
		if (job->seg_i < job->seg_n || job->in_flight)
			continue;
		job_finish(d, job);
		d->again = true;
	}
	d->turn++;
}

void disk_pump_(struct disk *d)
{
	/* From a @done: the pump that called it goes round once more. */
	d->again = true;
	if (d->pumping)
		return;
	d->pumping = true;
	while (d->again) {
		d->again = false;
		start_queued(d);
		run_jobs(d);
		if (disk_flush_pump_(d))
			d->again = true;
		if (!d->again && !disk_ring_send_(d))
			d->again = true;
	}
	d->pumping = false;
}

bool disk_busy_(const struct disk *d)
{
	return d->queue || d->jobs_busy || d->flush.step != FLUSH_IDLE || d->flush.wait;
}
