/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <setjmp.h>
#include <cmocka.h>

uint64_t fixture_monotonic_ns, fixture_realtime_ns;

static uint64_t monotonic(void)
{
	return fixture_monotonic_ns;
}

static uint64_t realtime(void)
{
	return fixture_realtime_ns;
}

static void on_line(struct irq_host *h, uint32_t line, uint32_t source, bool high)
{
	struct fixture *f = (struct fixture *)h;

	assert_int_equal(line, LINE);
	assert_int_equal(source, SOURCE);
	if (high && !f->high)
		f->rises++;
	f->high = high;
}

static void on_ppi(struct irq_host *h, uint32_t vcpu, uint32_t ppi, bool high)
{
	struct fixture *f = (struct fixture *)h;

	assert_true(vcpu < VCPUS);
	assert_int_equal(ppi, PPI);
	if (high && !f->ppi_high[vcpu])
		f->ppi_rises[vcpu]++;
	f->ppi_high[vcpu] = high;
}

static void on_event(struct device_events *ev, enum device_event what, uint32_t value)
{
	struct fixture *f = (struct fixture *)((char *)ev - offsetof(struct fixture, events));

	f->event_n++;
	f->event = what;
	f->event_value = value;
}

void fixture_init(struct fixture *f)
{
	static const struct irq_host_ops ops = {.line = on_line, .ppi = on_ppi};

	*f = (struct fixture){.irq = {&ops}, .events = {on_event}};
	f->clock.host_monotonic_ns = monotonic;
	f->clock.host_realtime_ns = realtime;
	fixture_monotonic_ns = 1000;
	fixture_realtime_ns = 1700000000ull * 1000000000;
	guest_clock_set(&f->clock, 0);
}

struct irq_line fixture_line(struct fixture *f)
{
	return (struct irq_line){&f->irq, LINE, SOURCE};
}

uint64_t fixture_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void fixture_fuzz(struct device *d, const struct bus_ops *ops, uint64_t size, unsigned n,
		  uint64_t seed)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t r = fixture_random(&seed), v = fixture_random(&seed);
		unsigned len = 1u << (r & 3);
		uint64_t offset = (r >> 2) % (r >> 8 & 15 ? size : size + 16);
		struct err e = ERR_INIT;
		device_lock(d);
		if (r >> 32 & 1)
			ops->read(d, offset, len);
		else
			ops->write(d, offset, len, v);
		int bad = d->cls->check(d, d->st, &e);
		device_unlock(d);
		if (bad)
			fail_msg("access %u: %s", i, e.msg);
	}
}
