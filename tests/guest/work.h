/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of the test guest, as a pure function of its parameters: compiled into the guest, and
 * into tests that compute what the guest must have arrived at. Also where it says how far it is.
 */
#ifndef TESTS_GUEST_WORK_H
#define TESTS_GUEST_WORK_H

#include <stdint.h>

#define GUEST_MAGIC 0x305453455547334bull

#define GUEST_CPUS_MAX 16

enum guest_state { GUEST_FILLING = 1, GUEST_WORKING, GUEST_DONE };

/*
 * Lies at the start of the image, where layouts have KERNEL_START_OFFSET; one for each vCPU, 256
 * bytes apart. The guest writes, anybody else reads; iterations and checksum are of the same
 * iteration only while the guest is stopped between two of them (see guest_progress.busy).
 */
struct guest_progress {
	uint64_t magic, state;
	uint64_t iterations;	/* done */
	uint64_t checksum, rng; /* after them */
	uint64_t busy;		/* 1 while an iteration is under way */
	uint64_t tsc_start, tsc_now;
	/* Time in which the guest did not run, as it sees it: differences of the TSC between two
	 * iterations that are larger than gap_ticks. */
	uint64_t gap_ticks, gaps, gap_sum, gap_max;
	uint64_t interrupts; /* of the first CPU's timer */
	uint64_t span_bytes,
	    span_start; /* work area: its size, and its first byte's virtual address */
	uint64_t requests; /* of the disk */
	uint64_t reserved[16];
};

_Static_assert(sizeof(struct guest_progress) == 256, "256 bytes a vCPU");

struct guest_work {
	uint64_t checksum, rng;
};

static inline uint64_t guest_random(uint64_t *s)
{
	/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 2685821657736338717ull;
}

static inline struct guest_work guest_work_start(uint64_t seed)
{
	return (struct guest_work){.rng = seed ? seed : 1};
}

/* One iteration: reads one word of the span and writes another into it, checksum and all. Of each page
 * it is one of the first @per_page words, of 512. */
static inline void guest_work_step_in(struct guest_work *w, uint64_t *span, uint64_t words,
				      uint64_t per_page)
{
	uint64_t r = guest_random(&w->rng);
	/* The upper 32 bits choose, so that spans of any size are covered evenly. */
	uint64_t i = ((r >> 32) * (words >> 9)) >> 32; /* page */
	volatile uint64_t *at = span + (i << 9 | (r & 511) % per_page);

	w->checksum = (w->checksum << 7 | w->checksum >> 57) ^ (*at + r);
	*at = r + w->checksum;
}

static inline void guest_work_step(struct guest_work *w, uint64_t *span, uint64_t words)
{
	guest_work_step_in(w, span, words, 512);
}

/* Contents before the first iteration: a third random, a third repeating, a third zero in each
 * page, which zstd takes down to about a third. */
static inline void guest_work_fill(uint64_t seed, uint64_t *span, uint64_t words)
{
	uint64_t rng = seed ^ GUEST_MAGIC;

	for (uint64_t page = 0; page + 512 <= words; page += 512) {
		volatile uint64_t *at = span + page;
		for (unsigned i = 0; i < 170; i++)
			at[i] = guest_random(&rng);
		for (unsigned i = 170; i < 340; i++)
			at[i] = page;
	}
}

#endif
