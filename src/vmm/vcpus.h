/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that run vCPUs. All run or all are parked: while they are parked, their state may be
 * read and replaced.
 *
 * Prefix: vcpus_. Threads: called by the event loop's thread only, but for vcpus_clamp().
 */
#ifndef VMM_VCPUS_H
#define VMM_VCPUS_H

#include "arch/arch.h"

#include <pthread.h>

struct vcpus {
	struct arch_vm *arch;
	struct arch_io *io;
	/* A vCPU cannot go on by itself: called once in its thread, which then parks. @code is
	 * an enum arch_stop other than ARCH_INTERRUPTED, or a negative error with @e. */
	void (*halted)(void *arg, int code, const struct err *e);
	void *arg;

	uint32_t n;
	pthread_t thread[ARCH_VCPUS_MAX];
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t parked_changed, hold_changed;
	bool hold, quit;
	uint64_t holds; /* how many there were */
	uint32_t parked;
};

/** vcpus_start() - one thread for each vCPU of @arch, all parked. */
int vcpus_start(struct vcpus *v, struct err *e) MUST_CHECK;
/** vcpus_hold() - returns when all are parked, each with its last access completed. */
void vcpus_hold(struct vcpus *v);
void vcpus_go(struct vcpus *v);
/** vcpus_stop() - ends the threads. */
void vcpus_stop(struct vcpus *v);

/** vcpus_clamp() - the host is to run the calling thread as if it used at least @perf of 1024 of a
 * processor. Threads: of vCPU @vcpu; in any other nothing happens. */
void vcpus_clamp(uint32_t vcpu, uint32_t perf);

#endif
