/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_REPAIR_H
#define FUZZ_REPAIR_H

#include <stddef.h>
#include <stdint.h>

/* Makes the digests of a mutated snapshot right again, as far as its structure can still be
 * followed: otherwise no mutation would get past the first check. */
void repair(uint8_t *data, size_t size);

#endif
