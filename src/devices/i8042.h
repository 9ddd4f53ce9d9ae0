/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of the i8042 as systems use without a keyboard: the reset pulse, and answers to the
 * commands that probe it. There is no keyboard and no mouse, and no interrupt; the ACPI tables
 * need not announce it (IA-PC boot architecture flags). Commands as in the IBM PS/2 technical
 * reference.
 *
 * Prefix: i8042_.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/device.h"

extern const struct bus_ops i8042_data_ops;    /* port 60h, 1 byte */
extern const struct bus_ops i8042_command_ops; /* port 64h, 1 byte */

/** i8042_new() - a reset is told to @events, which outlives the device. NULL with @e filled:
 * ERR_NOMEM. */
struct device *i8042_new(const char *id, struct device_events *events, struct err *e);

#endif
