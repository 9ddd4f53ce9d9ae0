/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/seal.h"

#include <stdlib.h>
#include <string.h>

/* Names what the keys are for: another use of the same master key gives others. */
static const char info[] = "vmsnap 1 keys";

struct seal {
	struct secret keys; /* of AES-256-GCM, then of HMAC-SHA256 */
};

int seal_new(const struct secret *master, const uint8_t salt[static SNAP_SALT_BYTES],
	     struct seal **out, struct err *e)
{
	struct seal *s = calloc(1, sizeof *s);
	const size_t bytes = GCM_KEY_BYTES + HMAC_KEY_BYTES;
	int r = s ? secret_init(&s->keys, bytes, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (!r)
		r = kdf_hkdf(master, salt, SNAP_SALT_BYTES, info, s->keys.data, bytes, e);
	if (r)
		seal_free(s);
	else
		*out = s;
	return r;
}

void seal_free(struct seal *s)
{
	if (s)
		secret_fini(&s->keys);
	free(s);
}

int seal_start(const struct seal *s, bool store, struct gcm **out, struct err *e)
{
	*out = NULL;
	return s ? gcm_new(s->keys.data, store, out, e) : 0;
}

/* Head of the frame and nonce: what is bound to the ciphertext. The nonce is the part behind. */
#define AAD_BYTES (FRAME_HEAD + GCM_NONCE_BYTES)
static void put_aad(enum seal_kind kind, uint64_t number, size_t content,
		    uint8_t out[static AAD_BYTES])
{
	frame_head_put(FRAME_SEALED, content, out);
	num_put_le32(out + FRAME_HEAD, kind);
	num_put_le64(out + FRAME_HEAD + 4, number);
}

int frame_store_(struct gcm *x, enum seal_kind kind, uint64_t number, uint8_t *room, size_t *n,
		 uint8_t digest[static SHA256_BYTES], struct err *e)
{
	uint8_t aad[AAD_BYTES], *frame = room + FRAME_HEAD;
	int r = 0;

	if (x) {
		put_aad(kind, number, *n + GCM_TAG_BYTES, aad);
		memcpy(room, aad, FRAME_HEAD);
		r = gcm_seal(x, aad + FRAME_HEAD, aad, sizeof aad, frame, *n, frame + *n, e);
		*n += SEAL_EXTRA;
	}
	if (!r)
		sha256_of(room, *n, digest);
	return r;
}

int frame_fetch_(struct gcm *x, enum seal_kind kind, uint64_t number, struct stored *st,
		 struct err *e)
{
	uint8_t got[SHA256_BYTES], aad[AAD_BYTES];
	uint64_t at = st->at;

	sha256_of(st->data, st->n, got);
	if (memcmp(got, st->digest, SHA256_BYTES))
		return err_at(e, ERR_CHECKSUM, at, "%s is damaged", st->what);
	if (!x)
		return 0;
	if (st->n < SEAL_EXTRA)
		return err_at(e, ERR_STRUCTURE, at, "%s is no ciphertext", st->what);
	int r = frame_head_check(st->data, FRAME_SEALED, st->n, at, "ciphertext", e);
	if (r)
		return r;
	st->data += FRAME_HEAD;
	st->n -= SEAL_EXTRA;
	st->at += FRAME_HEAD;
	put_aad(kind, number, st->n + GCM_TAG_BYTES, aad);
	r = gcm_open(x, aad + FRAME_HEAD, aad, sizeof aad, st->data, st->n, st->data + st->n, NULL);
	return r ? err_at(e, ERR_CHECKSUM, at, "%s is not what was encrypted", st->what) : 0;
}

/* --- the footer ------------------------------------------------------------------------------ */

static void put_digest(const struct seal *s, const uint8_t *footer,
		       uint8_t out[static SHA256_BYTES])
{
	if (s)
		hmac_sha256(s->keys.data + GCM_KEY_BYTES, footer, FOOTER_DIGEST, out);
	else
		sha256_of(footer, FOOTER_DIGEST, out);
}

int footer_close_(const struct seal *s, const struct secret *sign,
		  uint8_t footer[static FOOTER_BYTES], struct err *e)
{
	int r = sign ? ed25519_public(sign, footer + FOOTER_SIGNER, e) : 0;

	if (!r && sign)
		r = ed25519_sign(sign, footer, FOOTER_SIGNATURE, footer + FOOTER_SIGNATURE, e);
	if (!r)
		put_digest(s, footer, footer + FOOTER_DIGEST);
	return r;
}

int footer_signature_(const uint8_t footer[static FOOTER_BYTES], uint64_t at, const uint8_t *want,
		      struct err *e)
{
	if (want && memcmp(want, footer + FOOTER_SIGNER, ED25519_PUBLIC_BYTES))
		return err_at(e, ERR_SIGNATURE, at + FOOTER_SIGNER,
			      "signed by another key than the one to verify with");
	if (!ed25519_verify(footer + FOOTER_SIGNER, footer, FOOTER_SIGNATURE,
			    footer + FOOTER_SIGNATURE))
		return err_at(e, ERR_SIGNATURE, at + FOOTER_SIGNATURE, "signature is wrong");
	return 0;
}

int footer_digest_(const struct seal *s, const uint8_t footer[static FOOTER_BYTES], uint64_t at,
		   struct err *e)
{
	uint8_t digest[SHA256_BYTES];

	put_digest(s, footer, digest);
	if (secret_same(digest, footer + FOOTER_DIGEST, SHA256_BYTES))
		return 0;
	return s ? err_at(e, ERR_KEY, at,
			  "cannot be opened with this key, or the footer is damaged")
		 : err_at(e, ERR_CHECKSUM, at, "footer is damaged");
}
