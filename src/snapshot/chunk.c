/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/chunk.h"

#include <string.h>
#include <zstd.h>

size_t zero_frame_length(uint64_t bytes)
{
	return ZERO_FRAME_HEAD + 4 * ((bytes + ZERO_BLOCK - 1) / ZERO_BLOCK);
}

void zero_frame_encode(uint64_t bytes, uint8_t *out)
{
	num_put_le32(out, ZSTD_MAGICNUMBER);
	out[4] = 3 << 6;	 /* 8 bytes of content size, a window descriptor */
	out[5] = (17 - 10) << 3; /* window of 2^17 bytes */
	num_put_le64(out + 6, bytes);
	for (out += ZERO_FRAME_HEAD; bytes; out += 4) {
		uint64_t n = bytes < ZERO_BLOCK ? bytes : ZERO_BLOCK;
		bytes -= n;
		/* last block (bit 0), RLE (bits 1 and 2), regenerated size, the byte */
		num_put_le32(out, (uint32_t)(n << 3 | 1 << 1 | (bytes ? 0 : 1)));
	}
}

/* A cache line pair a round. Memory is the bound: with SSE2, with AVX2 and by memcmp() it was the
 * same within the noise of the machine, so there is no dispatch by CPU. */
typedef uint64_t vec __attribute__((vector_size(32), aligned(1), may_alias));

size_t chunk_zeros(const uint8_t *p, size_t n)
{
	size_t i = chunk_is_zero(p, n) ? n : 0;

	while (i < n && !p[i])
		i++;
	return i;
}

bool chunk_is_zero(const uint8_t *p, size_t n)
{
	size_t i = 0;

	for (; i + 4 * sizeof(vec) <= n; i += 4 * sizeof(vec)) {
		const vec *v = (const vec *)(const void *)(p + i);
		vec any = v[0] | v[1] | v[2] | v[3];
		if (any[0] | any[1] | any[2] | any[3])
			return false;
	}
	for (; i < n; i++)
		if (p[i])
			return false;
	return true;
}

int chunk_decode(struct ZSTD_DCtx_s *zstd, const uint8_t *frame, size_t n, uint64_t at,
		 uint8_t *out, size_t bytes, struct err *e)
{
	/* ZSTD_decompressDCtx() would take several frames, and skippable ones. */
	if (n < 4 || num_le32(frame) != ZSTD_MAGICNUMBER)
		return err_at(e, ERR_ENCODING, at, "not a frame of zstd");
	if (ZSTD_getFrameContentSize(frame, n) != bytes)
		return err_at(e, ERR_ENCODING, at, "frame does not say that it holds %zu bytes",
			      bytes);
	if (ZSTD_findFrameCompressedSize(frame, n) != n)
		return err_at(e, ERR_ENCODING, at, "frame does not end where it should");
	size_t got = ZSTD_decompressDCtx(zstd, out, bytes, frame, n);
	if (ZSTD_isError(got))
		return err_at(e, ERR_ENCODING, at, "zstd: %s", ZSTD_getErrorName(got));
	if (got != bytes)
		return err_at(e, ERR_ENCODING, at, "frame holds %zu bytes, not %zu", got, bytes);
	return 0;
}
