/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/stall.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/stall.h"

#include <setjmp.h>
#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define BLOCK	  0x10

enum { STATUS = 0x0, LOAD_CNT = 0x4, CURRENT_CNT = 0x8, CLOCK_FREQ_HZ = 0xc };

static struct fixture f;
static struct loop *loop;
static struct device *dev;

static struct device *new_detector(uint32_t vcpus)
{
	struct err e = ERR_INIT;
	const struct stall_setup s = {
	    .irq = &f.irq,
	    .ppi = PPI,
	    .vcpus = vcpus,
	    .clock = &f.clock,
	    .loop = loop,
	    .events = &f.events,
	};
	struct device *d = stall_new("watchdog", &s, &e);

	if (!d)
		assert_int_equal(e.code, ERR_LIMIT);
	return d;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	if (loop_new(&loop, &e))
		return -1;
	dev = new_detector(VCPUS);
	return !dev;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	loop_free(loop);
	return 0;
}

static uint32_t in(uint32_t vcpu, uint64_t reg)
{
	device_lock(dev);
	uint64_t v = stall_ops.read(dev, vcpu * BLOCK + reg, 4);
	device_unlock(dev);
	return (uint32_t)v;
}

static void out(uint32_t vcpu, uint64_t reg, uint32_t v)
{
	device_lock(dev);
	stall_ops.write(dev, vcpu * BLOCK + reg, 4, v);
	device_unlock(dev);
}

static void pass(uint64_t ns)
{
	fixture_monotonic_ns += ns;
	in(0, STATUS); /* any access collects what fell due */
}

/* drivers/misc/vcpu_stall_detector.c, start_stall_detector_cpu(). */
static void linux_start(uint32_t vcpu, uint32_t hz, uint32_t seconds)
{
	out(vcpu, CLOCK_FREQ_HZ, hz);
	out(vcpu, LOAD_CNT, hz * seconds);
	out(vcpu, STATUS, 1);
}

static void expect_rises(unsigned a, unsigned b, unsigned c)
{
	const unsigned want[VCPUS] = {a, b, c};
	const struct stall_state *st = dev->st;

	for (uint32_t i = 0; i < VCPUS; i++) {
		assert_int_equal(f.ppi_rises[i], want[i]);
		assert_int_equal(f.ppi_high[i], st->vcpu[i].warned); /* until the guest answers */
	}
}

static void a_guest_that_loads_is_left_alone(void **state)
{
	linux_start(0, 10, 8);
	for (unsigned i = 0; i < 100; i++) {
		pass(4 * SECOND_NS);
		assert_int_equal(in(0, CURRENT_CNT), 40);
		out(0, LOAD_CNT, 80);
	}
	expect_rises(0, 0, 0);
	assert_int_equal(f.event_n, 0);
}

static void counts_down(void **state)
{
	assert_int_equal(in(1, CLOCK_FREQ_HZ), STALL_CLOCK_HZ);
	assert_int_equal(in(1, LOAD_CNT), STALL_CLOCK_HZ * STALL_SECONDS);
	assert_int_equal(in(1, STATUS), 0);
	linux_start(1, 4, 10);
	assert_int_equal(in(1, STATUS), 1);
	assert_int_equal(in(1, CLOCK_FREQ_HZ), 4);
	assert_int_equal(in(1, LOAD_CNT), 40);
	assert_int_equal(in(1, CURRENT_CNT), 40);
	pass(SECOND_NS / 4 - 1);
	assert_int_equal(in(1, CURRENT_CNT), 40);
	pass(1);
	assert_int_equal(in(1, CURRENT_CNT), 39);
	out(1, CURRENT_CNT, 3);
	assert_int_equal(in(1, CURRENT_CNT), 39);
	/* The others are off. */
	pass(9 * SECOND_NS);
	assert_int_equal(in(1, CURRENT_CNT), 3);
	assert_int_equal(in(0, CURRENT_CNT), 80);
	/* Off it stands, on it starts over; 1 written to what is on is no sign of life. */
	out(1, STATUS, 1);
	assert_int_equal(in(1, CURRENT_CNT), 3);
	out(1, STATUS, 0xfffffffe);
	pass(100 * SECOND_NS);
	assert_int_equal(in(1, CURRENT_CNT), 3);
	out(1, STATUS, 1);
	assert_int_equal(in(1, CURRENT_CNT), 40);
	expect_rises(0, 0, 0);
}

static void first_a_warning_then_a_stall(void **state)
{
	linux_start(0, 10, 8);
	linux_start(2, 10, 5);
	pass(5 * SECOND_NS - 1);
	expect_rises(0, 0, 0);
	pass(1);
	expect_rises(0, 0, 1);
	out(0, LOAD_CNT, 80);
	pass(5 * SECOND_NS - 1);
	assert_int_equal(f.event_n, 0);
	pass(1);
	expect_rises(0, 0, 1);
	assert_int_equal(f.event_n, 1);
	assert_int_equal(f.event, DEVICE_STALLED);
	assert_int_equal(f.event_value, 2);
	/* Nobody acted: told again, but not more often than that. */
	out(0, STATUS, 0);
	pass(5 * SECOND_NS - 1);
	assert_int_equal(f.event_n, 1);
	pass(1);
	assert_int_equal(f.event_n, 2);
	dev->cls->reset(dev);
	pass(100 * SECOND_NS);
	assert_int_equal(f.event_n, 2);
	assert_int_equal(in(2, STATUS), 0);
}

static void a_load_after_the_warning_calms_it(void **state)
{
	linux_start(1, 10, 8);
	for (unsigned i = 1; i < 5; i++) {
		pass(8 * SECOND_NS);
		expect_rises(0, i, 0);
		pass(7 * SECOND_NS);
		out(1, LOAD_CNT, 80);
	}
	assert_int_equal(f.event_n, 0);
	/* So does switching it off. */
	pass(8 * SECOND_NS);
	out(1, STATUS, 0);
	out(1, STATUS, 1);
	pass(8 * SECOND_NS);
	expect_rises(0, 6, 0);
	assert_int_equal(f.event_n, 0);
}

/* However late it is noticed, a guest gets its time to answer. */
static void a_late_host_does_not_make_a_stall(void **state)
{
	linux_start(0, 10, 8);
	pass(3600 * SECOND_NS);
	expect_rises(1, 0, 0);
	assert_int_equal(f.event_n, 0);
	assert_int_equal(in(0, CURRENT_CNT), 80);
	/* Nor does a clock that was set back. */
	guest_clock_set(&f.clock, 5);
	pass(0);
	pass(SECOND_NS);
	assert_int_equal(in(0, CURRENT_CNT), 70);
}

static void stands_still_in_a_pause(void **state)
{
	linux_start(0, 10, 8);
	fixture_monotonic_ns += 3 * SECOND_NS;
	device_lock(dev);
	dev->cls->pause(dev);
	fixture_monotonic_ns += 3600 * SECOND_NS;
	dev->cls->pre_save(dev);
	dev->cls->resume(dev);
	device_unlock(dev);
	assert_int_equal(in(0, CURRENT_CNT), 50);
	pass(5 * SECOND_NS - 1);
	expect_rises(0, 0, 0);
	pass(1);
	expect_rises(1, 0, 0);
	/* What falls due as the pause begins does so after it. */
	fixture_monotonic_ns += 9 * SECOND_NS;
	device_lock(dev);
	dev->cls->pause(dev);
	dev->cls->resume(dev);
	device_unlock(dev);
	assert_int_equal(f.event_n, 0);
	pass(1);
	assert_int_equal(f.event_n, 1);
}

/* What no driver writes. */
static void hostile_values_are_harmless(void **state)
{
	static const uint32_t hz[] = {0, 1, 3, 1000000000, 0xfffffffe, 0xffffffff};
	static const uint32_t load[] = {0, 1, 3, 0x7fffffff, 0xffffffff};

	for (size_t i = 0; i < ARRAY_LEN(hz); i++)
		for (size_t j = 0; j < ARRAY_LEN(load); j++) {
			struct err e = ERR_INIT;
			out(0, STATUS, 0);
			out(0, CLOCK_FREQ_HZ, hz[i]);
			out(0, LOAD_CNT, load[j]);
			out(0, STATUS, 1);
			assert_int_equal(in(0, CURRENT_CNT), load[j]);
			unsigned rises = f.ppi_rises[0];
			pass(3600 * SECOND_NS);
			assert_true(in(0, CURRENT_CNT) <= load[j]);
			if (!hz[i] || !load[j])
				assert_int_equal(f.ppi_rises[0], rises);
			assert_int_equal(dev->cls->check(dev, dev->st, &e), 0);
		}
	/* The longest: 136 years to the tick. */
	out(0, CLOCK_FREQ_HZ, 1);
	out(0, LOAD_CNT, 0xffffffff);
	unsigned rises = f.ppi_rises[0];
	pass(0xffffffff * SECOND_NS - 1);
	assert_int_equal(in(0, CURRENT_CNT), 1);
	assert_int_equal(f.ppi_rises[0], rises);
	pass(1);
	assert_int_equal(f.ppi_rises[0], rises + 1);
	/* A vCPU that is not there. */
	linux_start(VCPUS, 10, 8);
	assert_int_equal(in(VCPUS, STATUS), 0);
	assert_int_equal(in(VCPUS, CLOCK_FREQ_HZ), 0);
	assert_null(new_detector(STALL_VCPUS_MAX + 1));
}

static void modify(struct device *d)
{
	const struct stall_state *st = d->st;

	linux_start(0, 7, 30);
	linux_start(1, 5, 11);
	out(2, LOAD_CNT, 123);
	pass(12 * SECOND_NS);
	assert_true(st->vcpu[0].enabled && !st->vcpu[0].warned && st->vcpu[1].warned);
	assert_int_equal(st->vcpu[0].left_ns, 18 * SECOND_NS);
	assert_false(st->vcpu[2].enabled);
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	expect_rises(0, 2, 0); /* low after the reset, high again when loaded */
	assert_int_equal(in(0, CURRENT_CNT), 7 * 18);
	assert_int_equal(in(0, LOAD_CNT), 7 * 30);
	assert_int_equal(in(2, LOAD_CNT), 123);
	pass(11 * SECOND_NS);
	assert_int_equal(f.event_n, 1); /* the warning was before the save */
}

/* On another host, days later. */
static void goes_on_after_a_restore(void **state)
{
	struct buf saved;

	linux_start(1, 10, 8);
	pass(2 * SECOND_NS);
	device_save(dev, &saved);
	dev->cls->free(dev);
	fixture_monotonic_ns = 5;
	dev = new_detector(VCPUS);
	guest_clock_set(&f.clock, 3 * 86400 * SECOND_NS);
	assert_int_equal(device_load(dev, &saved), 0);
	assert_int_equal(in(1, CURRENT_CNT), 60);
	pass(6 * SECOND_NS);
	expect_rises(0, 1, 0);
	dev->cls->free(dev);
	dev = new_detector(VCPUS - 1);
	assert_int_equal(device_load(dev, &saved), -ERR_RANGE);
	buf_free(&saved);
}

static void impossible_states_are_refused(void **state)
{
	const struct stall_state good = *(struct stall_state *)dev->st;
	struct stall_state st;
	struct err e = ERR_INIT;

	assert_int_equal(dev->cls->check(dev, &good, &e), 0);
	st = good, st.vcpu_n++;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.vcpu[2].left_ns++;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.vcpu[2].left_ns = 0;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.vcpu[1].load = 0;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st.vcpu[1].left_ns = 0;
	assert_int_equal(dev->cls->check(dev, &st, &e), 0);
	st.vcpu[1].enabled = st.vcpu[1].warned = true;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st = good, st.vcpu[0].warned = true;
	assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);
	st.vcpu[0].enabled = true;
	assert_int_equal(dev->cls->check(dev, &st, &e), 0);
}

static void any_access_leaves_a_sane_device(void **state)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		uint64_t r = seed;
		fixture_monotonic_ns += fixture_random(&r) >> (fixture_random(&r) & 63);
		fixture_fuzz(dev, &stall_ops, seed & 1 ? VCPUS * BLOCK : 0x1000, 500, seed);
	}
}

/* --- with a real clock ----------------------------------------------------------------- */

static void stop_at_stall(struct device_events *ev, enum device_event what, uint32_t value)
{
	f.event_n++;
	loop_stop(loop);
}

static void expires_by_itself(void **state)
{
	struct err e = ERR_INIT;

	guest_clock_init(&f.clock);
	f.events.happened = stop_at_stall;
	dev->cls->free(dev);
	dev = new_detector(VCPUS);
	linux_start(0, 10, 3600);
	out(2, CLOCK_FREQ_HZ, 1000);
	out(2, LOAD_CNT, 20);
	uint64_t start = io_now_ns();
	out(2, STATUS, 1);
	assert_int_equal(loop_run(loop, &e), 0);
	assert_true(io_now_ns() - start >= 40000000);
	expect_rises(0, 0, 1);
	assert_int_equal(f.event_n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_guest_that_loads_is_left_alone),
	    TEST(counts_down),
	    TEST(first_a_warning_then_a_stall),
	    TEST(a_load_after_the_warning_calms_it),
	    TEST(a_late_host_does_not_make_a_stall),
	    TEST(stands_still_in_a_pause),
	    TEST(hostile_values_are_harmless),
	    TEST(is_saved_whole),
	    TEST(goes_on_after_a_restore),
	    TEST(impossible_states_are_refused),
	    TEST(any_access_leaves_a_sane_device),
	    TEST(expires_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
