/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/format.h"

#include <inttypes.h>
#include <string.h>

const uint8_t header_magic[8] = {'V', 'M', 'S', 'N', 'A', 'P', '\r', '\n'};
const uint8_t footer_magic[8] = {'V', 'M', 'S', 'N', 'F', 'O', 'O', 'T'};

_Static_assert(HEADER_BYTES % 8 == 0 && FOOTER_PLACES + PLACES * PLACE_BYTES == FOOTER_SIGNER &&
		   FOOTER_DIGEST + SHA256_BYTES == FOOTER_BYTES,
	       "the places fill the footer");

#define KNOWN_REQUIRED                                                                             \
	(UINT64_C(1) << SNAP_REQ_ENCRYPTED | UINT64_C(1) << SNAP_REQ_RAW |                         \
	 UINT64_C(1) << SNAP_REQ_INCREMENTAL)
/* What a file of the encoding raw cannot be besides. */
#define NOT_WITH_RAW (UINT64_C(1) << SNAP_REQ_ENCRYPTED | UINT64_C(1) << SNAP_REQ_INCREMENTAL)

const char *snap_feature_name(bool required, unsigned bit)
{
	static const char *const req[] = {"encrypted", "raw", "incremental", "incomplete"};
	static const char *const opt[] = {"signed"};

	if (required)
		return bit < ARRAY_LEN(req) ? req[bit] : NULL;
	return bit < ARRAY_LEN(opt) ? opt[bit] : NULL;
}

static int check_zero(const uint8_t *frame, size_t from, size_t to, uint64_t at, const char *what,
		      struct err *e)
{
	for (size_t i = from; i < to; i++)
		if (frame[i])
			return err_at(e, ERR_RANGE, at + i, "reserved byte of the %s is not zero",
				      what);
	return 0;
}

void frame_head_put(enum frame_magic magic, uint64_t content, uint8_t out[static FRAME_HEAD])
{
	num_put_le32(out, magic);
	num_put_le32(out + 4, (uint32_t)content);
}

int frame_head_check(const uint8_t in[static FRAME_HEAD], enum frame_magic magic, uint64_t length,
		     uint64_t at, const char *what, struct err *e)
{
	if (num_le32(in) != magic)
		return err_at(e, ERR_STRUCTURE, at, "no %s here", what);
	if (length < FRAME_HEAD || num_le32(in + 4) != length - FRAME_HEAD)
		return err_at(e, ERR_STRUCTURE, at + 4,
			      "%s of %" PRIu32 " bytes in a place of %" PRIu64, what,
			      num_le32(in + 4), length);
	return 0;
}

static void encrypted_encode(const struct header *h, uint8_t *out)
{
	out[56] = CIPHER_AES_256_GCM;
	out[57] = (uint8_t)h->kdf.kind;
	out[58] = h->kdf.log_n;
	out[59] = h->kdf.r;
	out[60] = h->kdf.p;
	memcpy(out + 64, h->salt, sizeof h->salt);
	memcpy(out + 96, h->kdf.salt, sizeof h->kdf.salt);
}

void header_encode(const struct header *h, uint8_t out[static HEADER_BYTES])
{
	memset(out, 0, HEADER_BYTES);
	frame_head_put(FRAME_HEADER, HEADER_BYTES - FRAME_HEAD, out);
	memcpy(out + 8, header_magic, sizeof header_magic);
	num_put_le32(out + 16, SNAP_VERSION);
	num_put_le32(out + 20, DIGEST_SHA256);
	num_put_le64(out + 24, h->required);
	num_put_le64(out + 32, h->optional);
	memcpy(out + 40, h->uuid, sizeof h->uuid);
	if (header_encrypted(h))
		encrypted_encode(h, out);
}

/* Whoever wrote this may want to keep the reader busy: its costs are bounded here. */
static int encrypted_check(const uint8_t *in, struct header *h, struct err *e)
{
	if (in[56] != CIPHER_AES_256_GCM)
		return err_at(e, ERR_FEATURE, 56, "cipher %u is not known", in[56]);
	h->kdf = (struct snap_kdf){.kind = in[57], .log_n = in[58], .r = in[59], .p = in[60]};
	memcpy(h->salt, in + 64, sizeof h->salt);
	memcpy(h->kdf.salt, in + 96, sizeof h->kdf.salt);
	int r = snap_kdf_check(&h->kdf, e);
	if (r && e)
		e->offset = r == -ERR_FEATURE ? 57 : 58;
	return r;
}

static int refuse_features(uint64_t bits, struct err *e)
{
	unsigned bit = (unsigned)__builtin_ctzll(bits);
	const char *name = snap_feature_name(true, bit);

	if (name)
		return err_at(e, ERR_FEATURE, 24, "requires \"%s\", which this build does not read",
			      name);
	return err_at(e, ERR_FEATURE, 24, "requires feature %u, which this build does not know",
		      bit);
}

int header_check(const uint8_t in[static HEADER_BYTES], struct header *h, struct err *e)
{
	uint8_t head[FRAME_HEAD];

	frame_head_put(FRAME_HEADER, HEADER_BYTES - FRAME_HEAD, head);
	if (memcmp(in, head, sizeof head) || memcmp(in + 8, header_magic, sizeof header_magic))
		return err_at(e, ERR_MAGIC, 0, "not a snapshot");
	if (num_le32(in + 16) != SNAP_VERSION)
		return err_at(e, ERR_VERSION, 16, "format version %" PRIu32 ", this build reads %d",
			      num_le32(in + 16), SNAP_VERSION);
	if (num_le32(in + 20) != DIGEST_SHA256)
		return err_at(e, ERR_FEATURE, 20, "digest algorithm %" PRIu32 " is not known",
			      num_le32(in + 20));
	*h = (struct header){.required = num_le64(in + 24)};
	h->optional = num_le64(in + 32);
	memcpy(h->uuid, in + 40, sizeof h->uuid);
	if (h->required & ~KNOWN_REQUIRED)
		return refuse_features(h->required & ~KNOWN_REQUIRED, e);
	if (header_raw(h) && h->required & NOT_WITH_RAW)
		return err_at(e, ERR_FEATURE, 24, "is said to be raw and encrypted or incremental");
	return header_encrypted(h) ? encrypted_check(in, h, e) : 0;
}

int header_check_rest(const uint8_t in[static HEADER_BYTES], const struct header *h, struct err *e)
{
	if (!header_encrypted(h))
		return check_zero(in, 56, HEADER_BYTES, 0, "header", e);
	int r = h->kdf.kind == SNAP_KEY_GIVEN ? check_zero(in, 58, 61, 0, "header", e) : 0;
	if (!r)
		r = check_zero(in, 61, 64, 0, "header", e);
	return r ? r
		 : check_zero(in, h->kdf.kind == SNAP_KEY_GIVEN ? 96 : 112, HEADER_BYTES, 0,
			      "header", e);
}

static void place_encode(const struct place *p, uint8_t *out)
{
	num_put_le64(out, p->offset);
	num_put_le64(out + 8, p->length);
	memcpy(out + 16, p->digest, SHA256_BYTES);
}

void footer_encode(const struct footer *f, uint8_t out[static FOOTER_BYTES])
{
	memset(out, 0, FOOTER_BYTES);
	frame_head_put(FRAME_FOOTER, FOOTER_BYTES - FRAME_HEAD, out);
	memcpy(out + 8, footer_magic, sizeof footer_magic);
	num_put_le64(out + 16, f->file_bytes);
	num_put_le64(out + 24, f->ram_bytes);
	num_put_le64(out + 32, f->frames);
	for (int i = 0; i < PLACES; i++)
		place_encode(&f->place[i], out + FOOTER_PLACES + i * PLACE_BYTES);
}

/* Header first, the manifest right behind it, the root up to the footer, the seek table from there
 * to the end. RAM and leaves lie between manifest and root: the root is checked against that. */
static int check_places(const struct footer *f, uint64_t at, struct err *e)
{
	static const char *const name[PLACES] = {"header", "manifest", "root", "seek table"};
	const struct place *p = f->place;
	const uint64_t first[PLACES] = {0, HEADER_BYTES, p[PLACE_ROOT].offset, at + FOOTER_BYTES};
	const uint64_t end[PLACES] = {HEADER_BYTES, 0, at, f->file_bytes};
	const uint64_t max[PLACES] = {HEADER_BYTES, SNAP_MANIFEST_MAX + FRAME_HEAD, SNAP_ROOT_MAX,
				      UINT32_MAX};

	for (int i = 0; i < PLACES; i++) {
		uint64_t field = at + FOOTER_PLACES + (unsigned)i * PLACE_BYTES, last;
		if (p[i].offset != first[i])
			return err_at(e, ERR_STRUCTURE, field, "the %s is said to be at 0x%" PRIx64,
				      name[i], p[i].offset);
		if (p[i].length > max[i])
			return err_at(e, ERR_LIMIT, field + 8, "%s of %" PRIu64 " bytes", name[i],
				      p[i].length);
		if (!num_add(p[i].offset, p[i].length, &last) ||
		    (i == PLACE_MANIFEST ? last > p[PLACE_ROOT].offset : last != end[i]))
			return err_at(e, ERR_STRUCTURE, field + 8, "%s of %" PRIu64 " bytes",
				      name[i], p[i].length);
	}
	return 0;
}

int footer_decode(const uint8_t in[static FOOTER_BYTES], uint64_t at, bool is_signed,
		  struct footer *f, struct err *e)
{
	if (memcmp(in + 8, footer_magic, sizeof footer_magic))
		return err_at(e, ERR_STRUCTURE, at + 8, "not a footer");
	f->file_bytes = num_le64(in + 16);
	f->ram_bytes = num_le64(in + 24);
	f->frames = num_le64(in + 32);
	int r = check_zero(in, 40, FOOTER_PLACES, at, "footer", e);
	if (!r)
		r = check_zero(in, is_signed ? FOOTER_SIGNATURE_END : FOOTER_SIGNER, FOOTER_DIGEST,
			       at, "footer", e);
	if (r)
		return r;
	for (int i = 0; i < PLACES; i++) {
		const uint8_t *p = in + FOOTER_PLACES + i * PLACE_BYTES;
		f->place[i].offset = num_le64(p);
		f->place[i].length = num_le64(p + 8);
		memcpy(f->place[i].digest, p + 16, SHA256_BYTES);
	}
	return check_places(f, at, e);
}

void entry_encode(const struct entry *en, uint8_t out[static ENTRY_BYTES])
{
	num_put_le64(out, en->offset);
	num_put_le32(out + 8, en->length);
	out[12] = en->kind;
	out[13] = 0;
	num_put_le16(out + 14, en->chunks);
	memcpy(out + 16, en->digest, SHA256_BYTES);
}

int entry_decode(const uint8_t in[static ENTRY_BYTES], uint64_t at, struct entry *en, struct err *e)
{
	en->offset = num_le64(in);
	en->length = num_le32(in + 8);
	en->kind = in[12];
	en->chunks = num_le16(in + 14);
	memcpy(en->digest, in + 16, SHA256_BYTES);
	if (en->kind > ENTRY_PARENT)
		return err_at(e, ERR_RANGE, at + 12, "entry of kind %u", en->kind);
	int r = check_zero(in, 13, 14, at, "entry", e);
	/* No frame, no digest. */
	return r || en->kind != ENTRY_PARENT ? r : check_zero(in, 16, ENTRY_BYTES, at, "entry", e);
}

void root_encode(const struct root *r, uint8_t out[static ROOT_HEAD])
{
	memset(out, 0, ROOT_HEAD);
	frame_head_put(FRAME_ROOT, ROOT_HEAD - FRAME_HEAD + (uint64_t)r->leaves * ENTRY_BYTES, out);
	num_put_le32(out + 8, r->leaves);
	num_put_le32(out + 12, SNAP_LEAF_CHUNKS);
	num_put_le64(out + 16, r->zero_chunks);
	num_put_le64(out + 24, r->zstd_chunks);
	num_put_le64(out + 32, r->raw_chunks);
	num_put_le64(out + 40, r->parent_chunks);
	num_put_le64(out + 48, r->zero_frames);
	num_put_le64(out + 56, r->stored_bytes);
}

int root_decode(const uint8_t in[static ROOT_HEAD], uint64_t at, struct root *r, struct err *e)
{
	r->leaves = num_le32(in + 8);
	r->zero_chunks = num_le64(in + 16);
	r->zstd_chunks = num_le64(in + 24);
	r->raw_chunks = num_le64(in + 32);
	r->parent_chunks = num_le64(in + 40);
	r->zero_frames = num_le64(in + 48);
	r->stored_bytes = num_le64(in + 56);
	if (num_le32(in + 12) != SNAP_LEAF_CHUNKS)
		return err_at(e, ERR_RANGE, at + 12, "leaves of %" PRIu32 " chunks",
			      num_le32(in + 12));
	return 0;
}

void seek_trailer_encode(uint32_t frames, uint8_t out[static SEEK_TRAILER])
{
	num_put_le32(out, frames);
	out[4] = 0; /* no checksums */
	num_put_le32(out + 5, SEEK_MAGIC);
}

int seek_trailer_decode(const uint8_t in[static SEEK_TRAILER], uint64_t at, uint32_t *frames,
			struct err *e)
{
	/* What is missing most often is the end of a file. */
	if (num_le32(in + 5) != SEEK_MAGIC)
		return err_at(e, ERR_TRUNCATED, at + 5, "does not end like a snapshot: cut off?");
	if (in[4])
		return err_at(e, ERR_STRUCTURE, at + 4, "seek table with checksums");
	if (num_le32(in) > SEEK_FRAMES_MAX)
		return err_at(e, ERR_LIMIT, at, "seek table of %" PRIu32 " frames", num_le32(in));
	*frames = num_le32(in);
	return 0;
}
