/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio console and the entropy source under a driver. */
#include "devices/serial.h"
#include "pci_machine.h"
#include "roundtrip.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define RX	   0
#define TX	   1
#define EVERYTHING UINT64_MAX

struct far_end {
	struct serial_end end; /* first */
	char text[65536];
	size_t n;
	unsigned room;
};

static struct pci_machine m;
static struct device *console, *rng;
static struct guest_driver c, r;
static struct far_end far_end;

static void on_out(struct serial_end *s, const void *data, size_t n)
{
	struct far_end *f = (struct far_end *)s;

	assert_true(f->n + n <= sizeof f->text);
	memcpy(f->text + f->n, data, n);
	f->n += n;
}

static void on_room(struct serial_end *s)
{
	((struct far_end *)s)->room++;
}

static void describe(struct machine *md)
{
	virtio_console_describe(&md->device[md->device_n++], "hvc");
	virtio_rng_describe(&md->device[md->device_n++], "rng");
}

static int setup(void **unused)
{
	struct err e = ERR_INIT;

	far_end = (struct far_end){.end = {on_out, on_room}};
	machine_start(&m, describe);
	assert_int_equal(
	    virtio_console_new(&m.described.device[1], &m.host, &far_end.end, &console, &e), 0);
	assert_int_equal(virtio_rng_new(&m.described.device[2], &m.host, &rng, &e), 0);
	driver_probe(&c, &m, 1);
	driver_probe(&r, &m, 2);
	return 0;
}

static int teardown(void **unused)
{
	console->cls->free(console);
	rng->cls->free(rng);
	machine_stop(&m);
	return 0;
}

static void start(struct guest_driver *g)
{
	driver_start(g, EVERYTHING, true);
}

static uint64_t add(struct guest_driver *g, unsigned q, uint32_t bytes, bool in)
{
	struct guest_buf b = {guest_alloc(&m, bytes), bytes, in};

	queue_add(g, q, &b, 1, false);
	return b.at;
}

static void expect_used(struct guest_driver *g, unsigned q, uint32_t want)
{
	uint16_t head;
	uint32_t len;

	assert_true(queue_used(g, q, &head, &len));
	assert_int_equal(len, want);
}

static void text_goes_out(void **unused)
{
	assert_int_equal(ecam_read(&m, 1, 0, 4), 0x10431af4);
	start(&c);
	uint64_t at = guest_alloc(&m, 64);
	memcpy(guest_ptr(&m, at, 13), "hello, world\n", 13);
	struct guest_buf b[] = {{at, 7, false}, {at + 7, 6, false}};
	queue_add(&c, TX, b, 2, false);
	queue_add(&c, TX, b, 2, true);
	queue_kick(&c, TX);
	assert_int_equal(far_end.n, 26);
	assert_memory_equal(far_end.text, "hello, world\nhello, world\n", 26);
	expect_used(&c, TX, 0);
	expect_used(&c, TX, 0);
	assert_int_equal(driver_interrupts(&c), 1 << (TX + 1));
	/* More than a pass. */
	for (unsigned i = 0; i < 100; i++)
		add(&c, TX, 3, false);
	queue_kick(&c, TX);
	assert_int_equal(far_end.n, 26 + 300);
	assert_int_equal(queue_used_idx(&c, TX), 102);
}

static void input_goes_where_there_is_room(void **unused)
{
	/* Nobody listens yet. */
	assert_int_equal(virtio_console_input(console, "abc", 3), 0);
	start(&c);
	assert_int_equal(far_end.room, 1);
	assert_int_equal(virtio_console_input(console, "abc", 3), 0);
	uint64_t a = add(&c, RX, 2, true), b = add(&c, RX, 100, true);
	queue_kick(&c, RX);
	assert_int_equal(far_end.room, 2);
	assert_int_equal(virtio_console_input(console, "abc", 3), 3);
	expect_used(&c, RX, 2);
	expect_used(&c, RX, 1);
	assert_memory_equal(guest_ptr(&m, a, 2), "ab", 2);
	assert_memory_equal(guest_ptr(&m, b, 1), "c", 1);
	assert_int_equal(driver_interrupts(&c), 1 << (RX + 1));
	queue_kick(&c, RX); /* nobody was refused: nobody is told */
	assert_int_equal(far_end.room, 2);
	add(&c, RX, 2, true);
	assert_int_equal(virtio_console_input(console, "defg", 4), 2);
	assert_int_equal(virtio_console_input(console, "fg", 2), 0);
	add(&c, RX, 2, true);
	queue_kick(&c, RX);
	assert_int_equal(far_end.room, 3);
	assert_int_equal(virtio_console_input(console, "fg", 2), 2);
	/* A paused device takes nothing, and says when it does again. */
	device_lock(console);
	console->cls->pause(console);
	device_unlock(console);
	add(&c, RX, 2, true);
	assert_int_equal(virtio_console_input(console, "h", 1), 0);
	device_lock(console);
	console->cls->resume(console);
	device_unlock(console);
	machine_pump(&m);
	assert_int_equal(far_end.room, 4);
	assert_int_equal(virtio_console_input(console, "h", 1), 1);
}

static void type_something(struct guest_driver *g)
{
	virtio_console_input(console, "x", 1);
}

static void breaking_the_rules_needs_a_reset(void **unused)
{
	queue_abuse(&c, TX, start, NULL);
	assert_int_equal(far_end.n, 0);
	queue_abuse(&c, RX, start, type_something);
	queue_abuse(&r, 0, start, NULL);
	/* A buffer the wrong way round. */
	add(&c, RX, 16, false);
	type_something(&c);
	assert_int_equal(driver_status(&c), 0x4f);
	add(&r, 0, 16, false);
	queue_kick(&r, 0);
	assert_int_equal(driver_status(&r), 0x4f);
	/* More text than anybody writes. */
	start(&c);
	add(&c, TX, MIB + 1, false);
	queue_kick(&c, TX);
	assert_int_equal(driver_status(&c), 0x4f);
	assert_int_equal(far_end.n, 0);
}

static void modify_console(struct device *d)
{
	start(&c);
	add(&c, RX, 16, true);
	add(&c, RX, 16, true);
	queue_kick(&c, RX);
	virtio_console_input(console, "abc", 3);
	add(&c, TX, 16, false);
	queue_kick(&c, TX);
}

static void consoles_round_trip(void **unused)
{
	struct err e = ERR_INIT;
	struct buf saved;

	roundtrip(console, modify_console);
	size_t out = far_end.n;
	/* Text that the other machine has to put out, and room that it has for input. */
	uint64_t at = add(&c, TX, 3, false);
	memcpy(guest_ptr(&m, at, 3), "end", 3);
	device_save(console, &saved);
	console->cls->free(console);
	assert_int_equal(far_end.n, out);
	assert_int_equal(
	    virtio_console_new(&m.described.device[1], &m.host, &far_end.end, &console, &e), 0);
	assert_int_equal(device_load(console, &saved), 0);
	machine_pump(&m);
	assert_int_equal(far_end.n, out + 3);
	assert_memory_equal(far_end.text + out, "end", 3);
	assert_int_equal(virtio_console_input(console, "xyz", 3), 3);
	assert_int_equal(queue_used_idx(&c, RX), 2);
	buf_free(&saved);
}

static bool all_zero(uint64_t at, unsigned n)
{
	const uint8_t *p = guest_ptr(&m, at, n);

	for (unsigned i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void entropy_is_had(void **unused)
{
	assert_int_equal(ecam_read(&m, 2, 0, 4), 0x10441af4);
	start(&r);
	uint64_t a = add(&r, 0, 64, true), big = add(&r, 0, 10000, true);
	queue_kick(&r, 0);
	expect_used(&r, 0, 64);
	expect_used(&r, 0, 4096);
	assert_false(all_zero(a, 64));
	assert_false(all_zero(big + 4032, 64));
	assert_true(all_zero(big + 4096, 10000 - 4096));
	assert_int_equal(driver_interrupts(&r), 1 << 1);
	/* More than a pass: all of it, in several. */
	for (unsigned i = 0; i < 40; i++)
		add(&r, 0, 8, true);
	queue_kick(&r, 0);
	assert_int_equal(queue_used_idx(&r, 0), 42);
}

static void modify_rng(struct device *d)
{
	start(&r);
	add(&r, 0, 8, true);
	queue_kick(&r, 0);
}

static void entropy_sources_round_trip(void **unused)
{
	roundtrip(rng, modify_rng);
	add(&r, 0, 8, true);
	queue_kick(&r, 0);
	assert_int_equal(queue_used_idx(&r, 0), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(text_goes_out),
	    TEST(input_goes_where_there_is_room),
	    TEST(breaking_the_rules_needs_a_reset),
	    TEST(consoles_round_trip),
	    TEST(entropy_is_had),
	    TEST(entropy_sources_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
