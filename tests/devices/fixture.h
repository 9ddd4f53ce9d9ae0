/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of arrays around a platform device: interrupt lines, events, a clock set by hand. */
#ifndef TEST_DEVICES_FIXTURE_H
#define TEST_DEVICES_FIXTURE_H

#include "devices/clock.h"
#include "devices/device.h"

#define LINE   4
#define SOURCE 7
#define PPI    15
#define VCPUS  3

struct fixture {
	struct irq_host irq;
	bool high;	/* level of LINE, as driven by SOURCE */
	unsigned rises; /* times it went from low to high */
	bool ppi_high[VCPUS];
	unsigned ppi_rises[VCPUS]; /* the same of PPI, for each vCPU */
	struct device_events events;
	unsigned event_n;
	enum device_event event; /* the last one */
	uint32_t event_value;
	struct guest_clock clock;
};

void fixture_init(struct fixture *f);
struct irq_line fixture_line(struct fixture *f);

/* Host clocks of a fixture's clock: they stand still until set. */
extern uint64_t fixture_monotonic_ns, fixture_realtime_ns;

/** fixture_fuzz() - any access a vCPU can make within @size bytes, and some it cannot, @n times;
 * the state stays one that the device itself would accept. */
void fixture_fuzz(struct device *d, const struct bus_ops *ops, uint64_t size, unsigned n,
		  uint64_t seed);
/** fixture_random() - splitmix64. */
uint64_t fixture_random(uint64_t *seed);

#endif
