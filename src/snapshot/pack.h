/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: codec threads that turn RAM into frames, several chunks at a time and
 * ahead of the one that writes them in order.
 */
#ifndef SNAPSHOT_PACK_H
#define SNAPSHOT_PACK_H

#include "snapshot/format.h"
#include "snapshot/geometry.h"
#include "snapshot/seal.h"

/* Bytes of RAM in a batch: enough to make locking cheap, little enough to hold several. */
#define PACK_BATCH_BYTES  (512 * KIB)
#define PACK_BATCH_CHUNKS (PACK_BATCH_BYTES / SNAP_CHUNK_MIN)

struct packed {
	uint64_t chunk, n; /* number of the first, and how many */
	bool is_run;	   /* any number of one kind, and no items */
	enum entry_kind run; /* ENTRY_ZERO: never written to, or unused; ENTRY_PARENT: not since */
	uint8_t *data;	     /* the frames (or bytes) of those that are not zero, back to back */
	struct {
		bool zero;
		uint32_t length;
		uint8_t digest[SHA256_BYTES];
	} item[PACK_BATCH_CHUNKS];
};

struct pack; /* owned by the caller of pack_start() */

struct pack_setup {
	const struct geometry *g;
	/* Where the bytes come from: memory that stands still; what a live capture has of it; or
	 * another snapshot. */
	const struct guest_mem *ram; /* NULL with @from */
	struct snap_live *live;
	const struct snap *from;
	/* Pages; a chunk with none of them is the parent's. NULL: no parent. */
	const uint64_t *changed;
	const uint64_t *unused; /* as in snap_write_opts */
	const struct seal *seal; /* NULL when the file is not encrypted */
	bool raw;		 /* chunks as they are */
	unsigned threads, level;
};

/* What @s points to is borrowed. */
int pack_start(struct pack **out, const struct pack_setup *s, struct err *e);

/* The next batch in order, valid until the next call. Not after the last. -ERR_NOMEM, or what
 * live_take_() or reader_frame_() returns. */
int pack_next(struct pack *p, const struct packed **out, struct err *e);

/* Ends and joins the threads, wherever they are, and frees all. */
void pack_stop(struct pack *p);

#endif
