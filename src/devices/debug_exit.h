/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's isa-debug-exit: a write ends the machine, and what was written tells why. For test guests.
 *
 * Prefix: debug_exit_.
 */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "devices/device.h"

#define DEBUG_EXIT_BYTES 4
extern const struct bus_ops debug_exit_ops;

/** debug_exit_new() - a write is told to @events, which outlives the device. NULL with @e filled:
 * ERR_NOMEM. */
struct device *debug_exit_new(const char *id, struct device_events *events, struct err *e);

#endif
