/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one thread that waits for file descriptors. Registering and removing may be done
 * from any thread; callbacks run in the thread of loop_run(). A callback that was already due may
 * still run once after loop_del() by another thread, so what @arg points to outlives the loop.
 *
 * Prefix: loop_.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/base.h"

#include <sys/epoll.h>

struct loop; /* owned by the caller of loop_new() */

typedef void loop_fn(void *arg, uint32_t events);

int loop_new(struct loop **out, struct err *e) MUST_CHECK;
void loop_free(struct loop *l);

/** loop_add() - call @fn when @fd (borrowed, at most LOOP_FD_MAX) has one of @events (EPOLLIN, ...). */
int loop_add(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg,
	     struct err *e) MUST_CHECK;
/** loop_mod() - other events for an @fd that was added; 0 waits for none. */
void loop_mod(struct loop *l, int fd, uint32_t events);
/** loop_del() - before @fd is closed. */
void loop_del(struct loop *l, int fd);

/** loop_run() - until loop_stop(). Returns 0 or -ERR_IO. */
int loop_run(struct loop *l, struct err *e) MUST_CHECK;
/** loop_poll() - run what is due, without waiting. Returns how many callbacks ran, or -ERR_IO. */
int loop_poll(struct loop *l, struct err *e) MUST_CHECK;
/** loop_stop() - any thread, and from a callback; sticks. */
void loop_stop(struct loop *l);

#define LOOP_FD_MAX 1023

#endif
