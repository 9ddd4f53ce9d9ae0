/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: where RAM lies in a file of the encoding raw. Its regions stand there
 * as they are, in payload frames of at most RAW_FRAME_MAX bytes, each behind a frame of padding
 * that makes the payload begin at a multiple of RAW_ALIGN. All of it follows from the layout and
 * from where the manifest ends.
 */
#ifndef SNAPSHOT_RAW_H
#define SNAPSHOT_RAW_H

#include "snapshot/format.h"
#include "snapshot/geometry.h"

#define RAW_ALIGN     (2 * MIB)
#define RAW_FRAME_MAX GIB

struct raw_map {
	uint64_t at[LAYOUT_REGIONS_MAX]; /* in the file, of each region's first byte */
	uint64_t end;			 /* of the last payload frame */
};

/* @start: where the manifest ends. */
void raw_place_(const struct geometry *g, uint64_t start, struct raw_map *out);

/* Where @chunk begins in the file. No chunk lies in two frames. */
uint64_t raw_chunk_(const struct geometry *g, const struct raw_map *m, uint64_t chunk);

/* One payload frame. */
struct raw_piece {
	uint64_t offset, bytes; /* in the stream */
	uint64_t at;		/* of the payload in the file */
	uint32_t part;		/* of the geometry, and where in it */
	uint64_t in;
};

/* The one after @p, or the first after one that is all zero; false when there is none. */
bool raw_next_(const struct geometry *g, const struct raw_map *m, struct raw_piece *p);

#endif
