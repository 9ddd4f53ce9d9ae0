/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio balloon under a driver. */
#include "balloon_machine.h"
#include "roundtrip.h"

#include <linux/virtio_config.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define POISON (UINT64_C(1) << VIRTIO_BALLOON_F_PAGE_POISON)

static int setup(void **unused)
{
	machine_with_balloon();
	return 0;
}

static void start(struct guest_driver *d)
{
	driver_start(d, EVERYTHING, true);
}

static bool broken(void)
{
	return driver_status(&g) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Is [@at, @at+@bytes) of the area all @value? */
static bool all(uint64_t at, uint64_t bytes, uint8_t value)
{
	const uint8_t *p = guest_ptr(&m, area + at, bytes);

	for (uint64_t i = 0; i < bytes; i++)
		if (p[i] != value)
			return false;
	return true;
}

static bool gone(unsigned page)
{
	return all(page * PAGE, PAGE, 0);
}

static bool there(unsigned page)
{
	return all(page * PAGE, PAGE, 0xaa);
}

static void send(unsigned q, uint64_t at, uint32_t bytes, bool in)
{
	struct guest_buf b = {at, bytes, in};

	queue_add(&g, q, &b, 1, false);
	queue_kick(&g, q);
}

static void name_pages(unsigned q, const uint32_t *page, unsigned n)
{
	uint64_t at = guest_alloc(&m, n * sizeof *page);

	memcpy(guest_ptr(&m, at, n * sizeof *page), page, n * sizeof *page);
	send(q, at, n * sizeof *page, false);
}

static uint32_t number(unsigned page)
{
	return (uint32_t)(area / PAGE + page);
}

static void answered(unsigned q)
{
	uint16_t head;
	uint32_t len;

	assert_true(queue_used(&g, q, &head, &len));
	assert_int_equal(len, 0);
}

static uint64_t blocks(void)
{
	struct stat st;

	assert_int_equal(fstat(m.mem.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static struct virtio_balloon_info look(void)
{
	struct virtio_balloon_info info;

	virtio_balloon_look(balloon, &info);
	return info;
}

/* --- giving up, taking back ---------------------------------------------------------------- */

static void is_a_balloon(void **unused)
{
	assert_int_equal(ecam_read(&m, 1, 0, 4), 0x10451af4);
	assert_false(look().ready);
	start(&g);
	assert_int_equal(g.queues, QUEUES);
	assert_true(look().ready);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(mmio_read(&m, g.config + 4 * i, 4), 0);
}

static void pages_given_up_are_given_to_the_host(void **unused)
{
	/* Some up, some down, one twice, one alone. */
	const uint32_t page[] = {number(3),  number(4),	 number(5),  number(20), number(19),
				 number(18), number(40), number(40), number(0)};
	static const bool given[PAGES] = {[0] = true,  [3] = true,  [4] = true,	 [5] = true,
					  [18] = true, [19] = true, [20] = true, [40] = true};

	start(&g);
	uint64_t before = blocks();
	name_pages(INFLATE, page, ARRAY_LEN(page));
	answered(INFLATE);
	assert_int_equal(driver_interrupts(&g), 1 << (INFLATE + 1));
	/* Eight went; up to four came, for the list and the three parts of the ring. Looking at a
	 * page that is not there brings it back. */
	assert_true(blocks() <= before - 4 * PAGE);
	for (unsigned i = 0; i < PAGES; i++)
		assert_true(given[i] ? gone(i) : there(i));
	assert_int_equal(look().dropped_bytes, ARRAY_LEN(page) * PAGE);
	name_pages(DEFLATE, page, ARRAY_LEN(page));
	answered(DEFLATE);
	assert_false(broken());
}

static void no_page_outside_memory(void **unused)
{
	const uint32_t outside[] = {(uint32_t)(m.l.params.ram_bytes / PAGE), 0xd0000, 0xfffff,
				    0x7fffffff, 0xffffffff};

	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		const uint32_t page[] = {number(1), outside[i], number(2)};
		start(&g);
		name_pages(INFLATE, page, ARRAY_LEN(page));
		assert_true(broken());
		assert_int_equal(queue_used_idx(&g, INFLATE), 0);
		assert_true(there(2));
	}
}

static void lists_are_lists(void **unused)
{
	uint64_t list = guest_alloc(&m, 5 * PAGE);
	const struct {
		unsigned queue;
		uint32_t bytes;
		bool in, good;
	} cases[] = {
	    {INFLATE, 7, false, false},	      {INFLATE, 4, true, false},
	    {INFLATE, 4 * PAGE, false, true}, {INFLATE, 4 * PAGE + 4, false, false},
	    {DEFLATE, 1, false, false},	      {DEFLATE, 8, true, false},
	    {DEFLATE, 4 * PAGE, false, true}, {DEFLATE, 4 * PAGE + 4, false, false},
	    {REPORTS, PAGE, false, false},    {STATS, 20, true, false},
	};

	for (unsigned i = 0; i < 5 * PAGE / 4; i++)
		memcpy(guest_ptr(&m, list + 4 * i, 4), &(uint32_t){number(i % PAGES)}, 4);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		start(&g);
		send(cases[i].queue, list, cases[i].bytes, cases[i].in);
		if (broken() == cases[i].good)
			fail_msg("case %zu", i);
	}
}

/* --- free pages ---------------------------------------------------------------------------- */

static void reported_pages_are_dropped(void **unused)
{
	start(&g);
	struct guest_buf range[] = {{area + 2 * PAGE, 4 * PAGE, true},
				    {area + 9 * PAGE, PAGE, true}};
	queue_add(&g, REPORTS, range, 2, false);
	queue_kick(&g, REPORTS);
	answered(REPORTS);
	for (unsigned i = 0; i < 16; i++)
		assert_true((i >= 2 && i < 6) || i == 9 ? gone(i) : there(i));
	assert_int_equal(look().dropped_bytes, 5 * PAGE);
	/* Not a whole number of pages, nor at the start of one: that and nothing else. */
	send(REPORTS, area + 20 * PAGE + 100, 3 * PAGE, true);
	answered(REPORTS);
	assert_true(all(20 * PAGE, 100, 0xaa));
	assert_true(all(20 * PAGE + 100, 3 * PAGE, 0));
	assert_true(all(23 * PAGE + 100, PAGE - 100, 0xaa));
	send(REPORTS, area + 30 * PAGE + 8, 16, true);
	assert_true(all(30 * PAGE, 8, 0xaa));
	assert_true(all(30 * PAGE + 8, 16, 0));
	assert_true(all(30 * PAGE + 24, PAGE - 24, 0xaa));
	assert_false(broken());
}

static void no_range_that_is_not_memory(void **unused)
{
	uint64_t end = m.l.params.ram_bytes;
	const struct {
		uint64_t at;
		uint32_t bytes;
	} cases[] = {
	    {end, PAGE},
	    {end - PAGE, 2 * PAGE},
	    {0xd0000000, PAGE},
	    {0xfee00000, PAGE},
	    {UINT64_MAX - PAGE, 2 * PAGE},
	    {1ull << 63, PAGE},
	    {end - PAGE, UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		start(&g);
		send(REPORTS, cases[i].at, cases[i].bytes, true);
		assert_true(broken());
		assert_int_equal(queue_used_idx(&g, REPORTS), 0);
	}
}

/* A guest that fills free pages with a value wants that value back, not zeros. */
static void poisoned_pages_stay(void **unused)
{
	driver_start(&g, EVERYTHING, true);
	mmio_write(&m, g.config + 12, 4, 0xaaaaaaaa);
	assert_int_equal(mmio_read(&m, g.config + 12, 4), 0xaaaaaaaa);
	send(REPORTS, area, 4 * PAGE, true);
	answered(REPORTS);
	assert_true(there(0) && there(3));
	mmio_write(&m, g.config + 12, 4, 0);
	send(REPORTS, area, 4 * PAGE, true);
	assert_true(gone(0) && gone(3));
	/* One that did not accept it does not fill them. */
	driver_start(&g, EVERYTHING & ~POISON, true);
	mmio_write(&m, g.config + 12, 4, 1);
	send(REPORTS, area + 8 * PAGE, PAGE, true);
	assert_true(gone(8));
	/* What is given up is not a free page. */
	driver_start(&g, EVERYTHING, true);
	mmio_write(&m, g.config + 12, 4, 1);
	name_pages(INFLATE, &(uint32_t){number(9)}, 1);
	assert_true(gone(9));
}

static void what_somebody_needs_is_kept(void **unused)
{
	start(&g);
	m.mem.keep = true;
	name_pages(INFLATE, &(uint32_t){number(1)}, 1);
	send(REPORTS, area + 2 * PAGE, PAGE, true);
	answered(INFLATE);
	answered(REPORTS);
	assert_true(there(1) && there(2));
	m.mem.keep = false;
	send(REPORTS, area + 2 * PAGE, PAGE, true);
	assert_true(there(1) && gone(2));
}

static void a_paused_one_drops_nothing(void **unused)
{
	start(&g);
	device_lock(balloon);
	balloon->cls->pause(balloon);
	device_unlock(balloon);
	send(REPORTS, area, PAGE, true);
	assert_true(there(0));
	assert_int_equal(queue_used_idx(&g, REPORTS), 0);
	device_lock(balloon);
	balloon->cls->resume(balloon);
	device_unlock(balloon);
	machine_pump(&m);
	answered(REPORTS);
	assert_true(gone(0));
}

/* --- how much ------------------------------------------------------------------------------ */

static void the_guest_is_asked_and_says(void **unused)
{
	virtio_balloon_ask(balloon, 100 * PAGE); /* nobody there: it finds out when it comes */
	start(&g);
	assert_int_equal(mmio_read(&m, g.config, 4), 100);
	uint64_t generation = mmio_read(&m, g.common + 0x15, 1);
	virtio_balloon_ask(balloon, 7 * PAGE + 5);
	assert_int_equal(driver_interrupts(&g), 1);
	assert_int_not_equal(mmio_read(&m, g.common + 0x15, 1), generation);
	assert_int_equal(mmio_read(&m, g.config, 4), 7);
	assert_int_equal(look().target_bytes, 7 * PAGE);
	mmio_write(&m, g.config + 4, 4, 6);
	assert_int_equal(mmio_read(&m, g.config + 4, 4), 6);
	assert_int_equal(look().actual_bytes, 6 * PAGE);
	/* The rest is not the driver's, nor is anything but a whole field. */
	mmio_write(&m, g.config, 4, 99);
	mmio_write(&m, g.config + 8, 4, 99);
	mmio_write(&m, g.config + 4, 1, 99);
	mmio_write(&m, g.config + 5, 4, 99);
	mmio_write(&m, g.config + 16, 4, 99);
	assert_int_equal(mmio_read(&m, g.config, 4), 7);
	assert_int_equal(mmio_read(&m, g.config + 4, 4), 6);
	assert_int_equal(mmio_read(&m, g.config + 8, 4), 0);
	virtio_balloon_ask(balloon, UINT64_MAX);
	assert_int_equal(mmio_read(&m, g.config, 4), UINT32_MAX);
}

static void a_driver_that_went_has_no_pages(void **unused)
{
	mmio_write(&m, g.config + 4, 4, 6); /* and one that is not there cannot say so */
	assert_int_equal(look().actual_bytes, 0);
	start(&g);
	virtio_balloon_ask(balloon, 7 * PAGE);
	mmio_write(&m, g.config + 4, 4, 6);
	driver_set_status(&g, 0);
	assert_int_equal(look().actual_bytes, 0);
	assert_int_equal(look().target_bytes, 7 * PAGE);
	balloon->cls->reset(balloon);
	assert_int_equal(look().target_bytes, 7 * PAGE);
}

static void put_stat(uint64_t at, uint16_t tag, uint64_t v)
{
	struct virtio_balloon_stat s = {tag, v};

	memcpy(guest_ptr(&m, at, sizeof s), &s, sizeof s);
}

static void statistics_come_when_asked_for(void **unused)
{
	uint64_t at = guest_alloc(&m, 100);

	start(&g);
	assert_false(look().has_stat[VIRTIO_BALLOON_S_MEMFREE]);
	put_stat(at, VIRTIO_BALLOON_S_MEMFREE, 1234);
	put_stat(at + 10, 4711, 1);
	put_stat(at + 20, VIRTIO_BALLOON_S_MEMTOT, 5678);
	send(STATS, at, 35, false); /* the last one is cut off */
	assert_int_equal(queue_used_idx(&g, STATS), 0);
	struct virtio_balloon_info info = look();
	assert_true(info.has_stat[VIRTIO_BALLOON_S_MEMFREE]);
	assert_int_equal(info.stat[VIRTIO_BALLOON_S_MEMFREE], 1234);
	assert_int_equal(info.stat[VIRTIO_BALLOON_S_MEMTOT], 5678);
	assert_false(info.has_stat[VIRTIO_BALLOON_S_CACHES]);
	/* That gave the buffer back: the driver fills it again. */
	answered(STATS);
	assert_int_equal(driver_interrupts(&g), 1 << (STATS + 1));
	put_stat(at, VIRTIO_BALLOON_S_CACHES, 99);
	send(STATS, at, 10, false);
	info = look();
	assert_int_equal(info.stat[VIRTIO_BALLOON_S_CACHES], 99);
	assert_false(info.has_stat[VIRTIO_BALLOON_S_MEMFREE]);
	answered(STATS);
	/* With nothing to give back, nothing is. */
	look();
	assert_false(broken());
	send(STATS, at, 10, false);
	send(STATS, at, 10, false);
	assert_true(broken());
}

/* --- as all virtio devices ----------------------------------------------------------------- */

static void modify(struct device *d)
{
	virtio_balloon_ask(d, 50 * PAGE);
	mmio_write(&m, g.config + 4, 4, 49);
	mmio_write(&m, g.config + 12, 4, 0x55555555);
	name_pages(INFLATE, &(uint32_t){number(1)}, 1);
}

static void is_saved_whole(void **unused)
{
	start(&g);
	roundtrip(balloon, modify);
	assert_int_equal(mmio_read(&m, g.config, 4), 50);
	assert_int_equal(look().actual_bytes, 49 * PAGE);
	assert_int_equal(mmio_read(&m, g.config + 12, 4), 0x55555555);
}

static void a_state_that_cannot_be_is_refused(void **unused)
{
	struct virtio_balloon_state st = *(struct virtio_balloon_state *)balloon->st;
	struct err e = ERR_INIT;

	assert_int_equal(balloon->cls->check(balloon, &st, &e), 0);
	st.actual_pages = 1;
	assert_int_equal(balloon->cls->check(balloon, &st, &e), -ERR_STRUCTURE);
	st.actual_pages = 0;
	st.hint_command = 2;
	assert_int_equal(balloon->cls->check(balloon, &st, &e), -ERR_STRUCTURE);
	st.virtio.status = VIRTIO_CONFIG_S_ACKNOWLEDGE;
	assert_int_equal(balloon->cls->check(balloon, &st, &e), 0);
	st.hint_command = VIRTIO_BALLOON_CMD_ID_DONE;
	assert_int_equal(balloon->cls->check(balloon, &st, &e), -ERR_RANGE);
	st.hint_command = 0;
	st.virtio.queue_n = 3;
	assert_int_equal(balloon->cls->check(balloon, &st, &e), -ERR_STRUCTURE);
}

static void broken_rules_are_noticed(void **unused)
{
	for (unsigned q = 0; q < QUEUES; q++)
		queue_abuse(&g, q, start, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(is_a_balloon),
	    TEST(pages_given_up_are_given_to_the_host),
	    TEST(no_page_outside_memory),
	    TEST(lists_are_lists),
	    TEST(reported_pages_are_dropped),
	    TEST(no_range_that_is_not_memory),
	    TEST(poisoned_pages_stay),
	    TEST(what_somebody_needs_is_kept),
	    TEST(a_paused_one_drops_nothing),
	    TEST(the_guest_is_asked_and_says),
	    TEST(a_driver_that_went_has_no_pages),
	    TEST(statistics_come_when_asked_for),
	    TEST(is_saved_whole),
	    TEST(a_state_that_cannot_be_is_refused),
	    TEST(broken_rules_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
