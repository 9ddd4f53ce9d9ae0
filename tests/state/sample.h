/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record with every shape there is, a value of it in which every field is distinct and not its
 * default, and its encoding by hand: the encoder does not vouch for itself.
 */
#ifndef TEST_STATE_SAMPLE_H
#define TEST_STATE_SAMPLE_H

#include "state/state.h"

extern const struct state_names sample_colour_names;

/* clang-format off */
#define SAMPLE_INNER(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u16, port, 1, 80, dec, "A port") \
	FLAG(T, 2, open, 1, 1, "Whether it is open")

STATE_DECLARE(sample_inner, SAMPLE_INNER);

#define SAMPLE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u8, small, 1, 3, hex, "Eight bits") \
	FIELD(T, 2, u16, medium, 1, 500, dec, "Sixteen bits") \
	FIELD(T, 3, u32, large, 1, 70000, size, "Thirty-two bits") \
	FIELD(T, 4, u64, huge, 1, 0, hex, "Sixty-four bits") \
	FLAG(T, 5, on, 1, 0, "A flag") \
	ENUM(T, 6, sample_colour_names, colour, 1, 1, "A colour") \
	ARRAY(T, 7, u8, mac, 3, 1, hex, "Bytes") \
	ARRAY(T, 8, u32, bar, 3, 1, hex, "Numbers") \
	BYTES(T, 9, blob, 20, 1, "Some bytes") \
	TEXT(T, 10, name, 6, 1, "Some text") \
	RECORD(T, 11, sample_inner, inner, 1, "A record") \
	LIST(T, 12, sample_inner, item, 2, 1, "Records") \
	FIELD(T, 20, u64, when, 2, 5000000000, ns, "Since version 2") \
	FLAG(T, 21, late, 2, 1, "Since version 2") \
	RECORD(T, 22, sample_inner, added, 3, "Since version 3")

STATE_DECLARE(sample, SAMPLE);
/* clang-format on */

/* Every field set. */
extern const struct sample sample_value;

/* Its encoding, version 3. */
#define SAMPLE_BYTES 103
extern const uint8_t sample_bytes[SAMPLE_BYTES];

/* Where values stand in it, each after its key, for those who change them. */
enum {
	AT_MAP = 0,
	AT_VERSION = 2,
	AT_SMALL = 4,
	AT_MEDIUM = 7,
	AT_LARGE = 11,
	AT_HUGE = 17,
	AT_ON = 27,
	AT_COLOUR = 29,
	AT_MAC = 31,
	AT_BAR = 36,
	AT_BLOB = 47,
	AT_NAME = 52,
	AT_INNER = 58,
	AT_ITEM = 68,
	AT_WHEN = 86,
	AT_LATE = 92,
	AT_ADDED = 94,
};

#endif
