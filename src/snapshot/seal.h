/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/snapshot/: what an encrypted file's frames go through on their way in and out, and
 * what makes a footer trustworthy. Of a file that is not encrypted the seal is NULL, and all
 * functions do what is left to do then: every frame takes the same way.
 *
 * A frame of the guest's data (manifest, RAM chunk) becomes a frame of ciphertext:
 *   0x184d2a55, length | the whole frame, encrypted | tag
 */
#ifndef SNAPSHOT_SEAL_H
#define SNAPSHOT_SEAL_H

#include "snapshot/format.h"
#include "snapshot/key.h"

#define SEAL_EXTRA (FRAME_HEAD + GCM_TAG_BYTES) /* bytes that a frame gets longer */

/* Part of the nonce. */
enum seal_kind {
	SEAL_MANIFEST = 1, /* number 0 */
	SEAL_CHUNK = 2,	   /* number of the chunk in this file's RAM stream */
};

/* The keys of one file: derived from the master key and the file's own salt. */
struct seal;

int seal_new(const struct secret *master, const uint8_t salt[static SNAP_SALT_BYTES],
	     struct seal **out, struct err *e);
void seal_free(struct seal *s);

/* What one thread stores or fetches frames with; gcm_free() ends it. *@out is NULL when @s is.
 * -ERR_NOMEM. */
int seal_start(const struct seal *s, bool store, struct gcm **out, struct err *e);

/* Bytes in front of a frame that frame_store_() needs; with SEAL_EXTRA - that many behind it. */
static inline size_t seal_front(const struct gcm *x)
{
	return x ? FRAME_HEAD : 0;
}

/**
 * frame_store_() - what goes into the file for a frame, and its digest
 * @room: the frame lies at @room + seal_front(@x)
 * @n:    of the frame; afterwards of what is at @room
 *
 * With a seal never twice for the same kind and number: their nonce would be used twice.
 */
int frame_store_(struct gcm *x, enum seal_kind kind, uint64_t number, uint8_t *room, size_t *n,
		 uint8_t digest[static SHA256_BYTES], struct err *e);

/* Bytes as they lie in the file. */
struct stored {
	uint8_t *data; /* decrypted in place */
	size_t n;
	uint64_t at; /* in the file */
	const uint8_t *digest;
	const char *what; /* for messages */
};

/**
 * frame_fetch_() - the frame, out of what was read
 * @st: afterwards data and n are those of the frame that was stored, wherever it lies in the same
 *      bytes, and at is where its bytes stand in the file
 *
 * The digest first. -ERR_CHECKSUM at the beginning of what was read, -ERR_STRUCTURE for what is no
 * frame of ciphertext.
 */
int frame_fetch_(struct gcm *x, enum seal_kind kind, uint64_t number, struct stored *st,
		 struct err *e);

/* --- the footer ------------------------------------------------------------------------------ */

/* Signature, then the digest field, into a footer that is otherwise complete. @sign: private key,
 * or NULL. */
int footer_close_(const struct seal *s, const struct secret *sign,
		  uint8_t footer[static FOOTER_BYTES], struct err *e);

/* The digest field, before anything else of a footer is looked at: -ERR_CHECKSUM, with a seal
 * -ERR_KEY. */
int footer_digest_(const struct seal *s, const uint8_t footer[static FOOTER_BYTES], uint64_t at,
		   struct err *e);

/* -ERR_SIGNATURE unless the signature is right, and by the key @want if that is not NULL. */
int footer_signature_(const uint8_t footer[static FOOTER_BYTES], uint64_t at, const uint8_t *want,
		      struct err *e);

#endif
