/* SPDX-License-Identifier: Apache-2.0 */
/* What fault.c and fault_steps.c share. */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The first @allow reads, or words of a thread to another, go through. Those behind them take
 * @delay_us longer; and then wait until they are allowed, or fail with @error. */
struct gate {
	_Atomic uint32_t allow, delay_us, wait, error;
	_Atomic uint32_t reads, waiting; /* how many came; how many wait now */
	/* Of calls that change files: how many came, which one is meant (0: none; all from there on
	 * with FAULT_STEP_ALL added), and what happens to it: an error number, or one of these. */
	_Atomic uint32_t steps, step, fate;
};

enum { FATE_KILLED = 1000, FATE_SHORT };
#define FAULT_STEP_ALL 0x80000000u

#pragma GCC visibility push(hidden)
extern struct gate *gate; /* NULL: none */
extern int log_fd;

/* What happens to a call that changes files and comes now: 0 for nothing, or an error number, or
 * FATE_SHORT. */
int fault_step(void);
/* A thread tells another by @fd, if that is an eventfd: not before it may. */
void fault_tell(int fd);
/* Whether it fails; errno is set. */
bool fault_fails(int fate);
#pragma GCC visibility pop

#endif
