/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: a live capture (snapshot.h), and what codec threads take from it.
 */
#ifndef SNAPSHOT_LIVE_H
#define SNAPSHOT_LIVE_H

#include "layout/uffd.h"
#include "snapshot/geometry.h"

#include <pthread.h>

enum taken_kind {
	TAKEN_ZERO,
	TAKEN_BYTES, /* of the chunk as it was */
	TAKEN_FRAME, /* of zstd that holds them */
};

struct taken {
	enum taken_kind kind;
	uint32_t length; /* of what is in its room */
};

/* Of a chunk. OPEN: the moment has not come, and somebody wrote to it. */
enum chunk_state { CHUNK_PROTECTED, CHUNK_OPEN, CHUNK_BUSY, CHUNK_HELD, CHUNK_DONE };

struct snap_live {
	const struct guest_mem *mem;
	struct geometry g;
	struct uffd *uffd;	/* borrowed; NULL: memory is copied before, and not protected */
	struct held *held;	/* owned */
	_Atomic uint8_t *state; /* of each chunk, an enum chunk_state */
	atomic_bool begun;
	struct snap_live_stats stats;
	unsigned rounds; /* of copying before the moment, and what the last one copied */
	uint64_t last_chunks;

	pthread_t thread; /* that serves writers */
	bool started, armed;
	int stop_fd;
	pthread_mutex_t lock; /* held while a fault is served; guards error */
	struct err error;     /* why the capture is lost; code 0: it is not */
};

/** live_bytes_() - where a chunk is; NULL for a hole. */
const uint8_t *live_bytes_(const struct snap_live *l, uint64_t chunk);

/** precopy_last_() - snap_live_begin() of memory that is not protected. */
int precopy_last_(struct snap_live *l, const uint64_t *pages, struct err *e) MUST_CHECK;

/* Chunks that are no reason for another round. */
#define FEW_CHUNKS 64

/**
 * live_take_() - chunks @chunk to @chunk + @n - 1 as they were when the capture began
 * @room: chunk_bytes for each; what belongs to chunk i is at i * chunk_bytes
 *
 * Each chunk is taken once. Threads: any number. Returns 0, -ERR_NOMEM, -ERR_IO.
 */
int live_take_(struct snap_live *l, uint64_t chunk, uint64_t n, uint8_t *room, struct taken *out,
	       struct err *e) MUST_CHECK;

/** live_skip_() - these are not taken: holes, unused, or as the parent has them. */
void live_skip_(struct snap_live *l, uint64_t chunk, uint64_t n);

/** live_check_() - why the capture is lost, if it is: what was taken since may be wrong. */
int live_check_(struct snap_live *l, struct err *e) MUST_CHECK;

#endif
