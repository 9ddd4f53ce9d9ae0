/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's time at the moment of the pause. */
#ifndef STATE_CLOCK_H
#define STATE_CLOCK_H

#include "state/state.h"

/* clang-format off */
#define CLOCK_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u64, realtime_ns, 1, 0, ns, "CLOCK_REALTIME of the host, since 1970") \
	FIELD(T, 2, u64, kvmclock_ns, 1, 0, ns, "KVM's paravirtual clock; 0 where there is none") \
	FIELD(T, 3, u64, monotonic_ns, 1, 0, ns, "Clock of the machine's own timers since power-on")

STATE_DECLARE(clock, CLOCK_STATE);
/* clang-format on */

#endif
