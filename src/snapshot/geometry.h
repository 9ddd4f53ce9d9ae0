/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/snapshot/: how the RAM stream is cut into chunks and the chunks into leaves. */
#ifndef SNAPSHOT_GEOMETRY_H
#define SNAPSHOT_GEOMETRY_H

#include "snapshot/snapshot.h"

/* The backed regions in stream order. Chunks never cross a region, so they are numbered by region.
 */
struct geometry {
	uint32_t chunk_bytes;
	uint32_t stored_max; /* bytes in the file for a chunk, at most */
	uint32_t n;
	uint64_t bytes, chunks, leaves;
	struct {
		uint64_t offset, bytes; /* in the stream */
		uint64_t chunk;		/* number of its first chunk */
	} part[LAYOUT_REGIONS_MAX];
};

/* @l has passed layout_check(). -ERR_RANGE for a chunk size that is none, -ERR_STRUCTURE for no
 * RAM. */
int geometry_init(struct geometry *g, const struct layout *l, uint32_t chunk_bytes, struct err *e);

/* @chunk < g->chunks. */
struct snap_span geometry_chunk(const struct geometry *g, uint64_t chunk);

/* The chunk that holds byte @offset of the stream, below g->bytes. */
uint64_t geometry_find(const struct geometry *g, uint64_t offset);

/* Chunks of leaf number @leaf < g->leaves: SNAP_LEAF_CHUNKS, but for the last. */
static inline uint32_t geometry_leaf_chunks(const struct geometry *g, uint64_t leaf)
{
	uint64_t left = g->chunks - leaf * SNAP_LEAF_CHUNKS;

	return left < SNAP_LEAF_CHUNKS ? (uint32_t)left : SNAP_LEAF_CHUNKS;
}

/* Bytes of the @n > 0 chunks from @chunk on. */
uint64_t geometry_bytes(const struct geometry *g, uint64_t chunk, uint64_t n);

/* Is RAM cut alike? */
bool geometry_same(const struct geometry *a, const struct geometry *b);

/* False when guest memory is not what the layout says. */
bool geometry_fits(const struct geometry *g, const struct guest_mem *ram);

#endif
