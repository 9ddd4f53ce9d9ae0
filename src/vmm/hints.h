/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that need not be saved: the guest names those that it has no use for while it runs on, and
 * what is named and not written to from then until the moment of the snapshot is left out. A guest
 * that names others loses them in the snapshot, and nobody else anything.
 *
 * Prefix: hints_. Threads: the event loop's.
 */
#ifndef VMM_HINTS_H
#define VMM_HINTS_H

#include "vmm/vm.h"

struct hints; /* owned by the caller of hints_start() */

/**
 * hints_start() - have the guest name its free pages from now on
 * @ready: called once from the loop when no more are to be expected: it has named all, or none for
 * a second, or takes longer than ten
 * @out: written on success. NULL: there is nobody to ask, and @ready is not called
 *
 * All of memory is there. From now on all writes are known. Returns 0, -ERR_NOMEM, -ERR_IO,
 * -ERR_KVM.
 */
int hints_start(struct vm *vm, void (*ready)(void *arg), void *arg, struct hints **out,
		struct err *e) MUST_CHECK;

/** hints_saw() - @t looked at the same logs before the moment; what was written to before
 * hints_start() is added to what it found. */
void hints_saw(struct hints *h, struct track *t);

/**
 * hints_take() - this is the moment
 * @h:   NULL: nothing was asked for, or nobody could be asked
 * @out: a bit for each page of the host that need not be saved, mem_track_words() words, owned by
 * the caller; @bytes: how much that is. Both are written on success, unless @h is NULL
 *
 * The VM is held, and the devices' states have yet to be captured: in that state, here and wherever
 * it is restored, the guest is told to take its pages back. What was written to before is known to
 * the tracker as if nothing had been asked.
 */
int hints_take(struct hints *h, uint64_t **out, uint64_t *bytes, struct err *e) MUST_CHECK;

/** hints_free() - also before they were taken, or ready. The tracker knows what it would
 * have known, and is off again if nobody else wants it. */
void hints_free(struct hints *h);

#endif
