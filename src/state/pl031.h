/* SPDX-License-Identifier: Apache-2.0 */
/* The PL031 real-time clock of aarch64 machines. */
#ifndef STATE_PL031_H
#define STATE_PL031_H

#include "state/state.h"

/* clang-format off */
#define PL031_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, offset_s, 1, 0, dec, "Seconds that the counter is ahead of the guest's wall time since 1970, modulo 2^32") \
	FIELD(T, 2, u32, match_s, 1, 0, dec, "Match register: the counter at the alarm") \
	FIELD(T, 3, u32, load_s, 1, 0, dec, "Load register: what the counter was last set to") \
	FLAG(T, 4, enabled, 1, 0, "The alarm may interrupt: IMSC") \
	FLAG(T, 5, matched, 1, 0, "The alarm came and was not cleared: RIS") \
	FIELD(T, 6, u64, seen_s, 1, 0, dec, "Up to which second of the guest's wall time the alarm was looked for")

STATE_DECLARE(pl031_state, PL031_STATE);
/* clang-format on */

#endif
