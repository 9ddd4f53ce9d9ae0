/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static const struct fixture_ram odd[] = {
    {0, 0x25000}, {0x200000, 0x1000}, {0x100000000, 0x13000}, {0x180000000, 0x20000}};

static void check(struct fixture *f, const struct snap_write_opts *o)
{
	struct buf file;

	fixture_save(f, o, NULL, &file);
	for (unsigned threads = 1; threads <= 4; threads++)
		fixture_compare(f, &file, threads);
	buf_free(&file);
}

static void every_kind_of_contents_comes_back(void **unused)
{
	uint64_t seed = 1;

	for (int kind = 0; kind < 5; kind++) {
		struct fixture f;
		fixture_init(&f, 8 * MIB);
		uint8_t *p = f.ram.host;
		if (kind == 1) /* all of it */
			fixture_text(p, f.ram.size, &seed);
		if (kind == 2) /* nothing to gain */
			fixture_noise(p, f.ram.size, &seed);
		if (kind == 3) /* one byte, at the very end */
			p[f.ram.size - 1] = 0x5a;
		if (kind == 4) /* a chunk here and there */
			for (int i = 0; i < 30; i++)
				fixture_text(p + fixture_random(&seed) % (f.ram.size - 5000), 5000,
					     &seed);
		check(&f, NULL);
		fixture_fini(&f);
	}
}

static void chunks_of_every_size_and_short_ones_come_back(void **unused)
{
	uint64_t seed = 2;

	for (uint32_t chunk = SNAP_CHUNK_MIN; chunk <= SNAP_CHUNK_MAX; chunk *= 2) {
		struct fixture f;
		struct snap_write_opts o = {.chunk_bytes = chunk,
					    .threads = 1 + chunk / 4096 % 4,
					    .level = 1 + chunk / 4096 % 7};
		fixture_init_regions(&f, odd, ARRAY_LEN(odd));
		/* zeros across the second region, whose chunks are all short */
		fixture_text(f.ram.host, 0x21000, &seed);
		fixture_noise(f.ram.host + 0x2b000, 0x9000, &seed);
		f.ram.host[f.ram.size - 1] = 1;
		check(&f, &o);
		fixture_fini(&f);
	}
}

static blkcnt_t blocks(const struct fixture *f)
{
	struct stat sb;

	assert_int_equal(fstat(f->ram.fd, &sb), 0);
	return sb.st_blocks;
}

static void two_slots_above_4_gib_cost_what_is_in_them(void **unused)
{
	struct snap_stats st;
	struct fixture f;
	struct buf file;
	uint64_t seed = 3;

	fixture_init(&f, 6 * GIB);
	assert_int_equal(f.ram.slot_n, 2);
	fixture_text(f.ram.host + 3 * GIB, 300000, &seed);
	fixture_noise(f.ram.host + f.ram.slot[1].offset - 4096, 8192, &seed); /* across the slots */
	fixture_text(f.ram.host + 5 * GIB + 12345, 99999, &seed);
	f.ram.host[f.ram.size - 1] = 7;
	fixture_save(&f, NULL, &st, &file);
	/* 4 bytes for 128 KiB of zeros, a leaf for each of 5 spans with data, root and seek table
	 */
	assert_true(st.file_bytes < 900 * KIB);
	assert_int_equal(st.zero_chunks + st.zstd_chunks, 6 * GIB / SNAP_CHUNK_DEFAULT);
	fixture_compare(&f, &file, 2);
	buf_free(&file);
	/* Saving and comparing filled no hole. */
	assert_true((uint64_t)blocks(&f) * 512 < 2 * MIB);
	fixture_fini(&f);
}

/* By one codec thread, and by four as often as @times. */
static void same_bytes(struct fixture *f, unsigned times)
{
	struct snap_write_opts o = {.threads = 1};
	struct buf one, other;

	fixture_save(f, &o, NULL, &one);
	o.threads = 4;
	for (unsigned i = 0; i < times; i++) {
		fixture_save(f, &o, NULL, &other);
		assert_int_equal(one.len, other.len);
		assert_memory_equal(one.data, other.data, one.len);
		buf_free(&other);
	}
	buf_free(&one);
}

static void the_same_machine_gives_the_same_bytes(void **unused)
{
	struct fixture f;
	uint64_t seed = 4;

	fixture_init(&f, 16 * MIB);
	fixture_text(f.ram.host + MIB, 9 * MIB, &seed);
	same_bytes(&f, 1);
	fixture_fini(&f);
}

/* No chunk that is one: also among those of a batch that have something. */
static void no_hole_is_filled_by_saving(void **unused)
{
	struct fixture f;
	struct buf file;

	fixture_init(&f, 64 * MIB);
	for (uint64_t at = MIB; at < f.ram.size; at += 5 * SNAP_CHUNK_DEFAULT)
		memset(f.ram.host + at, 1, SNAP_CHUNK_DEFAULT);
	blkcnt_t before = blocks(&f);
	fixture_save(&f, NULL, NULL, &file);
	assert_int_equal(blocks(&f), before);
	buf_free(&file);
	fixture_fini(&f);
}

/* A run is with the writer as soon as it is taken; what is taken next may be in its place. */
static void runs_among_batches_come_in_order(void **unused)
{
	struct fixture f;
	uint64_t seed = 6;

	fixture_init(&f, 256 * MIB);
	for (uint64_t at = 0; at < f.ram.size; at += MIB)
		fixture_text(f.ram.host + at, 4096, &seed);
	same_bytes(&f, 20);
	fixture_fini(&f);
}

static void pieces_are_read_where_they_are(void **unused)
{
	struct err e = ERR_INIT;
	struct fixture f;
	struct io_src src;
	struct snap *s;
	struct buf file;
	uint64_t seed = 5;
	static uint8_t got[400000];

	fixture_init_regions(&f, odd, ARRAY_LEN(odd));
	fixture_text(f.ram.host, 0x1f000, &seed);
	fixture_noise(f.ram.host + 0x28000, 0x4000, &seed);
	struct snap_write_opts o = {.chunk_bytes = 16384};
	fixture_save(&f, &o, NULL, &file);
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, NULL, &s, &e), 0);
	for (int i = 0; i < 2000; i++) {
		uint64_t at = fixture_random(&seed) % (f.ram.size + 1);
		size_t n = fixture_random(&seed) % (i % 2 ? 100 : f.ram.size - at + 1);
		int r = snap_read_ram(s, at, got, n, &e);
		if (n > f.ram.size - at) {
			assert_int_equal(r, -ERR_RANGE);
			continue;
		}
		assert_int_equal(r, 0);
		assert_memory_equal(got, f.ram.host + at, n);
	}
	assert_int_equal(snap_read_ram(s, UINT64_MAX, got, 2, &e), -ERR_RANGE);
	assert_int_equal(snap_read_ram(s, f.ram.size, got, 0, &e), 0);
	snap_close(s);
	buf_free(&file);
	fixture_fini(&f);
}

struct seen {
	uint64_t last, total;
	int calls;
};

static void see(void *arg, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	assert_true(done >= s->last && done <= total);
	s->last = done;
	s->total = total;
	s->calls++;
}

static void progress_ends_at_the_total(void **unused)
{
	struct seen saved = {0}, loaded = {0};
	struct err e = ERR_INIT;
	struct io_src src;
	struct fixture f;
	struct snap *s;
	struct buf file;

	fixture_init(&f, 16 * MIB);
	for (uint64_t at = 0; at < f.ram.size; at += MIB)
		f.ram.host[at] = 1;
	struct snap_write_opts o = {.progress = {.fn = see, .arg = &saved}};
	fixture_save(&f, &o, NULL, &file);
	assert_int_equal(saved.last, 16 * MIB);
	assert_int_equal(saved.total, 16 * MIB);
	assert_true(saved.calls > 10);
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, NULL, &s, &e), 0);
	struct snap_load_opts lo = {.threads = 1, .progress = {.fn = see, .arg = &loaded}};
	assert_int_equal(snap_verify(s, &lo, &e), 0);
	assert_int_equal(loaded.last, 16 * MIB);
	snap_close(s);
	buf_free(&file);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_of_contents_comes_back),
	    cmocka_unit_test(chunks_of_every_size_and_short_ones_come_back),
	    cmocka_unit_test(two_slots_above_4_gib_cost_what_is_in_them),
	    cmocka_unit_test(the_same_machine_gives_the_same_bytes),
	    cmocka_unit_test(no_hole_is_filled_by_saving),
	    cmocka_unit_test(runs_among_batches_come_in_order),
	    cmocka_unit_test(pieces_are_read_where_they_are),
	    cmocka_unit_test(progress_ends_at_the_total),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
