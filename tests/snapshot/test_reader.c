/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* RAM of many leaves: 4 KiB chunks, two regions, contents of every kind, whole leaves of zeros. */
#define CHUNK 4096u
static const struct fixture_ram ram[] = {{0, 0x1801000}, {0x100000000, 0x800000}};

static struct fixture f;
static struct buf file;
static struct io_src src;
static struct snap *snap;

static int setup(void **state)
{
	const struct snap_write_opts o = {.chunk_bytes = CHUNK};
	struct err e = ERR_INIT;
	uint64_t seed = 31;

	fixture_init_regions(&f, ram, ARRAY_LEN(ram));
	fixture_text(f.ram.host + 0x3000, 0x40000, &seed);
	fixture_noise(f.ram.host + 0x3fe000, 0x7000, &seed); /* across leaves */
	for (uint64_t at = 0xc00000; at < 0x1400000; at += 0x5000)
		fixture_text(f.ram.host + at, 0x1800, &seed);
	fixture_text(f.ram.host + 0x1800000, 0x3000, &seed); /* across regions */
	f.ram.host[f.ram.size - 1] = 1;
	fixture_save(&f, &o, NULL, &file);
	io_src_mem(&src, file.data, file.len);
	return snap_open(&src, NULL, &snap, &e);
}

static int teardown(void **state)
{
	snap_close(snap);
	buf_free(&file);
	fixture_fini(&f);
	return 0;
}

static bool is_zero(uint64_t chunk)
{
	struct snap_span span = snap_chunk_span(snap, chunk);

	for (uint64_t i = 0; i < span.bytes; i++)
		if (f.ram.host[span.offset + i])
			return false;
	return true;
}

static void chunks_tile_the_stream(void **state)
{
	uint64_t at = 0;

	for (uint64_t c = 0; c < snap_info(snap)->chunks; c++) {
		struct snap_span span = snap_chunk_span(snap, c);
		assert_int_equal(span.offset, at);
		assert_in_range(span.bytes, 1, CHUNK);
		assert_int_equal(snap_chunk_at(snap, at), c);
		assert_int_equal(snap_chunk_at(snap, at + span.bytes - 1), c);
		at += span.bytes;
	}
	assert_int_equal(at, snap_info(snap)->ram_bytes);
}

/* Returns 0 when @chunk is what was saved, or what the reader returned. */
static int check_chunk(struct snap_reader *r, uint64_t chunk, struct err *e)
{
	struct snap_span span = snap_chunk_span(snap, chunk);
	uint8_t *got = malloc(span.bytes); /* exactly, for a sanitizer */
	int failed = snap_reader_chunk(r, chunk, got, e);

	if (!failed && memcmp(got, f.ram.host + span.offset, span.bytes))
		failed = 1;
	free(got);
	return failed;
}

static void chunks_come_in_any_order(void **state)
{
	uint64_t seed = 32, n = snap_info(snap)->chunks;
	struct snap_reader *r;
	struct err e = ERR_INIT;

	assert_int_equal(snap_reader_new(snap, &r, &e), 0);
	for (int i = 0; i < 4000; i++)
		assert_int_equal(check_chunk(r, fixture_random(&seed) % n, &e), 0);
	for (uint64_t c = n; c-- > 0;)
		assert_int_equal(check_chunk(r, c, &e), 0);
	snap_reader_free(r);
	snap_reader_free(NULL); /* harmless */
}

/* The index tells no lies about zeros, and the root only what it knows. */
static void runs_of_zeros_are_told(void **state)
{
	uint64_t n = snap_info(snap)->chunks, whole = 0;
	struct snap_reader *r;
	struct err e = ERR_INIT;

	assert_int_equal(snap_reader_new(snap, &r, &e), 0);
	for (uint64_t c = 0; c < n; c++) {
		uint64_t run, leaf = snap_zeros(snap, c);
		assert_int_equal(snap_reader_zeros(r, c, &run, &e), 0);
		assert_int_equal(run > 0, is_zero(c));
		assert_true(c + run <= n && leaf <= run);
		for (uint64_t i = 0; i < run && i < 40; i++)
			assert_true(is_zero(c + i));
		/* Up to the end of its leaf it is told all of it. */
		if (run && c + run < n && (c + run) % SNAP_LEAF_CHUNKS)
			assert_false(is_zero(c + run));
		if (leaf)
			assert_int_equal((c + leaf) % SNAP_LEAF_CHUNKS && c + leaf < n, 0);
		whole += leaf > 0;
	}
	assert_true(whole >= 2 * SNAP_LEAF_CHUNKS);
	snap_reader_free(r);
}

struct job {
	pthread_t thread;
	uint64_t seed;
	int failed;
};

/* No assertion of cmocka's in a thread. */
static void *read_many(void *arg)
{
	struct job *j = arg;
	struct snap_reader *r;
	uint64_t n = snap_info(snap)->chunks, zeros;

	j->failed = snap_reader_new(snap, &r, NULL);
	for (int i = 0; !j->failed && i < 3000; i++) {
		uint64_t c = fixture_random(&j->seed) % n;
		j->failed = snap_reader_zeros(r, c, &zeros, NULL);
		if (!j->failed)
			j->failed = check_chunk(r, c, NULL);
	}
	if (!j->failed)
		snap_reader_free(r);
	return NULL;
}

static void threads_have_readers_of_their_own(void **state)
{
	struct job job[8];

	for (size_t i = 0; i < ARRAY_LEN(job); i++) {
		job[i] = (struct job){.seed = 33 + i};
		assert_int_equal(pthread_create(&job[i].thread, NULL, read_many, &job[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(job); i++) {
		pthread_join(job[i].thread, NULL);
		assert_int_equal(job[i].failed, 0);
	}
}

/* Wherever a byte is changed: what needs it is refused, all else comes as it was, and never is
 * anything made up. */
static void damage_is_refused_where_it_is(void **state)
{
	uint64_t seed = 34, n = snap_info(snap)->chunks;
	int refused = 0, whole = 0;

	for (int i = 0; i < 150; i++) {
		/* Between manifest and root, which snap_open() has read. */
		uint64_t at = 128 + snap_info(snap)->manifest_bytes + 8 +
			      fixture_random(&seed) % (snap_info(snap)->stored_bytes - 16);
		struct snap_reader *r;
		file.data[at] ^= 0x20;
		assert_int_equal(snap_reader_new(snap, &r, NULL), 0);
		for (int k = 0; k < 40; k++) {
			struct err e = ERR_INIT;
			int failed = check_chunk(r, fixture_random(&seed) % n, &e);
			assert_true(failed == 0 || failed == -ERR_CHECKSUM);
			assert_true(!failed || (e.offset != ERR_NO_OFFSET && e.msg[0]));
			refused += failed != 0;
			whole += failed == 0;
		}
		snap_reader_free(r);
		file.data[at] ^= 0x20;
	}
	assert_true(refused > 0 && whole > 1000);
}

static uint64_t first_of(const char *magic, uint64_t from)
{
	while (memcmp(file.data + from, magic, 4))
		from++;
	return from;
}

static void a_damaged_leaf_and_a_damaged_chunk_are_told(void **state)
{
	uint64_t chunk = first_of("\x28\xb5\x2f\xfd", 0) + 4,
		 leaf = first_of("\x52\x2a\x4d\x18", 0);
	struct snap_reader *r;
	struct err e = ERR_INIT;
	uint64_t zeros;

	file.data[leaf + 40] ^= 1;
	assert_int_equal(snap_reader_new(snap, &r, &e), 0);
	assert_int_equal(snap_reader_zeros(r, 5, &zeros, &e), -ERR_CHECKSUM);
	assert_int_equal(e.offset, leaf);
	assert_int_equal(check_chunk(r, 5, &e), -ERR_CHECKSUM);
	assert_int_equal(check_chunk(r, 3 * SNAP_LEAF_CHUNKS, &e), 0); /* of another */
	/* What was refused was not kept. */
	file.data[leaf + 40] ^= 1;
	assert_int_equal(check_chunk(r, 5, &e), 0);

	/* 3 chunks of zeros in one frame; then a chunk. Leaves that were read stay. */
	chunk = first_of("\x28\xb5\x2f\xfd", chunk);
	file.data[chunk + 30] ^= 1;
	assert_int_equal(check_chunk(r, 3, &e), -ERR_CHECKSUM);
	assert_int_equal(e.offset, chunk);
	assert_int_equal(check_chunk(r, 4, &e), 0);
	file.data[chunk + 30] ^= 1;
	assert_int_equal(check_chunk(r, 3, &e), 0);
	snap_reader_free(r);
}

/* The file is shorter than when it was opened. */
static void a_file_that_was_cut_is_refused(void **state)
{
	uint64_t size = src.size;
	struct snap_reader *r;
	struct err e = ERR_INIT;

	assert_int_equal(snap_reader_new(snap, &r, &e), 0);
	src.size = first_of("\x52\x2a\x4d\x18", 0) + 8;
	assert_int_equal(check_chunk(r, 5, &e), -ERR_TRUNCATED);
	src.size = size;
	assert_int_equal(check_chunk(r, 5, &e), 0);
	src.size = 200;
	assert_int_equal(check_chunk(r, 6, &e), -ERR_TRUNCATED);
	src.size = size;
	assert_int_equal(check_chunk(r, 6, &e), 0);
	snap_reader_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chunks_tile_the_stream),
	    cmocka_unit_test(chunks_come_in_any_order),
	    cmocka_unit_test(runs_of_zeros_are_told),
	    cmocka_unit_test(threads_have_readers_of_their_own),
	    cmocka_unit_test(damage_is_refused_where_it_is),
	    cmocka_unit_test(a_damaged_leaf_and_a_damaged_chunk_are_told),
	    cmocka_unit_test(a_file_that_was_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
