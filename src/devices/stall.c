/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/stall.h"

#include "base/timer.h"
#include "devices/words.h"
#include "state/stall.h"

#include <stdlib.h>

/* Linux, drivers/misc/vcpu_stall_detector.c; crosvm, devices/src/vmwdt.rs. Neither says what
 * reading gives, nor what happens out of the driver's order: that is decided here. */
enum {
	STATUS = 0x0,	   /* bit 0: it counts down */
	LOAD_CNT = 0x4,	   /* ticks to count down from; writing starts over */
	CURRENT_CNT = 0x8, /* ticks that are left, read-only */
	CLOCK_FREQ_HZ = 0xc,
	BLOCK_BYTES = 0x10,
};

#define SECOND_NS 1000000000ull

struct stall {
	struct device dev;
	struct stall_state st;
	struct stall_setup setup;
	struct timer timer;
	/* The guest's monotonic time up to which left_ns was counted down. */
	uint64_t counted_ns;
	bool paused;
};

static struct stall *stall_of(struct device *d)
{
	return (struct stall *)d;
}

/* A whole countdown; 0 when there is nothing to count, or nothing to count by. Less than 2^62. */
static uint64_t period_ns(const struct stall_vcpu *v)
{
	return v->clock_hz ? (v->load * SECOND_NS + v->clock_hz - 1) / v->clock_hz : 0;
}

static bool counts(const struct stall_vcpu *v)
{
	return v->enabled && v->left_ns;
}

static void start_over(struct stall_vcpu *v)
{
	v->left_ns = period_ns(v);
	v->warned = false;
}

/* Ticks begun: those left, and the rest of the present one. No more than load, to which rounding
 * to nanoseconds may add. The product is at most load seconds and a tick: less than 2^63. */
static uint32_t current(const struct stall_vcpu *v)
{
	if (!v->clock_hz)
		return v->load;
	uint64_t n = (v->left_ns * v->clock_hz + SECOND_NS - 1) / SECOND_NS;
	return n < v->load ? (uint32_t)n : v->load;
}

/* Held until the guest answers: KVM takes private interrupts for level-triggered whatever the guest
 * says, and a pulse that comes while the vCPU is elsewhere would be lost. */
static void drive(struct stall *s, uint32_t i)
{
	struct irq_host *irq = s->setup.irq;

	irq->ops->ppi(irq, i, s->setup.ppi, s->st.vcpu[i].warned);
}

/* The first time is a question: Linux panics and says where it was. The second countdown begins
 * here, as the guest could not answer before. A stall is told again after each further one, until
 * somebody acts on it: a snapshot may come between. */
static void expire(struct stall *s, uint32_t i)
{
	struct stall_vcpu *v = &s->st.vcpu[i];

	v->left_ns = period_ns(v);
	if (v->warned)
		s->setup.events->happened(s->setup.events, DEVICE_STALLED, i);
	v->warned = true;
	drive(s, i);
}

/* Time that passed and was not counted down yet. */
static uint64_t take_elapsed(struct stall *s)
{
	uint64_t now = guest_clock_monotonic(s->setup.clock), ns = now - s->counted_ns;

	s->counted_ns = now;
	return (int64_t)ns > 0 ? ns : 0;
}

static void count_down(struct stall *s)
{
	if (s->paused)
		return;
	uint64_t elapsed = take_elapsed(s);
	for (uint32_t i = 0; i < s->st.vcpu_n; i++) {
		struct stall_vcpu *v = &s->st.vcpu[i];
		if (!counts(v))
			continue;
		if (v->left_ns > elapsed)
			v->left_ns -= elapsed;
		else
			expire(s, i);
	}
}

/* For the one that expires next, which was counted down to now. */
static void set_timer(struct stall *s)
{
	uint64_t next = TIMER_NEVER;

	for (uint32_t i = 0; i < s->st.vcpu_n; i++)
		if (counts(&s->st.vcpu[i]) && s->st.vcpu[i].left_ns < next)
			next = s->st.vcpu[i].left_ns;
	timer_in(&s->timer, s->paused ? TIMER_NEVER : next);
}

static void on_timer(void *arg, uint32_t events)
{
	struct stall *s = arg;

	if (!timer_is_due(&s->timer))
		return;
	device_lock(&s->dev);
	count_down(s);
	set_timer(s);
	device_unlock(&s->dev);
}

/* NULL: there is no such vCPU. */
static struct stall_vcpu *vcpu_at(struct stall *s, uint64_t offset)
{
	uint64_t i = offset / BLOCK_BYTES;

	return i < s->st.vcpu_n ? &s->st.vcpu[i] : NULL;
}

static uint32_t read_register(struct device *d, uint64_t offset)
{
	struct stall *s = stall_of(d);
	const struct stall_vcpu *v = vcpu_at(s, offset);

	if (!v)
		return 0;
	count_down(s);
	set_timer(s);
	switch (offset % BLOCK_BYTES) {
	case STATUS:
		return v->enabled;
	case LOAD_CNT:
		return v->load;
	case CURRENT_CNT:
		return current(v);
	default:
		return v->clock_hz;
	}
}

/* Switched off it keeps what is left; switched on again it starts over, and writing 1 to what is on
 * does nothing: only loading is a sign of life. */
static void set_enabled(struct stall_vcpu *v, bool on)
{
	if (on && !v->enabled)
		start_over(v);
	if (!on)
		v->warned = false;
	v->enabled = on;
}

static void write_register(struct device *d, uint64_t offset, uint32_t v)
{
	struct stall *s = stall_of(d);
	struct stall_vcpu *c = vcpu_at(s, offset);

	if (!c)
		return;
	count_down(s);
	switch (offset % BLOCK_BYTES) {
	case STATUS:
		set_enabled(c, v & 1);
		break;
	case LOAD_CNT:
		c->load = v;
		start_over(c);
		break;
	case CLOCK_FREQ_HZ:
		/* Ticks counted at one rate are none at another. */
		c->clock_hz = v;
		start_over(c);
		break;
	}
	drive(s, (uint32_t)(offset / BLOCK_BYTES));
	set_timer(s);
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	return words_read(d, offset, len, read_register);
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	words_write(d, offset, len, v, write_register);
}

const struct bus_ops stall_ops = {on_read, on_write};

/* Time stands still for countdowns: a guest that does not run cannot load them. What is due at this
 * moment is so after the resume. */
static void on_pause(struct device *d)
{
	struct stall *s = stall_of(d);
	uint64_t elapsed = take_elapsed(s);

	for (uint32_t i = 0; i < s->st.vcpu_n; i++) {
		struct stall_vcpu *v = &s->st.vcpu[i];
		if (counts(v))
			v->left_ns = v->left_ns > elapsed ? v->left_ns - elapsed : 1;
	}
	s->paused = true;
	set_timer(s);
}

static void on_resume(struct device *d)
{
	struct stall *s = stall_of(d);

	s->counted_ns = guest_clock_monotonic(s->setup.clock);
	s->paused = false;
	set_timer(s);
}

static void drive_all(struct device *d)
{
	struct stall *s = stall_of(d);

	for (uint32_t i = 0; i < s->st.vcpu_n; i++)
		drive(s, i);
}

static bool sane(const struct stall_vcpu *v)
{
	uint64_t period = period_ns(v);

	return v->left_ns <= period && (v->left_ns > 0) == (period > 0) &&
	       (!v->warned || counts(v));
}

static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct stall_state *st = state, *own = d->st;

	if (st->vcpu_n != own->vcpu_n)
		return err_set(e, ERR_RANGE, "countdowns of %u vCPUs, there are %u", st->vcpu_n,
			       own->vcpu_n);
	for (uint32_t i = 0; i < st->vcpu_n; i++)
		if (!sane(&st->vcpu[i]))
			return err_set(e, ERR_RANGE,
				       "vcpu[%u]: what is left does not go with what was loaded",
				       i);
	return 0;
}

static void on_reset(struct device *d)
{
	struct stall *s = stall_of(d);

	for (uint32_t i = 0; i < s->st.vcpu_n; i++)
		state_defaults(&stall_vcpu_desc, &s->st.vcpu[i]);
	drive_all(d);
	set_timer(s);
}

static void on_free(struct device *d)
{
	struct stall *s = stall_of(d);

	timer_fini(&s->timer);
	pthread_mutex_destroy(&d->lock);
	free(s);
}

static const struct device_class stall_class = {
    .type = "stall-detector",
    .state = &stall_state_desc,
    .pause = on_pause,
    .resume = on_resume,
    /* The pause counted down to where it was, and the timer is set when it ends. */
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = drive_all,
    .reset = on_reset,
    .free = on_free,
};

struct device *stall_new(const char *id, const struct stall_setup *setup, struct err *e)
{
	struct stall *s;

	if (setup->vcpus > STALL_VCPUS_MAX) {
		err_set(e, ERR_LIMIT, "%s: at most %u vCPUs", id, STALL_VCPUS_MAX);
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (!s) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&s->dev, &stall_class, id, &s->st);
	s->setup = *setup;
	if (timer_init(&s->timer, setup->loop, CLOCK_MONOTONIC, on_timer, s, e)) {
		on_free(&s->dev);
		return NULL;
	}
	s->st.vcpu_n = setup->vcpus;
	s->counted_ns = guest_clock_monotonic(setup->clock);
	on_reset(&s->dev);
	return &s->dev;
}
