/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several VMs at once, each in a process of its own that is made from this one. No guest runs
 * before all of them are ready to; when one cannot be made, none remains and nothing is left
 * behind.
 *
 * Prefix: clones_.
 */
#ifndef VMM_CLONES_H
#define VMM_CLONES_H

#include "vmm/backends.h"
#include "vmm/process.h"

#include <sys/types.h>

#define CLONES_MAX 256

struct clone {
	uint32_t number; /* from 1 */
	pid_t pid;
	char *name;		/* owned */
	struct process process; /* in the clone: for process_run() */
	/* In the clone: what was made for it, before process_run(). */
	const struct backends *backends;

	/* Of either side, -1 when closed: what it says; that it may go; its standard error. */
	int status_fd, go_fd, error_fd;
	int old_stderr;
	struct buf overlays; /* paths of those that were made for it, each with its NUL */
	bool ready;
};

struct clones {
	uint32_t n;
	struct clone *item; /* owned; clones_fini() */
};

/** clones_text() - @text with the number in place of each "%d"; owned by the caller, NULL when
 * memory is out or @text is NULL. */
char *clones_text(const char *text, uint32_t number);

/** clones_init() - @name: a pattern; "-%d" is put behind one without. */
int clones_init(struct clones *c, uint32_t n, const char *name, struct err *e) MUST_CHECK;
void clones_fini(struct clones *c);

/**
 * clones_run() - make them, and return when all guests run
 * @run: in a new process: builds the VM and returns the status of process_run(), or of what failed
 *
 * Order: no other thread exists. Returns an exit status; what failed has been told on stderr.
 */
int clones_run(struct clones *c, int (*run)(void *arg, struct clone *self), void *arg);

#endif
