/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that a VM lives in, from the moment it is built: control socket, signals, sandbox,
 * event loop, exit status. `run` and `restore` end here.
 *
 * Prefix: process_.
 */
#ifndef VMM_PROCESS_H
#define VMM_PROCESS_H

#include "vmm/vm.h"

struct process {
	bool detach; /* go to the background once the guest runs */
	bool paused; /* leave the guest as it is until `vmm resume` */
	/* In the process that only waits, before it does: what it need not know. May be NULL. */
	void (*forget)(void *arg);
	void *arg;
	int ready_fd; /* of process_detach(): gets a byte when the guest runs; -1: none */
	/* When nothing can fail any more, and the guest does not run yet; may be NULL. In the
	 * sandbox. */
	void (*gate)(void *arg);
	void *gate_arg;
};

/**
 * process_detach() - before anything is built: fork if @p->detach
 * The parent waits until the guest runs, or the child ends, and exits with its status; only the
 * child returns. Terminals stay open for errors until the guest runs.
 */
int process_detach(struct process *p, struct err *e) MUST_CHECK;

/**
 * process_run() - run @vm until it ends
 * @listen_fd: from runtime_listen(), taken over
 *
 * Returns an exit status; failures have been told on stderr.
 */
int process_run(struct process *p, struct vm *vm, int listen_fd);

#endif
