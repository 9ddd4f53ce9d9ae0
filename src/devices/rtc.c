/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/rtc.h"

#include "base/timer.h"
#include "devices/bytes.h"
#include "devices/rtc_time.h"

#include <stdlib.h>

/* MC146818A data sheet, registers A to D. */
enum {
	A_UIP = 0x80,
	A_DIVIDER_RESET = 0x60, /* both: the chain stands still */
	A_RATE = 0x0f,

	B_SET = 0x80, /* the time may be written, and does not go on */
	B_UIE = 0x10,
	B_SQWE = 0x08,

	/* Bits of C, and of B where they permit the interrupt. */
	CAUSE_PERIODIC = 0x40,
	CAUSE_ALARM = 0x20,
	CAUSE_UPDATE = 0x10,
	CAUSES = 0x70,
	C_IRQF = 0x80,

	D_VALID = 0x80,

	INDEX_MASK = 0x7f, /* bit 7 of port 70h masks NMI, of which there are none */
};

#define SECOND_NS 1000000000
/* From the end of divider reset to the first update: half a second. */
#define RESTART_NS 500000000
/* Update-in-progress shows this long before an update: t_BUC, 244 us. */
#define UIP_NS	 244000
#define CLOCK_HZ 32768

struct rtc {
	struct device dev;
	struct rtc_state st;
	struct irq_line irq;
	const struct guest_clock *clock;
	struct timer timer;
	bool paused;
};

static struct rtc *rtc_of(struct device *d)
{
	return (struct rtc *)d;
}

static bool divider_reset(const struct rtc_state *st)
{
	return (st->control_a & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

/* While it stands still its time is in ram. */
static bool stopped(const struct rtc_state *st)
{
	return st->control_b & B_SET || divider_reset(st);
}

/* A point in time as the clock counts: since base_ns, which may lie ahead when the host's clock was
 * set back. */
struct instant {
	int64_t s;
	int64_t ns; /* below SECOND_NS */
};

static struct instant instant_of(const struct rtc_state *st, uint64_t ns)
{
	int64_t delta = (int64_t)(ns - st->base_ns);
	struct instant t = {delta / SECOND_NS, delta % SECOND_NS};

	if (t.ns < 0) {
		t.s--;
		t.ns += SECOND_NS;
	}
	return t;
}

static uint64_t shown_s(const struct rtc_state *st, struct instant t)
{
	int64_t s = ((int64_t)st->base_s + t.s) % RTC_SPAN_S;

	return (uint64_t)(s < 0 ? s + RTC_SPAN_S : s);
}

/* Ticks of the crystal in a period of the periodic interrupt, a whole part of a second; 0: off. */
static int64_t period_ticks(const struct rtc_state *st)
{
	unsigned rate = st->control_a & A_RATE;

	if (!rate || divider_reset(st))
		return 0;
	/* Rates 1 and 2 are 8 and 9 again with this crystal; 3 is 8192 Hz, 15 is 2 Hz. */
	return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static int64_t ticks(struct instant t)
{
	return t.ns * CLOCK_HZ / SECOND_NS;
}

/* Note the causes of interrupts that arose since this was last done. */
static void collect(struct rtc *r)
{
	struct rtc_state *st = &r->st;
	uint64_t ns = guest_clock_realtime(r->clock), seen_ns = st->seen_ns;

	st->seen_ns = ns;
	if ((int64_t)(ns - seen_ns) <= 0)
		return;
	struct instant now = instant_of(st, ns), seen = instant_of(st, seen_ns);
	int64_t period = period_ticks(st);
	if (period && (now.s != seen.s || ticks(now) / period != ticks(seen) / period))
		st->flags |= CAUSE_PERIODIC;
	if (stopped(st) || now.s == seen.s)
		return;
	st->flags |= CAUSE_UPDATE;
	uint64_t first = shown_s(st, seen) + 1;
	uint64_t due = rtc_next_alarm_(st->control_b, st->ram, first);
	if (due != RTC_NEVER && due - first < (uint64_t)(now.s - seen.s))
		st->flags |= CAUSE_ALARM;
}

static bool asserted(const struct rtc_state *st)
{
	return st->flags & st->control_b & CAUSES;
}

static uint64_t at_second(const struct rtc_state *st, int64_t s)
{
	return st->base_ns + (uint64_t)s * SECOND_NS;
}

/* When the next permitted cause arises, in the guest's wall time; RTC_NEVER. */
static uint64_t next_cause(const struct rtc_state *st)
{
	struct instant now = instant_of(st, st->seen_ns);
	uint64_t next = RTC_NEVER;
	int64_t s = now.s + 1, period = period_ticks(st);

	if (st->control_b & CAUSE_UPDATE && !stopped(st))
		next = at_second(st, s);
	if (st->control_b & CAUSE_ALARM && !stopped(st)) {
		uint64_t first = shown_s(st, now) + 1;
		uint64_t due = rtc_next_alarm_(st->control_b, st->ram, first);
		uint64_t at = at_second(st, s + (int64_t)(due - first));
		if (due != RTC_NEVER && at < next)
			next = at;
	}
	if (st->control_b & CAUSE_PERIODIC && period) {
		int64_t tick = (ticks(now) / period + 1) * period;
		int64_t ns = (tick * SECOND_NS + CLOCK_HZ - 1) / CLOCK_HZ;
		uint64_t at = at_second(st, now.s) + (uint64_t)ns;
		if (at < next)
			next = at;
	}
	return next;
}

static void set_timer(struct rtc *r, uint64_t guest_ns)
{
	timer_at(&r->timer,
		 guest_ns == RTC_NEVER ? TIMER_NEVER : guest_ns - r->clock->realtime_offset_ns);
}

/* An interrupt that is there already needs no timer: the guest reads C first. */
static void update(struct rtc *r)
{
	irq_line_set(&r->irq, asserted(&r->st));
	set_timer(r, r->paused || asserted(&r->st) ? RTC_NEVER : next_cause(&r->st));
}

static void on_timer(void *arg, uint32_t events)
{
	struct rtc *r = arg;

	if (!timer_is_due(&r->timer))
		return;
	device_lock(&r->dev);
	if (!r->paused) {
		collect(r);
		update(r);
	}
	device_unlock(&r->dev);
}

/* Keep the time that is shown: before it stops, before a part of it is written. */
static void freeze(struct rtc_state *st)
{
	rtc_show_(st->control_b, shown_s(st, instant_of(st, st->seen_ns)), st->ram);
}

/* Go on from the time in ram, seconds beginning when they did. */
static void go_on(struct rtc_state *st)
{
	st->base_s = rtc_parse_(st->control_b, st->ram);
	st->base_ns = st->seen_ns - (uint64_t)instant_of(st, st->seen_ns).ns;
}

static void set_controls(struct rtc_state *st, uint8_t a, uint8_t b)
{
	bool was_stopped = stopped(st), was_reset = divider_reset(st);

	if (!was_stopped)
		freeze(st);
	st->control_a = a & (uint8_t)~A_UIP;
	st->control_b = b & B_SET ? b & (uint8_t)~B_UIE : b;
	if (was_reset && !divider_reset(st)) {
		/* Counts from here on whatever set keeps back. */
		st->base_s = shown_s(st, instant_of(st, st->seen_ns));
		st->base_ns = st->seen_ns - RESTART_NS;
	}
	if (was_stopped && !stopped(st))
		go_on(st);
}

static void write_register(struct rtc_state *st, uint8_t reg, uint8_t v)
{
	switch (reg) {
	case RTC_A:
		set_controls(st, v, st->control_b);
		return;
	case RTC_B:
		set_controls(st, st->control_a, v);
		return;
	case RTC_C:
	case RTC_D:
		return;
	}
	bool sets_running = rtc_is_time_(reg) && !stopped(st);
	if (sets_running)
		freeze(st);
	st->ram[reg] = v;
	if (sets_running)
		go_on(st);
}

static uint8_t read_a(const struct rtc_state *st)
{
	bool soon = instant_of(st, st->seen_ns).ns >= SECOND_NS - UIP_NS;

	return st->control_a | (soon && !stopped(st) ? A_UIP : 0);
}

static uint8_t read_c(struct rtc_state *st)
{
	uint8_t v = st->flags | (asserted(st) ? C_IRQF : 0);

	st->flags = 0;
	return v;
}

static uint8_t read_register(struct rtc_state *st, uint8_t reg)
{
	switch (reg) {
	case RTC_A:
		return read_a(st);
	case RTC_B:
		return st->control_b;
	case RTC_C:
		return read_c(st);
	case RTC_D:
		return D_VALID;
	}
	if (rtc_is_time_(reg) && !stopped(st))
		freeze(st);
	return st->ram[reg];
}

static uint8_t on_byte_read(struct device *d, uint64_t offset)
{
	struct rtc *r = rtc_of(d);

	if (offset != 1)
		return 0xff; /* the index cannot be read back on a PC */
	collect(r);
	uint8_t v = read_register(&r->st, r->st.index);
	update(r);
	return v;
}

static void on_byte_write(struct device *d, uint64_t offset, uint8_t v)
{
	struct rtc *r = rtc_of(d);

	if (offset == 0) {
		r->st.index = v & INDEX_MASK;
	} else if (offset == 1) {
		collect(r);
		write_register(&r->st, r->st.index, v);
		update(r);
	}
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	return bytes_read(d, offset, len, on_byte_read);
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	bytes_write(d, offset, len, v, on_byte_write);
}

const struct bus_ops rtc_ops = {on_read, on_write};

static void on_pause(struct device *d)
{
	struct rtc *r = rtc_of(d);

	r->paused = true;
	set_timer(r, RTC_NEVER);
}

/* What fell due meanwhile is due now. */
static void on_resume(struct device *d)
{
	struct rtc *r = rtc_of(d);

	r->paused = false;
	collect(r);
	update(r);
}

static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct rtc_state *st = state;

	if (st->index & ~INDEX_MASK || st->control_a & A_UIP || st->flags & ~CAUSES)
		return err_set(e, ERR_RANGE, "a register has bits that are not there");
	if (st->base_s >= RTC_SPAN_S)
		return err_set(e, ERR_RANGE, "time past the year 9999");
	return 0;
}

static void on_post_load(struct device *d)
{
	update(rtc_of(d));
}

/* A reset stops the interrupts; time and RAM have their battery. */
static void on_reset(struct device *d)
{
	struct rtc *r = rtc_of(d);

	r->st.control_b &= (uint8_t) ~(CAUSES | B_SQWE);
	r->st.flags = 0;
	update(r);
}

static void on_free(struct device *d)
{
	struct rtc *r = rtc_of(d);

	timer_fini(&r->timer);
	pthread_mutex_destroy(&d->lock);
	free(r);
}

static const struct device_class rtc_class = {
    .type = "rtc",
    .state = &rtc_state_desc,
    .pause = on_pause,
    .resume = on_resume,
    /* st says what was collected and up to when; the rest follows from the time of the resume. */
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = on_post_load,
    .reset = on_reset,
    .free = on_free,
};

/* In units of 1 << @shift bytes, @n bytes wide, as much as they hold. */
static void note_size(uint8_t *ram, uint64_t bytes, unsigned shift, unsigned n)
{
	uint64_t max = (1ull << (8 * n)) - 1, v = bytes >> shift;

	if (v > max)
		v = max;
	for (unsigned i = 0; i < n; i++)
		ram[i] = (uint8_t)(v >> (8 * i));
}

/* Where firmware looks: Bochs' CMOS map, which SeaBIOS and OVMF follow. */
static void note_ram(uint8_t *ram, uint64_t below_4g, uint64_t above_4g)
{
	uint64_t above_1m = below_4g > MIB ? below_4g - MIB : 0;

	note_size(ram + 0x15, below_4g < 640 * KIB ? below_4g : 640 * KIB, 10, 2);
	note_size(ram + 0x17, above_1m, 10, 2);
	note_size(ram + 0x30, above_1m, 10, 2);
	note_size(ram + 0x34, below_4g > 16 * MIB ? below_4g - 16 * MIB : 0, 16, 2);
	note_size(ram + 0x5b, above_4g, 16, 3);
}

struct device *rtc_new(const char *id, struct irq_line irq, const struct guest_clock *clock,
		       struct loop *loop, uint64_t ram_below_4g, uint64_t ram_above_4g,
		       struct err *e)
{
	struct rtc *r = calloc(1, sizeof *r);

	if (!r) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&r->dev, &rtc_class, id, &r->st);
	r->irq = irq;
	r->clock = clock;
	r->st.seen_ns = guest_clock_realtime(clock);
	note_ram(r->st.ram, ram_below_4g, ram_above_4g);
	if (timer_init(&r->timer, loop, CLOCK_REALTIME, on_timer, r, e)) {
		on_free(&r->dev);
		return NULL;
	}
	return &r->dev;
}
