/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/uart.h"
#include "fixture.h"
#include "roundtrip.h"
#include "state/uart.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

/* Offsets and values as Linux has them (include/uapi/linux/serial_reg.h). */
enum {
	RX = 0,
	TX = 0,
	DLL = 0,
	IER = 1,
	DLM = 1,
	IIR = 2,
	FCR = 2,
	EFR = 2,
	LCR = 3,
	MCR = 4,
	LSR = 5,
	MSR = 6,
	SCR = 7
};
enum { NO_INT = 1, THRI = 2 };

struct far_end {
	struct serial_end end;
	char got[256];
	size_t n;
	unsigned rooms;
};

static struct fixture f;
static struct far_end far;
static struct device *dev;

static void on_out(struct serial_end *s, const void *data, size_t n)
{
	assert_true(far.n + n <= sizeof far.got);
	memcpy(far.got + far.n, data, n);
	far.n += n;
}

static void ignore_out(struct serial_end *s, const void *data, size_t n)
{
}

static void on_room(struct serial_end *s)
{
	far.rooms++;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	fixture_init(&f);
	far = (struct far_end){.end = {on_out, on_room}};
	dev = uart_new("com1", fixture_line(&f), &far.end, &e);
	return !dev;
}

static int teardown(void **state)
{
	dev->cls->free(dev);
	return 0;
}

static uint8_t in(unsigned reg)
{
	device_lock(dev);
	uint64_t v = uart_ops.read(dev, reg, 1);
	device_unlock(dev);
	assert_true(v <= UINT8_MAX);
	return (uint8_t)v;
}

static void out(unsigned reg, uint8_t v)
{
	device_lock(dev);
	uart_ops.write(dev, reg, 1, v);
	device_unlock(dev);
}

/* drivers/tty/serial/8250/8250_port.c, autoconfig(). */
static void linux_finds_a_16550a(void **state)
{
	uint8_t scratch, status;

	out(IER, 0);
	assert_int_equal(0x0f & in(IER), 0);
	out(IER, 0x0f);
	assert_int_equal(0x0f & in(IER), 0x0f);
	out(IER, 0);

	scratch = in(MCR);
	out(MCR, 0x10 | 0x0a); /* LOOP, OUT2, RTS */
	status = 0xf0 & in(MSR);
	out(MCR, scratch);
	assert_int_equal(status, 0x90); /* DCD, CTS */

	scratch = in(LCR);
	out(LCR, 0xbf);
	out(EFR, 0);
	out(LCR, 0);
	out(FCR, 1);
	assert_int_equal(in(IIR) >> 6, 3); /* 16550A or a descendant */
	out(LCR, scratch);
}

/* autoconfig_16550a(): none of the descendants may be taken for it. */
static void linux_finds_no_variant(void **state)
{
	uint8_t status1, status2;

	out(FCR, 1);
	out(LCR, 0x80); /* ST16C650V1 */
	assert_int_not_equal(in(EFR), 0);
	out(LCR, 0xbf); /* ST16C650V2 */
	assert_int_not_equal(in(EFR), 0);

	out(LCR, 0); /* NS SuperIO: EXCR1 behind LCR 0xe0 */
	status1 = in(MCR);
	out(LCR, 0xe0);
	status2 = in(2);
	if (!((status2 ^ status1) & 0x10)) {
		out(LCR, 0);
		out(MCR, status1 ^ 0x10);
		out(LCR, 0xe0);
		status2 = in(2);
		out(LCR, 0);
		out(MCR, status1);
		assert_false((status2 ^ status1) & 0x10);
	}

	out(LCR, 0); /* TI16750 */
	out(FCR, 0x21);
	status1 = in(IIR) >> 5;
	out(FCR, 1);
	out(LCR, 0x80);
	out(FCR, 0x21);
	status2 = in(IIR) >> 5;
	out(FCR, 1);
	out(LCR, 0);
	assert_false(status1 == 6 && status2 == 7);

	out(IER, 0); /* XScale: bit 6 sticks */
	out(IER, 0x40);
	assert_int_equal(0x40 & in(IER), 0);
}

/* size_fifo() */
static void fifo_holds_16(void **state)
{
	unsigned n = 0;

	out(LCR, 0);
	out(FCR, 0x07);
	out(MCR, 0x10);
	for (unsigned i = 0; i < 256; i++)
		out(TX, (uint8_t)i);
	assert_int_equal(0x02 & in(LSR), 0x02); /* the rest was lost */
	assert_int_equal(0x02 & in(LSR), 0);
	for (; 1 & in(LSR) && n < 256; n++)
		assert_int_equal(in(RX), n);
	assert_int_equal(n, 16);
	assert_int_equal(far.n, 0);
}

/* serial8250_do_startup(): the tests for UART_BUG_THRE and UART_BUG_TXEN. */
static void linux_sees_no_transmitter_bug(void **state)
{
	uint8_t iir1, iir2, lsr;

	out(IER, THRI);
	iir1 = in(IIR);
	out(IER, 0);
	out(IER, THRI);
	iir2 = in(IIR);
	out(IER, 0);
	assert_false(!(iir1 & NO_INT) && (iir2 & NO_INT));
	assert_int_equal(iir1, THRI);

	out(IER, THRI);
	lsr = in(LSR);
	iir1 = in(IIR);
	out(IER, 0);
	assert_false(lsr & 0x40 && iir1 & NO_INT);
	assert_int_equal(lsr, 0x60);
}

static void transmitter_interrupts_once_for_each_cause(void **state)
{
	assert_false(f.high);
	out(IER, THRI);
	assert_true(f.high);
	assert_int_equal(in(IIR), THRI); /* acknowledges */
	assert_false(f.high);
	assert_int_equal(in(IIR), NO_INT);
	out(TX, 'a');
	assert_true(f.high);
	unsigned rises = f.rises;
	out(TX, 'b'); /* acknowledges and raises: an edge */
	assert_int_equal(f.rises, rises + 1);
	out(IER, 0);
	assert_false(f.high);
	out(IER, THRI);
	assert_true(f.high);
	assert_int_equal(far.n, 2);
	assert_memory_equal(far.got, "ab", 2);
}

static void receiver_interrupts_at_trigger_and_timeout(void **state)
{
	static const uint8_t trigger[] = {1, 4, 8, 14};

	out(IER, 0x01);
	for (unsigned t = 0; t < 4; t++) {
		out(FCR, (uint8_t)(0x03 | t << 6));
		assert_false(f.high);
		for (unsigned i = 1; i <= 16; i++) {
			assert_int_equal(uart_input(dev, "x", 1), 1);
			assert_true(f.high);
			assert_int_equal(in(IIR), i >= trigger[t] ? 0xc4 : 0xcc);
		}
		for (unsigned i = 16; i > 0; i--) {
			assert_true(f.high);
			assert_int_equal(1 & in(LSR), 1);
			assert_int_equal(in(RX), 'x');
		}
		assert_int_equal(1 & in(LSR), 0);
		assert_false(f.high);
		assert_int_equal(in(IIR), 0xc1);
	}
}

/* Table IV of the data sheet: line status, received data, transmitter, modem status. */
static void causes_have_their_priority(void **state)
{
	out(FCR, 0x01);
	out(MCR, 0x10);
	for (unsigned i = 0; i < 17; i++)
		out(TX, 'x');
	out(MCR, 0x1f); /* changes of all but the ring indicator, which only began */
	out(IER, 0x0f);
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(0x02 & in(LSR), 0x02);
	assert_int_equal(in(IIR), 0xc4);
	while (1 & in(LSR))
		in(RX);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc0);
	assert_true(f.high);
	assert_int_equal(0x0f & in(MSR), 0x0b);
	assert_int_equal(in(IIR), 0xc1);
	assert_false(f.high);
	out(MCR, 0x1b); /* ringing ends */
	assert_int_equal(0x0f & in(MSR), 0x04);
}

static void without_fifo_there_is_room_for_one(void **state)
{
	assert_int_equal(uart_input(dev, "ab", 2), 1);
	assert_int_equal(in(IIR), NO_INT); /* no FIFO bits either */
	assert_int_equal(in(RX), 'a');
	assert_int_equal(far.rooms, 1);

	out(MCR, 0x10);
	out(TX, '1');
	out(TX, '2'); /* overwrites */
	assert_int_equal(0x03 & in(LSR), 0x03);
	assert_int_equal(in(RX), '2');
}

static void input_waits_for_room(void **state)
{
	out(FCR, 0x01);
	assert_int_equal(uart_input(dev, "0123456789abcdefgh", 18), 16);
	assert_int_equal(far.rooms, 0);
	assert_int_equal(in(RX), '0');
	assert_int_equal(far.rooms, 1);
	assert_int_equal(in(RX), '1'); /* told once */
	assert_int_equal(far.rooms, 1);

	out(FCR, 0x03);
	out(MCR, 0x10); /* nothing comes in during loopback */
	assert_int_equal(uart_input(dev, "x", 1), 0);
	assert_int_equal(far.rooms, 1);
	out(MCR, 0);
	assert_int_equal(far.rooms, 2);

	device_lock(dev);
	dev->cls->pause(dev);
	device_unlock(dev);
	assert_int_equal(uart_input(dev, "x", 1), 0);
	device_lock(dev);
	dev->cls->resume(dev);
	device_unlock(dev);
	assert_int_equal(far.rooms, 3);
	assert_int_equal(uart_input(dev, "x", 1), 1);
	assert_int_equal(uart_input(dev, "", 0), 0);
}

static void divisor_is_behind_dlab(void **state)
{
	out(SCR, 0x5a);
	out(IER, 0x05);
	out(LCR, 0x83);
	assert_int_equal(in(DLL), 12); /* 9600 baud */
	out(DLL, 0x34);
	out(DLM, 0x12);
	assert_int_equal(in(DLL), 0x34);
	assert_int_equal(in(DLM), 0x12);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0x05);
	assert_int_equal(in(LCR), 0x03);
	assert_int_equal(in(SCR), 0x5a);
	assert_int_equal(far.n, 0);
}

static void wide_access_is_one_for_each_byte(void **state)
{
	device_lock(dev);
	uart_ops.write(dev, LCR, 2, 0x1b03);
	assert_int_equal(uart_ops.read(dev, LCR, 2), 0x1b03);
	assert_int_equal(uart_ops.read(dev, LCR, 8) >> 40, 0xffffff); /* past the end */
	device_unlock(dev);
	assert_int_equal(in(MCR), 0x1b);
}

static void modify(struct device *d)
{
	out(FCR, 0xc3);
	out(LCR, 0x80);
	out(DLM, 3);
	out(LCR, 0x1b);
	out(MCR, 0x0b);
	out(SCR, 0x77);
	out(IER, 0x0f);
	assert_int_equal(uart_input(d, "hello", 5), 5);
}

static void is_saved_whole(void **state)
{
	roundtrip(dev, modify);
	assert_true(f.high); /* driven again: data waits */
	const char *p = "hello";
	for (; *p; p++)
		assert_int_equal(in(RX), *p);
	/* A port in the middle of loopback with everything pending. */
	out(MCR, 0x1f);
	for (unsigned i = 0; i < 20; i++)
		out(TX, (uint8_t)i);
	roundtrip(dev, modify);
}

static void line_follows_a_load(void **state)
{
	struct buf quiet, busy;

	device_save(dev, &quiet);
	modify(dev);
	device_save(dev, &busy);
	assert_true(f.high);
	assert_int_equal(device_load(dev, &quiet), 0);
	assert_false(f.high);
	assert_int_equal(device_load(dev, &busy), 0);
	assert_true(f.high);
	dev->cls->reset(dev);
	assert_false(f.high);
	assert_int_equal(in(LSR), 0x60);
	buf_free(&quiet);
	buf_free(&busy);
}

static void impossible_states_are_refused(void **state)
{
	struct uart_state st, *now = dev->st;
	struct err e = ERR_INIT;

#define REFUSED(FIELD, VALUE)                                                                      \
	do {                                                                                       \
		st = *now;                                                                         \
		st.FIELD = VALUE;                                                                  \
		assert_int_equal(dev->cls->check(dev, &st, &e), -ERR_RANGE);                       \
	} while (0)
	REFUSED(rx_n, 2); /* no FIFO */
	REFUSED(ier, 0x10);
	REFUSED(fcr, 0x03);
	REFUSED(fcr, 0xc0);
	REFUSED(mcr, 0x20);
	REFUSED(msr_delta, 0x10);
	out(FCR, 1);
	REFUSED(rx_n, 17);
	REFUSED(rx_n, 255);
	st = *now;
	st.rx_n = 16;
	assert_int_equal(dev->cls->check(dev, &st, &e), 0);
}

static void any_access_leaves_a_sane_device(void **state)
{
	far.end.out = ignore_out;
	for (uint64_t seed = 0; seed < 50; seed++) {
		fixture_fuzz(dev, &uart_ops, 8, 2000, seed);
		uart_input(dev, "0123456789abcdefgh", 18);
	}
	/* And still works. */
	out(LCR, 0);
	out(MCR, 0x10);
	out(FCR, 0x03);
	out(TX, 'z');
	assert_int_equal(in(RX), 'z');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(linux_finds_a_16550a),
	    TEST(linux_finds_no_variant),
	    TEST(fifo_holds_16),
	    TEST(linux_sees_no_transmitter_bug),
	    TEST(transmitter_interrupts_once_for_each_cause),
	    TEST(receiver_interrupts_at_trigger_and_timeout),
	    TEST(causes_have_their_priority),
	    TEST(without_fifo_there_is_room_for_one),
	    TEST(input_waits_for_room),
	    TEST(divisor_is_behind_dlab),
	    TEST(wide_access_is_one_for_each_byte),
	    TEST(is_saved_whole),
	    TEST(line_follows_a_load),
	    TEST(impossible_states_are_refused),
	    TEST(any_access_leaves_a_sane_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
