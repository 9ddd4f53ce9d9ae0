/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/devices/: registers of 32 bits at offsets that are multiples of four, as on ARM's
 * peripheral bus (APB). A read of any width gives the bytes that it covers. A write changes whole
 * registers or nothing: one of 8 bytes is two of 4, and narrower or misaligned ones go nowhere.
 */
#ifndef DEVICES_WORDS_H
#define DEVICES_WORDS_H

#include "devices/device.h"

typedef uint32_t word_read_fn(struct device *d, uint64_t offset);
typedef void word_write_fn(struct device *d, uint64_t offset, uint32_t v);

static inline uint64_t words_read(struct device *d, uint64_t offset, unsigned len,
				  word_read_fn *read)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len && i < 8; i += 4 - (unsigned)((offset + i) & 3)) {
		unsigned skip = (unsigned)((offset + i) & 3);
		v |= (uint64_t)(read(d, offset + i - skip) >> (8 * skip)) << (8 * i);
	}
	return len < 8 ? v & ((1ull << (8 * len)) - 1) : v;
}

static inline void words_write(struct device *d, uint64_t offset, unsigned len, uint64_t v,
			       word_write_fn *write)
{
	if (offset & 3)
		return;
	for (unsigned i = 0; i + 4 <= len && i < 8; i += 4)
		write(d, offset + i, (uint32_t)(v >> (8 * i)));
}

#endif
