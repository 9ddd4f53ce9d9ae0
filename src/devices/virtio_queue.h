/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue, the device's side (virtio 1.1, 2.6). The guest writes to all of it at any
 * time: every value is copied once and checked as copied, and nothing here takes longer than one
 * chain of VIRTQ_CHAIN_MAX descriptors.
 *
 * Prefix: virtq_. With the device's lock held.
 */
#ifndef DEVICES_VIRTIO_QUEUE_H
#define DEVICES_VIRTIO_QUEUE_H

#include "layout/mem.h"
#include "state/virtio.h"

#include <sys/uio.h>

#define VIRTQ_CHAIN_MAX 256

struct virtq {
	struct virtio_queue_state *st;
	struct guest_mem *mem;
	const uint64_t *features; /* accepted */
	uint16_t signalled;	  /* used index when an interrupt was last decided on */
	bool
	    only_names; /* buffers to write name memory: nothing is written to it for being there */
};

/* The buffers of one request: those to read first, then those to write. */
struct virtq_chain {
	uint16_t head;
	uint16_t out_n, in_n;
	uint64_t out_bytes, in_bytes;
	struct iovec iov[VIRTQ_CHAIN_MAX];
	struct gpa at[VIRTQ_CHAIN_MAX];
};

/** virtq_check() - could a queue like @st be worked on? Pure. Returns 0, -ERR_RANGE. */
int virtq_check(const struct virtio_queue_state *st, uint16_t size_max, const struct guest_mem *mem,
		struct err *e) MUST_CHECK;

/** virtq_empty() - is there no request to pop, as things stand? */
bool virtq_empty(const struct virtq *q);

/**
 * virtq_pop() - take the next request
 * Trust: everything in the rings.
 * Returns 1, 0 when there is none, -ERR_STRUCTURE when the guest broke the rules.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *out) MUST_CHECK;
/** virtq_unpop() - put back the last @n taken, as if they had not been looked at. */
void virtq_unpop(struct virtq *q, unsigned n);
/** virtq_push() - hand back @chain with @len bytes written to its buffers. False: broken. */
bool virtq_push(struct virtq *q, const struct virtq_chain *chain, uint64_t len) MUST_CHECK;
/** virtq_put(), virtq_advance() - virtq_push() for chains that belong together: entry @ahead after
 * the next one is written, and @n of them then become visible at once. */
bool virtq_put(struct virtq *q, const struct virtq_chain *chain, uint64_t len,
	       unsigned ahead) MUST_CHECK;
bool virtq_advance(struct virtq *q, unsigned n) MUST_CHECK;

/** virtq_quiet() - ask the guest not to notify, so far as it listens. */
void virtq_quiet(struct virtq *q);
/** virtq_wait() - ask for a notification of the next request. False when one is there already. */
bool virtq_wait(struct virtq *q);
/** virtq_wait_past() - the same, with @n requests put back that were not enough. */
bool virtq_wait_past(struct virtq *q, unsigned n);

/** virtq_signal() - does the guest want an interrupt for what was pushed since the last call? */
bool virtq_signal(struct virtq *q) MUST_CHECK;

/** virtq_read(), virtq_write() - copy from the buffers to read, or to those to write, @skip bytes
 * from their start on; returns how many there were. */
size_t virtq_read(const struct virtq_chain *c, uint64_t skip, void *to, size_t len);
size_t virtq_write(const struct virtq_chain *c, uint64_t skip, const void *from, size_t len);

#endif
