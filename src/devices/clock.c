/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/clock.h"

void guest_clock_init(struct guest_clock *c)
{
	c->host_monotonic_ns = io_now_ns;
	c->host_realtime_ns = io_realtime_ns;
	c->realtime_offset_ns = 0;
	guest_clock_set(c, 0);
}

uint64_t guest_clock_monotonic(const struct guest_clock *c)
{
	return c->host_monotonic_ns() + c->monotonic_offset_ns;
}

uint64_t guest_clock_realtime(const struct guest_clock *c)
{
	return c->host_realtime_ns() + c->realtime_offset_ns;
}

void guest_clock_set(struct guest_clock *c, uint64_t ns)
{
	c->monotonic_offset_ns = ns - c->host_monotonic_ns();
}

void guest_clock_set_realtime(struct guest_clock *c, uint64_t ns)
{
	c->realtime_offset_ns = ns - c->host_realtime_ns();
}
