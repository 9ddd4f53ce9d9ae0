/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's time, as timers and clocks of the machine see it: the host's clocks and an offset
 * to each. The machine owns one and saves what it shows; devices keep only what is relative to it.
 *
 * Prefix: guest_clock_. Threads: reading from any; setting while vCPUs are stopped.
 */
#ifndef DEVICES_CLOCK_H
#define DEVICES_CLOCK_H

#include "base/base.h"

struct guest_clock {
	/* Of the host: io_now_ns() and io_realtime_ns(), something else in tests. */
	uint64_t (*host_monotonic_ns)(void);
	uint64_t (*host_realtime_ns)(void);
	/* Guest minus host, modulo 2^64. */
	_Atomic uint64_t monotonic_offset_ns, realtime_offset_ns;
};

/** guest_clock_init() - monotonic time starts at 0, wall time is the host's. */
void guest_clock_init(struct guest_clock *c);

/** guest_clock_monotonic() - nanoseconds since power-on, those included in which the guest did not
 * run, unless guest_clock_set() took them out. */
uint64_t guest_clock_monotonic(const struct guest_clock *c);
/** guest_clock_realtime() - nanoseconds since 1970, UTC. */
uint64_t guest_clock_realtime(const struct guest_clock *c);

/** guest_clock_set() - monotonic time is @ns now, and goes on from there. */
void guest_clock_set(struct guest_clock *c, uint64_t ns);
/** guest_clock_set_realtime() - the same for wall time: for a guest whose time stood still. */
void guest_clock_set_realtime(struct guest_clock *c, uint64_t ns);

#endif
