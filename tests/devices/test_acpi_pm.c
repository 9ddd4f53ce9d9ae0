/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/acpi_pm.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/acpi_pm.h"

#include <setjmp.h>
#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define PWRBTN	  0x100

static struct fixture f;
static struct device *dev;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	dev = acpi_pm_new("pm", fixture_line(&f), &f.clock, &f.events, &e);
	return !dev;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	return 0;
}

static uint64_t in(unsigned offset, unsigned len)
{
	return acpi_pm_ops.read(dev, offset, len);
}

static void out(unsigned offset, unsigned len, uint64_t v)
{
	acpi_pm_ops.write(dev, offset, len, v);
}

static void timer_counts_at_its_frequency(void **state)
{
	static const struct {
		uint64_t ns;
		uint32_t ticks;
	} cases[] = {
	    {0, 0},
	    {279, 0},
	    {280, 1}, /* 279.4 ns a tick */
	    {SECOND_NS, 3579545},
	    {SECOND_NS * 1199, 4291874455},
	    {SECOND_NS * 1200, 486704}, /* 4295454000 wraps at 2^32 */
	    {SECOND_NS * 86400 * 365 * 30, (uint32_t)(3579545ull * 86400 * 365 * 30)},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fixture_monotonic_ns = 1000 + cases[i].ns;
		assert_int_equal(in(ACPI_PM_TMR, 4), cases[i].ticks);
	}
	out(ACPI_PM_TMR, 4, 0x12345678); /* read-only */
	assert_int_equal(in(ACPI_PM_TMR, 4), cases[6].ticks);
	assert_int_equal(in(ACPI_PM_TMR + 1, 2), cases[6].ticks >> 8 & 0xffff);
}

/* The machine carries guest_clock over; another host's clock shows something else. */
static void timer_goes_on_on_another_host(void **state)
{
	fixture_monotonic_ns += 5 * SECOND_NS;
	uint64_t guest_ns = guest_clock_monotonic(&f.clock), before = in(ACPI_PM_TMR, 4);

	fixture_monotonic_ns = 77777 * SECOND_NS;
	guest_clock_set(&f.clock, guest_ns);
	assert_int_equal(in(ACPI_PM_TMR, 4), before);
	fixture_monotonic_ns += SECOND_NS;
	assert_int_equal(in(ACPI_PM_TMR, 4), before + 3579545);
}

static void sleep_button_of_the_system(void **state)
{
	assert_int_equal(in(ACPI_PM1_CNT, 2), 0x0001); /* in ACPI mode from the start */
	out(ACPI_PM1_CNT, 2, 0);
	assert_int_equal(in(ACPI_PM1_CNT, 2), 0x0001);
	/* ACPICA writes SLP_TYP first, then both. */
	out(ACPI_PM1_CNT, 2, 5 << 10 | 1);
	assert_int_equal(f.event_n, 0);
	assert_int_equal(in(ACPI_PM1_CNT, 2), 5 << 10 | 1);
	out(ACPI_PM1_CNT, 2, 5 << 10 | 1 << 13 | 1);
	assert_int_equal(f.event_n, 1);
	assert_int_equal(f.event, DEVICE_POWER_OFF);
	assert_int_equal(in(ACPI_PM1_CNT, 2), 5 << 10 | 1); /* SLP_EN reads 0 */
	for (unsigned typ = 0; typ < 8; typ++)
		if (typ != 5)
			out(ACPI_PM1_CNT, 2, typ << 10 | 1 << 13);
	assert_int_equal(f.event_n, 1);
	out(ACPI_PM1_CNT + 1, 1, 0x34); /* the same by bytes */
	assert_int_equal(f.event_n, 2);
}

static void reset_register(void **state)
{
	out(ACPI_RESET_REG, 1, 0);
	out(ACPI_RESET_REG, 1, 2);
	assert_int_equal(f.event_n, 0);
	out(ACPI_RESET_REG, 1, ACPI_RESET_VALUE);
	assert_int_equal(f.event_n, 1);
	assert_int_equal(f.event, DEVICE_RESET);
}

static void power_button_raises_the_sci(void **state)
{
	acpi_pm_power_button(dev);
	assert_false(f.high);
	assert_int_equal(in(ACPI_PM1_STS, 2), PWRBTN);
	out(ACPI_PM1_EN, 2, 0xffff);
	assert_int_equal(in(ACPI_PM1_EN, 2), 0x0721);
	assert_true(f.high);
	out(ACPI_PM1_STS, 2, 0xffff & ~PWRBTN);
	assert_true(f.high);
	out(ACPI_PM1_STS, 2, PWRBTN);
	assert_false(f.high);
	assert_int_equal(in(ACPI_PM1_STS, 2), 0);
	acpi_pm_power_button(dev);
	assert_true(f.high);
	assert_int_equal(f.rises, 2);
	/* One access over both registers, as ACPICA never does it. */
	assert_int_equal(in(ACPI_PM1_STS, 4), 0x0721 << 16 | PWRBTN);
	out(ACPI_PM1_STS, 4, PWRBTN);
	assert_false(f.high);
	assert_int_equal(in(ACPI_PM1_STS, 4), 0);
}

static void modify(struct device *d)
{
	acpi_pm_power_button(d);
	out(ACPI_PM1_EN, 2, PWRBTN | 1);
	out(ACPI_PM1_CNT, 2, 3 << 10);
}

static void is_saved_whole(void **state)
{
	struct buf quiet;

	device_save(dev, &quiet);
	roundtrip(dev, modify);
	assert_true(f.high);
	assert_int_equal(in(ACPI_PM1_CNT, 2), 3 << 10 | 1);
	assert_int_equal(device_load(dev, &quiet), 0);
	assert_false(f.high);
	modify(dev);
	dev->cls->reset(dev);
	assert_false(f.high);
	assert_int_equal(in(ACPI_PM1_CNT, 2), 1);
	buf_free(&quiet);
}

static void impossible_states_are_refused(void **state)
{
	const struct acpi_pm_state good = *(struct acpi_pm_state *)dev->st;
	struct acpi_pm_state st;
	struct err e = ERR_INIT;

	st = good, st.status = 0x200;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.enable = 2;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.control = 0;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.control = 0x2001;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	assert_int_equal(dev->cls->check(dev, &good, &e), 0);
}

static void any_access_leaves_a_sane_device(void **state)
{
	for (uint64_t seed = 0; seed < 50; seed++)
		fixture_fuzz(dev, &acpi_pm_ops, ACPI_PM_BYTES, 2000, seed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(timer_counts_at_its_frequency), TEST(timer_goes_on_on_another_host),
	    TEST(sleep_button_of_the_system),	 TEST(reset_register),
	    TEST(power_button_raises_the_sci),	 TEST(is_saved_whole),
	    TEST(impossible_states_are_refused), TEST(any_access_leaves_a_sane_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
