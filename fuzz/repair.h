/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_REPAIR_H
#define FUZZ_REPAIR_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot/key.h"

/* Makes the digests of a mutated snapshot right again, as far as its structure can still be
 * followed: otherwise no mutation would get past the first check. Of a file that says that it is
 * encrypted or signed, with fuzz_key() and fuzz_seed(): what stands in its frames of ciphertext is
 * taken for the plain bytes and encrypted, so that those are what a mutation changes. */
void repair(uint8_t *data, size_t size);

/* Known to everybody: 32 bytes 'k', and 32 bytes 's'. */
const struct snap_key *fuzz_key(void);
const struct secret *fuzz_seed(void);

#endif
