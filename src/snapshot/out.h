/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/snapshot/: the file as it grows, frame by frame, and the seek table of it. */
#ifndef SNAPSHOT_OUT_H
#define SNAPSHOT_OUT_H

#include "snapshot/seal.h"

#include <stdatomic.h>

struct seek_block;

struct out {
	int fd, flags;	 /* of the descriptor when we got it */
	bool may_block;	 /* a pipe or socket: its reader decides when we go on */
	const atomic_bool *cancel;
	bool direct;	 /* O_DIRECT is set on it */
	bool sparse;	 /* it ends where we are: what is skipped reads as zeros */
	uint64_t at;	 /* bytes put so far */
	uint64_t frames; /* entries of the seek table */
	uint8_t *buf;
	size_t fill;
	struct seek_block *first, *last;
};

/* -ERR_NOMEM. out_fini() whatever comes after. @cancel may be NULL; once true every wait for a reader
 * ends with -ERR_CANCELLED. */
int out_init(struct out *o, int fd, const atomic_bool *cancel, struct err *e);
void out_fini(struct out *o);

/* A whole frame that gives @plain bytes when decompressed; 0 for a skippable one. @place, if not
 * NULL, gets where it went and its digest. */
int out_frame(struct out *o, const void *frame, size_t n, uint32_t plain, struct place *place,
	      struct err *e);
/* As out_frame(), for a caller who has the digest already. */
int out_frame_known(struct out *o, const void *frame, size_t n, uint32_t plain, struct err *e);

/* The head of a skippable frame with @content bytes, which out_bytes() and out_zeros() then put. */
int out_begin(struct out *o, enum frame_magic magic, uint64_t content, struct err *e);
int out_bytes(struct out *o, const void *data, size_t n, struct err *e);
/* Without taking room in the file, where that may be. */
int out_zeros(struct out *o, uint64_t n, struct err *e);

/* Footer and seek table, and everything to the descriptor. @f: all but seek table, frames and file
 * length. @s, @sign: as for footer_close_(). */
int out_finish(struct out *o, struct footer *f, const struct seal *s, const struct secret *sign,
	       uint8_t digest[static SHA256_BYTES], struct err *e);

#endif
