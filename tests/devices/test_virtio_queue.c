/* SPDX-License-Identifier: Apache-2.0 */
/* The device's side of a ring, on its own: each broken rule in a ring that is fine otherwise. */
#include "devices/virtio_queue.h"

#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SIZE	  8
#define DESC	  0x10000
#define AVAIL	  0x11000
#define USED	  0x12000
#define TABLE	  0x13000
#define BUFFERS	  0x20000
#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define WRITE	  VRING_DESC_F_WRITE
#define NEXT	  VRING_DESC_F_NEXT

static struct layout l;
static struct guest_mem mem;
static struct virtio_queue_state st;
static uint64_t features;
static struct virtq q;
static struct virtq_chain c;

static int setup(void **unused)
{
	struct layout_params p;
	struct err e = ERR_INIT;

	layout_params_init(&p, 32 * MIB);
	assert_int_equal(layout_build(layout_def_find("x86_64/linux@1"), &p, &l, &e), 0);
	assert_int_equal(mem_init(&mem, &l, &e), 0);
	st = (struct virtio_queue_state){
	    .size = SIZE, .enabled = true, .desc = DESC, .avail = AVAIL, .used = USED};
	features = EVENT_IDX | INDIRECT;
	q = (struct virtq){.st = &st, .mem = &mem, .features = &features};
	return 0;
}

static int teardown(void **unused)
{
	mem_fini(&mem);
	return 0;
}

static uint16_t *at16(uint64_t at)
{
	void *p = mem_rw(&mem, gpa(at), 2);

	assert_non_null(p);
	return p;
}

static void put(uint64_t table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next)
{
	struct vring_desc d = {addr, len, flags, next};

	assert_true(mem_write(&mem, gpa(table + 16 * i), &d, sizeof d));
}

static void offer(uint16_t head)
{
	uint16_t *idx = at16(AVAIL + 2);

	*at16(AVAIL + 4 + 2 * (*idx % SIZE)) = head;
	++*idx;
}

/* Any head is a request of its own: 16 bytes to read, 16 to write. */
static void fill(void)
{
	for (unsigned i = 0; i < SIZE; i += 2) {
		put(DESC, i, BUFFERS + 64 * i, 16, NEXT, (uint16_t)(i + 1));
		put(DESC, i + 1, BUFFERS + 64 * i + 16, 16, WRITE, 0);
	}
}

static void expect_chain(uint16_t head, unsigned out, unsigned in)
{
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_int_equal(c.head, head);
	assert_int_equal(c.out_n, out);
	assert_int_equal(c.in_n, in);
}

static void expect_broken(void)
{
	uint16_t was = st.last_avail;

	assert_int_equal(virtq_pop(&q, &c), -ERR_STRUCTURE);
	assert_int_equal(st.last_avail, was);
}

static void requests_come_in_order_and_go_in_any(void **unused)
{
	static struct virtq_chain first;

	fill();
	assert_true(virtq_empty(&q));
	assert_int_equal(virtq_pop(&q, &c), 0);
	offer(4);
	offer(2);
	assert_false(virtq_empty(&q));
	expect_chain(4, 1, 1);
	assert_ptr_equal(c.iov[1].iov_base, mem_ro(&mem, gpa(BUFFERS + 64 * 4 + 16), 1));
	assert_int_equal(c.at[0].v, BUFFERS + 64 * 4);
	first = c;
	expect_chain(2, 1, 1);
	assert_true(virtq_push(&q, &c, 7));
	assert_int_equal(*at16(USED + 2), 1);
	assert_true(virtq_push(&q, &first, 9));
	assert_int_equal(*at16(USED + 2), 2);
	uint32_t used[4];
	assert_true(mem_read(&mem, gpa(USED + 4), used, sizeof used));
	assert_int_equal(used[0], 2);
	assert_int_equal(used[1], 7);
	assert_int_equal(used[2], 4);
	assert_int_equal(used[3], 9);
}

/* Is the page of the buffers known as written to? */
static bool marked(void)
{
	static uint64_t words[32 * MIB / 4096 / 64];
	uint64_t page =
	    (uint64_t)((const uint8_t *)mem_ro(&mem, gpa(BUFFERS), 1) - mem.host) / 4096;

	assert_true(mem_track_words(mem.size) <= ARRAY_LEN(words));
	memset(words, 0, sizeof words);
	mem_take_dirty(&mem, words);
	return words[page / 64] >> page % 64 & 1;
}

static void names_are_no_writes(void **unused)
{
	if (mem_track_bytes() != 4096)
		skip();
	assert_int_equal(mem_track(&mem, NULL), 0);
	fill();
	for (unsigned i = 0; i < 2; i++) {
		q.only_names = i;
		offer(0);
		expect_chain(0, 1, 1);
		assert_int_equal(c.at[1].v, BUFFERS + 16);
		assert_true(virtq_push(&q, &c, 0));
		assert_int_equal(marked(), !i);
	}
	/* Memory it must be all the same. */
	put(DESC, 3, 1ull << 40, 16, WRITE, 0);
	offer(2);
	expect_broken();
}

static void what_is_put_back_comes_again(void **unused)
{
	fill();
	offer(0);
	offer(2);
	expect_chain(0, 1, 1);
	expect_chain(2, 1, 1);
	virtq_unpop(&q, 2);
	expect_chain(0, 1, 1);
}

static void several_become_visible_at_once(void **unused)
{
	fill();
	offer(0);
	offer(2);
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_true(virtq_put(&q, &c, 1, 1));
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_true(virtq_put(&q, &c, 2, 0));
	assert_int_equal(*at16(USED + 2), 0);
	assert_true(virtq_advance(&q, 2));
	assert_int_equal(*at16(USED + 2), 2);
	assert_int_equal(*at16(USED + 4), 2);
	assert_int_equal(*at16(USED + 12), 0);
}

static void the_index_may_not_run_away(void **unused)
{
	fill();
	for (unsigned i = 0; i < SIZE; i++)
		offer((uint16_t)(i & ~1u));
	expect_chain(0, 1, 1);
	*at16(AVAIL + 2) = SIZE + 1; /* all of a queue are waiting */
	expect_chain(0, 1, 1);
	*at16(AVAIL + 2) = SIZE + 3; /* and one more than that */
	expect_broken();
	*at16(AVAIL + 2) = 1; /* backwards */
	expect_broken();
}

static void numbers_stay_inside_the_table(void **unused)
{
	fill();
	/* What lies behind the table looks like a request. */
	put(DESC, SIZE, BUFFERS, 16, WRITE, 0);
	offer(SIZE);
	expect_broken();
	*at16(AVAIL + 2) = 0;
	put(DESC, 0, BUFFERS, 16, NEXT, SIZE);
	offer(0);
	expect_broken();
	/* Likewise behind an indirect table. */
	put(TABLE, 0, BUFFERS, 16, NEXT, 1);
	put(TABLE, 1, BUFFERS, 16, WRITE, 0);
	put(DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken();
	put(DESC, 0, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	expect_chain(0, 1, 1);
}

static void a_chain_has_an_end(void **unused)
{
	for (uint16_t i = 0; i < SIZE; i++)
		put(DESC, i, BUFFERS, 16, NEXT, (uint16_t)(i + 1));
	put(DESC, SIZE - 1, BUFFERS, 16, 0, 0);
	offer(0);
	expect_chain(0, SIZE, 0);
	put(DESC, SIZE - 1, BUFFERS, 16, NEXT, 0);
	offer(0);
	expect_broken();
}

static void the_longest_chain_is_taken_and_no_longer(void **unused)
{
	const uint64_t table = 0x100000;

	for (uint16_t i = 0; i <= VIRTQ_CHAIN_MAX; i++)
		put(table, i, BUFFERS, 16, i < VIRTQ_CHAIN_MAX - 1 ? NEXT : 0, (uint16_t)(i + 1));
	put(DESC, 0, table, 16 * (VIRTQ_CHAIN_MAX + 1), VRING_DESC_F_INDIRECT, 0);
	offer(0);
	expect_chain(0, VIRTQ_CHAIN_MAX, 0);
	put(table, VIRTQ_CHAIN_MAX - 1, BUFFERS, 16, NEXT, VIRTQ_CHAIN_MAX);
	offer(0);
	expect_broken();
}

static void indirect_tables_follow_their_rules(void **unused)
{
	fill();
	put(TABLE, 0, BUFFERS, 16, WRITE, 0);
	offer(0);
	/* The device ignores WRITE on the descriptor of the table (2.6.5.3.2). */
	put(DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT | WRITE, 0);
	expect_chain(0, 0, 1);
	virtq_unpop(&q, 1);
	put(DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT | NEXT, 2);
	expect_broken();
	put(DESC, 0, TABLE, 17, VRING_DESC_F_INDIRECT, 0);
	expect_broken();
	put(DESC, 0, TABLE, 0, VRING_DESC_F_INDIRECT, 0);
	expect_broken();
	put(DESC, 0, 32 * MIB - 16, 32, VRING_DESC_F_INDIRECT, 0);
	put(32 * MIB - 16, 0, BUFFERS, 16, NEXT, 1);
	expect_broken();
	put(TABLE, 0, TABLE + 16, 16, VRING_DESC_F_INDIRECT, 0);
	put(TABLE, 1, BUFFERS, 16, WRITE, 0);
	put(DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken();
	put(TABLE, 0, BUFFERS, 16, WRITE, 0);
	features = 0;
	expect_broken();
	features = INDIRECT;
	expect_chain(0, 0, 1);
}

static void notifications_are_asked_for_without_a_gap(void **unused)
{
	fill();
	offer(0);
	/* One came between the last look and the question. */
	assert_false(virtq_wait(&q));
	expect_chain(0, 1, 1);
	assert_true(virtq_wait(&q));
	assert_int_equal(*at16(USED + 4 + 8 * SIZE), 1);
	offer(2);
	offer(4);
	assert_true(virtq_wait_past(&q, 2));
	assert_int_equal(*at16(USED + 4 + 8 * SIZE), 3);
	assert_false(virtq_wait_past(&q, 1));
	/* By flag. */
	features = 0;
	virtq_quiet(&q);
	assert_int_equal(*at16(USED), VRING_USED_F_NO_NOTIFY);
	assert_false(virtq_wait(&q));
	assert_int_equal(*at16(USED), 0);
}

static void interrupts_are_for_what_is_new(void **unused)
{
	fill();
	for (unsigned i = 0; i < 4; i++)
		offer(0);
	assert_false(virtq_signal(&q));
	*at16(AVAIL + 4 + 2 * SIZE) = 1;
	expect_chain(0, 1, 1);
	assert_true(virtq_push(&q, &c, 0));
	assert_false(virtq_signal(&q));
	assert_true(virtq_push(&q, &c, 0));
	assert_true(virtq_push(&q, &c, 0));
	assert_true(virtq_signal(&q));
	assert_false(virtq_signal(&q));
	features = 0;
	assert_true(virtq_push(&q, &c, 0));
	assert_true(virtq_signal(&q));
	*at16(AVAIL) = VRING_AVAIL_F_NO_INTERRUPT;
	assert_true(virtq_push(&q, &c, 0));
	assert_false(virtq_signal(&q));
}

static void copies_cross_buffers(void **unused)
{
	char out[32] = {0};

	put(DESC, 0, BUFFERS, 3, NEXT, 1);
	put(DESC, 1, BUFFERS + 100, 5, NEXT, 2);
	put(DESC, 2, BUFFERS + 200, 2, WRITE | NEXT, 3);
	put(DESC, 3, BUFFERS + 300, 4, WRITE, 0);
	offer(0);
	expect_chain(0, 2, 2);
	assert_true(mem_write(&mem, gpa(BUFFERS), "abc", 3));
	assert_true(mem_write(&mem, gpa(BUFFERS + 100), "defgh", 5));
	assert_int_equal(virtq_read(&c, 0, out, sizeof out), 8);
	assert_string_equal(out, "abcdefgh");
	assert_int_equal(virtq_read(&c, 2, out, 3), 3);
	assert_memory_equal(out, "cde", 3);
	assert_int_equal(virtq_read(&c, 8, out, 3), 0);
	assert_int_equal(virtq_write(&c, 1, "123456789", 9), 5);
	assert_true(mem_read(&mem, gpa(BUFFERS + 200), out, 3));
	assert_memory_equal(out, "\0001\0", 3);
	assert_true(mem_read(&mem, gpa(BUFFERS + 300), out, 5));
	assert_memory_equal(out, "2345\0", 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(requests_come_in_order_and_go_in_any),
	    TEST(names_are_no_writes),
	    TEST(what_is_put_back_comes_again),
	    TEST(several_become_visible_at_once),
	    TEST(the_index_may_not_run_away),
	    TEST(numbers_stay_inside_the_table),
	    TEST(a_chain_has_an_end),
	    TEST(the_longest_chain_is_taken_and_no_longer),
	    TEST(indirect_tables_follow_their_rules),
	    TEST(notifications_are_asked_for_without_a_gap),
	    TEST(interrupts_are_for_what_is_new),
	    TEST(copies_cross_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
