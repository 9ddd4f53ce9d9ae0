/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/thread.h"

void thread_ending_signals(sigset_t *out)
{
	sigemptyset(out);
	sigaddset(out, SIGTERM);
	sigaddset(out, SIGINT);
	sigaddset(out, SIGHUP);
}

int thread_new(pthread_t *out, void *(*main)(void *), void *arg, struct err *e)
{
	sigset_t set, old;

	/* Inherited: at no time does the new thread take one. */
	thread_ending_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	int sys = pthread_create(out, NULL, main, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return sys ? err_sys(e, ERR_NOMEM, sys, "cannot start a thread") : 0;
}
