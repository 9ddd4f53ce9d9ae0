/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userfaultfd(2) on guest memory: whoever touches a page that is not there yet waits until it has
 * been filled, and whoever writes to a protected one until it may. That holds for the guest, for
 * KVM and for the VMM's own threads alike, so the thread that serves faults must never touch guest
 * memory itself.
 *
 * When the last descriptor is closed, pages that are missing turn into zeros without a word: it
 * stays open as long as there are any.
 *
 * Prefix: uffd_. Offsets are those of the mapping and of the RAM stream (layout/mem.h), and with
 * all lengths multiples of mem->page_bytes. Any thread.
 */
#ifndef LAYOUT_UFFD_H
#define LAYOUT_UFFD_H

#include "layout/mem.h"

struct uffd {
	int fd; /* non-blocking; -1: none */
	const struct guest_mem *mem;
	uint64_t features; /* UFFD_FEATURE_*, of the kernel */
};

#define UFFD_INIT                                                                                  \
	{                                                                                          \
		-1, NULL, 0                                                                        \
	}

/* UFFD_MAPPING: pages that the file has and nobody has come to yet. Of huge pages it has all. */
enum uffd_mode { UFFD_MISSING = 1, UFFD_PROTECT = 2, UFFD_MAPPING = 4 };

/**
 * uffd_open() - a descriptor that serves faults of KVM too
 * @mem: borrowed; NULL: only to know whether there is one
 *
 * Through /dev/userfaultfd where there is one, which is a question of its permissions; else as a
 * privilege of the process (Documentation/admin-guide/mm/userfaultfd.rst). Returns 0, or -ERR_IO
 * with what to do about it: @u has none then.
 */
int uffd_open(struct uffd *u, const struct guest_mem *mem, struct err *e) MUST_CHECK;
void uffd_close(struct uffd *u);

/** uffd_register(), uffd_unregister() - from now on; and no more, whoever waits goes on. Returns 0,
 * -ERR_IO. */
int uffd_register(struct uffd *u, uint64_t offset, uint64_t bytes, unsigned modes,
		  struct err *e) MUST_CHECK;
int uffd_unregister(struct uffd *u, uint64_t offset, uint64_t bytes, struct err *e) MUST_CHECK;

struct uffd_fault {
	uint64_t offset; /* of the first byte of the page that is in the mapping */
	bool write;	 /* it was a write */
	bool protected;	 /* to a protected page; else the page is missing, or not mapped yet */
};

/** uffd_next() - false when nobody waits that has not been told of. */
bool uffd_next(struct uffd *u, struct uffd_fault *out);

/**
 * uffd_fill() - make missing pages present with what is at @src, and wake who waits for them
 * @src: not guest memory
 *
 * Pages that are there already keep what they hold. Returns 0, -ERR_NOMEM, -ERR_IO.
 */
int uffd_fill(struct uffd *u, uint64_t offset, const void *src, uint64_t bytes,
	      struct err *e) MUST_CHECK;

/** uffd_protect() - @on: writes to these pages, whether they are there or not, wait from now on;
 * else they go on, and who waits does too. None are behind the end of memory. Returns 0,
 * -ERR_NOMEM, -ERR_IO. */
int uffd_protect(struct uffd *u, uint64_t offset, uint64_t bytes, bool on,
		 struct err *e) MUST_CHECK;

/** uffd_can_protect() - whether the kernel protects memory of this kind, missing pages included:
 * Linux 5.19 on x86-64, 6.10 on aarch64 (CONFIG_HAVE_ARCH_USERFAULTFD_WP). -ERR_FEATURE: no. */
int uffd_can_protect(const struct uffd *u, struct err *e) MUST_CHECK;

/** uffd_zero() - likewise with zeros. */
int uffd_zero(struct uffd *u, uint64_t offset, uint64_t bytes, struct err *e) MUST_CHECK;

/** uffd_continue() - the page with the byte at @offset has in the file what it should, and who
 * waits for it goes on. Returns 0, -ERR_NOMEM, -ERR_IO. */
int uffd_continue(struct uffd *u, uint64_t offset, struct err *e) MUST_CHECK;

#endif
