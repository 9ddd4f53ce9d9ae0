/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets, and what is done with them. All cryptography is OpenSSL's; nothing is invented here.
 *
 * Prefixes: secret_, kdf_, hmac_, gcm_, ed25519_. Nothing keeps state of its own. Copies that
 * OpenSSL makes of a key live in its contexts, which wipe them when they are freed: contexts
 * are kept no longer than they are needed.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/base.h"

/* --- memory for secrets -------------------------------------------------------------------- */

/**
 * struct secret - bytes that nobody else should see
 * @data: pages of their own: not in core dumps, locked into memory if the limits allow
 */
struct secret {
	uint8_t *data;
	size_t len, cap;
};

#define SECRET_INIT                                                                                \
	{                                                                                          \
		0                                                                                  \
	}

/** secret_init() - room for @cap bytes, none in use. Returns 0 or -ERR_NOMEM. */
int secret_init(struct secret *s, size_t cap, struct err *e) MUST_CHECK;

/** secret_fini() - wipes and frees; @s may be all zero, and is afterwards. */
void secret_fini(struct secret *s);

/** secret_wipe() - overwrites @n bytes, whatever the compiler thinks of it. */
void secret_wipe(void *p, size_t n);

/** secret_same() - compares in a time that does not depend on the bytes. */
bool secret_same(const void *a, const void *b, size_t n);

/**
 * secret_read() - everything that @fd has left, into fresh memory
 * @max: bytes
 *
 * Returns 0, -ERR_LIMIT (more than @max), -ERR_IO, -ERR_NOMEM. @out is to be freed by secret_fini()
 * on success.
 */
int secret_read(int fd, size_t max, struct secret *out, struct err *e) MUST_CHECK;

/**
 * secret_read_file() - as secret_read(), of a file that is its owner's alone
 *
 * A regular file of the caller's own whose permissions let others in is refused, as ssh(1) does:
 * -ERR_KEY. @e names the file.
 */
int secret_read_file(const char *path, size_t max, struct secret *out, struct err *e) MUST_CHECK;

/**
 * secret_prompt() - a line from the terminal, which does not show it
 * @prompt: printed on the terminal, whatever standard output is
 *
 * Returns 0, -ERR_IO (no terminal), -ERR_LIMIT, -ERR_CANCELLED (end of input), -ERR_NOMEM. A signal
 * that ends the program does so with the terminal as it was.
 */
int secret_prompt(const char *prompt, size_t max, struct secret *out, struct err *e) MUST_CHECK;

/** secret_random() - @n bytes from the kernel. Returns 0 or -ERR_IO. */
int secret_random(void *out, size_t n, struct err *e) MUST_CHECK;
/** secret_uuid() - a new one of version 4 (RFC 9562 5.4). Returns 0 or -ERR_IO. */
int secret_uuid(uint8_t out[static 16], struct err *e) MUST_CHECK;

/* --- keys from keys, keys from passphrases --------------------------------------------------- */

/** kdf_hkdf() - HKDF-SHA256 (RFC 5869), extract and expand. Returns 0 or -ERR_BUG. */
int kdf_hkdf(const struct secret *key, const void *salt, size_t salt_n, const char *info, void *out,
	     size_t n, struct err *e) MUST_CHECK;

/**
 * kdf_scrypt() - scrypt (RFC 7914) with N = 2^@log_n
 *
 * Takes 128 * N * @r bytes of memory and time for @p times that: the caller bounds them.
 * Returns 0, -ERR_NOMEM, -ERR_RANGE (parameters that scrypt does not have).
 */
int kdf_scrypt(const struct secret *passphrase, const void *salt, size_t salt_n, unsigned log_n,
	       uint32_t r, uint32_t p, void *out, size_t n, struct err *e) MUST_CHECK;

#define HMAC_KEY_BYTES 32

/** hmac_sha256() - FIPS 198-1. Aborts only when libcrypto has no SHA-256 at all. */
void hmac_sha256(const uint8_t key[static HMAC_KEY_BYTES], const void *data, size_t n,
		 uint8_t out[static SHA256_BYTES]);

/* --- authenticated encryption ---------------------------------------------------------------- */

#define GCM_KEY_BYTES	32
#define GCM_NONCE_BYTES 12
#define GCM_TAG_BYTES	16

struct gcm; /* AES-256-GCM (NIST SP 800-38D) with one key; owned by the caller of gcm_new() */

/** gcm_new() - for one direction and one thread at a time. Returns 0 or -ERR_NOMEM. */
int gcm_new(const uint8_t key[static GCM_KEY_BYTES], bool seal, struct gcm **out,
	    struct err *e) MUST_CHECK;
void gcm_free(struct gcm *g);

/**
 * gcm_seal() - encrypt @n bytes in place
 * @nonce: never twice with one key
 * @aad:   bound to the ciphertext, not part of it
 *
 * Returns 0 or -ERR_BUG.
 */
int gcm_seal(struct gcm *g, const uint8_t nonce[static GCM_NONCE_BYTES], const void *aad,
	     size_t aad_n, uint8_t *data, size_t n, uint8_t tag[static GCM_TAG_BYTES],
	     struct err *e) MUST_CHECK;

/** gcm_open() - decrypt in place. Returns 0 or -ERR_CHECKSUM: not what was sealed with this key,
 * nonce and @aad; @data is zeros then. */
int gcm_open(struct gcm *g, const uint8_t nonce[static GCM_NONCE_BYTES], const void *aad,
	     size_t aad_n, uint8_t *data, size_t n, const uint8_t tag[static GCM_TAG_BYTES],
	     struct err *e) MUST_CHECK;

/* --- signatures ------------------------------------------------------------------------------ */

#define ED25519_SEED_BYTES	32 /* the private key of RFC 8032 */
#define ED25519_PUBLIC_BYTES	32
#define ED25519_SIGNATURE_BYTES 64

/** ed25519_public() - the public key that goes with @seed. Returns 0 or -ERR_NOMEM. */
int ed25519_public(const struct secret *seed, uint8_t out[static ED25519_PUBLIC_BYTES],
		   struct err *e) MUST_CHECK;

/** ed25519_sign() - RFC 8032, section 5.1.6. Returns 0 or -ERR_NOMEM. */
int ed25519_sign(const struct secret *seed, const void *data, size_t n,
		 uint8_t out[static ED25519_SIGNATURE_BYTES], struct err *e) MUST_CHECK;

/** ed25519_verify() - true if @sig is the signature of exactly these bytes by that key. */
bool ed25519_verify(const uint8_t key[static ED25519_PUBLIC_BYTES], const void *data, size_t n,
		    const uint8_t sig[static ED25519_SIGNATURE_BYTES]) MUST_CHECK;

/**
 * ed25519_read_private(), ed25519_read_public() - from PEM (RFC 8410), as openssl genpkey and
 * openssl pkey -pubout write them
 *
 * A private key's file must be its owner's alone: secret_read_file(). Returns 0, -ERR_KEY (another
 * kind of key or no key, encrypted, open to others), -ERR_IO, -ERR_LIMIT, -ERR_NOMEM.
 */
int ed25519_read_private(const char *path, struct secret *seed, struct err *e) MUST_CHECK;
int ed25519_read_public(const char *path, uint8_t out[static ED25519_PUBLIC_BYTES],
			struct err *e) MUST_CHECK;

/** ed25519_fingerprint() - SHA-256 of the public key's DER encoding (RFC 8410), as
 * `openssl pkey -pubin -outform DER | sha256sum` prints it. */
void ed25519_fingerprint(const uint8_t key[static ED25519_PUBLIC_BYTES],
			 uint8_t out[static SHA256_BYTES]);

/** crypto_warm_up() - use everything once: what libcrypto loads when first used is there then,
 * for processes that cannot open files any more. */
void crypto_warm_up(void);

#endif
