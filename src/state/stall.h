/* SPDX-License-Identifier: Apache-2.0 */
/* The stall detector: a countdown for each vCPU. */
#ifndef STATE_STALL_H
#define STATE_STALL_H

#include "state/state.h"

#define STALL_VCPUS_MAX 16

/* What guests are told, and what a countdown that was only switched on has: the defaults of Linux's
 * binding, misc/qemu,vcpu-stall-detector.yaml. */
#define STALL_CLOCK_HZ 10
#define STALL_SECONDS  8

/* clang-format off */
#define STALL_VCPU_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FLAG(T, 1, enabled, 1, 0, "It counts down") \
	FLAG(T, 2, warned, 1, 0, "It expired once, and the guest did not load it again since") \
	FIELD(T, 3, u32, clock_hz, 1, STALL_CLOCK_HZ, dec, "Ticks in a second, 0: it stands still") \
	FIELD(T, 4, u32, load, 1, STALL_CLOCK_HZ * STALL_SECONDS, dec, "Ticks that it counts down from, 0: it stands still") \
	FIELD(T, 5, u64, left_ns, 1, STALL_SECONDS * 1000000000ull, ns, "Time that is left of them")

STATE_DECLARE(stall_vcpu, STALL_VCPU_STATE);

#define STALL_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	LIST(T, 1, stall_vcpu, vcpu, STALL_VCPUS_MAX, 1, "One for each vCPU")

STATE_DECLARE(stall_state, STALL_STATE);
/* clang-format on */

#endif
