/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a benchmark and its guest tell each other, in the guest's RAM: at 2 MiB, where the guest's
 * image begins, whatever the VMM. Only u64, little endian; bench/lib/guest.py has the same list.
 *
 * The benchmark writes the second group, and then .command; the guest all else. A command is done
 * when .done equals .command, which is a number that never comes twice.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include <stdint.h>

#define WORKER_MAGIC	 0x31454e4348454e42ull
#define WORKER_PAGES_MAX 65536

enum worker_kind { WORKER_RESET = 1, WORKER_READ, WORKER_WRITE };

struct worker_page {
	uint64_t magic;
	uint64_t counter; /* rounds of the work loop */
	uint64_t tsc;	  /* of the last round */
	/* Time in which the guest did not run, as it sees it: differences of the TSC between two
	 * rounds that are larger than gap_ticks, since the last WORKER_RESET. */
	uint64_t gaps, gap_sum, gap_max;
	uint64_t written; /* pages, by the writer and by commands */
	uint64_t touched; /* by the last command */
	uint64_t sum;	  /* of the second word of each */
	uint64_t done;
	uint64_t fault; /* vector + 1 of an exception: the guest is lost */
	uint64_t reserved0[5];

	uint64_t command, kind;
	uint64_t order; /* 0: by address; 1: shuffled */
	uint64_t first, count;
	uint64_t gap_ticks;
	uint64_t write_ticks; /* TSC ticks from one page written to the next; 0: none is */
	uint64_t pages;	      /* in both lists below */
	uint64_t reserved1[488];

	/* Numbers of the pages that have contents, by address and shuffled. */
	uint32_t list[2][WORKER_PAGES_MAX];
};

_Static_assert(sizeof(struct worker_page) == 4096 + 2 * 4 * WORKER_PAGES_MAX, "u64 and lists");

#endif
