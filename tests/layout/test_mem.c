/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define LOW_END	 0xd0000000ull
#define HIGH	 0x100000000ull
#define HIGH_END (HIGH + 0x130000000ull) /* of 8 GiB */

static struct guest_mem m;

static int setup(void **state)
{
	struct layout_params p;
	struct layout l;
	struct err e = ERR_INIT;

	layout_params_init(&p, 8 * GIB);
	int r = layout_build(layout_def_find("x86_64/linux@1"), &p, &l, &e);
	return r ? r : mem_init(&m, &l, &e);
}

static int teardown(void **state)
{
	mem_fini(&m);
	mem_fini(&m); /* harmless */
	return 0;
}

/* Where [@at, @at+@len) lies in the mapping, -1 for nowhere. */
static int64_t where(uint64_t at, uint64_t len)
{
	const uint8_t *ro = mem_ro(&m, gpa(at), len), *rw = mem_rw(&m, gpa(at), len);

	assert_ptr_equal(ro, rw);
	return ro ? ro - m.host : -1;
}

static void slots_are_back_to_back(void **state)
{
	assert_int_equal(m.slot_n, 2);
	assert_int_equal(m.size, 8 * GIB);
	assert_int_equal(m.slot[0].start.v, 0);
	assert_int_equal(m.slot[0].size, LOW_END);
	assert_int_equal(m.slot[1].start.v, HIGH);
	assert_int_equal(m.slot[1].offset, LOW_END);
}

static void translation_at_the_edges(void **state)
{
	assert_int_equal(where(0, 1), 0);
	assert_int_equal(where(0, LOW_END), 0);
	assert_int_equal(where(0, LOW_END + 1), -1);
	assert_int_equal(where(LOW_END - 1, 1), LOW_END - 1);
	assert_int_equal(where(LOW_END - 1, 2), -1);
	assert_int_equal(where(LOW_END, 1), -1);
	assert_int_equal(where(HIGH - 1, 1), -1);
	assert_int_equal(where(HIGH - 1, 2), -1);
	assert_int_equal(where(LOW_END - 1, HIGH - LOW_END + 2), -1); /* over the hole */
	assert_int_equal(where(HIGH, 1), LOW_END);
	assert_int_equal(where(HIGH, HIGH_END - HIGH), LOW_END);
	assert_int_equal(where(HIGH_END - 8, 8), 8 * GIB - 8);
	assert_int_equal(where(HIGH_END - 8, 9), -1);
	assert_int_equal(where(HIGH_END, 1), -1);
	assert_int_equal(where(HIGH_END, 0), -1);
}

static void hostile_ranges_are_nowhere(void **state)
{
	assert_int_equal(where(0, UINT64_MAX), -1);
	assert_int_equal(where(1, UINT64_MAX), -1);
	assert_int_equal(where(UINT64_MAX, 1), -1);
	assert_int_equal(where(UINT64_MAX, UINT64_MAX), -1);
	assert_int_equal(where(HIGH, UINT64_MAX - HIGH + 2), -1); /* ends at 1 */
	assert_int_equal(where(1ull << 63, 1), -1);
	assert_int_equal(where((1ull << 32) * 7, 1), -1);
	/* Nothing, but somewhere. */
	assert_int_equal(where(0x1000, 0), 0x1000);
	assert_int_equal(where(LOW_END, 0), -1);
}

static void memory_is_one_and_sparse(void **state)
{
	static const uint64_t places[] = {0,	0x1000,	       LOW_END - 8,
					  HIGH, HIGH + 0x1000, HIGH_END - 8};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		assert_true(mem_read(&m, gpa(places[i]), &v, 8));
		assert_int_equal(v, 0);
		v = 0x1111111111111111 * (i + 1);
		assert_true(mem_write(&m, gpa(places[i]), &v, 8));
	}
	/* Each for itself: nothing above 4 GiB shines through below. */
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		assert_true(mem_read(&m, gpa(places[i]), &v, 8));
		assert_true(v == 0x1111111111111111 * (i + 1));
		assert_int_equal(pread(m.fd, &v, 8, where(places[i], 8)), 8);
		assert_true(v == 0x1111111111111111 * (i + 1));
	}
	assert_false(mem_write(&m, gpa(LOW_END - 4), &v, 8));
	assert_true(mem_read(&m, gpa(LOW_END - 8), &v, 8));
	assert_true(v == 0x3333333333333333); /* untouched by the refused write */
	v = 42;
	assert_false(mem_read(&m, gpa(HIGH - 4), &v, 8));
	assert_int_equal(v, 42);
}

static void what_is_filled_is_where_it_belongs(void **state)
{
	struct err e = ERR_INIT;
	uint64_t high = LOW_END + 5 * MIB; /* of the mapping */
	uint8_t page[8192];
	struct stat st;

	memset(page, 7, sizeof page);
	assert_true(mem_is_file(&m));
	assert_int_equal(mem_fill(&m, high, page, sizeof page, &e), 0);
	assert_memory_equal(mem_ro(&m, gpa(HIGH + 5 * MIB), sizeof page), page, sizeof page);
	assert_int_equal(fstat(m.fd, &st), 0);
	assert_int_equal(st.st_blocks * 512, sizeof page);
	/* A host without any is told of; where memory is mapped it ends the process. */
	struct guest_mem full = m;
	full.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(mem_fill(&full, high, page, sizeof page, &e), -ERR_NOMEM);
	close(full.fd);
}

static void neighbours_count_as_one(void **state)
{
	struct layout l;
	struct guest_mem split;
	struct err e = ERR_INIT;
	static const struct {
		enum region_kind kind;
		uint64_t start, size;
	} rows[] = {
	    {REGION_RAM, 0, 0xa0000},
	    {REGION_RESERVED_RAM, 0xa0000, 0x60000},
	    {REGION_RAM, 0x100000, 0x100000},
	    {REGION_WINDOW, 0x200000, 0x100000}, /* nothing behind it */
	    {REGION_FIRMWARE, 0x300000, 0x10000},
	};

	state_defaults(&layout_desc, &l);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct layout_region *r = &l.region[l.region_n++];
		state_defaults(&layout_region_desc, r);
		r->name[0] = (char)('a' + i);
		r->kind = rows[i].kind;
		r->start = rows[i].start;
		r->size = rows[i].size;
	}
	l.params.ram_bytes = 0x1a0000;
	assert_int_equal(layout_check(&l, &e), 0);
	assert_int_equal(mem_init(&split, &l, &e), 0);
	assert_int_equal(split.slot_n, 4);
	assert_int_equal(split.size, 0x210000);

	uint8_t *base = mem_rw(&split, gpa(0), 0x200000); /* over all three */
	assert_non_null(base);
	assert_ptr_equal(mem_ro(&split, gpa(0x9fffe), 4), base + 0x9fffe);
	assert_ptr_equal(mem_ro(&split, gpa(0xffffc), 8), base + 0xffffc);
	assert_null(mem_ro(&split, gpa(0), 0x200001));
	memset(base, 0xaa, 0x200000);
	assert_false(mem_discard(&split, gpa(0x9f000), 0x161001));
	assert_true(mem_discard(&split, gpa(0x9f000), 0x62000));
	assert_int_equal(base[0x9efff], 0xaa);
	assert_int_equal(base[0x101000], 0xaa);
	for (uint64_t i = 0x9f000; i < 0x101000; i += 512)
		assert_int_equal(base[i], 0);
	assert_null(mem_ro(&split, gpa(0x1ffffc), 8));
	assert_null(mem_ro(&split, gpa(0x2ffffc), 8));
	assert_ptr_equal(mem_ro(&split, gpa(0x300000), 0x10000), base + 0x200000);
	assert_null(mem_ro(&split, gpa(0x300000), 0x10001));
	mem_fini(&split);
}

static bool is(uint64_t at, uint64_t bytes, uint8_t value)
{
	const uint8_t *p = mem_ro(&m, gpa(at), bytes);

	for (uint64_t i = 0; i < bytes; i++)
		if (p[i] != value)
			return false;
	return true;
}

static void what_is_discarded_is_zero_and_takes_no_room(void **state)
{
	const uint64_t page = m.page_bytes, at = LOW_END - 8 * page;
	struct stat before, after;

	memset(mem_rw(&m, gpa(at), 8 * page), 0xaa, 8 * page);
	assert_int_equal(fstat(m.fd, &before), 0);
	assert_true(mem_discard(&m, gpa(at + page), 2 * page));
	assert_int_equal(fstat(m.fd, &after), 0);
	assert_int_equal((uint64_t)(before.st_blocks - after.st_blocks) * 512, 2 * page);
	assert_int_equal(after.st_size, before.st_size);
	assert_true(is(at, page, 0xaa) && is(at + 3 * page, 5 * page, 0xaa));
	assert_true(is(at + page, 2 * page, 0));
	/* What is less than a page at its ends, or alone. */
	assert_true(mem_discard(&m, gpa(at + 4 * page - 8), page + 16));
	assert_true(is(at + 4 * page - 16, 8, 0xaa) && is(at + 5 * page + 8, 8, 0xaa));
	assert_true(is(at + 4 * page - 8, page + 16, 0));
	assert_true(mem_discard(&m, gpa(at + 6 * page + 8), 8));
	assert_true(is(at + 6 * page, 8, 0xaa) && is(at + 6 * page + 16, 8, 0xaa));
	assert_true(is(at + 6 * page + 8, 8, 0));
	assert_true(mem_discard(&m, gpa(at + 7 * page), 0));
	m.keep = true;
	assert_true(mem_discard(&m, gpa(at + 7 * page), page));
	m.keep = false;
	assert_true(is(at + 7 * page, page, 0xaa));
	/* Nothing of a range that is not all there. */
	assert_false(mem_discard(&m, gpa(at + 7 * page), page + 1));
	assert_false(mem_discard(&m, gpa(at + 7 * page), UINT64_MAX));
	assert_false(mem_discard(&m, gpa(UINT64_MAX), 2));
	assert_false(mem_discard(&m, gpa(LOW_END), page));
	assert_true(is(at + 7 * page, page, 0xaa));
	memset(mem_rw(&m, gpa(HIGH), page), 0xaa, page);
	assert_true(mem_discard(&m, gpa(HIGH), page));
	assert_true(is(HIGH, page, 0) && is(at, page, 0xaa));
}

/* In huge pages the same, wherever the regions lie; skipped without them, unless they are promised. */
static void huge_pages_are_where_the_guest_has_them(void **state)
{
	static const struct {
		const char *id, *largest;
		uint64_t ram, head;
	} cases[] = {
	    {"x86_64/linux@2", "RAM_ABOVE_1M", 8 * MIB, 0},
	    /* Two small regions come first, 0x11000 bytes together. */
	    {"aarch64/linux@2", "AARCH64_PHYS_MEM_START", 8 * MIB, 0x200000 - 0x11000},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct layout_params p;
		struct layout l;
		struct guest_mem huge;
		struct err e = ERR_INIT;
		uint64_t v = 0x1122334455667788;
		layout_params_init(&p, cases[i].ram);
		p.gic_version = 3;
		const struct layout_def *def = layout_def_find(cases[i].id);
		layout_params_fit(def, &p);
		if (layout_build(def, &p, &l, &e))
			fail_msg("%s: %s", cases[i].id, e.msg);
		int r = mem_init_huge(&huge, &l, &e);
		if (r && !getenv("VMM_TEST_HUGEPAGES")) {
			print_message("skipped: %s\n", e.msg);
			skip();
		}
		assert_int_equal(r, 0);
		assert_int_equal(huge.page_bytes, MEM_HUGE_BYTES);
		assert_int_equal(huge.head_bytes, cases[i].head);
		assert_int_equal(huge.file_bytes % MEM_HUGE_BYTES, 0);
		assert_true(huge.file_bytes - huge.size < 2 * MEM_HUGE_BYTES);
		struct gpa at = gpa(layout_find(&l, cases[i].largest)->start);
		uintptr_t ram = (uintptr_t)mem_ro(&huge, at, 1);
		assert_int_equal(ram % MEM_HUGE_BYTES, at.v % MEM_HUGE_BYTES);
		/* The last byte of each region, through mapping and file. */
		for (uint32_t s = 0; s < huge.slot_n; s++) {
			struct gpa end = gpa_add(huge.slot[s].start, huge.slot[s].size - 8);
			uint64_t found;
			assert_true(mem_write(&huge, end, &v, 8));
			uint64_t offset = huge.slot[s].offset + huge.slot[s].size - 8;
			assert_int_equal(pread(huge.fd, &found, 8, (off_t)(offset + huge.head_bytes)), 8);
			assert_int_equal(found, v);
		}
		assert_null(mem_ro(&huge, gpa_add(at, cases[i].ram), 1));
		/* Emptied, not given away. */
		struct stat before, after;
		assert_int_equal(fstat(huge.fd, &before), 0);
		memset(mem_rw(&huge, at, MEM_HUGE_BYTES), 0xaa, MEM_HUGE_BYTES);
		assert_true(mem_discard(&huge, at, MEM_HUGE_BYTES));
		assert_int_equal(fstat(huge.fd, &after), 0);
		assert_int_equal(before.st_blocks, after.st_blocks);
		assert_true(mem_read(&huge, gpa_add(at, MEM_HUGE_BYTES - 8), &v, 8) && !v);
		mem_fini(&huge);
	}
}

/* Which pages are in what was taken, in order; at most @max. */
static unsigned taken(uint64_t *pages, unsigned max)
{
	uint64_t n = mem_track_words(m.size);
	uint64_t *bits = calloc(n, sizeof *bits);
	unsigned found = 0;

	mem_take_dirty(&m, bits);
	for (uint64_t i = 0; i < n * 64; i++)
		if (bits[i / 64] >> i % 64 & 1) {
			assert_true(found < max);
			pages[found++] = i;
		}
	free(bits);
	return found;
}

static void writes_are_known_once_somebody_asks(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), got[8], v = 1;

	/* Before: harmless. */
	assert_true(mem_write(&m, gpa(0x5000), &v, 8));
	mem_mark(&m, 0, 1);
	uint64_t *all = malloc(mem_track_words(m.size) * sizeof *all);
	memset(all, 0xff, mem_track_words(m.size) * sizeof *all);
	mem_mark_pages(&m, all);
	free(all);
	assert_int_equal(mem_track(&m, NULL), 0);
	assert_int_equal(taken(got, 8), 0);
	assert_true(mem_write(&m, gpa(5 * page + 7), &v, 8));
	assert_non_null(mem_rw(&m, gpa(LOW_END - 1), 1));
	assert_non_null(mem_rw(&m, gpa(HIGH), 1));
	/* The last byte of one page and the first of the next. */
	assert_non_null(mem_rw(&m, gpa(HIGH + 8 * page - 1), 2));
	/* Reading, and what is refused or empty, is no writing. */
	assert_non_null(mem_ro(&m, gpa(9 * page), page));
	assert_true(mem_read(&m, gpa(10 * page), &v, 8));
	assert_null(mem_rw(&m, gpa(LOW_END - 1), 2));
	assert_non_null(mem_rw(&m, gpa(11 * page), 0));
	assert_int_equal(taken(got, 8), 5);
	assert_int_equal(got[0], 5);
	assert_int_equal(got[1], LOW_END / page - 1);
	assert_int_equal(got[2], LOW_END / page);
	assert_int_equal(got[3], LOW_END / page + 7);
	assert_int_equal(got[4], LOW_END / page + 8);
	/* Taken is taken. */
	assert_int_equal(taken(got, 8), 0);
	/* The very last page. */
	assert_non_null(mem_rw(&m, gpa(HIGH_END - 1), 1));
	assert_int_equal(taken(got, 8), 1);
	assert_int_equal(got[0], m.size / page - 1);
	mem_untrack(&m);
	assert_non_null(mem_rw(&m, gpa(0), 1));
	assert_int_equal(mem_track(&m, NULL), 0);
	assert_int_equal(taken(got, 8), 0);
}

/* As KVM has them: bit 0 is the first page of a slot, which need not be the first of a word. */
static void bits_of_a_slot_go_where_it_is(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), got[256];
	const uint64_t words[2] = {1ull | 1ull << 63, 1ull << 1 | 1ull << 62};
	uint64_t *pages = calloc(mem_track_words(m.size), sizeof *pages);

	assert_int_equal(mem_track(&m, NULL), 0);
	for (uint64_t first = 0; first < 130; first++) {
		memset(pages, 0, mem_track_words(m.size) * sizeof *pages);
		mem_add_pages(pages, first * page, words, 2);
		mem_mark_pages(&m, pages);
		assert_int_equal(taken(got, 256), 4);
		assert_int_equal(got[0], first);
		assert_int_equal(got[1], first + 63);
		assert_int_equal(got[2], first + 65);
		assert_int_equal(got[3], first + 126);
	}
	/* To what is there already. */
	memset(pages, 0, mem_track_words(m.size) * sizeof *pages);
	assert_non_null(mem_rw(&m, gpa(3 * page), 1));
	mem_add_pages(pages, 2 * page, words, 1);
	mem_mark_pages(&m, pages);
	assert_int_equal(taken(got, 256), 3);
	/* Up to the last page, in a word that begins elsewhere. */
	memset(pages, 0, mem_track_words(m.size) * sizeof *pages);
	const uint64_t last = 1ull << 9;
	mem_add_pages(pages, m.size - 10 * page, &last, 1);
	mem_mark_pages(&m, pages);
	assert_int_equal(taken(got, 256), 1);
	assert_int_equal(got[0], m.size / page - 1);
	free(pages);
}

static void pages_are_those_of_the_file(void **state)
{
	static const struct {
		uint64_t head, offset, bytes, first, n;
	} cases[] = {
	    {0, 5, 1, 0, 2},
	    {0, 0x1ffff0, 0x10, 0, 2},
	    {0, 0x1fffff, 2, 0, 4},
	    {1, 0, 1, 0, 1},
	    {1, 0x100000, 1, 0x100000, 2},
	    {1, 0xfffff, 2, 0, 3},
	    {1, 0x4fffff, 1, 0x300000, 2},
	    {0, 0x4fffff, 1, 0x400000, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct guest_mem huge = {.size = 5 * MIB,
					 .page_bytes = MEM_HUGE_BYTES,
					 .head_bytes = cases[i].head * MIB};
		struct mem_part p = mem_pages(&huge, cases[i].offset, cases[i].bytes);
		assert_int_equal(p.offset, cases[i].first);
		assert_int_equal(p.bytes, cases[i].n * MIB);
	}
}

static void a_range_has_a_page_or_none(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	static const uint64_t set[] = {0, 5, 63, 64, 127, 128, 200, 255};

	for (size_t i = 0; i < ARRAY_LEN(set); i++) {
		uint64_t pages[4] = {0}, at = set[i];
		pages[at / 64] = 1ull << at % 64;
		for (uint64_t first = 0; first < 256; first++)
			for (uint64_t last = first; last < 256; last++)
				assert_int_equal(
				    mem_any_dirty(pages, first * page, (last - first + 1) * page),
				    first <= at && at <= last);
		/* Parts of pages are enough. */
		assert_true(mem_any_dirty(pages, at * page + page - 1, 1));
		assert_true(mem_any_dirty(pages, at * page, 1));
		assert_false(at && mem_any_dirty(pages, at * page - 1, 1));
		assert_false(at < 255 && mem_any_dirty(pages, (at + 1) * page, 1));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(slots_are_back_to_back),
	    TEST(translation_at_the_edges),
	    TEST(hostile_ranges_are_nowhere),
	    TEST(memory_is_one_and_sparse),
	    TEST(what_is_discarded_is_zero_and_takes_no_room),
	    TEST(what_is_filled_is_where_it_belongs),
	    TEST(neighbours_count_as_one),
	    TEST(huge_pages_are_where_the_guest_has_them),
	    TEST(writes_are_known_once_somebody_asks),
	    TEST(bits_of_a_slot_go_where_it_is),
	    TEST(pages_are_those_of_the_file),
	    TEST(a_range_has_a_page_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
