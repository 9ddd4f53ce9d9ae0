/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL takes inputs without const and leaves them alone. */
static OSSL_PARAM octets(const char *name, const void *p, size_t n)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)p, n);
}

static bool derive(const char *name, const OSSL_PARAM *params, void *out, size_t n)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	bool ok = ctx && EVP_KDF_derive(ctx, out, n, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	return ok;
}

int kdf_hkdf(const struct secret *key, const void *salt, size_t salt_n, const char *info, void *out,
	     size_t n, struct err *e)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
	    octets(OSSL_KDF_PARAM_KEY, key->data, key->len),
	    octets(OSSL_KDF_PARAM_SALT, salt, salt_n),
	    octets(OSSL_KDF_PARAM_INFO, info, strlen(info)),
	    OSSL_PARAM_construct_end(),
	};

	return derive("HKDF", params, out, n) ? 0 : err_set(e, ERR_BUG, "HKDF failed");
}

int kdf_scrypt(const struct secret *passphrase, const void *salt, size_t salt_n, unsigned log_n,
	       uint32_t r, uint32_t p, void *out, size_t n, struct err *e)
{
	/* OpenSSL counts a little more than the large array; bounding is the caller's part. */
	uint64_t cost = UINT64_C(1) << (log_n & 63), most = UINT64_MAX;
	const OSSL_PARAM params[] = {
	    octets(OSSL_KDF_PARAM_PASSWORD, passphrase->data, passphrase->len),
	    octets(OSSL_KDF_PARAM_SALT, salt, salt_n),
	    OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &cost),
	    OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
	    OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
	    OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &most),
	    OSSL_PARAM_construct_end(),
	};

	if (!log_n || log_n > 40 || !r || !p)
		return err_set(e, ERR_RANGE, "scrypt with N 2^%u, r %u, p %u", log_n, r, p);
	return derive("SCRYPT", params, out, n)
		   ? 0
		   : err_set(e, ERR_NOMEM, "no memory for scrypt with N 2^%u, r %u, p %u", log_n, r,
			     p);
}

void hmac_sha256(const uint8_t key[static HMAC_KEY_BYTES], const void *data, size_t n,
		 uint8_t out[static SHA256_BYTES])
{
	/* libcrypto without SHA-256 is a broken installation: there is nothing to go on with. */
	if (!HMAC(EVP_sha256(), key, HMAC_KEY_BYTES, data, n, out, NULL))
		abort();
}

int gcm_new(const uint8_t key[static GCM_KEY_BYTES], bool seal, struct gcm **out, struct err *e)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, NULL, seal) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		ERR_clear_error();
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	*out = (struct gcm *)ctx;
	return 0;
}

void gcm_free(struct gcm *g)
{
	EVP_CIPHER_CTX_free((EVP_CIPHER_CTX *)g);
}

/* Both directions, in place. The lengths of EVP are ints. */
static bool run(EVP_CIPHER_CTX *ctx, int seal, const uint8_t *nonce, const void *aad, size_t aad_n,
		uint8_t *data, size_t n)
{
	int got;

	return n <= INT32_MAX && aad_n <= INT32_MAX &&
	       EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, seal) == 1 &&
	       EVP_CipherUpdate(ctx, NULL, &got, aad, (int)aad_n) == 1 &&
	       EVP_CipherUpdate(ctx, data, &got, data, (int)n) == 1 && (size_t)got == n;
}

int gcm_seal(struct gcm *g, const uint8_t nonce[static GCM_NONCE_BYTES], const void *aad,
	     size_t aad_n, uint8_t *data, size_t n, uint8_t tag[static GCM_TAG_BYTES],
	     struct err *e)
{
	EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)g;
	int got;

	if (run(ctx, 1, nonce, aad, aad_n, data, n) &&
	    EVP_CipherFinal_ex(ctx, data + n, &got) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, tag) == 1)
		return 0;
	ERR_clear_error();
	return err_set(e, ERR_BUG, "AES-256-GCM failed");
}

int gcm_open(struct gcm *g, const uint8_t nonce[static GCM_NONCE_BYTES], const void *aad,
	     size_t aad_n, uint8_t *data, size_t n, const uint8_t tag[static GCM_TAG_BYTES],
	     struct err *e)
{
	EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)g;
	void *want = (void *)(uintptr_t)tag;
	int got;

	if (run(ctx, 0, nonce, aad, aad_n, data, n) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, want) == 1 &&
	    EVP_CipherFinal_ex(ctx, data + n, &got) == 1)
		return 0;
	ERR_clear_error();
	secret_wipe(data, n);
	return err_set(e, ERR_CHECKSUM, "is not what was encrypted");
}
