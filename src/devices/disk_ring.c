/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/disk_engine.h"

#include <errno.h>
#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_completion(void *arg, uint32_t events)
{
	struct disk *d = arg;
	uint64_t n;

	if (read(d->event_fd, &n, sizeof n) < 0)
		return; /* a drain was faster */
	disk_ring_reap_(d, false);
	disk_pump_(d);
}

int disk_ring_open_(struct disk *d, struct err *e)
{
	int r = io_uring_queue_init(RING_DEPTH + 1, &d->ring, IORING_SETUP_CLAMP);

	if (r < 0)
		return err_sys(e, ERR_IO, -r,
			       "disks need io_uring (see /proc/sys/kernel/io_uring_disabled)");
	d->ring_up = true;
	d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->event_fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot make an eventfd");
	r = io_uring_register_eventfd(&d->ring, d->event_fd);
	if (r < 0)
		return err_sys(e, ERR_IO, -r, "io_uring does not take an eventfd");
	return loop_add(d->loop, d->event_fd, EPOLLIN, on_completion, d, e);
}

void disk_ring_close_(struct disk *d)
{
	if (d->event_fd >= 0) {
		loop_del(d->loop, d->event_fd);
		close(d->event_fd);
	}
	if (d->ring_up)
		io_uring_queue_exit(&d->ring);
}

struct op *disk_op_new_(struct disk *d, struct job *job)
{
	bool flush = job == &d->flush.job;

	for (size_t i = flush ? RING_DEPTH : 0; i < RING_DEPTH + (flush ? 1u : 0u); i++) {
		struct op *op = &d->op[i];
		if (op->job)
			continue;
		op->job = job;
		op->sent = false;
		op->iov_first = op->iov_n = 0;
		job->in_flight++;
		return op;
	}
	return NULL;
}

void disk_op_free_(struct op *op)
{
	op->job->in_flight--;
	op->job = NULL;
}

void disk_op_queue_(struct disk *d, struct op *op)
{
	/* There is a place in the ring for every op, and one is in it at most once. */
	struct io_uring_sqe *sqe = d->dead ? NULL : io_uring_get_sqe(&d->ring);
	unsigned n = (unsigned)(op->iov_n - op->iov_first);

	op->sent = false;
	if (!sqe) {
		disk_op_done_(d, op, -EIO);
		return;
	}
	switch (op->kind) {
	case OP_READ:
		io_uring_prep_readv(sqe, op->fd, op->iov + op->iov_first, n, op->at);
		break;
	case OP_WRITE:
		io_uring_prep_writev(sqe, op->fd, op->iov + op->iov_first, n, op->at);
		break;
	case OP_PUNCH:
		io_uring_prep_fallocate(sqe, op->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)op->at, (off_t)op->bytes);
		break;
	case OP_SYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case OP_SYNC_ALL:
		io_uring_prep_fsync(sqe, op->fd, 0);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

static bool die(struct disk *d)
{
	d->dead = true;
	for (size_t i = 0; i < RING_DEPTH + 1; i++)
		if (d->op[i].job && !d->op[i].sent)
			disk_op_done_(d, &d->op[i], -EIO);
	return false;
}

bool disk_ring_send_(struct disk *d)
{
	while (!d->dead && io_uring_sq_ready(&d->ring)) {
		int r = io_uring_submit(&d->ring);
		if (r == -EAGAIN || r == -EBUSY)
			usleep(1000); /* the kernel is out of memory for now */
		else if (r < 0 && r != -EINTR)
			return die(d);
	}
	for (size_t i = 0; i < RING_DEPTH + 1; i++)
		d->op[i].sent = d->op[i].job;
	return true;
}

void disk_ring_reap_(struct disk *d, bool wait)
{
	struct io_uring_cqe *cqe;

	if (wait && io_uring_wait_cqe(&d->ring, &cqe) < 0)
		return; /* EINTR: the caller comes again */
	while (!io_uring_peek_cqe(&d->ring, &cqe)) {
		struct op *op = io_uring_cqe_get_data(cqe);
		int result = cqe->res;
		io_uring_cqe_seen(&d->ring, cqe);
		disk_op_done_(d, op, result);
	}
}
