/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pl031.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/pl031.h"

#include <setjmp.h>
#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define NOW	  1700000000u /* the fixture's */

enum { DR = 0x0, MR = 0x4, LR = 0x8, CR = 0xc, IMSC = 0x10, RIS = 0x14, MIS = 0x18, ICR = 0x1c };

static struct fixture f;
static struct loop *loop;
static struct device *dev;

static struct device *new_clock(void)
{
	struct err e = ERR_INIT;
	struct device *d = pl031_new("rtc", fixture_line(&f), &f.clock, loop, &e);

	assert_non_null(d);
	return d;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	if (loop_new(&loop, &e))
		return -1;
	dev = new_clock();
	return 0;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	loop_free(loop);
	return 0;
}

static uint64_t read_as(uint64_t reg, unsigned len)
{
	device_lock(dev);
	uint64_t v = pl031_ops.read(dev, reg, len);
	device_unlock(dev);
	return v;
}

static void write_as(uint64_t reg, unsigned len, uint64_t v)
{
	device_lock(dev);
	pl031_ops.write(dev, reg, len, v);
	device_unlock(dev);
}

static uint32_t in(uint64_t reg)
{
	return (uint32_t)read_as(reg, 4);
}

static void out(uint64_t reg, uint32_t v)
{
	write_as(reg, 4, v);
}

/* drivers/rtc/rtc-pl031.c, pl031_set_alarm(). */
static void linux_set_alarm(uint32_t at)
{
	out(MR, at);
	out(ICR, 1);
	out(IMSC, in(IMSC) | 1);
}

static void shows_the_wall_time(void **state)
{
	assert_int_equal(in(DR), NOW);
	assert_int_equal(in(CR), 1);
	fixture_realtime_ns += SECOND_NS - 1;
	assert_int_equal(in(DR), NOW);
	fixture_realtime_ns += 1;
	assert_int_equal(in(DR), NOW + 1);
	/* 32 bits of seconds: the last one, then from 0. */
	fixture_realtime_ns = 0xffffffff * SECOND_NS;
	assert_int_equal(in(DR), 0xffffffff);
	fixture_realtime_ns += SECOND_NS;
	assert_int_equal(in(DR), 0);
}

/* drivers/amba/bus.c: a byte of each of the last eight words. */
static void linux_finds_it(void **state)
{
	uint64_t pid = 0, cid = 0;

	for (unsigned i = 0; i < 4; i++) {
		pid |= (in(0xfe0 + 4 * i) & 255ull) << (8 * i);
		cid |= (in(0xff0 + 4 * i) & 255ull) << (8 * i);
	}
	assert_int_equal(pid, 0x00041031);
	assert_int_equal(cid, 0xb105f00d);
	assert_int_equal(in(0xfdc), 0);
	assert_int_equal(in(0x1000), 0);
}

static void linux_sets_it(void **state)
{
	fixture_realtime_ns += 400000000;
	out(LR, 5000);
	assert_int_equal(in(LR), 5000);
	assert_int_equal(in(DR), 5000);
	/* Seconds begin when they did. */
	fixture_realtime_ns += 599999999;
	assert_int_equal(in(DR), 5000);
	fixture_realtime_ns += 1;
	assert_int_equal(in(DR), 5001);
	out(LR, 0xfffffffe);
	fixture_realtime_ns += 3 * SECOND_NS;
	assert_int_equal(in(DR), 1);
	assert_int_equal(in(LR), 0xfffffffe);
	out(DR, 7);
	out(CR, 0);
	assert_int_equal(in(DR), 1);
	assert_int_equal(in(CR), 1);
}

static void alarm_matches_and_is_cleared(void **state)
{
	linux_set_alarm(NOW + 3);
	fixture_realtime_ns += 3 * SECOND_NS - 1;
	assert_int_equal(in(RIS), 0);
	assert_false(f.high);
	fixture_realtime_ns += 1;
	assert_int_equal(in(DR), NOW + 3);
	assert_true(f.high);
	assert_int_equal(in(RIS), 1);
	assert_int_equal(in(MIS), 1);
	out(ICR, 0);
	assert_true(f.high);
	out(ICR, 1);
	assert_false(f.high);
	assert_int_equal(in(RIS), 0);
	/* Once, though the counter still matches. */
	fixture_realtime_ns += 3 * SECOND_NS;
	assert_int_equal(in(RIS), 0);
	assert_int_equal(f.rises, 1);
}

static void mask_keeps_the_interrupt_back(void **state)
{
	out(MR, NOW + 1);
	fixture_realtime_ns += 5 * SECOND_NS;
	assert_int_equal(in(RIS), 1);
	assert_int_equal(in(MIS), 0);
	assert_false(f.high);
	out(IMSC, 0xffffffff);
	assert_int_equal(in(IMSC), 1);
	assert_int_equal(in(MIS), 1);
	assert_true(f.high);
	out(IMSC, 0xfffffffe);
	assert_false(f.high);
	assert_int_equal(in(RIS), 1);
}

static void writing_a_match_matches(void **state)
{
	out(MR, NOW);
	assert_int_equal(in(RIS), 1);
	out(ICR, 1);
	out(MR, 77);
	assert_int_equal(in(RIS), 0);
	out(LR, 77);
	assert_int_equal(in(RIS), 1);
	out(ICR, 1);
	/* One second too late: a whole turn of the counter. */
	out(MR, 76);
	fixture_realtime_ns += ((1ull << 32) - 2) * SECOND_NS;
	assert_int_equal(in(RIS), 0);
	fixture_realtime_ns += SECOND_NS;
	assert_int_equal(in(DR), 76);
	assert_int_equal(in(RIS), 1);
	/* All in one go, and from a match to the next. */
	out(ICR, 1);
	fixture_realtime_ns += ((1ull << 32) - 1) * SECOND_NS;
	assert_int_equal(in(RIS), 0);
	fixture_realtime_ns += SECOND_NS;
	assert_int_equal(in(RIS), 1);
}

static void other_widths_have_their_bytes(void **state)
{
	out(MR, 0x44332211);
	out(LR, 0x88776655);
	assert_int_equal(read_as(MR, 1), 0x11);
	assert_int_equal(read_as(MR + 1, 2), 0x3322);
	assert_int_equal(read_as(MR + 3, 1), 0x44);
	assert_int_equal(read_as(MR, 8), 0x8877665544332211);
	assert_int_equal(read_as(MR + 2, 4), 0x66554433);
	assert_int_equal(read_as(MR + 1, 8), 0x0188776655443322); /* CR's lowest */
	assert_int_equal(read_as(0xff0, 8), 0x000000f00000000d);
	/* Parts of a register are not written, and two are at once. */
	write_as(MR, 1, 0);
	write_as(MR, 2, 0);
	write_as(MR + 2, 4, 0);
	write_as(MR + 2, 8, 0);
	assert_int_equal(in(MR), 0x44332211);
	assert_int_equal(in(LR), 0x88776655);
	write_as(MR, 8, 0x0807060504030201);
	assert_int_equal(in(MR), 0x04030201);
	assert_int_equal(in(LR), 0x08070605);
}

static void modify(struct device *d)
{
	const struct pl031_state *st = d->st;

	out(LR, in(DR) + 1234567);
	linux_set_alarm(in(DR) + 2);
	fixture_realtime_ns += 2 * SECOND_NS;
	assert_int_equal(in(RIS), 1);
	assert_true(st->offset_s && st->match_s && st->load_s && st->seen_s);
	assert_true(st->enabled && st->matched);
	/* There and back: the round trip compares saves of one moment. */
	fixture_realtime_ns -= 2 * SECOND_NS;
	in(DR);
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	assert_true(f.high);
	assert_int_equal(in(DR), NOW + 1234567);
	assert_int_equal(in(LR), NOW + 1234567);
	assert_int_equal(in(MR), NOW + 1234569);
	out(ICR, 1);
	roundtrip(dev, modify);
}

/* Restored an hour later, its clock having been set two hours ahead. */
static void time_is_right_after_a_pause(void **state)
{
	struct buf saved;

	out(LR, NOW + 7200);
	linux_set_alarm(NOW + 7200 + 1800);
	device_save(dev, &saved);
	dev->cls->free(dev);

	fixture_realtime_ns += 3600 * SECOND_NS;
	dev = new_clock();
	assert_int_equal(device_load(dev, &saved), 0);
	assert_int_equal(in(DR), NOW + 7200 + 3600);
	assert_true(f.high); /* the alarm came meanwhile */

	/* With a clock that stood still: as if the hour had not been. */
	guest_clock_set_realtime(&f.clock, guest_clock_realtime(&f.clock) - 3600 * SECOND_NS);
	assert_int_equal(device_load(dev, &saved), 0);
	assert_int_equal(in(DR), NOW + 7200);
	assert_false(f.high);
	buf_free(&saved);
}

static void a_pause_keeps_the_alarm_for_the_resume(void **state)
{
	linux_set_alarm(NOW + 3);
	device_lock(dev);
	dev->cls->pause(dev);
	fixture_realtime_ns += 10 * SECOND_NS;
	dev->cls->pre_save(dev);
	assert_false(f.high);
	dev->cls->resume(dev);
	device_unlock(dev);
	assert_true(f.high);
}

static void survives_a_clock_set_back(void **state)
{
	linux_set_alarm(NOW + 3);
	fixture_realtime_ns -= 86400 * SECOND_NS;
	assert_int_equal(in(DR), NOW - 86400);
	assert_int_equal(in(RIS), 0);
	fixture_realtime_ns += (86400 + 2) * SECOND_NS;
	assert_int_equal(in(RIS), 0);
	fixture_realtime_ns += SECOND_NS;
	assert_int_equal(in(RIS), 1);
}

static void reset_keeps_the_time(void **state)
{
	modify(dev);
	dev->cls->reset(dev);
	assert_false(f.high);
	assert_int_equal(in(DR), NOW + 1234567);
	for (uint64_t reg = IMSC; reg <= ICR; reg += 4)
		assert_int_equal(in(reg), 0);
	assert_int_equal(in(MR), 0);
	assert_int_equal(in(LR), 0);
}

static void impossible_states_are_refused(void **state)
{
	struct pl031_state st = *(struct pl031_state *)dev->st;
	struct err e = ERR_INIT;

	st.seen_s = UINT64_MAX / SECOND_NS + 1;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st.seen_s--;
	st.enabled = true;
	assert_int_equal(dev->cls->check(dev, &st, &e), 0);
	*(struct pl031_state *)dev->st = st;
	dev->cls->post_load(dev);
	for (uint64_t reg = DR; reg <= ICR; reg += 4)
		in(reg);
}

static void any_access_leaves_a_sane_device(void **state)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		uint64_t r = seed;
		fixture_realtime_ns += fixture_random(&r) >> (fixture_random(&r) & 63);
		fixture_fuzz(dev, &pl031_ops, seed & 1 ? 0x20 : 0x1000, 500, seed);
	}
}

/* --- with a real clock ----------------------------------------------------------------- */

static void stop_when_high(struct irq_host *h, uint32_t line, uint32_t source, bool high)
{
	f.high = high;
	if (high)
		loop_stop(loop);
}

static void alarm_comes_by_itself(void **state)
{
	static const struct irq_host_ops ops = {.line = stop_when_high};
	struct err e = ERR_INIT;

	guest_clock_init(&f.clock);
	f.irq.ops = &ops;
	out(LR, 0xffffffff);
	linux_set_alarm(0);
	assert_int_equal(loop_run(loop, &e), 0);
	assert_true(f.high);
	assert_int_equal(in(MIS), 1);
	assert_int_equal(in(DR), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(shows_the_wall_time),
	    TEST(linux_finds_it),
	    TEST(linux_sets_it),
	    TEST(alarm_matches_and_is_cleared),
	    TEST(mask_keeps_the_interrupt_back),
	    TEST(writing_a_match_matches),
	    TEST(other_widths_have_their_bytes),
	    TEST(is_saved_whole),
	    TEST(time_is_right_after_a_pause),
	    TEST(a_pause_keeps_the_alarm_for_the_resume),
	    TEST(survives_a_clock_set_back),
	    TEST(reset_keeps_the_time),
	    TEST(impossible_states_are_refused),
	    TEST(any_access_leaves_a_sane_device),
	    TEST(alarm_comes_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
