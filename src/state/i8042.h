/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard controller that can only reset. */
#ifndef STATE_I8042_H
#define STATE_I8042_H

#include "state/state.h"

/* clang-format off */
#define I8042_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	FIELD(T, 1, u8, command, 1, 0, hex, "Command that waits for its data byte, 0 for none") \
	FIELD(T, 2, u8, control, 1, 0x30, hex, "Controller command byte; default: both interfaces disabled") \
	FLAG(T, 3, output_full, 1, 0, "A byte waits at port 60h") \
	FIELD(T, 4, u8, output, 1, 0, hex, "That byte") \
	FLAG(T, 5, last_was_command, 1, 0, "The last write went to port 64h")

STATE_DECLARE(i8042_state, I8042_STATE);
/* clang-format on */

#endif
