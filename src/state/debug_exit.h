/* SPDX-License-Identifier: Apache-2.0 */
/* The port by which a test guest ends its machine. */
#ifndef STATE_DEBUG_EXIT_H
#define STATE_DEBUG_EXIT_H

#include "state/state.h"

/* clang-format off */
#define DEBUG_EXIT_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u32, value, 1, 0, hex, "What was written last")

STATE_DECLARE(debug_exit_state, DEBUG_EXIT_STATE);
/* clang-format on */

#endif
