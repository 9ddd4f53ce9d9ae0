/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/state/: reading fields of a struct by their descriptor. */
#ifndef STATE_CODEC_H
#define STATE_CODEC_H

#include "state/state.h"

/* Bytes of one element. */
size_t state_width_(const struct state_field *f);
/* Element @i of a field of scalars. */
uint64_t state_load_(const struct state_field *f, const void *st, size_t i);
/* The largest value the field's type holds. */
uint64_t state_max_(const struct state_field *f);
/* Elements there are now. */
uint32_t state_count_(const struct state_field *f, const void *st);

#endif
