/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line that tells how far a long piece of work is, when standard error is a terminal.
 *
 * Prefix: progress_.
 */
#ifndef VMM_PROGRESS_H
#define VMM_PROGRESS_H

#include "base/base.h"

struct progress {
	const char *what;
	bool terminal, shown;
	uint64_t started_ns, last_ns;
};

void progress_init(struct progress *p, const char *what);
/** progress_show() - @arg: the struct progress; bytes. Fits struct snap_progress. */
void progress_show(void *arg, uint64_t done, uint64_t total);
/** progress_end() - removes the line. */
void progress_end(struct progress *p);

#endif
