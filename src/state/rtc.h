/* SPDX-License-Identifier: Apache-2.0 */
/* The MC146818 real-time clock of a PC. */
#ifndef STATE_RTC_H
#define STATE_RTC_H

#include "state/state.h"

#define RTC_RAM_BYTES 128

/* Ten thousand years of seconds: what year and century count. Whole Gregorian cycles, so that days
 * of the week go on. */
#define RTC_SPAN_S 315569520000

/* From year 0 (proleptic Gregorian) to 1970: 719528 days. */
#define RTC_EPOCH_S 62167219200

/* clang-format off */
#define RTC_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u8, index, 1, 0, hex, "Register selected by port 70h") \
	FIELD(T, 2, u8, control_a, 1, 0x26, hex, "Register A without update-in-progress: divider, rate") \
	FIELD(T, 3, u8, control_b, 1, 0x02, hex, "Register B: set, interrupt enables, format") \
	FIELD(T, 4, u8, flags, 1, 0, hex, "Register C without IRQF: causes not yet read") \
	FIELD(T, 5, u64, base_s, 1, RTC_EPOCH_S, dec, "Seconds since the year 0 that the clock showed at base_ns") \
	FIELD(T, 6, u64, base_ns, 1, 0, ns, "When that was, in the guest's wall time since 1970") \
	FIELD(T, 7, u64, seen_ns, 1, 0, ns, "Up to when causes were collected in flags, same time") \
	ARRAY(T, 8, u8, ram, RTC_RAM_BYTES, 1, hex, "RAM; 0-9 and 32h hold time while set is on, 1, 3 and 5 the alarm")

STATE_DECLARE(rtc_state, RTC_STATE);
/* clang-format on */

#endif
