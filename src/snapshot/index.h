/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/snapshot/: an open snapshot and its index. */
#ifndef SNAPSHOT_INDEX_H
#define SNAPSHOT_INDEX_H

#include "snapshot/format.h"
#include "snapshot/geometry.h"
#include "snapshot/raw.h"
#include "snapshot/seal.h"

struct leaf {
	uint64_t number;
	uint64_t chunk; /* number of the first */
	uint32_t n;	/* entries */
	struct entry entry[SNAP_LEAF_CHUNKS];
	uint32_t first[SNAP_LEAF_CHUNKS]; /* chunk of the leaf that an entry begins with */
};

struct snap {
	const struct io_src *src;
	struct io_src file; /* of snap_open_file(); its descriptor is closed with the handle */
	struct snap_info info;
	struct snap_manifest manifest;
	struct footer footer;
	struct seal *seal; /* NULL when it is not encrypted */
	struct snap *parent; /* owned; NULL: none, or not at hand */
	struct geometry g;
	struct raw_map raw; /* with info.is_raw */
	struct root root;
	uint8_t *root_frame; /* checked by root_check_() */
	/* Why RAM cannot be read: the layout breaks a rule, the parent is not at hand. Code 0 when it
	 * can. */
	struct err no_ram;

	/* What snap_read_ram() used last. */
	struct snap_reader *reader; /* NULL before the first use */
	uint8_t *chunk;
	uint64_t chunk_number;
	bool chunk_valid;
};

/* 0, or the reason why RAM cannot be read. */
int ram_readable_(const struct snap *s, struct err *e);

/* Every entry: kinds, and that leaves and zero frames follow each other up to the root. */
int root_check_(const struct snap *s, struct err *e);

/* Entry @leaf of a checked root. */
struct entry root_entry_(const struct snap *s, uint64_t leaf);

/* Bytes in the file of a run of chunks of zeros, or of the parent's, beside those of a payload. */
uint64_t run_length_(bool is_raw, enum entry_kind kind, uint64_t bytes);

bool snap_incremental_(const struct snap *s);

/* Where the RAM frames of @leaf begin, in a file that is not raw. */
uint64_t root_span_start_(const struct snap *s, uint64_t leaf);

/* One leaf, digest first, its entries tiling the file from the leaf before. One that is a
 * single run, which has no frame, is made up from the root. @frame: room for LEAF_BYTES_MAX. */
int leaf_read_(const struct snap *s, uint64_t number, uint8_t *frame, struct leaf *out,
	       struct err *e);

/* What holds @chunk, checked and decrypted, until the reader is used again: n 0 for zeros; with
 * @is_plain its bytes, else a frame of zstd. */
struct stored;
int reader_frame_(struct snap_reader *r, uint64_t chunk, struct stored *out, bool *is_plain,
		  struct err *e);

/* The entry that chunk @in_leaf of the leaf belongs to. */
const struct entry *leaf_find_(const struct leaf *l, uint32_t in_leaf);

/* @n bytes at @at, which must have @digest. */
int read_checked_(const struct io_src *src, void *out, size_t n, uint64_t at,
		  const uint8_t digest[static SHA256_BYTES], const char *what, struct err *e);

#endif
