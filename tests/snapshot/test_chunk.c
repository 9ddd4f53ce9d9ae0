/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "snapshot/chunk.h"
#include "snapshot/geometry.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>
#include <cmocka.h>

static void zero_frames_are_what_libzstd_reads_as_zeros(void **unused)
{
	static const uint64_t sizes[] = {
	    1, 4095, 4096, 131071, 131072, 131073, MIB, 64 * MIB + 4096, GIB};
	static uint8_t frame[ZERO_FRAME_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = zero_frame_length(sizes[i]);
		assert_in_range(n, 18, ZERO_FRAME_MAX);
		frame[n] = 0xaa;
		zero_frame_encode(sizes[i], frame);
		assert_int_equal(frame[n], 0xaa);
		assert_int_equal(ZSTD_findFrameCompressedSize(frame, n), n);
		assert_int_equal(ZSTD_getFrameContentSize(frame, n), sizes[i]);
		uint8_t *out = mmap(NULL, sizes[i], PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_ptr_not_equal(out, MAP_FAILED);
		out[0] = out[sizes[i] - 1] = 1;
		assert_int_equal(ZSTD_decompress(out, sizes[i], frame, n), sizes[i]);
		assert_true(chunk_is_zero(out, sizes[i]));
		munmap(out, sizes[i]);
	}
	assert_int_equal(zero_frame_length(GIB), ZERO_FRAME_MAX);
}

static void one_bit_anywhere_is_not_zero(void **unused)
{
	/* Every length and place around the 128 bytes of a round, at every alignment. */
	for (size_t n = 0; n < 300; n++) {
		uint8_t *p = calloc(1, n ? n : 1);
		assert_true(chunk_is_zero(p, n));
		for (size_t i = 0; i < n; i++) {
			p[i] = 0x80;
			assert_false(chunk_is_zero(p, n));
			assert_false(chunk_is_zero(p + i, n - i));
			assert_true(chunk_is_zero(p + i + 1, n - i - 1));
			p[i] = 0;
		}
		free(p);
	}
}

static void chunks_tile_the_stream_and_never_cross_a_region(void **unused)
{
	static const struct fixture_ram ram[] = {
	    {0, 0x1000}, {0x2000, 0x11000}, {0x20000, 0x10000}, {0x100000000, 0x7fff000}};
	struct geometry g;
	struct fixture f;
	struct err e = ERR_INIT;

	fixture_init_regions(&f, ram, ARRAY_LEN(ram));
	for (uint32_t chunk = SNAP_CHUNK_MIN; chunk <= SNAP_CHUNK_MAX; chunk *= 2) {
		uint64_t at = 0, end = 0;
		size_t r = 0;
		assert_int_equal(geometry_init(&g, &f.layout, chunk, &e), 0);
		assert_true(geometry_fits(&g, &f.ram));
		for (uint64_t i = 0; i < g.chunks; i++) {
			struct snap_span s = geometry_chunk(&g, i);
			if (at == end)
				end += ram[r++].size;
			assert_int_equal(s.offset, at);
			assert_int_equal(s.bytes, end - at < chunk ? end - at : chunk);
			assert_int_equal(geometry_find(&g, at), i);
			assert_int_equal(geometry_find(&g, at + s.bytes - 1), i);
			at += s.bytes;
			assert_int_equal(geometry_bytes(&g, 0, i + 1), at);
		}
		assert_int_equal(at, f.ram.size);
		assert_int_equal(g.leaves, (g.chunks + 1023) / 1024);
	}
	assert_int_equal(geometry_init(&g, &f.layout, 2048, &e), -ERR_RANGE);
	assert_int_equal(geometry_init(&g, &f.layout, 65535, &e), -ERR_RANGE);
	assert_int_equal(geometry_init(&g, &f.layout, 2 * MIB, &e), -ERR_RANGE);
	fixture_fini(&f);
}

static void what_does_not_compress_fits_its_bound(void **unused)
{
	uint64_t seed = 31;

	for (size_t n = SNAP_CHUNK_MIN; n <= SNAP_CHUNK_MAX; n *= 2) {
		assert_true(ZSTD_compressBound(n) <= CHUNK_STORED_MAX(n));
		uint8_t *in = malloc(n), *frame = malloc(CHUNK_STORED_MAX(n)), *out = malloc(n);
		fixture_noise(in, n, &seed);
		size_t stored = ZSTD_compress(frame, CHUNK_STORED_MAX(n), in, n, 1);
		assert_false(ZSTD_isError(stored));
		ZSTD_DCtx *zstd = ZSTD_createDCtx();
		struct err e = ERR_INIT;
		assert_int_equal(chunk_decode(zstd, frame, stored, 0, out, n, &e), 0);
		assert_memory_equal(in, out, n);
		assert_int_equal(chunk_decode(zstd, frame, stored - 1, 5, out, n, &e),
				 -ERR_ENCODING);
		assert_int_equal(e.offset, 5);
		assert_int_equal(chunk_decode(zstd, frame, stored, 0, out, n - 1, &e),
				 -ERR_ENCODING);
		ZSTD_freeDCtx(zstd);
		free(in);
		free(frame);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zero_frames_are_what_libzstd_reads_as_zeros),
	    cmocka_unit_test(one_bit_anywhere_is_not_zero),
	    cmocka_unit_test(chunks_tile_the_stream_and_never_cross_a_region),
	    cmocka_unit_test(what_does_not_compress_fits_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
