/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/lazy.h"

/* What the root of the index says is zero needs no service, however much there is of it. */
int lazy_arm_(struct uffd *u, const struct guest_mem *mem, const struct snap *s, struct err *e)
{
	unsigned mode = mem->page_bytes == MEM_HUGE_BYTES ? UFFD_MAPPING : UFFD_MISSING;
	uint64_t chunks = snap_info(s)->chunks, first = 0, chunk = 0;
	int r = uffd_open(u, mem, e);

	while (!r && chunk < chunks) {
		uint64_t zeros = snap_zeros(s, chunk), leaf = chunk + SNAP_LEAF_CHUNKS;
		chunk = zeros ? chunk + zeros : leaf < chunks ? leaf : chunks;
		if (!zeros && chunk < chunks)
			continue;
		struct snap_span from = snap_chunk_span(s, first),
				 to = snap_chunk_span(s, chunk - zeros - 1);
		if (chunk - zeros > first)
			r = uffd_register(u, from.offset, to.offset + to.bytes - from.offset, mode,
					  e);
		first = chunk;
	}
	return r;
}
