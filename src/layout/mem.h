/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: what stands behind the backed regions of a layout. One memfd, mapped shared and
 * whole, the regions back to back in ascending order: an offset in the mapping is an offset in the
 * RAM stream of a snapshot. All access by the VMM's own code goes through mem_ro() and mem_rw(),
 * the one place where writes by devices become known.
 *
 * Prefix: mem_. Translation may be used from any thread; the guest writes at the same time, so
 * whatever is read twice may differ: copy first, then check the copy.
 */
#ifndef LAYOUT_MEM_H
#define LAYOUT_MEM_H

#include "layout/layout.h"

/* One backed region. */
struct mem_slot {
	struct gpa start;
	uint64_t size;
	uint64_t offset; /* in the mapping and in the RAM stream */
};

struct guest_mem {
	uint8_t *host; /* the mapping */
	uint64_t size; /* bytes of all slots together */
	int fd;
	uint32_t slot_n;
	struct mem_slot slot[LAYOUT_REGIONS_MAX];
};

/** mem_init() - zeroed memory for @l; freed by mem_fini(). Returns 0, -ERR_NOMEM, -ERR_IO. */
int mem_init(struct guest_mem *m, const struct layout *l, struct err *e) MUST_CHECK;
void mem_fini(struct guest_mem *m);

/**
 * mem_ro() - pointer for reading [@at, @at+@len)
 * Trust: both values may come from the guest.
 * Returns NULL unless the whole range is backed (neighbouring regions count as one).
 */
const void *mem_ro(const struct guest_mem *m, struct gpa at, uint64_t len);

/** mem_rw() - as mem_ro(), for writing; the range counts as written to. */
void *mem_rw(struct guest_mem *m, struct gpa at, uint64_t len);

/** mem_read(), mem_write() - copy; false when the range is not wholly backed. */
bool mem_read(const struct guest_mem *m, struct gpa at, void *out, uint64_t len);
bool mem_write(struct guest_mem *m, struct gpa at, const void *data, uint64_t len);

#endif
