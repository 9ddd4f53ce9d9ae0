/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest's console goes: the terminal, a file, or a Unix socket that people connect to. The
 * last CONSOLE_BACKLOG bytes wait for whoever reads next; older ones are lost, the guest never waits.
 *
 * Prefix: console_.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "base/loop.h"
#include "devices/device.h"
#include "devices/serial.h"

#define CONSOLE_BACKLOG (64 * KIB)

struct console;

/* What input goes to: uart_input() and the like. */
typedef size_t console_input_fn(struct device *dev, const void *data, size_t n);

/**
 * console_open() - open what @target names
 * @target: "stdio", "file:PATH", "unix:PATH" or "none"
 * @quit:   called in the loop's thread when Ctrl-A x is typed on the terminal; may be NULL
 */
int console_open(const char *target, void (*quit)(void *arg), void *arg, struct console **out,
		 struct err *e) MUST_CHECK;

/** console_attach() - connect to a device, and to the loop. */
int console_attach(struct console *c, struct loop *loop, console_input_fn *input,
		   struct device *dev, struct err *e) MUST_CHECK;

/** console_end() - what the device writes to; lives as long as the console. */
struct serial_end *console_end(struct console *c);

/** console_close() - writes what is left if that needs no waiting, and restores the terminal. */
void console_close(struct console *c);

#endif
