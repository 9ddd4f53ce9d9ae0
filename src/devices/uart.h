/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port (National Semiconductor PC16550D, June 1995), at I/O ports or in memory:
 * eight byte-wide registers. Characters take no time: what the guest sends is at the far end at
 * once, and the character-timeout interrupt follows its cause without delay.
 *
 * Prefix: uart_.
 */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "devices/device.h"
#include "devices/serial.h"

extern const struct bus_ops uart_ops; /* 8 bytes */

/**
 * uart_new() - a serial port in its reset state
 * @end: where it leads to; borrowed, outlives the device
 * Returns NULL with @e filled: ERR_NOMEM.
 */
struct device *uart_new(const char *id, struct irq_line irq, struct serial_end *end, struct err *e);

/** uart_input() - bytes from the far end. Takes the lock. Returns how many there was room for; when
 * not all, @end->room is called once there is more. */
size_t uart_input(struct device *d, const void *data, size_t n);

#endif
