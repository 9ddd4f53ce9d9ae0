/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest and its devices wrote to since a snapshot, so that the next one need hold no more.
 *
 * Prefix: track_. Threads: the event loop's.
 */
#ifndef VMM_TRACK_H
#define VMM_TRACK_H

#include "arch/arch.h"
#include "snapshot/snapshot.h"

struct track {
	bool on;
	bool known; /* that snapshot was finished */
	uint8_t since[SHA256_BYTES]; /* snap_info.digest of it */
	uint32_t chunk_bytes;	     /* that its children need: theirs are cut as its own */
	/* Of the snapshot being taken, owned: pages that were written to since the one before, and
	 * those among them that were written to since track_copied(). */
	uint64_t *taken, *fresh;
};

/** track_start() - from now on; nothing if it is on already. The guest may run, here and below. On
 * failure it is off. */
int track_start(struct track *t, struct arch_vm *arch, struct guest_mem *mem,
		struct err *e) MUST_CHECK;
/** track_rest() - no snapshot is being taken: unless one can be a parent, nobody will ask. */
void track_rest(struct track *t, struct arch_vm *arch, struct guest_mem *mem);
void track_fini(struct track *t);

/** track_is_since() - 0 when all writes since the snapshot @digest are known, else -ERR_WRONG_STATE. */
int track_is_since(const struct track *t, const uint8_t digest[static SHA256_BYTES],
		   struct err *e) MUST_CHECK;

/**
 * track_look() - adds what was written to since the last look to taken and fresh
 *
 * The last one is at the moment that the snapshot is of, with the VM held: what comes is written to
 * since that. track_done() or track_undo() follows.
 */
int track_look(struct track *t, struct arch_vm *arch, struct guest_mem *mem,
	       struct err *e) MUST_CHECK;
/** track_copied() - what is fresh was copied: nothing is, until the next look. */
void track_copied(struct track *t, const struct guest_mem *mem);

/** track_done() - that snapshot is finished, called @digest, and has chunks of @chunk_bytes. */
void track_done(struct track *t, const uint8_t digest[static SHA256_BYTES], uint32_t chunk_bytes);
/** track_undo() - it is not: what was taken still counts as written to since the one before. */
void track_undo(struct track *t, struct guest_mem *mem);

#endif
