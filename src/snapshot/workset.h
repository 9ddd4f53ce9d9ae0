/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working set of a snapshot: which chunks a restored guest touched first, in which order. It
 * stands in a file of its own beside the snapshot, which never changes; formats/working-set.md is
 * its specification. Losing it costs time, nothing else.
 *
 * Prefix: workset_.
 */
#ifndef SNAPSHOT_WORKSET_H
#define SNAPSHOT_WORKSET_H

#include "base/base.h"

struct workset {
	uint64_t *chunk; /* owned; each at most once */
	uint32_t n, room;
};

#define WORKSET_INIT                                                                               \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

/* Chunks of 64 KiB: 16 GiB touched. What comes later is not recorded. */
#define WORKSET_MAX 262144

void workset_fini(struct workset *w);

/** workset_add() - append, unless it is full or memory is short. Each chunk once, by its caller. */
void workset_add(struct workset *w, uint64_t chunk);

/**
 * workset_read() - what @fd holds for the snapshot @uuid of @chunks chunks
 * @out: empty, unless 0 is returned
 *
 * Trust: the file is hostile; nothing but the order of reading depends on it. Returns 0,
 * -ERR_MISSING for an empty file and that of another snapshot, or -ERR_TRUNCATED, -ERR_MAGIC,
 * -ERR_LIMIT, -ERR_RANGE, -ERR_DUPLICATE, -ERR_CHECKSUM, -ERR_IO, -ERR_NOMEM.
 */
int workset_read(int fd, const uint8_t uuid[static 16], uint64_t chunks, struct workset *out,
		 struct err *e) MUST_CHECK;

/** workset_write() - in place of what @fd holds. Returns 0, -ERR_IO, -ERR_NOSPACE, -ERR_NOMEM. */
int workset_write(int fd, const uint8_t uuid[static 16], const struct workset *w,
		  struct err *e) MUST_CHECK;

#endif
