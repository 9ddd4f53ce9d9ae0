/* SPDX-License-Identifier: Apache-2.0 */
#include "repair.h"
#include "snapshot/format.h"

/* The digest of [@offset, @offset + @length), if that lies in the file, to @out. */
static void digest(const uint8_t *data, size_t size, uint64_t offset, uint64_t length, uint8_t *out)
{
	if (num_inside(offset, length, 0, size))
		sha256_of(data + offset, length, out);
}

/* Entries from @at to @end: what they name, then their digests. */
static void repair_entries(uint8_t *data, size_t size, uint64_t at, uint64_t end, bool root)
{
	for (; at + ENTRY_BYTES <= end; at += ENTRY_BYTES) {
		uint64_t offset = num_le64(data + at);
		uint32_t length = num_le32(data + at + 8);
		if (root && data[at + 12] == ENTRY_LEAF && length > LEAF_HEAD &&
		    num_inside(offset, length, 0, size))
			repair_entries(data, size, offset + LEAF_HEAD, offset + length, false);
		digest(data, size, offset, length, data + at + 16);
	}
}

void repair(uint8_t *data, size_t size)
{
	if (size < FOOTER_BYTES + SEEK_TRAILER)
		return;
	uint64_t table = FRAME_HEAD + SEEK_TRAILER +
			 (uint64_t)num_le32(data + size - SEEK_TRAILER) * SEEK_ENTRY_BYTES;
	if (table > size - FOOTER_BYTES)
		return;
	uint8_t *footer = data + size - table - FOOTER_BYTES;
	const uint8_t *root = footer + FOOTER_PLACES + PLACE_ROOT * PLACE_BYTES;
	uint64_t at = num_le64(root), length = num_le64(root + 8);
	if (num_inside(at, length, 0, size) && length > ROOT_HEAD)
		repair_entries(data, size, at + ROOT_HEAD, at + length, true);
	for (int i = 0; i < PLACES; i++) {
		uint8_t *p = footer + FOOTER_PLACES + i * PLACE_BYTES;
		digest(data, size, num_le64(p), num_le64(p + 8), p + 16);
	}
	sha256_of(footer, FOOTER_DIGEST, footer + FOOTER_DIGEST);
}
