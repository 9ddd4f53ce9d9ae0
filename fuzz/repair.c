/* SPDX-License-Identifier: Apache-2.0 */
#include "repair.h"
#include "fuzz.h"
#include "snapshot/seal.h"

#include <string.h>

static struct secret all_of(uint8_t c)
{
	struct secret s;

	FUZZ_REQUIRE(!secret_init(&s, 32, NULL));
	memset(s.data, c, 32);
	s.len = 32;
	return s;
}

const struct snap_key *fuzz_key(void)
{
	static struct snap_key key;

	if (!key.kind)
		key = (struct snap_key){SNAP_KEY_GIVEN, all_of('k')};
	return &key;
}

const struct secret *fuzz_seed(void)
{
	static struct secret seed;

	if (!seed.data)
		seed = all_of('s');
	return &seed;
}

/* What is being repaired. */
struct file {
	uint8_t *data;
	size_t size;
	struct seal *seal; /* NULL: not encrypted */
	struct gcm *gcm;
};

/* The digest of [@offset, @offset + @length), if that lies in the file, to @out. */
static void digest(struct file *f, uint64_t offset, uint64_t length, uint8_t *out)
{
	if (num_inside(offset, length, 0, f->size))
		sha256_of(f->data + offset, length, out);
}

/* A frame of the guest's data. */
static void stored(struct file *f, enum seal_kind kind, uint64_t number, uint64_t offset,
		   uint64_t length, uint8_t *out)
{
	size_t n = length - SEAL_EXTRA;

	if (!f->gcm || length < SEAL_EXTRA || !num_inside(offset, length, 0, f->size))
		digest(f, offset, length, out);
	else
		FUZZ_REQUIRE(!frame_store_(f->gcm, kind, number, f->data + offset, &n, out, NULL));
}

static void repair_leaf(struct file *f, uint64_t at, uint64_t end, uint64_t chunk)
{
	for (; at + ENTRY_BYTES <= end; at += ENTRY_BYTES) {
		uint8_t *en = f->data + at;
		if (en[12] == ENTRY_PARENT)
			memset(en + 16, 0, SHA256_BYTES);
		else if (en[12] == ENTRY_ZERO)
			digest(f, num_le64(en), num_le32(en + 8), en + 16);
		else
			stored(f, SEAL_CHUNK, chunk, num_le64(en), num_le32(en + 8), en + 16);
		chunk += num_le16(en + 14);
	}
}

static void repair_root(struct file *f, uint64_t at, uint64_t end)
{
	for (uint64_t i = 0; at + ENTRY_BYTES <= end; at += ENTRY_BYTES, i++) {
		uint8_t *en = f->data + at;
		uint64_t offset = num_le64(en);
		uint32_t length = num_le32(en + 8);
		if (en[12] == ENTRY_LEAF && length > LEAF_HEAD &&
		    num_inside(offset, length, 0, f->size))
			repair_leaf(f, offset + LEAF_HEAD, offset + length, i * SNAP_LEAF_CHUNKS);
		if (en[12] == ENTRY_PARENT)
			memset(en + 16, 0, SHA256_BYTES);
		else
			digest(f, offset, length, en + 16);
	}
}

static void repair_footer(struct file *f, uint8_t *footer, bool is_signed)
{
	const uint8_t *root = footer + FOOTER_PLACES + PLACE_ROOT * PLACE_BYTES;
	uint64_t at = num_le64(root), length = num_le64(root + 8);

	if (num_inside(at, length, 0, f->size) && length > ROOT_HEAD)
		repair_root(f, at + ROOT_HEAD, at + length);
	for (int i = 0; i < PLACES; i++) {
		uint8_t *p = footer + FOOTER_PLACES + i * PLACE_BYTES;
		if (i == PLACE_MANIFEST)
			stored(f, SEAL_MANIFEST, 0, num_le64(p), num_le64(p + 8), p + 16);
		else
			digest(f, num_le64(p), num_le64(p + 8), p + 16);
	}
	FUZZ_REQUIRE(!footer_close_(f->seal, is_signed ? fuzz_seed() : NULL, footer, NULL));
}

void repair(uint8_t *data, size_t size)
{
	struct file f = {.data = data, .size = size};
	struct header h;

	if (size < HEADER_BYTES + FOOTER_BYTES + SEEK_TRAILER)
		return;
	uint64_t table = FRAME_HEAD + SEEK_TRAILER +
			 (uint64_t)num_le32(data + size - SEEK_TRAILER) * SEEK_ENTRY_BYTES;
	if (table > size - FOOTER_BYTES)
		return;
	if (header_check(data, &h, NULL))
		h = (struct header){0};
	if (header_encrypted(&h)) {
		FUZZ_REQUIRE(!seal_new(&fuzz_key()->secret, h.salt, &f.seal, NULL));
		FUZZ_REQUIRE(!seal_start(f.seal, true, &f.gcm, NULL));
	}
	repair_footer(&f, data + size - table - FOOTER_BYTES, header_signed(&h));
	gcm_free(f.gcm);
	seal_free(f.seal);
}
