/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The far end of a serial line or console port. vmm/ implements it over a terminal, a file or a
 * Unix socket; tests over a buffer. The device side is a function `size_t X_input(dev, data, n)`
 * that takes as many bytes as the guest has room for and says how many.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include <stddef.h>

struct serial_end {
	/* Bytes from the guest. Never blocks; what the far end cannot take is dropped, as on a
	 * line without flow control. Called with the device's lock held. */
	void (*out)(struct serial_end *s, const void *data, size_t n);
	/* The device can take input again, after X_input() took less than all. Any thread. */
	void (*room)(struct serial_end *s);
};

#endif
