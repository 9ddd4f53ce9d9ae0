/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/i8042.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/i8042.h"

#include <setjmp.h>
#include <cmocka.h>

static struct fixture f;
static struct device *dev;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	dev = i8042_new("i8042", &f.events, &e);
	return !dev;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	return 0;
}

static uint64_t status(void)
{
	return i8042_command_ops.read(dev, 0, 1);
}

static void command(uint8_t v)
{
	i8042_command_ops.write(dev, 0, 1, v);
}

static uint64_t answer(void)
{
	assert_int_equal(status() & 0x01, 0x01);
	uint64_t v = i8042_data_ops.read(dev, 0, 1);
	assert_int_equal(status() & 0x01, 0);
	return v;
}

/* arch/x86/kernel/reboot.c: wait for the input buffer (bit 1), then pulse. */
static void linux_resets_with_it(void **state)
{
	assert_int_equal(status() & 0x02, 0);
	assert_int_equal(f.event_n, 0);
	command(0xfe);
	assert_int_equal(f.event_n, 1);
	assert_int_equal(f.event, DEVICE_RESET);
	command(0xff); /* pulses nothing */
	command(0xf1); /* not the reset line */
	assert_int_equal(f.event_n, 1);
	command(0xd1);
	i8042_data_ops.write(dev, 0, 1, 0x03); /* A20 on */
	assert_int_equal(f.event_n, 1);
	command(0xd1);
	i8042_data_ops.write(dev, 0, 1, 0x02); /* reset line low */
	assert_int_equal(f.event_n, 2);
}

/* drivers/input/serio/i8042.c as far as it gets: flush, self test, control, interface test. */
static void probing_finds_a_controller_with_nothing_on_it(void **state)
{
	assert_int_equal(status() & 0x01, 0); /* nothing to flush */
	command(0xaa);
	assert_int_equal(status() & 0x08, 0x08);
	assert_int_equal(answer(), 0x55);
	command(0x20);
	assert_int_equal(answer(), 0x30);
	command(0x60);
	i8042_data_ops.write(dev, 0, 1, 0x74);
	assert_int_equal(status() & 0x08, 0);
	command(0x20);
	assert_int_equal(answer(), 0x74);
	command(0xa9);
	assert_int_not_equal(answer(), 0);
	command(0xab);
	assert_int_not_equal(answer(), 0);
	command(0xd0);
	assert_int_equal(answer() & 0x03, 0x03); /* not in reset, A20 open */
	i8042_data_ops.write(dev, 0, 1, 0xff);	 /* to the keyboard: nobody */
	assert_int_equal(status() & 0x01, 0);
}

static void modify(struct device *d)
{
	command(0xaa);
	command(0x60);
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	i8042_data_ops.write(dev, 0, 1, 0x12); /* the command still waits */
	assert_int_equal(answer(), 0x55);
	command(0x20);
	assert_int_equal(answer(), 0x12);
	dev->cls->reset(dev);
	command(0x20);
	assert_int_equal(answer(), 0x30);
}

static void impossible_states_are_refused(void **state)
{
	struct i8042_state st = *(struct i8042_state *)dev->st;
	struct err e = ERR_INIT;

	st.command = 0xfe;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st.command = 0xd1;
	assert_int_equal(dev->cls->check(dev, &st, &e), 0);
}

static void any_access_leaves_a_sane_device(void **state)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		fixture_fuzz(dev, &i8042_command_ops, 1, 1000, seed);
		fixture_fuzz(dev, &i8042_data_ops, 1, 100, seed);
	}
	command(0xaa);
	assert_int_equal(answer(), 0x55);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(linux_resets_with_it),
	    TEST(probing_finds_a_controller_with_nothing_on_it),
	    TEST(is_saved_whole),
	    TEST(impossible_states_are_refused),
	    TEST(any_access_leaves_a_sane_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
