/* SPDX-License-Identifier: Apache-2.0 */
/* Which generation of itself a machine is: "Virtual Machine Generation ID", Microsoft 2018. */
#ifndef STATE_VMGENID_H
#define STATE_VMGENID_H

#include "state/state.h"

#define VMGENID_BYTES 16

/* clang-format off */
#define VMGENID_STATE(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) \
	ARRAY(T, 1, u8, id, VMGENID_BYTES, 1, hex, \
	      "Identifier that the guest was given last, as it lies in its memory; zeros: none yet")

STATE_DECLARE(vmgenid_state, VMGENID_STATE);
/* clang-format on */

#endif
