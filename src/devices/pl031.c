/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pl031.h"

#include "base/timer.h"
#include "devices/words.h"
#include "state/pl031.h"

#include <stdlib.h>

/* PrimeCell Real Time Clock (PL031) Technical Reference Manual, DDI 0224, chapter 3. */
enum {
	DR = 0x00,
	MR = 0x04,
	LR = 0x08,
	CR = 0x0c,
	IMSC = 0x10,
	RIS = 0x14,
	MIS = 0x18,
	ICR = 0x1c,
	ID = 0xfe0, /* eight bytes, one in each word, up to the end of the page */
	ID_END = ID + 8 * 4,
};

/* Bit 0 of IMSC, RIS, MIS and ICR: there is one interrupt. */
#define ALARM 1u
/* CR: the counter runs, and once it does nothing but a reset stops it. Here it runs from power-on,
 * as firmware would have left it: Linux reads the time without a look at this bit. */
#define RUNNING 1u

#define SECOND_NS 1000000000
/* The counter has 32 bits: after as many seconds it comes round. */
#define TURN_S (1ull << 32)

/* Peripheral identification: part 0x031 of designer 0x41, revision 0; then what all PrimeCells
 * have. */
static const uint8_t id_bytes[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

struct pl031 {
	struct device dev;
	struct pl031_state st;
	struct irq_line irq;
	const struct guest_clock *clock;
	struct timer timer;
	bool paused;
};

static struct pl031 *pl031_of(struct device *d)
{
	return (struct pl031 *)d;
}

/* As of seen_s. Seconds begin when those of the wall clock do, whatever the counter was set to:
 * the 1 Hz clock runs on while it is loaded. */
static uint32_t counter(const struct pl031_state *st)
{
	return (uint32_t)st->seen_s + st->offset_s;
}

/* From seen_s on: 1 to TURN_S. */
static uint64_t seconds_to_match(const struct pl031_state *st)
{
	uint32_t s = st->match_s - counter(st);

	return s ? s : TURN_S;
}

/* Note an alarm that came since this was last done. */
static void collect(struct pl031 *p)
{
	struct pl031_state *st = &p->st;
	uint64_t s = guest_clock_realtime(p->clock) / SECOND_NS;

	/* A wall clock that was set back matches nothing on the way. */
	if (s > st->seen_s && s - st->seen_s >= seconds_to_match(st))
		st->matched = true;
	st->seen_s = s;
}

static bool asserted(const struct pl031_state *st)
{
	return st->matched && st->enabled;
}

static void arm(struct pl031 *p)
{
	uint64_t guest_ns = (p->st.seen_s + seconds_to_match(&p->st)) * SECOND_NS;

	timer_at(&p->timer, guest_ns - p->clock->realtime_offset_ns);
}

/* An alarm that may not interrupt, or came already, needs no timer: the guest looks first. */
static void update(struct pl031 *p)
{
	irq_line_set(&p->irq, asserted(&p->st));
	if (p->paused || p->st.matched || !p->st.enabled)
		timer_in(&p->timer, TIMER_NEVER);
	else
		arm(p);
}

static void on_timer(void *arg, uint32_t events)
{
	struct pl031 *p = arg;

	if (!timer_is_due(&p->timer))
		return;
	device_lock(&p->dev);
	if (!p->paused) {
		collect(p);
		update(p);
	}
	device_unlock(&p->dev);
}

static uint32_t read_register(struct device *d, uint64_t offset)
{
	struct pl031 *p = pl031_of(d);
	const struct pl031_state *st = &p->st;

	if (offset >= ID && offset < ID_END)
		return id_bytes[(offset - ID) / 4];
	collect(p);
	update(p);
	switch (offset) {
	case DR:
		return counter(st);
	case MR:
		return st->match_s;
	case LR:
		return st->load_s;
	case CR:
		return RUNNING;
	case IMSC:
		return st->enabled ? ALARM : 0;
	case RIS:
		return st->matched ? ALARM : 0;
	case MIS:
		return asserted(st) ? ALARM : 0;
	}
	return 0; /* ICR is only written */
}

static void write_register(struct device *d, uint64_t offset, uint32_t v)
{
	struct pl031 *p = pl031_of(d);
	struct pl031_state *st = &p->st;

	collect(p);
	switch (offset) {
	case MR:
		st->match_s = v;
		st->matched |= v == counter(st);
		break;
	case LR:
		st->load_s = v;
		st->offset_s = v - (uint32_t)st->seen_s;
		st->matched |= v == st->match_s;
		break;
	case IMSC:
		st->enabled = v & ALARM;
		break;
	case ICR:
		if (v & ALARM)
			st->matched = false;
		break;
	}
	update(p);
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	return words_read(d, offset, len, read_register);
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	words_write(d, offset, len, v, write_register);
}

const struct bus_ops pl031_ops = {on_read, on_write};

static void on_pause(struct device *d)
{
	struct pl031 *p = pl031_of(d);

	p->paused = true;
	timer_in(&p->timer, TIMER_NEVER);
}

/* What fell due meanwhile is due now. */
static void on_resume(struct device *d)
{
	struct pl031 *p = pl031_of(d);

	p->paused = false;
	collect(p);
	update(p);
}

/* The guest sets every register as it likes; seconds come from a clock of 64 bits. */
static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct pl031_state *st = state;

	if (st->seen_s > UINT64_MAX / SECOND_NS)
		return err_set(e, ERR_RANGE, "time past the end of the clock");
	return 0;
}

static void on_post_load(struct device *d)
{
	update(pl031_of(d));
}

/* A reset stops the alarm; the counter has its battery. */
static void on_reset(struct device *d)
{
	struct pl031 *p = pl031_of(d);
	const uint32_t offset_s = p->st.offset_s;
	const uint64_t seen_s = p->st.seen_s;

	state_defaults(d->cls->state, d->st);
	p->st.offset_s = offset_s;
	p->st.seen_s = seen_s;
	update(p);
}

static void on_free(struct device *d)
{
	struct pl031 *p = pl031_of(d);

	timer_fini(&p->timer);
	pthread_mutex_destroy(&d->lock);
	free(p);
}

static const struct device_class pl031_class = {
    .type = "pl031",
    .state = &pl031_state_desc,
    .pause = on_pause,
    .resume = on_resume,
    /* st says up to when the alarm was looked for; the rest follows from the time of the resume. */
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = on_post_load,
    .reset = on_reset,
    .free = on_free,
};

struct device *pl031_new(const char *id, struct irq_line irq, const struct guest_clock *clock,
			 struct loop *loop, struct err *e)
{
	struct pl031 *p = calloc(1, sizeof *p);

	if (!p) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&p->dev, &pl031_class, id, &p->st);
	p->irq = irq;
	p->clock = clock;
	p->st.seen_s = guest_clock_realtime(clock) / SECOND_NS;
	if (timer_init(&p->timer, loop, CLOCK_REALTIME, on_timer, p, e)) {
		on_free(&p->dev);
		return NULL;
	}
	return &p->dev;
}
