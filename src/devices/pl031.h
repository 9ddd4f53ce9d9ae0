/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real-time clock of aarch64 machines: ARM's PrimeCell PL031, a counter of seconds with an
 * alarm. It counts the guest's wall time and what the guest set it ahead or behind, so that it is
 * right after any interruption.
 *
 * Prefix: pl031_.
 */
#ifndef DEVICES_PL031_H
#define DEVICES_PL031_H

#include "devices/clock.h"
#include "devices/device.h"

extern const struct bus_ops pl031_ops; /* 4 KiB */

/**
 * pl031_new() - a clock that shows seconds since 1970, UTC
 * @clock, @loop: borrowed, outlive the device
 * Returns NULL with @e filled: ERR_NOMEM, and ERR_IO or ERR_LIMIT for its timer.
 */
struct device *pl031_new(const char *id, struct irq_line irq, const struct guest_clock *clock,
			 struct loop *loop, struct err *e);

#endif
