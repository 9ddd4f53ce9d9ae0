/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's real-time clock and its battery-backed RAM: a Motorola MC146818A behind an index and a
 * data port, with alarm, update-ended and periodic interrupts. Its time is the guest's wall clock
 * and what the guest set it ahead or behind, so that it is right after any interruption.
 *
 * Prefix: rtc_.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "devices/clock.h"
#include "devices/device.h"

extern const struct bus_ops rtc_ops; /* 2 bytes: index, data */

/**
 * rtc_new() - a clock that shows UTC
 * @clock, @loop: borrowed, outlive the device
 * @ram_below_4g, @ram_above_4g: bytes, noted in the RAM as firmware expects them
 * Returns NULL with @e filled: ERR_NOMEM, and ERR_IO or ERR_LIMIT for its timer.
 */
struct device *rtc_new(const char *id, struct irq_line irq, const struct guest_clock *clock,
		       struct loop *loop, uint64_t ram_below_4g, uint64_t ram_above_4g,
		       struct err *e);

#endif
