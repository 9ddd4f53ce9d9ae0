/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: the bytes of the file as formats/snapshot.md has them. All numbers are
 * little-endian; a frame's offsets count from its first byte, the 8 of the skippable frame header
 * (RFC 8878, section 3.1.2) included.
 */
#ifndef SNAPSHOT_FORMAT_H
#define SNAPSHOT_FORMAT_H

#include "snapshot/snapshot.h"

enum frame_magic {
	FRAME_HEADER = 0x184d2a50,
	FRAME_MANIFEST = 0x184d2a51,
	FRAME_LEAF = 0x184d2a52,
	FRAME_ROOT = 0x184d2a53,
	FRAME_FOOTER = 0x184d2a54,
	FRAME_SEALED = 0x184d2a55, /* ciphertext of another frame */
	/* 6 is reserved for extensions */
	FRAME_PADDING = 0x184d2a57,    /* zeros, in front of a payload */
	FRAME_PAYLOAD = 0x184d2a58,    /* RAM as it is */
	FRAME_SEEK_TABLE = 0x184d2a5e, /* fixed by the zstd seekable format, 0.1.0 */
};

#define FRAME_HEAD 8 /* magic, length of what follows */

/* Header: magic[8] at 8, version 16, digest algorithm 20, required 24, optional 32, uuid 40; how it
 * is encrypted from 56: cipher 56, key derivation 57, log2 N of scrypt 58, r 59, p 60, zeros 61,
 * salt 64, salt of scrypt 96; zeros 112 to 128. All zeros from 56 on in a file that is not. */
#define HEADER_BYTES	   128
#define DIGEST_SHA256	   1
#define CIPHER_AES_256_GCM 1 /* keys by HKDF-SHA256, footer by HMAC-SHA256 */
extern const uint8_t header_magic[8];

struct header {
	uint64_t required, optional;
	uint8_t uuid[16];
	/* Of an encrypted file. */
	struct snap_kdf kdf;
	uint8_t salt[SNAP_SALT_BYTES];
};

static inline bool header_encrypted(const struct header *h)
{
	return h->required & 1ull << SNAP_REQ_ENCRYPTED;
}

/* RAM as it is: SNAP_REQ_RAW. */
static inline bool header_raw(const struct header *h)
{
	return h->required & 1ull << SNAP_REQ_RAW;
}

static inline bool header_signed(const struct header *h)
{
	return h->optional & 1ull << SNAP_OPT_SIGNED;
}

void header_encode(const struct header *h, uint8_t out[static HEADER_BYTES]);
/* Magic, version, algorithm, required features and how it is encrypted, in this order; before any
 * digest. */
int header_check(const uint8_t in[static HEADER_BYTES], struct header *h, struct err *e);
/* The rest: what must be zero. After the digest. */
int header_check_rest(const uint8_t in[static HEADER_BYTES], const struct header *h,
		      struct err *e);

/* Where a frame lies, and the digest of all its bytes. */
#define PLACE_BYTES 48
struct place {
	uint64_t offset, length;
	uint8_t digest[SHA256_BYTES];
};

/* Footer: magic[8] at 8, file length 16, RAM stream bytes 24, number of frames 32, zeros 40, places
 * of header, manifest, root and seek table from 48, public key 240, signature of all that 272,
 * zeros 336, digest or HMAC of all that 352. */
#define FOOTER_BYTES	     384
#define FOOTER_PLACES	     48
#define FOOTER_SIGNER	     240
#define FOOTER_SIGNATURE     272
#define FOOTER_SIGNATURE_END 336
#define FOOTER_DIGEST	     352
extern const uint8_t footer_magic[8];

enum footer_place { PLACE_HEADER, PLACE_MANIFEST, PLACE_ROOT, PLACE_SEEK_TABLE, PLACES };

struct footer {
	uint64_t file_bytes, ram_bytes, frames;
	struct place place[PLACES];
};

/* All but signature and digest: seal.h. */
void footer_encode(const struct footer *f, uint8_t out[static FOOTER_BYTES]);
/* The fields, and that the places tile the file as they must, once the digest was checked. @at: of
 * the footer. */
int footer_decode(const uint8_t in[static FOOTER_BYTES], uint64_t at, bool is_signed,
		  struct footer *f, struct err *e);

/* Entries of root and leaves: offset 0, length 8, kind 12, zero 13, chunks 14, digest 16. One entry
 * for each frame: a run of zero chunks is one. */
#define ENTRY_BYTES 48

enum entry_kind {
	ENTRY_ZERO = 0,
	ENTRY_ZSTD = 1,	  /* in a leaf: a frame of zstd */
	ENTRY_LEAF = 1,	  /* in the root: a leaf frame */
	ENTRY_RAW = 2,	  /* in a leaf: a chunk as it is, in a payload frame */
	ENTRY_PARENT = 3, /* as in the parent: no frame, length 0 */
};

struct entry {
	uint64_t offset;
	uint32_t length;
	uint8_t kind;
	uint16_t chunks; /* that it stands for */
	uint8_t digest[SHA256_BYTES];
};

void entry_encode(const struct entry *en, uint8_t out[static ENTRY_BYTES]);
/* Kind and zeros are checked; what the rest may be is up to the caller. */
int entry_decode(const uint8_t in[static ENTRY_BYTES], uint64_t at, struct entry *en,
		 struct err *e);

/* Leaf: number 8, entries 12, then the entries. */
#define LEAF_HEAD      16
#define LEAF_BYTES_MAX (LEAF_HEAD + SNAP_LEAF_CHUNKS * ENTRY_BYTES)

/* Root: entries 8, chunks a leaf 12, chunks by kind 16 (zero), 24 (zstd), 32 (raw), 40 (parent),
 * zero frames 48, bytes of RAM frames 56, then the entries. */
#define ROOT_HEAD 64

struct root {
	uint32_t leaves;
	uint64_t zero_chunks, zstd_chunks, raw_chunks, parent_chunks, zero_frames, stored_bytes;
};

void root_encode(const struct root *r, uint8_t out[static ROOT_HEAD]);
/* @at: of the root; checks the chunks a leaf. */
int root_decode(const uint8_t in[static ROOT_HEAD], uint64_t at, struct root *r, struct err *e);

/* Seek table: entries {stored 0, plain 4} from 8; then number of entries, descriptor 4, magic 5. */
#define SEEK_ENTRY_BYTES 8
#define SEEK_TRAILER	 9
#define SEEK_MAGIC	 0x8f92eab1u
/* The seekable format's own bound. */
#define SEEK_FRAMES_MAX 0x8000000u

void seek_trailer_encode(uint32_t frames, uint8_t out[static SEEK_TRAILER]);
int seek_trailer_decode(const uint8_t in[static SEEK_TRAILER], uint64_t at, uint32_t *frames,
			struct err *e);

void frame_head_put(enum frame_magic magic, uint64_t content, uint8_t out[static FRAME_HEAD]);
/* -ERR_STRUCTURE unless it is @magic with @length bytes in all. @what: for the message. */
int frame_head_check(const uint8_t in[static FRAME_HEAD], enum frame_magic magic, uint64_t length,
		     uint64_t at, const char *what, struct err *e);

#endif
