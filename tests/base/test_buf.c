/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static void grows_as_needed(void **state)
{
	struct buf b = BUF_INIT;

	for (unsigned i = 0; i < 10000; i++) {
		uint8_t two[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
		buf_put(&b, two, sizeof two);
	}
	assert_false(b.failed);
	assert_int_equal(b.len, 20000);
	assert_true(b.cap >= b.len);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(num_le16(b.data + 2 * i), i);
	buf_free(&b);
	assert_null(b.data);
	assert_int_equal(b.len + b.cap, 0);
}

static void nothing_is_nothing(void **state)
{
	struct buf b = BUF_INIT;

	buf_put(&b, NULL, 0);
	assert_int_equal(b.len, 0);
	assert_false(b.failed);
	buf_free(&b);
	buf_free(&b);
}

static void growth_gives_the_room(void **state)
{
	struct buf b = BUF_INIT;

	buf_put(&b, "ab", 2);
	memset(buf_grow(&b, 100000), 'x', 100000);
	buf_put(&b, "c", 1);
	assert_int_equal(b.len, 100003);
	assert_int_equal(b.data[1], 'b');
	assert_int_equal(b.data[100001], 'x');
	assert_int_equal(b.data[100002], 'c');
	buf_free(&b);
}

/* A size that no memory holds: sticks, and what was there stays. */
static void failure_sticks(void **state)
{
	struct buf b = BUF_INIT;

	buf_put(&b, "keep", 4);
	assert_null(buf_grow(&b, SIZE_MAX - 2));
	assert_true(b.failed);
	assert_int_equal(b.len, 4);
	assert_null(buf_grow(&b, 1));
	buf_put(&b, "x", 1);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "keep", 4);
	buf_free(&b);
	assert_false(b.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows_as_needed),
	    cmocka_unit_test(nothing_is_nothing),
	    cmocka_unit_test(growth_gives_the_room),
	    cmocka_unit_test(failure_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
