/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/snapshot/: what a chunk looks like in the file. */
#ifndef SNAPSHOT_CHUNK_H
#define SNAPSHOT_CHUNK_H

#include "base/base.h"

/* Most that a chunk of @bytes may take: more than ZSTD_compressBound() gives from 4 KiB to 1 MiB.
 */
#define CHUNK_STORED_MAX(bytes) ((bytes) + (bytes) / 128 + 64)

/* 128 KiB is the largest block of zstd (RFC 8878, section 3.1.1.2.3) and the window that any
 * decoder has room for; a zero frame is a header and one 4-byte RLE block for each of them. */
#define ZERO_BLOCK	(128 * KIB)
#define ZERO_FRAME_HEAD 14
#define ZERO_FRAME_MAX	(ZERO_FRAME_HEAD + 4 * (GIB / ZERO_BLOCK))

/* Length of the frame of zstd that stands for @bytes zeros: 1 byte to 1 GiB. */
size_t zero_frame_length(uint64_t bytes);
void zero_frame_encode(uint64_t bytes, uint8_t *out);

bool chunk_is_zero(const uint8_t *p, size_t n);
/* Where the first byte is that is not zero; @n: nowhere. */
size_t chunk_zeros(const uint8_t *p, size_t n);

struct ZSTD_DCtx_s;

/**
 * chunk_decode() - one chunk from its frame
 * @out: exactly @bytes
 * @at:  of the frame in the file
 *
 * Trust: the digest has been checked, but whoever made the file may have lied about the content.
 * Returns 0 or -ERR_ENCODING: not one frame of zstd that is exactly that long and gives exactly
 * @bytes.
 */
int chunk_decode(struct ZSTD_DCtx_s *zstd, const uint8_t *frame, size_t n, uint64_t at,
		 uint8_t *out, size_t bytes, struct err *e) MUST_CHECK;

#endif
