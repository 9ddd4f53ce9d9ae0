/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of a layout, said a second time and as plainly as can be. */
#ifndef TEST_LAYOUT_ORACLE_H
#define TEST_LAYOUT_ORACLE_H

#include "layout/layout.h"

/** oracle_valid() - what layout_check() should say. */
bool oracle_valid(const struct layout *l);

/** oracle_random() - splitmix64. */
uint64_t oracle_random(uint64_t *seed);

#endif
