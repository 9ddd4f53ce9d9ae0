/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: codec threads that turn RAM into frames, several chunks at a time and
 * ahead of the one that writes them in order.
 */
#ifndef SNAPSHOT_PACK_H
#define SNAPSHOT_PACK_H

#include "snapshot/format.h"
#include "snapshot/geometry.h"

/* Bytes of RAM in a batch: enough to make locking cheap, little enough to hold several. */
#define PACK_BATCH_BYTES  (512 * KIB)
#define PACK_BATCH_CHUNKS (PACK_BATCH_BYTES / SNAP_CHUNK_MIN)

struct packed {
	uint64_t chunk; /* number of the first */
	uint32_t n;
	uint8_t *data; /* the frames of those that are not zero, back to back */
	struct {
		bool zero;
		uint32_t length;
		uint8_t digest[SHA256_BYTES];
	} item[PACK_BATCH_CHUNKS];
};

struct pack; /* owned by the caller of pack_start() */

int pack_start(struct pack **out, const struct geometry *g, const struct guest_mem *ram,
	       unsigned threads, unsigned level, struct err *e);

/* The next batch in order, valid until the next call. Not after the last. -ERR_NOMEM. */
int pack_next(struct pack *p, const struct packed **out, struct err *e);

/* Ends and joins the threads, wherever they are, and frees all. */
void pack_stop(struct pack *p);

#endif
