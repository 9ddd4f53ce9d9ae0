/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* libcrypto without SHA-256 is a broken installation: there is nothing to go on with. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void sha256_of(const void *data, size_t n, uint8_t out[static SHA256_BYTES])
{
	must(EVP_Digest(data, n, out, NULL, EVP_sha256(), NULL));
}

struct sha256 *sha256_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(ctx != NULL);
	must(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL));
	return (struct sha256 *)ctx;
}

void sha256_add(struct sha256 *h, const void *data, size_t n)
{
	must(EVP_DigestUpdate((EVP_MD_CTX *)h, data, n));
}

void sha256_end(struct sha256 *h, uint8_t out[static SHA256_BYTES])
{
	must(EVP_DigestFinal_ex((EVP_MD_CTX *)h, out, NULL));
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

const char *sha256_hex(const uint8_t digest[static SHA256_BYTES],
		       char out[static 2 * SHA256_BYTES + 1])
{
	return num_hex(digest, SHA256_BYTES, out);
}
