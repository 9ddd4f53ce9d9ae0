/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a disk works. A request becomes a job: up to SEGS segments, each a contiguous piece of the
 * disk with where its bytes come from or go to. Segments are cut where the layer changes into
 * operations of the ring; there are RING_DEPTH of those, and what does not fit waits. A flush is a
 * job of its own kind (disk_flush.c). Private to disk_*.c.
 *
 *   disk_submit -> queue -> job -> segments -> ops -> io_uring -> eventfd -> loop -> done
 *
 * A write into a cluster that the topmost overlay does not have yet fills up the rest of it from
 * below. No two such jobs may meet in a cluster, or one would undo the other: jobs_conflict().
 */
#ifndef DEVICES_DISK_ENGINE_H
#define DEVICES_DISK_ENGINE_H

#include "devices/disk_image.h"

#include <liburing.h>

#define RING_DEPTH  64
#define OP_IOV	    64 /* pieces of memory in one operation; longer lists become several */
#define SEGS	    4
#define FLUSH_PAGES 256 /* pages of a bitmap written back in one go: 1 MiB of copies */

/* Where in the caller's memory. @n < 0: zeros without end. */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t skip; /* of iov[0] */
};

enum seg_kind { SEG_READ, SEG_WRITE, SEG_PUNCH };

struct seg {
	enum seg_kind kind;
	uint64_t offset, bytes; /* what is left of it */
	struct cursor from;
};

enum op_kind { OP_READ, OP_WRITE, OP_PUNCH, OP_SYNC, OP_SYNC_ALL };

struct job;

struct op {
	struct job *job; /* NULL: free */
	enum op_kind kind;
	bool sent;
	int fd;
	uint64_t at, bytes;   /* in the file; what is left */
	uint64_t disk_offset; /* where on the disk it began */
	struct iovec iov[OP_IOV];
	int iov_first, iov_n;
};

struct job {
	struct disk_req *req; /* NULL: free, or the flush */
	struct seg seg[SEGS];
	int seg_n, seg_i;
	uint32_t in_flight;
	int result;
	bool changes;		/* write, discard or zero */
	bool fills;		/* makes clusters present */
	bool padding;		/* reading what surrounds the write; the write comes then */
	uint64_t offset, bytes; /* of the request, or what of it is acted on */
	uint64_t first, last;	/* clusters */
	uint8_t *pad;		/* 2 clusters: what is before and what is after */
	struct iovec pad_iov[2];
};

enum flush_step { FLUSH_IDLE, FLUSH_SYNC, FLUSH_WRITE };

struct flush {
	struct job job;
	enum flush_step step;
	struct disk_req *wait, *wait_last; /* for the next one */
	struct disk_req *served;	   /* by this one */
	uint32_t layer;			   /* number from the top; counts down to 0 */
	uint64_t page_next;		   /* where the search for dirty pages goes on */
	uint8_t *copy;			   /* FLUSH_PAGES pages as they were when the sync began */
	uint32_t page[FLUSH_PAGES];	   /* their numbers */
	uint32_t n, i;			   /* taken; written */
};

struct disk {
	struct loop *loop;
	bool read_only;
	uint32_t n;
	struct disk_layer layer[DISK_CHAIN_MAX];
	/* Layers 1 to @unsettled were switched away from and may not be on the medium yet; they get
	 * this time when they are. */
	uint32_t unsettled;
	uint64_t frozen_ns[DISK_CHAIN_MAX];
	/* A raw image that was cloned is no layer any more, but wants the same. */
	struct disk_layer *old;
	uint64_t old_ns;
	uint32_t old_mode; /* of what was frozen last, for disk_switch_back() */
	bool can_go_back;

	struct io_uring ring;
	int event_fd;
	bool ring_up, dead; /* dead: the kernel does not take requests any more */
	bool no_punch;	    /* the file system cannot */
	int lost;	    /* result of a sync that failed: unknown what is on the medium */

	struct disk_req *queue, *queue_last; /* not yet jobs */
	bool pumping, again;
	uint32_t turn; /* which job may issue first */
	uint32_t jobs_busy;
	struct job job[RING_DEPTH];
	struct op op[RING_DEPTH + 1]; /* the last is the flush's */
	struct flush flush;
};

/* disk_ring.c */
int disk_ring_open_(struct disk *d, struct err *e) MUST_CHECK;
void disk_ring_close_(struct disk *d);
/* A free operation for @job, or NULL. */
struct op *disk_op_new_(struct disk *d, struct job *job);
void disk_op_free_(struct op *op);
/* Prepares @op, as it is set up, for the next disk_ring_send_(). */
void disk_op_queue_(struct disk *d, struct op *op);
/* False when the ring died and operations failed with it. */
bool disk_ring_send_(struct disk *d);
/* Takes what has completed, and waits for some when @wait. */
void disk_ring_reap_(struct disk *d, bool wait);

/* disk_run.c: the ring's answer for @op; result >= 0 or a negative errno. */
void disk_op_done_(struct disk *d, struct op *op, int result);
/* Whatever can be started is; whatever is ready is completed. */
void disk_pump_(struct disk *d);
bool disk_busy_(const struct disk *d);

/* disk_flush.c */
void disk_flush_add_(struct disk *d, struct disk_req *req);
/* True when something happened, and more may at once. */
bool disk_flush_pump_(struct disk *d);

/* disk_switch.c: what was cloned is on the medium. */
void disk_old_free_(struct disk *d);

int disk_result_(int sys); /* negative errno to negative error code */

#endif
