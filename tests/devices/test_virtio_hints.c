/* SPDX-License-Identifier: Apache-2.0 */
/* Hints of free pages by the driver of a balloon (virtio 1.2, 5.5.6.6). */
#include "balloon_machine.h"
#include "roundtrip.h"

#include <linux/virtio_config.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define BIT(f)	      (UINT64_C(1) << (f))
#define STOP	      VIRTIO_BALLOON_CMD_ID_STOP
#define DONE	      VIRTIO_BALLOON_CMD_ID_DONE
#define CONFIG_VECTOR 1 /* bit of driver_interrupts() */

/* What was named, and how often it was over. */
static struct {
	unsigned n, over;
	uint64_t at[64], bytes[64];
} seen;

static void named(void *arg, struct gpa at, uint64_t bytes)
{
	assert_ptr_equal(arg, &seen);
	assert_true(seen.n < ARRAY_LEN(seen.at));
	seen.at[seen.n] = at.v;
	seen.bytes[seen.n++] = bytes;
}

static void over(void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.over++;
}

static const struct virtio_balloon_hints hints = {named, over, &seen};

static int setup(void **unused)
{
	machine_with_balloon();
	memset(&seen, 0, sizeof seen);
	return 0;
}

static bool broken(void)
{
	return driver_status(&g) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static uint32_t shown(void)
{
	return (uint32_t)mmio_read(&m, g.config + 8, 4);
}

static void start(struct guest_driver *d)
{
	driver_start(d, EVERYTHING, true);
}

/* Starts the driver, gives a command, returns it. */
static uint32_t command(void)
{
	start(&g);
	assert_int_equal(shown(), STOP);
	assert_true(virtio_balloon_hint(balloon, &hints));
	assert_int_equal(driver_interrupts(&g), CONFIG_VECTOR);
	return shown();
}

static void send(uint64_t at, uint32_t bytes, bool in)
{
	struct guest_buf b = {at, bytes, in};
	uint16_t head;
	uint32_t len;

	queue_add(&g, HINTS, &b, 1, false);
	queue_kick(&g, HINTS);
	if (!broken()) {
		assert_true(queue_used(&g, HINTS, &head, &len));
		assert_int_equal(len, 0);
	}
}

static void say(uint32_t id)
{
	uint64_t at = guest_alloc(&m, sizeof id);

	memcpy(guest_ptr(&m, at, sizeof id), &id, sizeof id);
	send(at, sizeof id, false);
}

static void name(unsigned page, unsigned n)
{
	send(area + page * PAGE, n * PAGE, true);
}

static void expect_named(unsigned i, unsigned page, unsigned n)
{
	assert_true(i < seen.n);
	assert_int_equal(seen.at[i], area + page * PAGE);
	assert_int_equal(seen.bytes[i], n * PAGE);
}

static bool untouched(void)
{
	const uint8_t *p = guest_ptr(&m, area, 64 * PAGE);

	for (unsigned i = 0; i < 64 * PAGE; i++)
		if (p[i] != 0xaa)
			return false;
	return true;
}

/* --- a command and its end ----------------------------------------------------------------- */

static void pages_are_named_between_start_and_stop(void **unused)
{
	uint32_t id = command();
	uint64_t generation = mmio_read(&m, g.common + 0x15, 1);

	assert_true(id > DONE);
	name(0, 1); /* of no command */
	say(id);
	name(1, 2);
	name(10, 4);
	assert_int_equal(seen.over, 0);
	say(STOP);
	assert_int_equal(seen.over, 1);
	name(20, 1); /* and after it was over */
	assert_int_equal(seen.n, 2);
	expect_named(0, 1, 2);
	expect_named(1, 10, 4);
	assert_int_equal(shown(), id);
	assert_true(virtio_balloon_hint_done(balloon));
	assert_int_equal(shown(), DONE);
	assert_int_equal(driver_interrupts(&g) & CONFIG_VECTOR, CONFIG_VECTOR);
	assert_int_not_equal(mmio_read(&m, g.common + 0x15, 1), generation);
	assert_false(virtio_balloon_hint_done(balloon));
	assert_true(untouched());
	assert_false(broken());
}

static void a_chain_may_have_several_parts(void **unused)
{
	uint32_t id = command();
	uint64_t at = guest_alloc(&m, sizeof id);
	const struct guest_buf all[] = {
	    {at, sizeof id, false}, {area, PAGE, true}, {area + 3 * PAGE, 2 * PAGE, true}};

	memcpy(guest_ptr(&m, at, sizeof id), &id, sizeof id);
	queue_add(&g, HINTS, all, ARRAY_LEN(all), true);
	queue_kick(&g, HINTS);
	assert_int_equal(seen.n, 2);
	expect_named(0, 0, 1);
	expect_named(1, 3, 2);
}

static void hints_are_no_writes(void **unused)
{
	static uint64_t written[4096];
	uint32_t id = command();

	assert_true(mem_track_words(m.mem.size) <= ARRAY_LEN(written));
	assert_int_equal(mem_track(&m.mem, NULL), 0);
	say(id);
	name(8, 16);
	mem_take_dirty(&m.mem, written);
	uint64_t offset = (uint64_t)((uint8_t *)guest_ptr(&m, area + 8 * PAGE, 1) - m.mem.host);
	uint64_t host_page = mem_track_bytes();
	if (host_page == PAGE)
		for (uint64_t p = offset / PAGE; p < offset / PAGE + 16; p++)
			assert_false(written[p / 64] >> p % 64 & 1);
	assert_int_equal(seen.n, 1);
}

static void another_command_is_none_of_ours(void **unused)
{
	uint32_t id = command();
	const uint32_t wrong[] = {STOP, DONE, id + 1, id - 1, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		say(wrong[i]);
		name(1, 1);
		say(STOP);
	}
	assert_int_equal(seen.n, 0);
	assert_int_equal(seen.over, 0);
	/* One that thinks better of it. */
	say(id);
	name(1, 1);
	say(id + 1);
	name(2, 1);
	say(id);
	name(3, 1);
	assert_int_equal(seen.n, 2);
	expect_named(1, 3, 1);
	virtio_balloon_hint_done(balloon);
	say(id);
	name(4, 1);
	assert_int_equal(seen.n, 2);
}

static void each_command_is_another(void **unused)
{
	uint32_t last = command();

	for (unsigned i = 0; i < 5; i++) {
		assert_true(virtio_balloon_hint_done(balloon));
		assert_true(virtio_balloon_hint(balloon, &hints));
		assert_int_not_equal(shown(), last);
		last = shown();
		assert_true(last > DONE);
	}
	assert_true(virtio_balloon_hint_done(balloon));
	((struct virtio_balloon_state *)balloon->st)->hint_command = UINT32_MAX;
	assert_true(virtio_balloon_hint(balloon, &hints));
	assert_int_equal(shown(), DONE + 1);
	virtio_balloon_hint_done(balloon);
}

/* --- who cannot be asked ------------------------------------------------------------------- */

static void nobody_to_ask(void **unused)
{
	assert_false(virtio_balloon_hint(balloon, &hints));
	driver_start(&g, EVERYTHING & ~BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT), true);
	assert_false(virtio_balloon_hint(balloon, &hints));
	start(&g);
	virtio_balloon_hint_done(balloon); /* nothing was asked */
	assert_int_equal(shown(), STOP);
	mmio_write(&m, g.config + 12, 4, 0xaaaaaaaa); /* it fills what is free */
	assert_false(virtio_balloon_hint(balloon, &hints));
	assert_int_equal(shown(), STOP);
	mmio_write(&m, g.config + 12, 4, 0);
	assert_true(virtio_balloon_hint(balloon, &hints));
	mmio_write(&m, g.config + 12, 4, 1); /* afterwards */
	assert_false(virtio_balloon_hint_done(balloon));
	assert_int_equal(shown(), DONE);
}

static void a_driver_that_goes_takes_its_word_back(void **unused)
{
	for (unsigned i = 0; i < 2; i++) {
		seen.over = 0;
		say((command(), shown()));
		name(1, 1);
		if (i)
			balloon->cls->reset(balloon);
		else
			driver_set_status(&g, 0);
		assert_int_equal(seen.over, 1);
		driver_probe(&g, &m, 1);
		start(&g);
		assert_int_equal(shown(), STOP);
		name(2, 1);
		assert_false(virtio_balloon_hint_done(balloon));
		assert_int_equal(shown(), STOP);
	}
	assert_int_equal(seen.n, 2);
}

static void rules_are_kept_or_nothing_counts(void **unused)
{
	uint64_t end = m.l.params.ram_bytes;
	const struct {
		uint64_t at;
		uint32_t bytes;
		bool in;
	} cases[] = {
	    {end, PAGE, true},	   {end - PAGE, 2 * PAGE, true},   {0xd0000000, PAGE, true},
	    {UINT64_MAX, 2, true}, {end - PAGE, UINT32_MAX, true}, {area, 3, false},
	    {area, 5, false},	   {area, 4 * PAGE, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t id = command();
		say(id);
		name(1, 1);
		send(cases[i].at, cases[i].bytes, cases[i].in);
		if (!broken())
			fail_msg("case %zu", i);
		assert_false(virtio_balloon_hint_done(balloon));
	}
	assert_int_equal(seen.n, ARRAY_LEN(cases));
	assert_true(untouched());
}

/* A driver that never ends leaves the event loop to others after a few. */
static void there_is_no_end_to_it(void **unused)
{
	uint32_t id = command();
	struct guest_buf b = {area, PAGE, true};

	say(id);
	for (unsigned i = 0; i < 60; i++)
		queue_add(&g, HINTS, &b, 1, false);
	mmio_write(&m, g.q[HINTS].doorbell, 2, HINTS);
	assert_true(loop_poll(m.loop, NULL) > 0);
	assert_in_range(seen.n, 1, 59);
	machine_pump(&m);
	assert_int_equal(seen.n, 60);
}

/* --- as all virtio devices ----------------------------------------------------------------- */

static void modify(struct device *d)
{
	assert_true(virtio_balloon_hint(d, &hints));
	assert_true(virtio_balloon_hint_done(d));
}

static void a_restored_driver_gets_its_pages_back(void **unused)
{
	struct buf saved = BUF_INIT;
	uint32_t id = command();

	assert_true(virtio_balloon_hint_done(balloon));
	device_save(balloon, &saved);
	/* Another machine, where nothing was ever hinted. */
	balloon->cls->reset(balloon);
	assert_int_equal(device_load(balloon, &saved), 0);
	assert_int_equal(shown(), DONE);
	assert_true(virtio_balloon_hint(balloon, &hints));
	assert_int_not_equal(shown(), id);
	virtio_balloon_hint_done(balloon);
	buf_free(&saved);
}

static void is_saved_whole(void **unused)
{
	start(&g);
	roundtrip(balloon, modify);
	assert_int_equal(shown(), DONE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(pages_are_named_between_start_and_stop),
	    TEST(a_chain_may_have_several_parts),
	    TEST(hints_are_no_writes),
	    TEST(another_command_is_none_of_ours),
	    TEST(each_command_is_another),
	    TEST(nobody_to_ask),
	    TEST(a_driver_that_goes_takes_its_word_back),
	    TEST(rules_are_kept_or_nothing_counts),
	    TEST(there_is_no_end_to_it),
	    TEST(a_restored_driver_gets_its_pages_back),
	    TEST(is_saved_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
