/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: a file for what does not fit in memory while a file is written. What of
 * an encrypted snapshot lies there is encrypted as well, with a random key that ends with the save:
 * the medium never sees it in the clear.
 *
 * Threads: one puts; any number get.
 */
#ifndef SNAPSHOT_SPILL_H
#define SNAPSHOT_SPILL_H

#include "base/crypto.h"

#include <pthread.h>

struct spill {
	int fd; /* borrowed; -1: there is none, and nothing may be put */
	uint64_t end;
	struct gcm *seal, *open; /* NULL: in the clear */
	uint8_t *sealed;	 /* that is being put */
	size_t room;
	pthread_mutex_t lock; /* for open */
};

/** spill_init() - spill_fini() whatever it returns. */
int spill_init(struct spill *s, int fd, bool encrypt, struct err *e) MUST_CHECK;
void spill_fini(struct spill *s);

/** spill_put() - append; *@at is where. Returns 0, -ERR_NOSPACE, -ERR_IO, -ERR_NOMEM. */
int spill_put(struct spill *s, const uint8_t *data, size_t n, uint64_t *at,
	      struct err *e) MUST_CHECK;

/** spill_get() - the @n bytes that were put and went to @at. Returns 0, -ERR_CHECKSUM (somebody
 * changed the file), -ERR_TRUNCATED, -ERR_IO. */
int spill_get(struct spill *s, uint64_t at, uint8_t *out, size_t n, struct err *e) MUST_CHECK;

#endif
