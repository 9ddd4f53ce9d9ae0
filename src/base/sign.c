/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#define PEM_MAX 16384 /* bytes of a key's file */

static EVP_PKEY *private_key(const struct secret *seed)
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed->data, seed->len);
}

int ed25519_public(const struct secret *seed, uint8_t out[static ED25519_PUBLIC_BYTES],
		   struct err *e)
{
	EVP_PKEY *key = private_key(seed);
	size_t n = ED25519_PUBLIC_BYTES;
	bool ok = key && EVP_PKEY_get_raw_public_key(key, out, &n) == 1;

	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok ? 0 : err_set(e, ERR_NOMEM, "cannot use the signing key");
}

int ed25519_sign(const struct secret *seed, const void *data, size_t n,
		 uint8_t out[static ED25519_SIGNATURE_BYTES], struct err *e)
{
	EVP_PKEY *key = private_key(seed);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t got = ED25519_SIGNATURE_BYTES;
	bool ok = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestSign(ctx, out, &got, data, n) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok ? 0 : err_set(e, ERR_NOMEM, "cannot sign");
}

bool ed25519_verify(const uint8_t key[static ED25519_PUBLIC_BYTES], const void *data, size_t n,
		    const uint8_t sig[static ED25519_SIGNATURE_BYTES])
{
	EVP_PKEY *public =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_PUBLIC_BYTES);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = public && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public) == 1 &&
		  EVP_DigestVerify(ctx, sig, ED25519_SIGNATURE_BYTES, data, n) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public);
	ERR_clear_error();
	return ok;
}

/* A key that is encrypted is refused, never asked about. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	*(bool *)arg = true;
	return -1;
}

static int check_kind(const EVP_PKEY *key, bool encrypted, const char *text, bool private,
		      struct err *e)
{
	if (encrypted)
		return err_set(e, ERR_KEY, "is encrypted: openssl pkey takes its passphrase away");
	if (!key && !private && strstr(text, "PRIVATE KEY-----"))
		return err_set(e, ERR_KEY,
			       "is a private key: openssl pkey -pubout gives the "
			       "public one");
	if (!key && private && strstr(text, "PUBLIC KEY-----"))
		return err_set(e, ERR_KEY, "is a public key: signing needs the private one");
	if (!key)
		return err_set(e, ERR_KEY, "is no %s key in PEM", private ? "private" : "public");
	const char *name = EVP_PKEY_get0_type_name(key);
	if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519)
		return err_set(e, ERR_KEY, "is a key of kind %s, not ED25519", name ? name : "?");
	return 0;
}

/* @pem: bytes and a NUL. */
static int read_pem(const struct secret *pem, bool private, EVP_PKEY **out, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	bool encrypted = false;

	if (!bio)
		return err_set(e, ERR_NOMEM, "out of memory");
	*out = private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted)
		       : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	ERR_clear_error();
	return check_kind(*out, encrypted, (const char *)pem->data, private, e);
}

int ed25519_read_private(const char *path, struct secret *seed, struct err *e)
{
	struct secret pem = SECRET_INIT, s = SECRET_INIT;
	EVP_PKEY *key = NULL;
	int r = secret_read_file(path, PEM_MAX, &pem, e);

	/* There is a zero behind the last byte: the memory is fresh and has room for one more. */
	if (!r)
		r = read_pem(&pem, true, &key, e);
	if (!r)
		r = secret_init(&s, ED25519_SEED_BYTES, e);
	s.len = ED25519_SEED_BYTES;
	if (!r && EVP_PKEY_get_raw_private_key(key, s.data, &s.len) != 1)
		r = err_set(e, ERR_KEY, "cannot be used");
	EVP_PKEY_free(key);
	secret_fini(&pem);
	if (r) {
		secret_fini(&s);
		err_file(e, path);
		return r;
	}
	*seed = s;
	return 0;
}

int ed25519_read_public(const char *path, uint8_t out[static ED25519_PUBLIC_BYTES], struct err *e)
{
	struct buf b = BUF_INIT;
	EVP_PKEY *key = NULL;
	size_t n = ED25519_PUBLIC_BYTES;
	int r = io_read_file(path, PEM_MAX, &b, e);

	buf_put(&b, "", 1);
	if (!r && b.failed)
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (!r) {
		const struct secret pem = {.data = b.data, .len = b.len - 1};
		r = read_pem(&pem, false, &key, e);
	}
	if (!r && EVP_PKEY_get_raw_public_key(key, out, &n) != 1)
		r = err_set(e, ERR_KEY, "cannot be used");
	EVP_PKEY_free(key);
	/* It may have been a private one after all. */
	if (b.data)
		secret_wipe(b.data, b.cap);
	buf_free(&b);
	if (r)
		err_file(e, path);
	return r;
}

void ed25519_fingerprint(const uint8_t key[static ED25519_PUBLIC_BYTES],
			 uint8_t out[static SHA256_BYTES])
{
	/* SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of the key }: RFC 8410, section 4 */
	uint8_t der[12 + ED25519_PUBLIC_BYTES] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
						  0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

	memcpy(der + 12, key, ED25519_PUBLIC_BYTES);
	sha256_of(der, sizeof der, out);
}

void crypto_warm_up(void)
{
	uint8_t key[32] = {0}, data[64] = {0}, tag[GCM_TAG_BYTES], sig[ED25519_SIGNATURE_BYTES];
	const struct secret s = {.data = key, .len = sizeof key};
	struct gcm *g;

	sha256_of("", 0, data);
	hmac_sha256(key, "", 0, data);
	(void)!kdf_hkdf(&s, key, sizeof key, "", data, sizeof data, NULL);
	for (int seal = 0; seal < 2; seal++)
		if (!gcm_new(key, seal, &g, NULL)) {
			(void)!(seal ? gcm_seal(g, key, key, 1, data, 16, tag, NULL)
				     : gcm_open(g, key, key, 1, data, 16, tag, NULL));
			gcm_free(g);
		}
	if (!ed25519_sign(&s, "", 0, sig, NULL) && !ed25519_public(&s, data, NULL))
		(void)!ed25519_verify(data, "", 0, sig);
}
