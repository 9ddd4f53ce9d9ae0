/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/mem.h"

#include <setjmp.h>
#include <string.h>
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
	assert_null(mem_ro(&split, gpa(0x1ffffc), 8));
	assert_null(mem_ro(&split, gpa(0x2ffffc), 8));
	assert_ptr_equal(mem_ro(&split, gpa(0x300000), 0x10000), base + 0x200000);
	assert_null(mem_ro(&split, gpa(0x300000), 0x10001));
	mem_fini(&split);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(slots_are_back_to_back),     TEST(translation_at_the_edges),
	    TEST(hostile_ranges_are_nowhere), TEST(memory_is_one_and_sparse),
	    TEST(neighbours_count_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
