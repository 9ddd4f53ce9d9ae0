/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: chunks that were copied before the guest could change them, until their
 * turn in the file comes. A few are kept as they are; beyond that compressed, the first of them in
 * memory up to a bound, others in a file.
 *
 * Threads: one puts; others take at the same time.
 */
#ifndef SNAPSHOT_HELD_H
#define SNAPSHOT_HELD_H

#include "snapshot/live.h"

/* Kept as they are: what a burst of writes needs. */
#define HELD_PLAIN 64

struct held; /* owned by the caller of held_new() */

/** held_new() - @o: level, memory and spill_fd count, level and memory are given. */
int held_new(struct held **out, const struct geometry *g, const struct snap_live_opts *o,
	     struct err *e) MUST_CHECK;
void held_free(struct held *h);

/** held_put() - a copy of @bytes as chunk @chunk, in place of one that is held; NULL for zeros. */
int held_put(struct held *h, uint64_t chunk, const uint8_t *bytes, struct err *e) MUST_CHECK;

/** held_hurry() - from now on what is put is kept as it is, however much: somebody waits, and
 * nobody else puts. */
void held_hurry(struct held *h);

/** held_settle() - compress one that is kept as it is. False when there is none. */
bool held_settle(struct held *h, int *r, struct err *e);

/** held_take() - chunk @chunk, which was put, into @room; it is forgotten. */
int held_take(struct held *h, uint64_t chunk, uint8_t *room, struct taken *out,
	      struct err *e) MUST_CHECK;

#endif
