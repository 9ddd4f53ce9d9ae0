/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that leave signals that end the process to whoever waits for them, whether they are made
 * before process_run() or after.
 *
 * Prefix: thread_.
 */
#ifndef VMM_THREAD_H
#define VMM_THREAD_H

#include "base/base.h"

#include <pthread.h>
#include <signal.h>

/** thread_ending_signals() - those that ask a VM to end. */
void thread_ending_signals(sigset_t *out);

/** thread_new() - pthread_create(), with them blocked. Returns 0, -ERR_NOMEM. */
int thread_new(pthread_t *out, void *(*main)(void *), void *arg, struct err *e) MUST_CHECK;

#endif
