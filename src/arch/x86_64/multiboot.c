/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels that boot by the Multiboot Specification, version 0.6.96: ELF files, and images of any
 * other format that say themselves where they lie.
 */
#include "arch/x86_64/boot_priv.h"

#include <inttypes.h>

#define HEADER_MAGIC 0x1badb002
#define SEARCHED     8192 /* "the header must be contained completely within the first" (3.1) */

/* Header flags (3.1.2): what is asked for in the lower half must be given, or the kernel refused.
 */
#define WANTS_PAGES   (1u << 0)
#define WANTS_MEMORY  (1u << 1)
#define WANTS_KNOWN   (WANTS_PAGES | WANTS_MEMORY)
#define WANTS_ALL     0xffffu
#define HAS_ADDRESSES (1u << 16)

struct header {
	uint32_t magic, flags, checksum;
	/* With HAS_ADDRESSES: */
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

#define PLAIN_BYTES offsetof(struct header, header_addr)
_Static_assert(sizeof(struct header) == 32, "3.1.1");

/* Where a field stands in the file, for those who look there. */
#define FIELD_AT(at, f) ((at) + offsetof(struct header, f))

static uint32_t word(const uint8_t *p, size_t field)
{
	return num_le32(p + field);
}

/* The first aligned magic whose checksum fits. *@found is false when there is none. */
static int find_header(const struct io_src *file, struct header *h, uint64_t *at, bool *found,
		       struct err *e)
{
	uint8_t head[SEARCHED];
	size_t n = file->size < SEARCHED ? file->size : SEARCHED;
	int r = io_read_at(file, head, n, 0, e);

	*found = false;
	for (size_t i = 0; !r && i + PLAIN_BYTES <= n; i += 4) {
		const uint8_t *p = head + i;
		*h = (struct header){.magic = word(p, offsetof(struct header, magic)),
				     .flags = word(p, offsetof(struct header, flags)),
				     .checksum = word(p, offsetof(struct header, checksum))};
		if (h->magic != HEADER_MAGIC || h->magic + h->flags + h->checksum)
			continue;
		*at = i;
		*found = true;
		if (!(h->flags & HAS_ADDRESSES))
			break;
		if (i + sizeof *h > n)
			return err_at(e, ERR_TRUNCATED, i, "multiboot header ends after 0x%zx", n);
		h->header_addr = word(p, offsetof(struct header, header_addr));
		h->load_addr = word(p, offsetof(struct header, load_addr));
		h->load_end_addr = word(p, offsetof(struct header, load_end_addr));
		h->bss_end_addr = word(p, offsetof(struct header, bss_end_addr));
		h->entry_addr = word(p, offsetof(struct header, entry_addr));
		break;
	}
	return r;
}

static int check_wishes(const struct header *h, uint64_t at, struct err *e)
{
	uint32_t unknown = h->flags & WANTS_ALL & ~WANTS_KNOWN;

	if (unknown)
		return err_at(e, ERR_FEATURE, FIELD_AT(at, flags),
			      "multiboot kernel wants what is not there (flags 0x%x)", unknown);
	return 0;
}

/* 3.1.3: one segment; what the header says of it in place of what a file format would. */
static int flat(const struct io_src *file, const struct header *h, uint64_t at, struct kernel *k,
		struct err *e)
{
	if (h->load_addr > h->header_addr)
		return err_at(e, ERR_STRUCTURE, FIELD_AT(at, load_addr),
			      "multiboot load_addr 0x%x after header_addr 0x%x", h->load_addr,
			      h->header_addr);
	if (h->header_addr - h->load_addr > at)
		return err_at(
		    e, ERR_STRUCTURE, FIELD_AT(at, header_addr),
		    "multiboot header 0x%x bytes after load_addr would start before the file",
		    h->header_addr - h->load_addr);
	uint64_t offset = at - (h->header_addr - h->load_addr), there = file->size - offset;
	if (h->load_end_addr && h->load_end_addr <= h->load_addr)
		return err_at(e, ERR_STRUCTURE, FIELD_AT(at, load_end_addr),
			      "multiboot load_end_addr 0x%x not after load_addr 0x%x",
			      h->load_end_addr, h->load_addr);
	uint64_t bytes = h->load_end_addr ? h->load_end_addr - h->load_addr : there;
	if (bytes > there)
		return err_at(e, ERR_TRUNCATED, FIELD_AT(at, load_end_addr),
			      "0x%" PRIx64 " bytes from 0x%" PRIx64
			      " on end after the file (0x%" PRIx64 ")",
			      bytes, offset, file->size);
	uint64_t end = h->load_addr + bytes;
	if (end > UINT32_MAX)
		return err_at(e, ERR_RANGE, FIELD_AT(at, load_addr),
			      "multiboot kernel of 0x%" PRIx64 " bytes at 0x%x", bytes,
			      h->load_addr);
	if (h->bss_end_addr && h->bss_end_addr < end)
		return err_at(e, ERR_STRUCTURE, FIELD_AT(at, bss_end_addr),
			      "multiboot bss_end_addr 0x%x before 0x%" PRIx64
			      ", where the loaded part ends",
			      h->bss_end_addr, end);
	if (h->entry_addr < h->load_addr || h->entry_addr >= end)
		return err_at(e, ERR_STRUCTURE, FIELD_AT(at, entry_addr),
			      "multiboot entry 0x%x is not in what is loaded", h->entry_addr);
	k->segment_n = 1;
	k->segment[0] = (struct kernel_segment){
	    .offset = offset,
	    .file_bytes = bytes,
	    .mem_bytes = (h->bss_end_addr ? h->bss_end_addr : end) - h->load_addr,
	    .at = h->load_addr,
	};
	k->entry = h->entry_addr;
	return 0;
}

/* The entry is 32-bit code, whatever the class of the file. */
static int check_segments(const struct kernel *k, struct err *e)
{
	for (uint32_t i = 0; i < k->segment_n; i++) {
		const struct kernel_segment *s = &k->segment[i];
		if (s->at + s->mem_bytes - 1 > UINT32_MAX)
			return err_at(e, ERR_RANGE, s->offset,
				      "multiboot kernel with a segment of 0x%" PRIx64
				      " bytes at 0x%" PRIx64 ", above 4 GiB",
				      s->mem_bytes, s->at);
	}
	return 0;
}

int kernel_open_multiboot_(const struct io_src *file, struct kernel *k, bool *found, struct err *e)
{
	struct header h;
	uint64_t at;
	int r = find_header(file, &h, &at, found, e);

	if (r || !*found)
		return r;
	r = check_wishes(&h, at, e);
	if (r)
		return r;
	if (h.flags & HAS_ADDRESSES)
		r = flat(file, &h, at, k, e);
	else if (k->segment_n)
		r = check_segments(k, e);
	else
		r = err_at(e, ERR_STRUCTURE, FIELD_AT(at, flags),
			   "multiboot header without addresses, and no ELF segments to load");
	k->kind = KERNEL_MULTIBOOT;
	k->cmdline_max = UINT32_MAX;
	k->initrd_max = UINT32_MAX;
	return r;
}
