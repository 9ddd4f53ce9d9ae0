/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What saves that were killed have left behind: the next one removes it. Only what is ours beyond
 * doubt, and what nobody has open: who writes such a file holds a lock on it, and so does the VM
 * that it was passed to.
 *
 * Prefix: leftovers_.
 */
#ifndef VMM_LEFTOVERS_H
#define VMM_LEFTOVERS_H

#include "base/base.h"

#include <limits.h>

struct leftovers {
	uint32_t n; /* removed */
	char first[NAME_MAX + 1];
};

/** leftovers_beside() - remove unfinished files of snapshots from the folder of @output. */
void leftovers_beside(const char *output, struct leftovers *l);

/** leftovers_over() - remove overlays that were made over @image for snapshots that never were.
 * @image is absolute. */
void leftovers_over(const char *image, struct leftovers *l);

/** leftovers_tell() - one line on stderr, if anything was removed. */
void leftovers_tell(const struct leftovers *l);

#endif
