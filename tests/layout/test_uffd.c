/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/uffd.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PAGES 64

static struct guest_mem m;
static struct uffd u = UFFD_INIT;
static char why[160]; /* there is no userfaultfd here */

static int setup(void **state)
{
	struct layout_params p;
	struct layout l;
	struct err e = ERR_INIT;

	layout_params_init(&p, 4 * MIB);
	if (layout_build(layout_def_find("x86_64/linux@1"), &p, &l, &e) || mem_init(&m, &l, &e))
		return -1;
	int r = uffd_open(&u, &m, &e);
	if (!r)
		r = uffd_register(&u, 0, (uint64_t)PAGES * m.page_bytes, UFFD_MISSING, &e);
	if (r)
		err_text(&e, why, sizeof why);
	return 0;
}

static int teardown(void **state)
{
	uffd_close(&u);
	uffd_close(&u); /* harmless */
	mem_fini(&m);
	return 0;
}

static void need_uffd(void)
{
	if (!why[0])
		return;
	print_message("skipped: %s\n", why);
	skip();
}

static uint64_t page(unsigned i)
{
	return (uint64_t)i * m.page_bytes;
}

/* Of page @i and those behind it, each another. */
static uint8_t *contents(unsigned n, uint8_t seed)
{
	uint8_t *p = malloc(page(n));

	for (unsigned i = 0; i < n; i++)
		memset(p + page(i), seed + (int)i, m.page_bytes);
	return p;
}

/* By way of the file, which waits for nothing. */
static void expect_page(unsigned i, uint8_t byte)
{
	uint8_t *got = malloc(m.page_bytes);

	assert_int_equal(pread(m.fd, got, m.page_bytes, (off_t)page(i)), m.page_bytes);
	for (uint32_t k = 0; k < m.page_bytes; k++)
		assert_int_equal(got[k], byte);
	free(got);
}

static bool there(unsigned i)
{
	return lseek(m.fd, (off_t)page(i), SEEK_DATA) == (off_t)page(i);
}

struct toucher {
	pthread_t thread;
	unsigned page;
	bool write;
	uint8_t seen;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	volatile uint8_t *p = m.host + page(t->page) + 123;

	if (t->write)
		*p = 0xee;
	t->seen = *p;
	return NULL;
}

static void start(struct toucher *t, unsigned i, bool write)
{
	*t = (struct toucher){.page = i, .write = write};
	assert_int_equal(pthread_create(&t->thread, NULL, touch, t), 0);
}

static struct uffd_fault next_fault(void)
{
	struct pollfd p = {u.fd, POLLIN, 0};
	struct uffd_fault f;

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(uffd_next(&u, &f));
	return f;
}

static uint8_t end(struct toucher *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	return t->seen;
}

static void missing_pages_are_filled(void **state)
{
	struct err e = ERR_INIT;

	need_uffd();
	uint8_t *data = contents(16, 1);
	assert_int_equal(uffd_fill(&u, page(4), data, page(16), &e), 0);
	for (unsigned i = 0; i < 16; i++) {
		expect_page(4 + i, (uint8_t)(1 + i));
		assert_int_equal(m.host[page(4 + i)], 1 + i);
	}
	assert_false(there(3));
	assert_false(there(20));
	free(data);
}

static void missing_pages_are_zeroed(void **state)
{
	struct err e = ERR_INIT;

	need_uffd();
	assert_int_equal(uffd_zero(&u, page(8), page(4), &e), 0);
	for (unsigned i = 8; i < 12; i++) {
		assert_true(there(i));
		assert_int_equal(m.host[page(i) + 7], 0);
	}
	assert_false(there(12));
}

/* Wherever they are among those that are not. */
static void pages_that_are_there_keep_what_they_hold(void **state)
{
	static const unsigned old[] = {0, 3, 4, 9, 15};
	struct err e = ERR_INIT;

	need_uffd();
	uint8_t *before = contents(1, 200), *data = contents(16, 1);
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		assert_int_equal(uffd_fill(&u, page(old[i]), before, page(1), &e), 0);
	assert_int_equal(uffd_fill(&u, page(0), data, page(16), &e), 0);
	for (unsigned i = 0; i < 16; i++) {
		bool kept = false;
		for (size_t k = 0; k < ARRAY_LEN(old); k++)
			kept |= old[k] == i;
		expect_page(i, kept ? 200 : (uint8_t)(1 + i));
	}
	assert_int_equal(uffd_zero(&u, page(0), page(18), &e), 0);
	expect_page(3, 200);
	expect_page(5, 6);
	assert_true(there(17));
	expect_page(17, 0);
	free(before);
	free(data);
}

static void a_fault_is_told_and_its_thread_goes_on(void **state)
{
	struct err e = ERR_INIT;
	struct uffd_fault f;
	struct toucher t;

	need_uffd();
	assert_false(uffd_next(&u, &f));
	uint8_t *data = contents(1, 77);
	for (unsigned i = 0; i < 2; i++) {
		start(&t, 30 + i, i);
		f = next_fault();
		assert_int_equal(f.offset, page(30 + i));
		assert_int_equal(f.write, i);
		assert_false(f.protected);
		assert_false(uffd_next(&u, &f));
		assert_int_equal(uffd_fill(&u, page(30 + i), data, page(1), &e), 0);
		assert_int_equal(end(&t), i ? 0xee : 77);
	}
	start(&t, 40, false);
	assert_int_equal(next_fault().offset, page(40));
	assert_int_equal(uffd_zero(&u, page(40), page(1), &e), 0);
	assert_int_equal(end(&t), 0);
	free(data);
}

/* A page that came in another way than by what wakes: filling it again does. */
static void filling_what_is_there_wakes(void **state)
{
	struct err e = ERR_INIT;
	struct toucher t;

	need_uffd();
	uint8_t *data = contents(1, 77);
	for (unsigned i = 50; i < 52; i++) {
		start(&t, i, false);
		assert_int_equal(next_fault().offset, page(i));
		assert_int_equal(pwrite(m.fd, "x", 1, (off_t)page(i) + 123), 1);
		assert_int_equal(i == 50 ? uffd_fill(&u, page(i), data, page(1), &e)
					 : uffd_zero(&u, page(i), page(1), &e),
				 0);
		assert_int_equal(end(&t), 'x');
	}
	free(data);
}

/* What the guest gives back is missing again, and told of again. */
static void pages_given_back_are_missing(void **state)
{
	struct err e = ERR_INIT;
	struct toucher t;

	need_uffd();
	uint8_t *data = contents(1, 77);
	assert_int_equal(uffd_fill(&u, page(20), data, page(1), &e), 0);
	assert_int_equal(fallocate(m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)page(20), (off_t)page(1)),
			 0);
	start(&t, 20, false);
	assert_int_equal(next_fault().offset, page(20));
	assert_int_equal(uffd_zero(&u, page(20), page(1), &e), 0);
	assert_int_equal(end(&t), 0);
	free(data);
}

static void nobody_waits_where_nothing_is_registered(void **state)
{
	struct err e = ERR_INIT;
	struct toucher t;

	need_uffd();
	start(&t, PAGES + 5, true);
	assert_int_equal(end(&t), 0xee);
	assert_int_equal(uffd_unregister(&u, page(10), page(5), &e), 0);
	start(&t, 12, true);
	assert_int_equal(end(&t), 0xee);
	start(&t, 15, false);
	assert_int_equal(next_fault().offset, page(15));
	assert_int_equal(uffd_zero(&u, page(15), page(1), &e), 0);
	end(&t);
}

/* Whoever waits to write: Linux itself does not wake them. */
static void not_protected_any_more_lets_writers_go(void **state)
{
	struct err e = ERR_INIT;
	struct toucher t;

	need_uffd();
	if (uffd_can_protect(&u, &e)) {
		print_message("skipped: %s\n", e.msg);
		skip();
	}
	for (unsigned i = PAGES + 10; i < PAGES + 12; i++) {
		/* One that is there, and one that is missing. */
		if (i % 2)
			assert_int_equal(pwrite(m.fd, "x", 1, (off_t)page(i)), 1);
		assert_int_equal(uffd_register(&u, page(i), page(1), UFFD_PROTECT, &e), 0);
		assert_int_equal(uffd_protect(&u, page(i), page(1), true, &e), 0);
		start(&t, i, true);
		struct uffd_fault f = next_fault();
		assert_int_equal(f.offset, page(i));
		assert_true(f.protected);
		assert_int_equal(uffd_unregister(&u, page(i), page(1), &e), 0);
		assert_int_equal(end(&t), 0xee);
	}
}

static void protection_ends_where_memory_does(void **state)
{
	uint64_t last = m.size - page(1);
	struct err e = ERR_INIT;

	need_uffd();
	if (uffd_can_protect(&u, &e)) {
		print_message("skipped: %s\n", e.msg);
		skip();
	}
	assert_int_equal(uffd_register(&u, last, page(1), UFFD_PROTECT, &e), 0);
	assert_int_equal(uffd_protect(&u, last, page(3), true, &e), 0);
	assert_int_equal(uffd_protect(&u, m.size, page(1), true, &e), 0);
	assert_int_equal(uffd_protect(&u, last, UINT64_MAX, false, &e), 0);
	assert_int_equal(uffd_unregister(&u, last, page(1), &e), 0);
}

static void closing_lets_everybody_go(void **state)
{
	struct toucher t;

	need_uffd();
	start(&t, 33, false);
	assert_int_equal(next_fault().offset, page(33));
	uffd_close(&u);
	assert_int_equal(end(&t), 0);
}

static void what_cannot_be_is_an_error(void **state)
{
	struct err e = ERR_INIT;

	need_uffd();
	uint8_t *data = contents(1, 1);
	/* not registered; not whole pages; no memory */
	assert_int_equal(uffd_fill(&u, page(PAGES), data, page(1), &e), -ERR_IO);
	assert_non_null(strstr(e.msg, "UFFDIO_COPY"));
	assert_int_equal(uffd_zero(&u, page(PAGES), page(1), &e), -ERR_IO);
	assert_int_equal(uffd_fill(&u, 1, data, page(1), &e), -ERR_IO);
	assert_int_equal(uffd_register(&u, 1ull << 60, page(1), UFFD_MISSING, &e), -ERR_IO);
	assert_int_equal(uffd_unregister(&u, 1ull << 60, page(1), &e), -ERR_IO);
	free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(missing_pages_are_filled),
	    TEST(missing_pages_are_zeroed),
	    TEST(pages_that_are_there_keep_what_they_hold),
	    TEST(a_fault_is_told_and_its_thread_goes_on),
	    TEST(filling_what_is_there_wakes),
	    TEST(pages_given_back_are_missing),
	    TEST(nobody_waits_where_nothing_is_registered),
	    TEST(not_protected_any_more_lets_writers_go),
	    TEST(protection_ends_where_memory_does),
	    TEST(closing_lets_everybody_go),
	    TEST(what_cannot_be_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
