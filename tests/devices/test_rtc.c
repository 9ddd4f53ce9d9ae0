/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/rtc.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/rtc.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define SECOND_NS 1000000000ull

enum { A = 10, B = 11, C = 12, D = 13, CENTURY = 0x32 };
enum { SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, BINARY = 0x04, H24 = 0x02 };
enum { UIP = 0x80, IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10 };

static struct fixture f;
static struct loop *loop;
static struct device *dev;

static struct device *new_rtc(uint64_t below, uint64_t above)
{
	struct err e = ERR_INIT;
	struct device *d = rtc_new("rtc", fixture_line(&f), &f.clock, loop, below, above, &e);

	assert_non_null(d);
	return d;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	if (loop_new(&loop, &e))
		return -1;
	dev = new_rtc(128 * MIB, 0);
	return 0;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	loop_free(loop);
	return 0;
}

static uint8_t in(uint8_t reg)
{
	device_lock(dev);
	rtc_ops.write(dev, 0, 1, reg);
	uint64_t v = rtc_ops.read(dev, 1, 1);
	device_unlock(dev);
	return (uint8_t)v;
}

static void out(uint8_t reg, uint8_t v)
{
	device_lock(dev);
	rtc_ops.write(dev, 0, 1, reg);
	rtc_ops.write(dev, 1, 1, v);
	device_unlock(dev);
}

/* Second, minute, hour, weekday, day, month, year, century: raw. */
static void expect_time(const uint8_t want[static 8])
{
	static const uint8_t reg[] = {0, 2, 4, 6, 7, 8, 9, CENTURY};

	for (size_t i = 0; i < 8; i++)
		if (in(reg[i]) != want[i])
			fail_msg("register %u: 0x%02x, 0x%02x expected", reg[i], in(reg[i]),
				 want[i]);
}

/* drivers/rtc/rtc-mc146818-lib.c, mc146818_set_time(), 24-hour BCD. */
static void linux_set_time(const uint8_t bcd[static 8])
{
	uint8_t b = in(B), a;

	out(B, b | SET);
	a = in(A);
	out(A, a | 0x70);
	out(9, bcd[6]);
	out(8, bcd[5]);
	out(7, bcd[4]);
	out(4, bcd[2]);
	out(2, bcd[1]);
	out(0, bcd[0]);
	out(CENTURY, bcd[7]);
	out(B, b);
	out(A, a);
}

static void shows_the_wall_time(void **state)
{
	static const struct {
		uint64_t unix_s;
		uint8_t bcd[8];
	} cases[] = {
	    {1700000000, {0x20, 0x13, 0x22, 3, 0x14, 0x11, 0x23, 0x20}}, /* Tue 2023-11-14 */
	    {0, {0x00, 0x00, 0x00, 5, 0x01, 0x01, 0x70, 0x19}},		 /* Thu 1970-01-01 */
	    {951782399, {0x59, 0x59, 0x23, 2, 0x28, 0x02, 0x00, 0x20}},	 /* Mon 2000-02-28 */
	    {951782400, {0x00, 0x00, 0x00, 3, 0x29, 0x02, 0x00, 0x20}},
	    {4107542399, {0x59, 0x59, 0x23, 1, 0x28, 0x02, 0x00, 0x21}}, /* 2100: no leap year */
	    {4107542400, {0x00, 0x00, 0x00, 2, 0x01, 0x03, 0x00, 0x21}},
	};

	assert_int_equal(in(D), 0x80);
	assert_int_equal(in(B), H24);
	assert_int_equal(in(A) & ~UIP, 0x26);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fixture_realtime_ns = cases[i].unix_s * SECOND_NS;
		expect_time(cases[i].bcd);
	}
}

static void shows_it_in_any_format(void **state)
{
	out(B, BINARY | H24);
	expect_time((uint8_t[]){20, 13, 22, 3, 14, 11, 23, 20});
	out(B, BINARY);
	expect_time((uint8_t[]){20, 13, 0x80 | 10, 3, 14, 11, 23, 20});
	out(B, 0);
	expect_time((uint8_t[]){0x20, 0x13, 0x90, 3, 0x14, 0x11, 0x23, 0x20});
	fixture_realtime_ns += 2 * 3600 * SECOND_NS; /* just past midnight: 12 AM */
	assert_int_equal(in(4), 0x12);
	fixture_realtime_ns += 12 * 3600 * SECOND_NS; /* past noon: 12 PM */
	assert_int_equal(in(4), 0x92);
}

static void linux_sets_it(void **state)
{
	static const uint8_t then[] = {0x58, 0x59, 0x23, 7, 0x31, 0x12, 0x99, 0x19};

	fixture_realtime_ns += 123456789;
	linux_set_time(then);
	/* Half a second until the first update, then one each second. */
	fixture_realtime_ns += SECOND_NS / 2 - 1;
	assert_int_equal(in(0), 0x58);
	fixture_realtime_ns += 1;
	assert_int_equal(in(0), 0x59);
	fixture_realtime_ns += SECOND_NS;
	expect_time((uint8_t[]){0x00, 0x00, 0x00, 7, 0x01, 0x01, 0x00, 0x20});
	fixture_realtime_ns += 86400 * SECOND_NS;
	expect_time((uint8_t[]){0x00, 0x00, 0x00, 1, 0x02, 0x01, 0x00, 0x20});
}

static void stands_still_while_set(void **state)
{
	out(B, SET | H24);
	fixture_realtime_ns += 90 * SECOND_NS;
	assert_int_equal(in(0), 0x20);
	out(B, SET | UIE | H24);
	assert_int_equal(in(B), SET | H24); /* takes the permission with it */
	assert_int_equal(UIP & in(A), 0);
	assert_int_equal(in(C), PF); /* the divider goes on */
	out(0, 0x59);
	out(B, H24);
	expect_time((uint8_t[]){0x59, 0x13, 0x22, 3, 0x14, 0x11, 0x23, 0x20});
	fixture_realtime_ns += SECOND_NS;
	expect_time((uint8_t[]){0x00, 0x14, 0x22, 3, 0x14, 0x11, 0x23, 0x20});
	/* One register at a time, while it goes. */
	out(9, 0x30);
	out(8, 0x01);
	expect_time((uint8_t[]){0x00, 0x14, 0x22, 2, 0x14, 0x01, 0x30, 0x20});
}

static void update_shows_before_it_happens(void **state)
{
	fixture_realtime_ns += SECOND_NS - 244001;
	assert_int_equal(UIP & in(A), 0);
	fixture_realtime_ns += 1;
	assert_int_equal(UIP & in(A), UIP);
	fixture_realtime_ns += 243999;
	assert_int_equal(UIP & in(A), UIP);
	assert_int_equal(in(0), 0x20);
	fixture_realtime_ns += 1;
	assert_int_equal(UIP & in(A), 0);
	assert_int_equal(in(0), 0x21);
	assert_int_equal(UF & in(C), UF);
	out(A, 0xa6); /* UIP is read-only */
	assert_int_equal(in(A), 0x26);
}

static void causes_are_noted_and_cleared_by_reading(void **state)
{
	out(1, 0x25);
	out(3, 0x13);
	out(5, 0x22);
	fixture_realtime_ns += 4 * SECOND_NS;
	assert_int_equal(in(C), PF | UF); /* without permission no IRQF */
	assert_int_equal(in(C), 0);
	fixture_realtime_ns += SECOND_NS;
	assert_int_equal(in(C), PF | UF | AF);
	assert_false(f.high);
	out(B, H24 | AIE);
	fixture_realtime_ns += 86400 * SECOND_NS - 1;
	in(0);
	assert_false(f.high);
	assert_int_equal(in(C), PF | UF);
	fixture_realtime_ns += 1;
	in(0);
	assert_true(f.high);
	assert_int_equal(in(C), IRQF | UF | AF | PF);
	assert_false(f.high);
	/* Permission after the fact. */
	fixture_realtime_ns += SECOND_NS;
	in(0);
	assert_false(f.high);
	out(B, H24 | UIE);
	assert_true(f.high);
	out(B, H24);
	assert_false(f.high);
}

/* Which seconds of two days an alarm is due in. */
static unsigned due(uint8_t h, uint8_t m, uint8_t s)
{
	unsigned n = 0;

	out(5, h);
	out(3, m);
	out(1, s);
	in(C);
	for (unsigned i = 0; i < 2 * 86400; i++) {
		fixture_realtime_ns += SECOND_NS;
		if (AF & in(C))
			n++;
	}
	return n;
}

static void alarm_matches_with_wildcards(void **state)
{
	assert_int_equal(due(0x22, 0x13, 0x20), 2);
	assert_int_equal(due(0xff, 0x30, 0x00), 48);
	assert_int_equal(due(0xc0, 0xff, 0x59), 2 * 1440);
	assert_int_equal(due(0x05, 0xff, 0x59), 2 * 60);
	assert_int_equal(due(0xff, 0xff, 0xff), 2 * 86400);
	assert_int_equal(due(0x24, 0x00, 0x00), 0);
	assert_int_equal(due(0x12, 0x60, 0x00), 0);
	out(B, BINARY);
	assert_int_equal(due(0x80 | 11, 0, 0), 2); /* 11 PM */
	assert_int_equal(due(12, 0, 0), 2);	   /* midnight */
	assert_int_equal(in(4), 0x80 | 10);
	fixture_realtime_ns += (2 * 3600 - 13 * 60 - 20) * SECOND_NS;
	in(C);
	fixture_realtime_ns += 11 * 3600 * SECOND_NS;
	out(5, 0x80 | 12); /* noon */
	in(C);
	fixture_realtime_ns += 3600 * SECOND_NS;
	assert_int_equal(in(4), 0x80 | 12);
	assert_int_equal(AF & in(C), AF);
}

static void periods_are_those_of_the_rate(void **state)
{
	/* Data sheet, table 5, at 32768 Hz. */
	static const unsigned hz[] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
				      256, 128, 64,  32,   16,	 8,    4,    2};

	fixture_realtime_ns += 5000; /* not on a tick */
	for (uint8_t rate = 0; rate < 16; rate++) {
		unsigned n = 0;
		out(A, 0x20 | rate);
		in(C);
		for (unsigned i = 0; i < 32768; i++) {
			/* A tick of the crystal is 30517.578125 ns: 64 are 1953125. */
			fixture_realtime_ns += 1953125 / 64 + (i % 64 < 1953125 % 64);
			n += !!(PF & in(C));
		}
		assert_int_equal(n, hz[rate]);
	}
	out(A, 0x76); /* divider in reset */
	in(C);
	fixture_realtime_ns += SECOND_NS;
	assert_int_equal(in(C), 0);
}

static void index_masks_nmi_and_wraps(void **state)
{
	out(0x50, 0x12);
	out(0x7f, 0x34);
	assert_int_equal(in(0x50), 0x12);
	assert_int_equal(in(0xd0), 0x12);
	assert_int_equal(in(0xff), 0x34);
	assert_int_equal(rtc_ops.read(dev, 0, 1), 0xff);
	out(D, 0);
	out(C, 0xff);
	assert_int_equal(in(D), 0x80);
	/* A 16-bit write sets index and data. */
	rtc_ops.write(dev, 0, 2, 0x5651);
	assert_int_equal(in(0x51), 0x56);
}

static uint32_t ram_field(uint8_t reg, unsigned n)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint32_t)in((uint8_t)(reg + i)) << (8 * i);
	return v;
}

static void ram_size_is_noted(void **state)
{
	assert_int_equal(ram_field(0x15, 2), 640);
	assert_int_equal(ram_field(0x17, 2), 0xffff);
	assert_int_equal(ram_field(0x34, 2), 112 * 16);
	assert_int_equal(ram_field(0x5b, 3), 0);
	dev->cls->free(dev);
	dev = new_rtc(32 * MIB, 5 * GIB);
	assert_int_equal(ram_field(0x17, 2), 31 * 1024);
	assert_int_equal(ram_field(0x30, 2), 31 * 1024);
	assert_int_equal(ram_field(0x34, 2), 16 * 16);
	assert_int_equal(ram_field(0x5b, 3), 5 * 1024 * 16);
	dev->cls->free(dev);
	dev = new_rtc(2 * MIB, 0);
	assert_int_equal(ram_field(0x34, 2), 0);
}

static void modify(struct device *d)
{
	linux_set_time((uint8_t[]){0x11, 0x22, 0x13, 6, 0x15, 0x06, 0x31, 0x20});
	out(0x40, (uint8_t)(in(0x40) + 1));
	out(1, 0x30);
	out(3, 0xc0);
	out(5, 0xc0);
	out(B, H24 | AIE);
	/* There and back: the round trip compares saves of one moment. */
	fixture_realtime_ns += 20 * SECOND_NS;
	in(0);
	fixture_realtime_ns -= 20 * SECOND_NS;
	in(0);
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	assert_true(f.high); /* the alarm is not acknowledged yet */
	assert_int_equal(in(C) & (IRQF | AF), IRQF | AF);
	out(B, SET | H24);
	roundtrip(dev, modify);
}

/* A guest is restored an hour later, its clock having been set two hours ahead. */
static void time_is_right_after_a_pause(void **state)
{
	struct buf saved;

	linux_set_time((uint8_t[]){0x20, 0x13, 0x00, 4, 0x15, 0x11, 0x23, 0x20});
	fixture_realtime_ns += SECOND_NS / 2;
	out(1, 0x00);
	out(3, 0x30);
	out(5, 0x00);
	out(B, H24 | AIE);
	in(C);
	device_save(dev, &saved);
	dev->cls->free(dev);

	fixture_realtime_ns += 3600 * SECOND_NS;
	dev = new_rtc(128 * MIB, 0);
	assert_int_equal(device_load(dev, &saved), 0);
	expect_time((uint8_t[]){0x21, 0x13, 0x01, 4, 0x15, 0x11, 0x23, 0x20});
	assert_true(f.high); /* the alarm came meanwhile */

	/* With a clock that stood still: as if the hour had not been. */
	guest_clock_set_realtime(&f.clock, guest_clock_realtime(&f.clock) - 3600 * SECOND_NS);
	assert_int_equal(device_load(dev, &saved), 0);
	expect_time((uint8_t[]){0x21, 0x13, 0x00, 4, 0x15, 0x11, 0x23, 0x20});
	assert_false(f.high);
	buf_free(&saved);
}

static void survives_a_clock_set_back(void **state)
{
	fixture_realtime_ns -= 3 * 86400 * SECOND_NS - 1;
	expect_time((uint8_t[]){0x20, 0x13, 0x22, 7, 0x11, 0x11, 0x23, 0x20});
	assert_int_equal(in(C), 0);
	fixture_realtime_ns = 5;
	expect_time((uint8_t[]){0x00, 0x00, 0x00, 5, 0x01, 0x01, 0x70, 0x19});
	linux_set_time((uint8_t[]){0x20, 0x13, 0x00, 4, 0x15, 0x11, 0x23, 0x20});
	fixture_realtime_ns = 0;
	assert_int_equal(in(0), 0x20);
	/* To before it was set: 0.3 s, which begins the second before. */
	fixture_realtime_ns = 1000 * SECOND_NS;
	linux_set_time((uint8_t[]){0x20, 0x13, 0x00, 4, 0x15, 0x11, 0x23, 0x20});
	fixture_realtime_ns -= SECOND_NS / 2 + 1;
	expect_time((uint8_t[]){0x19, 0x13, 0x00, 4, 0x15, 0x11, 0x23, 0x20});
	assert_int_equal(UIP & in(A), UIP);
}

static void impossible_states_are_refused(void **state)
{
	const struct rtc_state good = *(struct rtc_state *)dev->st;
	struct rtc_state st;
	struct err e = ERR_INIT;

	st = good, st.index = 0x80;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.control_a = 0xa6;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.flags = 0x80;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.base_s = RTC_SPAN_S;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	assert_int_equal(dev->cls->check(dev, &good, &e), 0);
	st = good, st.base_ns = UINT64_MAX / 2, st.seen_ns = UINT64_MAX;
	st.base_s = RTC_SPAN_S - 1;
	assert_int_equal(dev->cls->check(dev, &st, &e), 0);
	*(struct rtc_state *)dev->st = st;
	dev->cls->post_load(dev);
	for (uint8_t reg = 0; reg < 128; reg++)
		in(reg);
}

static void any_access_leaves_a_sane_device(void **state)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		uint64_t r = seed;
		fixture_realtime_ns += fixture_random(&r) >> (fixture_random(&r) & 63);
		fixture_fuzz(dev, &rtc_ops, 2, 500, seed);
	}
}

/* --- with a real clock ----------------------------------------------------------------- */

static void stop_when_high(struct irq_host *h, uint32_t line, uint32_t source, bool high)
{
	f.high = high;
	if (high)
		loop_stop(loop);
}

static void interrupts_come_by_themselves(uint8_t enable)
{
	static const struct irq_host_ops ops = {.line = stop_when_high};
	struct err e = ERR_INIT;

	guest_clock_init(&f.clock);
	f.irq.ops = &ops;
	out(1, 0xff);
	out(3, 0xff);
	out(5, 0xff);
	in(C);
	out(B, H24 | enable);
	assert_int_equal(loop_run(loop, &e), 0);
	assert_true(f.high);
	assert_int_equal(in(C) & (IRQF | enable), IRQF | enable);
}

static void alarm_comes_by_itself(void **state)
{
	interrupts_come_by_themselves(AIE);
}

static void update_comes_by_itself(void **state)
{
	interrupts_come_by_themselves(UIE);
}

static void period_comes_by_itself(void **state)
{
	interrupts_come_by_themselves(PIE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(shows_the_wall_time),
	    TEST(shows_it_in_any_format),
	    TEST(linux_sets_it),
	    TEST(stands_still_while_set),
	    TEST(update_shows_before_it_happens),
	    TEST(causes_are_noted_and_cleared_by_reading),
	    TEST(alarm_matches_with_wildcards),
	    TEST(periods_are_those_of_the_rate),
	    TEST(index_masks_nmi_and_wraps),
	    TEST(ram_size_is_noted),
	    TEST(is_saved_whole),
	    TEST(time_is_right_after_a_pause),
	    TEST(survives_a_clock_set_back),
	    TEST(impossible_states_are_refused),
	    TEST(any_access_leaves_a_sane_device),
	    TEST(alarm_comes_by_itself),
	    TEST(update_comes_by_itself),
	    TEST(period_comes_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
