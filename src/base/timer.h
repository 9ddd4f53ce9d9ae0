/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of an event loop. Each goes off once, and is set again by whoever wants more.
 *
 * Prefix: timer_. Threads: setting from any; the callback runs in that of the loop.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/loop.h"

#include <time.h>

struct timer {
	struct loop *loop;
	int fd; /* -1: none */
};

#define TIMER_NEVER UINT64_MAX

/** timer_init() - not set. @clock: of clock_gettime(2). @fn first calls timer_is_due(). Ended by
 * timer_fini(). Returns 0; -ERR_IO, -ERR_LIMIT, and then timer_fini() does nothing. */
int timer_init(struct timer *t, struct loop *l, clockid_t clock, loop_fn *fn, void *arg,
	       struct err *e) MUST_CHECK;
void timer_fini(struct timer *t);

/** timer_in() - in @ns nanoseconds, instead of what was set; TIMER_NEVER: not at all. */
void timer_in(struct timer *t, uint64_t ns);
/** timer_at() - the same, when the clock shows @ns; also when it is set past that. */
void timer_at(struct timer *t, uint64_t ns);
/** timer_is_due() - in the callback: false if it was set anew since it went off. */
bool timer_is_due(struct timer *t);

#endif
