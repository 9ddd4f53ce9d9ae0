/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/uart.h"

#include "devices/bytes.h"
#include "state/uart.h"

#include <stdlib.h>
#include <string.h>

/* Registers and bits: PC16550D data sheet, tables I to IV. */
enum {
	REG_DATA = 0, /* RBR, THR; divisor low */
	REG_IER = 1,  /* divisor high */
	REG_IIR = 2,  /* FCR */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,

	IER_RDA = 0x01,
	IER_THRE = 0x02,
	IER_RLS = 0x04,
	IER_MSI = 0x08,
	IER_MASK = 0x0f,

	IIR_NONE = 0x01,
	IIR_MSI = 0x00,
	IIR_THRE = 0x02,
	IIR_RDA = 0x04,
	IIR_RLS = 0x06,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0,

	FCR_ENABLE = 0x01,
	FCR_CLEAR_RX = 0x02,
	FCR_TRIGGER = 0xc0,

	LCR_DLAB = 0x80,

	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_MASK = 0x1f,

	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,

	MSR_DCTS = 0x01, /* DDSR, TERI, DDCD follow: the change bits */
	MSR_TERI = 0x04,
	MSR_DELTA = 0x0f,
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
};

struct uart {
	struct device dev;
	struct uart_state st;
	struct irq_line irq;
	struct serial_end *end;
	bool paused;
	bool refused; /* uart_input() took less than all */
};

static struct uart *uart_of(struct device *d)
{
	return (struct uart *)d;
}

static unsigned rx_room(const struct uart_state *st)
{
	return st->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned rx_trigger(const struct uart_state *st)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	return st->fcr & FCR_ENABLE ? level[st->fcr >> 6] : 1;
}

/* The cause with the highest priority. */
static uint8_t cause(const struct uart_state *st)
{
	if (st->ier & IER_RLS && st->overrun)
		return IIR_RLS;
	if (st->ier & IER_RDA && st->rx_n >= rx_trigger(st))
		return IIR_RDA;
	if (st->ier & IER_RDA && st->rx_n)
		return IIR_TIMEOUT;
	if (st->ier & IER_THRE && st->thr_pending)
		return IIR_THRE;
	if (st->ier & IER_MSI && st->msr_delta)
		return IIR_MSI;
	return IIR_NONE;
}

static void update_line(struct uart *u)
{
	irq_line_set(&u->irq, cause(&u->st) != IIR_NONE);
}

/* In loopback the modem outputs come back as inputs; else a peer is always there and ready. */
static uint8_t modem_status(uint8_t mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void set_mcr(struct uart_state *st, uint8_t v)
{
	uint8_t was = modem_status(st->mcr), is;

	st->mcr = v & MCR_MASK;
	is = modem_status(st->mcr);
	/* Changes of each, but of the ring indicator only its end. */
	uint8_t delta = (uint8_t)((was ^ is) >> 4);
	if (is & MSR_RI)
		delta &= (uint8_t)~MSR_TERI;
	st->msr_delta |= delta;
}

static void receive(struct uart_state *st, uint8_t c)
{
	if (st->rx_n < rx_room(st)) {
		st->rx[st->rx_n++] = c;
		return;
	}
	st->overrun = true;
	/* Without FIFO the new character replaces the old, with it the shift register is lost. */
	if (!(st->fcr & FCR_ENABLE))
		st->rx[0] = c;
}

static uint8_t take(struct uart_state *st)
{
	uint8_t c = st->rx[0];

	if (!st->rx_n)
		return 0;
	st->rx_n--;
	memmove(st->rx, st->rx + 1, st->rx_n);
	st->rx[st->rx_n] = 0;
	return c;
}

static void clear_rx(struct uart_state *st)
{
	st->rx_n = 0;
	memset(st->rx, 0, sizeof st->rx);
}

static bool takes_input(const struct uart *u)
{
	return !u->paused && !(u->st.mcr & MCR_LOOP) && u->st.rx_n < rx_room(&u->st);
}

static void tell_room(struct uart *u)
{
	if (!u->refused || !takes_input(u))
		return;
	u->refused = false;
	u->end->room(u->end);
}

static void transmit(struct uart *u, uint8_t c)
{
	/* Down and up again, as when the holding register fills and empties: an edge-triggered
	 * input sees each. */
	u->st.thr_pending = false;
	update_line(u);
	if (u->st.mcr & MCR_LOOP)
		receive(&u->st, c);
	else
		u->end->out(u->end, &c, 1);
	u->st.thr_pending = true;
}

static void set_fcr(struct uart_state *st, uint8_t v)
{
	/* Switching between the modes clears the FIFO; other bits count only together with enable.
	 */
	if ((v ^ st->fcr) & FCR_ENABLE || (v & FCR_ENABLE && v & FCR_CLEAR_RX))
		clear_rx(st);
	st->fcr = v & FCR_ENABLE ? v & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static void set_ier(struct uart_state *st, uint8_t v)
{
	/* The transmitter is empty, so permitting its interrupt raises it at once. */
	if (v & IER_THRE && !(st->ier & IER_THRE))
		st->thr_pending = true;
	st->ier = v & IER_MASK;
}

static uint8_t read_iir(struct uart_state *st)
{
	uint8_t v = cause(st);

	if (v == IIR_THRE)
		st->thr_pending = false;
	return st->fcr & FCR_ENABLE ? v | IIR_FIFO : v;
}

static uint8_t read_lsr(struct uart_state *st)
{
	uint8_t v = LSR_THRE | LSR_TEMT | (st->rx_n ? LSR_DR : 0) | (st->overrun ? LSR_OE : 0);

	st->overrun = false;
	return v;
}

static uint8_t read_msr(struct uart_state *st)
{
	uint8_t v = modem_status(st->mcr) | st->msr_delta;

	st->msr_delta = 0;
	return v;
}

static uint8_t read_register(struct uart_state *st, uint64_t reg)
{
	bool dlab = st->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? (uint8_t)st->divisor : take(st);
	case REG_IER:
		return dlab ? (uint8_t)(st->divisor >> 8) : st->ier;
	case REG_IIR:
		return read_iir(st);
	case REG_LCR:
		return st->lcr;
	case REG_MCR:
		return st->mcr;
	case REG_LSR:
		return read_lsr(st);
	case REG_MSR:
		return read_msr(st);
	case REG_SCR:
		return st->scr;
	}
	return 0xff;
}

static void write_register(struct uart *u, uint64_t reg, uint8_t v)
{
	struct uart_state *st = &u->st;
	bool dlab = st->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (dlab)
			st->divisor = (st->divisor & 0xff00) | v;
		else
			transmit(u, v);
		break;
	case REG_IER:
		if (dlab)
			st->divisor = (uint16_t)(v << 8) | (st->divisor & 0xff);
		else
			set_ier(st, v);
		break;
	case REG_IIR:
		set_fcr(st, v);
		break;
	case REG_LCR:
		st->lcr = v;
		break;
	case REG_MCR:
		set_mcr(st, v);
		break;
	case REG_SCR:
		st->scr = v;
		break;
	}
}

static uint8_t on_byte_read(struct device *d, uint64_t offset)
{
	struct uart *u = uart_of(d);
	uint8_t v = read_register(&u->st, offset);

	update_line(u);
	tell_room(u);
	return v;
}

static void on_byte_write(struct device *d, uint64_t offset, uint8_t v)
{
	struct uart *u = uart_of(d);

	write_register(u, offset, v);
	update_line(u);
	tell_room(u);
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	return bytes_read(d, offset, len, on_byte_read);
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	bytes_write(d, offset, len, v, on_byte_write);
}

const struct bus_ops uart_ops = {on_read, on_write};

size_t uart_input(struct device *d, const void *data, size_t n)
{
	struct uart *u = uart_of(d);
	const uint8_t *p = data;
	size_t done = 0;

	device_lock(d);
	while (done < n && takes_input(u))
		receive(&u->st, p[done++]);
	if (done < n)
		u->refused = true;
	if (done)
		update_line(u);
	device_unlock(d);
	return done;
}

static void on_pause(struct device *d)
{
	uart_of(d)->paused = true;
}

static void on_resume(struct device *d)
{
	uart_of(d)->paused = false;
	tell_room(uart_of(d));
}

static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct uart_state *st = state;

	if (st->ier & ~IER_MASK || st->fcr & ~(FCR_ENABLE | FCR_TRIGGER) || st->mcr & ~MCR_MASK ||
	    st->msr_delta & ~MSR_DELTA || (st->fcr && !(st->fcr & FCR_ENABLE)))
		return err_set(e, ERR_RANGE, "a register has bits that are not there");
	if (st->rx_n > rx_room(st))
		return err_set(e, ERR_RANGE, "%u characters in a FIFO of %u", st->rx_n,
			       rx_room(st));
	return 0;
}

static void on_post_load(struct device *d)
{
	update_line(uart_of(d));
}

static void on_reset(struct device *d)
{
	struct uart *u = uart_of(d);

	state_defaults(d->cls->state, &u->st);
	update_line(u);
	tell_room(u);
}

static const struct device_class uart_class = {
    .type = "uart",
    .state = &uart_state_desc,
    .pause = on_pause,
    .resume = on_resume,
    /* What was sent is at the far end already, and st is all there is. */
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = on_post_load,
    .reset = on_reset,
    .free = device_free,
};

struct device *uart_new(const char *id, struct irq_line irq, struct serial_end *end, struct err *e)
{
	struct uart *u = calloc(1, sizeof *u);

	if (!u) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&u->dev, &uart_class, id, &u->st);
	u->irq = irq;
	u->end = end;
	return &u->dev;
}
