/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory that comes while the guest runs already: what it touches first, the rest behind.
 *
 * A fault thread serves who waits for a page, with the chunk that it lies in; codec threads fill
 * the rest, first the chunks of the recorded working set, then in ascending order. A huge page
 * waits for all of its chunks. What is wrong with the file shows when it is read. Then the guest
 * must not go on: failed() is called, and the pages that are missing stay missing until the process
 * ends.
 *
 * Prefix: lazy_. Threads: the event loop's, and before it runs.
 */
#ifndef VMM_LAZY_H
#define VMM_LAZY_H

#include "base/loop.h"
#include "layout/uffd.h"
#include "snapshot/snapshot.h"

struct lazy; /* owned by the caller of lazy_start() */

struct lazy_setup {
	struct snap *snap;     /* taken over when lazy_start() succeeds: closed once all is there */
	const char *file;      /* its name, for errors; outlives the engine */
	struct guest_mem *mem; /* fresh, of the snapshot's layout */
	struct loop *loop;
	unsigned threads; /* beside that for faults; default 2 */
	int workset_fd;	  /* taken over likewise: read before, written after; -1: none */
	/* All of RAM is there; called in the loop. */
	void (*loaded)(void *arg);
	/* A chunk cannot be had. In a thread of the engine's, once; perhaps before lazy_start()
	 * returns. Nothing more comes, and loaded() will not be called. */
	void (*failed)(void *arg, const struct err *e);
	void *arg;
};

/** lazy_start() - from now on memory may be used. Returns 0, -ERR_NOMEM, -ERR_IO. */
int lazy_start(const struct lazy_setup *setup, struct lazy **out, struct err *e) MUST_CHECK;

/** lazy_free() - after loaded() was called, or when nobody uses memory any more. */
void lazy_free(struct lazy *l);

/* Private to src/vmm/: opens @u, for whoever touches memory that the snapshot has something for.
 * Huge pages are all there, but not mapped. */
int lazy_arm_(struct uffd *u, const struct guest_mem *mem, const struct snap *s,
	      struct err *e) MUST_CHECK;

#endif
