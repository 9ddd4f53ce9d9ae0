/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/devices/: registers of one byte. A wider access is one for each byte, the lowest
 * first, as an 8-bit device on a wider bus sees it. */
#ifndef DEVICES_BYTES_H
#define DEVICES_BYTES_H

#include "devices/device.h"

typedef uint8_t byte_read_fn(struct device *d, uint64_t offset);
typedef void byte_write_fn(struct device *d, uint64_t offset, uint8_t v);

static inline uint64_t bytes_read(struct device *d, uint64_t offset, unsigned len,
				  byte_read_fn *read)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len && i < 8; i++)
		v |= (uint64_t)read(d, offset + i) << (8 * i);
	return v;
}

static inline void bytes_write(struct device *d, uint64_t offset, unsigned len, uint64_t v,
			       byte_write_fn *write)
{
	for (unsigned i = 0; i < len && i < 8; i++)
		write(d, offset + i, (uint8_t)(v >> (8 * i)));
}

#endif
