/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: what stands behind the backed regions of a layout. One memfd, mapped shared and
 * whole, or a file that is mapped privately; the regions back to back in ascending order: an offset
 * in the mapping is an offset in the RAM stream of a snapshot. All access by the VMM's own code
 * goes through mem_ro() and mem_rw(), the one place where writes by devices become known.
 *
 * Prefix: mem_. Translation may be used from any thread; the guest writes at the same time, so
 * whatever is read twice may differ: copy first, then check the copy.
 */
#ifndef LAYOUT_MEM_H
#define LAYOUT_MEM_H

#include "layout/layout.h"

#include <stdatomic.h>

/* One backed region. */
struct mem_slot {
	struct gpa start;
	uint64_t size;
	uint64_t offset; /* in the mapping and in the RAM stream */
};

/* Of private memory: what stands behind a part of it. */
struct mem_piece {
	uint64_t offset, bytes; /* in the mapping */
	uint64_t at;		/* in the file */
};

#define MEM_HUGE_BYTES (2 * MIB)

struct guest_mem {
	uint8_t *host; /* the mapping */
	uint64_t size; /* bytes of all slots together */
	int fd;	       /* of the file behind it; private memory is not what is in that any more */
	bool is_private; /* of mem_init_private(): below, owned */
	bool is_shmem;	 /* and its file is in memory */
	int pagemap_fd;	 /* -1: which pages are written to cannot be known */
	struct mem_piece *piece;
	uint32_t piece_n;
	uint32_t page_bytes; /* what it is made of: pages of the host, or MEM_HUGE_BYTES */
	/* A file of huge pages has no holes, and an offset in it is @head_bytes more than one in the
	 * mapping: so much, less than a huge page, lies before it and is not used. */
	uint64_t head_bytes, file_bytes;
	/* Pages of the host that were written to, a bit for each; NULL until somebody asked. */
	_Atomic(uint64_t) *dirty;
	atomic_bool tracked;
	atomic_bool keep; /* nothing is discarded for now: see mem_discard() */
	uint32_t slot_n;
	struct mem_slot slot[LAYOUT_REGIONS_MAX];
};

/** mem_init() - zeroed memory for @l; freed by mem_fini(). Returns 0, -ERR_NOMEM, -ERR_IO. */
int mem_init(struct guest_mem *m, const struct layout *l, struct err *e) MUST_CHECK;
/**
 * mem_init_huge() - the same in huge pages, all of them taken from the host here, so that no access
 * can find that there are none left
 *
 * The largest region lies so that a huge page of the guest is one of the file; a region that does not
 * fit to that, or shares a page with its neighbour, works as well and is mapped in smaller pieces.
 * Returns 0, -ERR_NOMEM (not enough of them free), -ERR_FEATURE (a kernel without), -ERR_IO.
 */
int mem_init_huge(struct guest_mem *m, const struct layout *l, struct err *e) MUST_CHECK;
/**
 * mem_init_private() - address space for @l, where mem_map() puts what files hold
 *
 * A page that is written to becomes this process's own; the file never changes. All of it is mapped
 * before anything is used. Order: before a sandbox is entered, and in the process that uses it.
 */
int mem_init_private(struct guest_mem *m, const struct layout *l, struct err *e) MUST_CHECK;
/**
 * mem_map() - [@offset, @offset + @bytes) of the mapping is what @fd has from @at on
 * @fd: borrowed; the same for all of one memory
 *
 * In ascending order; all three numbers in pages of the host. When the file gets shorter, access
 * ends in SIGBUS, and that of KVM in EFAULT. Returns 0, -ERR_NOMEM, -ERR_IO.
 */
int mem_map(struct guest_mem *m, uint64_t offset, uint64_t bytes, int fd, uint64_t at,
	    struct err *e) MUST_CHECK;
/** mem_share() - of mem_init(): its file does not change any more and can be given to mem_map() at
 * 0, for any number of memories; here it is not mapped now. -ERR_IO. */
int mem_share(struct guest_mem *m, struct err *e) MUST_CHECK;
void mem_fini(struct guest_mem *m);

/* A piece of the mapping. */
struct mem_part {
	uint64_t offset, bytes;
};

/** mem_pages() - all of the mapping that lies in pages with a part in these bytes, at least one. */
struct mem_part mem_pages(const struct guest_mem *m, uint64_t offset, uint64_t bytes);

/** mem_mapping_end() - the end of the mapping of the host that @offset lies in: all of memory, or
 * of private memory a piece. */
uint64_t mem_mapping_end(const struct guest_mem *m, uint64_t offset);

/** mem_map_again() - the same bytes at another address, where userfaultfd knows nothing of them;
 * NULL with @e filled. mem_unmap_again() before mem_fini(). */
uint8_t *mem_map_again(const struct guest_mem *m, struct err *e);
void mem_unmap_again(const struct guest_mem *m, uint8_t *again);

/** mem_next_data() - the first byte from @offset of the mapping on that may have been written to;
 * UINT64_MAX if there is none. Reading what lies before would fill holes of the file. */
uint64_t mem_next_data(const struct guest_mem *m, uint64_t offset);
/** mem_is_file() - is its file, byte for byte, what is in memory? Not that of huge pages, and
 * private memory has none of its own. */
bool mem_is_file(const struct guest_mem *m);
/**
 * mem_fill() - the first that is written to these bytes of memory that is a file
 *
 * To the file: pages that are written whole are not cleared first, and mapped only when somebody
 * needs them there, which is a small part of the cost of writing to each where it is mapped. It is
 * not tracked. Returns 0, -ERR_NOMEM (the host has no more), -ERR_IO.
 */
int mem_fill(const struct guest_mem *m, uint64_t offset, const void *src, uint64_t bytes,
	     struct err *e) MUST_CHECK;

/** mem_has_data() - may any of these bytes have been? Looks no further than at them. */
bool mem_has_data(const struct guest_mem *m, uint64_t offset, uint64_t bytes);

/**
 * mem_ro() - pointer for reading [@at, @at+@len)
 * Trust: both values may come from the guest.
 * Returns NULL unless the whole range is backed (neighbouring regions count as one).
 */
const void *mem_ro(const struct guest_mem *m, struct gpa at, uint64_t len);

/** mem_rw() - as mem_ro(), for writing; the range counts as written to. */
void *mem_rw(struct guest_mem *m, struct gpa at, uint64_t len);

/*
 * What was written to. Devices tell by mem_rw(), before they write and again when they have
 * written; whoever runs the guest adds what KVM logged. It costs nothing until it is asked for.
 */

/** mem_track() - begin, with nothing written to; mem_untrack(): end. -ERR_NOMEM. */
int mem_track(struct guest_mem *m, struct err *e) MUST_CHECK;
void mem_untrack(struct guest_mem *m);

/** mem_track_bytes() - how many a bit stands for: a page of the host, as in KVM's log. */
uint64_t mem_track_bytes(void);

/** mem_track_words() - how many words, of 64 pages each, tell of so many bytes. */
uint64_t mem_track_words(uint64_t bytes);

/** mem_mark() - these bytes of the mapping were written to. */
void mem_mark(struct guest_mem *m, uint64_t offset, uint64_t len);

/** mem_mark_pages() - likewise those whose bits are set; @pages is what mem_take_dirty() fills. */
void mem_mark_pages(struct guest_mem *m, const uint64_t *pages);

/** mem_take_dirty() - adds what was written to since it was last taken to @pages, of all memory:
 * mem_track_words() of its size. */
void mem_take_dirty(struct guest_mem *m, uint64_t *pages);

/** mem_add_pages() - adds those from @offset on whose bits are set in @n words to @pages. */
void mem_add_pages(uint64_t *pages, uint64_t offset, const uint64_t *words, uint64_t n);

/** mem_any_dirty() - whether a page with a part in these bytes of the mapping is in @pages. */
bool mem_any_dirty(const uint64_t *pages, uint64_t offset, uint64_t len);

/**
 * mem_discard() - the guest has no use for what is in [@at, @at+@len): it reads as zeros from now
 * on
 *
 * Whole pages go back to the host, unless they are huge: others might get them, and the next access
 * find none left. Nor does private memory where its file has something else than zeros. The range
 * counts as written to. While @m->keep is set, by whoever still needs what was there or has yet to
 * put there what belongs there, this does nothing. Trust: both values may come from the guest.
 * Returns false unless the whole range is backed.
 */
bool mem_discard(struct guest_mem *m, struct gpa at, uint64_t len);

/* Private to src/layout/. */
void mem_lay_out_(struct guest_mem *m, const struct layout *l);
uint64_t mem_next_private_(const struct guest_mem *m, uint64_t offset, uint64_t end);
/* Zeros in [@from, @to) of the mapping, from @from on in whole pages. */
void mem_clear_private_(struct guest_mem *m, uint64_t from, uint64_t to);

/** mem_read(), mem_write() - copy; false when the range is not wholly backed. */
bool mem_read(const struct guest_mem *m, struct gpa at, void *out, uint64_t len);
bool mem_write(struct guest_mem *m, struct gpa at, const void *data, uint64_t len);

#endif
