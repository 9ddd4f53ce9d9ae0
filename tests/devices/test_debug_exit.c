/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/debug_exit.h"
#include "fixture.h"
#include "roundtrip.h"

#include <setjmp.h>
#include <cmocka.h>

static struct fixture f;
static struct device *dev;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	dev = debug_exit_new("debug-exit", &f.events, &e);
	return !dev;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	return 0;
}

static void a_write_of_any_width_is_told(void **state)
{
	static const struct {
		unsigned len;
		uint32_t value;
	} cases[] = {{1, 0xef}, {2, 0xcdef}, {4, 0x89abcdef}, {8, 0x89abcdef}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		debug_exit_ops.write(dev, 0, cases[i].len, 0x0123456789abcdef);
		assert_int_equal(f.event_n, i + 1);
		assert_int_equal(f.event, DEVICE_DEBUG_EXIT);
		assert_int_equal(f.event_value, cases[i].value);
	}
}

static void modify(struct device *d)
{
	debug_exit_ops.write(d, 0, 4, 31);
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	assert_int_equal(f.event_n, 1); /* loading ends nothing */
	assert_int_equal(debug_exit_ops.read(dev, 0, 4), 31);
	dev->cls->reset(dev);
	assert_int_equal(debug_exit_ops.read(dev, 0, 4), 0);
}

static void any_access_leaves_a_sane_device(void **state)
{
	fixture_fuzz(dev, &debug_exit_ops, 4, 10000, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_write_of_any_width_is_told),
	    TEST(is_saved_whole),
	    TEST(any_access_leaves_a_sane_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
