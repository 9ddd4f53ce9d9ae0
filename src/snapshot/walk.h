/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: the frames of a file in order, a piece at a time. Besides handing out
 * RAM it checks what only a full walk can: that the seek table names exactly these frames, and the
 * root's counts.
 */
#ifndef SNAPSHOT_WALK_H
#define SNAPSHOT_WALK_H

#include "snapshot/index.h"

#define PIECE_BYTES  (512 * KIB)
#define PIECE_FRAMES (PIECE_BYTES / SNAP_CHUNK_MIN)

/* Some frames of one leaf, back to back; of a raw file some entries, each with a place of its own.
 */
struct piece {
	uint64_t chunk, chunks;	 /* number of the first, and how many in all */
	uint64_t offset, length; /* of the frames, at most piece_bytes_max(); 0 in a raw file */
	uint32_t n;
	struct entry entry[PIECE_FRAMES];
};

size_t piece_bytes_max(const struct geometry *g);

struct walk {
	const struct snap *s;
	struct leaf *leaf;
	uint8_t *frame; /* of a leaf */
	uint64_t next_leaf;
	uint32_t in_leaf; /* entries of the leaf handed out */
	struct root count;
	uint64_t table_at; /* next byte of the seek table to compare, in the file */
	uint8_t *table;	   /* a part of it */
	uint32_t table_fill, table_used;
};

/* Checks the digest of the seek table. walk_fini() whatever it returns. */
int walk_start(struct walk *w, const struct snap *s, struct err *e);
void walk_fini(struct walk *w);

/* @more is false when there was nothing left, and all of the file's structure has been checked. */
int walk_next(struct walk *w, struct piece *out, bool *more, struct err *e);

#endif
