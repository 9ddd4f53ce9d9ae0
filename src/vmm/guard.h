/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sees to it that a process ends which was told to. While guest memory is still coming, any thread
 * that touches it may wait for a file that cannot be read now, the event loop too. A guard waits
 * for nothing but time: from the moment the end was asked for there are some seconds to end in good
 * order.
 *
 * Prefix: guard_. A guard of NULL does nothing. Any thread, but for guard_new() and guard_free().
 */
#ifndef VMM_GUARD_H
#define VMM_GUARD_H

#include "base/base.h"

struct guard; /* owned by the caller of guard_new() */

int guard_new(struct guard **out, struct err *e) MUST_CHECK;
/** guard_free() - the process can end by itself again. */
void guard_free(struct guard *g);

/** guard_watch() - when @fd becomes readable, somebody has asked for the end. It is not read. */
void guard_watch(struct guard *g, int fd);

/** guard_end() - if it comes to that, say @why, unless NULL, and exit with @status. The first call
 * counts. */
void guard_end(struct guard *g, int status, const struct err *why);

#endif
