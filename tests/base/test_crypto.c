/* SPDX-License-Identifier: Apache-2.0 */
/* Published test vectors, and that nothing else is taken for right. */
#include "base/crypto.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t unhex(const char *text, uint8_t *out)
{
	size_t n = strlen(text) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned v;
		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t)v;
	}
	return n;
}

static void assert_hex(const uint8_t *got, size_t n, const char *want)
{
	uint8_t bytes[128];

	assert_int_equal(unhex(want, bytes), n);
	assert_memory_equal(got, bytes, n);
}

static struct secret secret_of(const void *data, size_t n)
{
	struct secret s;

	assert_int_equal(secret_init(&s, n, NULL), 0);
	if (n)
		memcpy(s.data, data, n);
	s.len = n;
	return s;
}

static struct secret secret_hex(const char *text)
{
	uint8_t bytes[128];

	return secret_of(bytes, unhex(text, bytes));
}

/* RFC 5869, appendix A */
static void hkdf_gives_what_its_rfc_says(void **unused)
{
	struct secret key = secret_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	uint8_t salt[13], out[42];

	unhex("000102030405060708090a0b0c", salt);
	assert_int_equal(kdf_hkdf(&key, salt, sizeof salt,
				  "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", out, sizeof out,
				  NULL),
			 0);
	assert_hex(out, sizeof out,
		   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b8871"
		   "85865");
	assert_int_equal(kdf_hkdf(&key, "", 0, "", out, sizeof out, NULL), 0);
	assert_hex(out, sizeof out,
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61"
		   "a96c8");
	secret_fini(&key);
}

/* RFC 7914, section 12 */
static void scrypt_gives_what_its_rfc_says(void **unused)
{
	static const struct {
		const char *passphrase, *salt;
		unsigned log_n;
		uint32_t r, p;
		const char *want;
	} cases[] = {
	    {"", "", 4, 1, 1,
	     "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a7"
	     "53a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
	    {"password", "NaCl", 10, 8, 16,
	     "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff10"
	     "9279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
	    {"pleaseletmein", "SodiumChloride", 14, 8, 1,
	     "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49"
	     "705242a9af9e61e85dc0d651e40dfcf017b45575887"},
	};
	uint8_t out[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct secret s = secret_of(cases[i].passphrase, strlen(cases[i].passphrase));
		assert_int_equal(kdf_scrypt(&s, cases[i].salt, strlen(cases[i].salt),
					    cases[i].log_n, cases[i].r, cases[i].p, out, sizeof out,
					    NULL),
				 0);
		assert_hex(out, sizeof out, cases[i].want);
		assert_int_equal(kdf_scrypt(&s, "", 0, 0, 1, 1, out, 64, NULL), -ERR_RANGE);
		assert_int_equal(kdf_scrypt(&s, "", 0, 41, 1, 1, out, 64, NULL), -ERR_RANGE);
		assert_int_equal(kdf_scrypt(&s, "", 0, 4, 0, 1, out, 64, NULL), -ERR_RANGE);
		assert_int_equal(kdf_scrypt(&s, "", 0, 4, 1, 0, out, 64, NULL), -ERR_RANGE);
		secret_fini(&s);
	}
}

/* RFC 4231, sections 4.2 and 4.3: shorter keys are filled with zeros by HMAC itself. */
static void hmac_gives_what_its_rfc_says(void **unused)
{
	uint8_t key[HMAC_KEY_BYTES] = {0}, out[SHA256_BYTES];

	memset(key, 0x0b, 20);
	hmac_sha256(key, "Hi There", 8, out);
	assert_hex(out, sizeof out,
		   "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	memset(key, 0, sizeof key);
	memcpy(key, "Jefe", 4);
	hmac_sha256(key, "what do ya want for nothing?", 28, out);
	assert_hex(out, sizeof out,
		   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* The test cases 13, 14 and 16 of the submission of GCM to NIST (McGrew and Viega, appendix B). */
static const struct gcm_case {
	const char *key, *nonce, *aad, *plain, *sealed, *tag;
} gcm_cases[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
     "8838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static void check_gcm(struct gcm *seal, struct gcm *open, const struct gcm_case *c)
{
	uint8_t nonce[12], aad[32], plain[128], data[128], tag[16];
	size_t aad_n = unhex(c->aad, aad), n = unhex(c->plain, plain);

	unhex(c->nonce, nonce);
	memcpy(data, plain, n);
	assert_int_equal(gcm_seal(seal, nonce, aad, aad_n, data, n, tag, NULL), 0);
	assert_hex(data, n, c->sealed);
	assert_hex(tag, sizeof tag, c->tag);
	assert_int_equal(gcm_open(open, nonce, aad, aad_n, data, n, tag, NULL), 0);
	assert_memory_equal(data, plain, n);
}

static void gcm_gives_what_its_authors_say(void **unused)
{
	for (size_t i = 0; i < ARRAY_LEN(gcm_cases); i++) {
		uint8_t key[GCM_KEY_BYTES];
		struct gcm *seal, *open;
		unhex(gcm_cases[i].key, key);
		assert_int_equal(gcm_new(key, true, &seal, NULL), 0);
		assert_int_equal(gcm_new(key, false, &open, NULL), 0);
		/* Again and again with one context, and after a failure. */
		for (int again = 0; again < 3; again++) {
			uint8_t junk[20] = {1}, tag[16] = {0};
			check_gcm(seal, open, &gcm_cases[i]);
			assert_int_equal(gcm_open(open, junk, "", 0, junk, 20, tag, NULL),
					 -ERR_CHECKSUM);
			for (size_t k = 0; k < sizeof junk; k++)
				assert_int_equal(junk[k], 0);
		}
		gcm_free(seal);
		gcm_free(open);
	}
}

static void gcm_opens_nothing_else(void **unused)
{
	uint8_t key[32] = {7}, nonce[12] = {1}, aad[20] = {2}, was[50], tag[16], was_tag[16];
	uint8_t *const part[] = {nonce, aad, tag};
	const size_t size[] = {sizeof nonce, sizeof aad, sizeof tag};
	struct gcm *seal, *open;
	uint8_t data[50];

	assert_int_equal(gcm_new(key, true, &seal, NULL), 0);
	assert_int_equal(gcm_new(key, false, &open, NULL), 0);
	memset(was, 0x5a, sizeof was);
	assert_int_equal(gcm_seal(seal, nonce, aad, sizeof aad, was, sizeof was, tag, NULL), 0);
	memcpy(was_tag, tag, sizeof tag);
	for (size_t p = 0; p < ARRAY_LEN(part); p++)
		for (size_t i = 0; i < 8 * size[p]; i++) {
			memcpy(data, was, sizeof was);
			part[p][i / 8] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(
			    gcm_open(open, nonce, aad, sizeof aad, data, sizeof data, tag, NULL),
			    -ERR_CHECKSUM);
			part[p][i / 8] ^= (uint8_t)(1 << i % 8);
		}
	for (size_t i = 0; i < 8 * sizeof was; i++) {
		memcpy(data, was, sizeof was);
		data[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    gcm_open(open, nonce, aad, sizeof aad, data, sizeof data, tag, NULL),
		    -ERR_CHECKSUM);
	}
	memcpy(data, was, sizeof was);
	assert_int_equal(gcm_open(open, nonce, aad, 19, data, sizeof data, tag, NULL),
			 -ERR_CHECKSUM);
	memcpy(data, was, sizeof was);
	assert_int_equal(gcm_open(open, nonce, aad, sizeof aad, data, sizeof data, tag, NULL), 0);
	gcm_free(seal);
	gcm_free(open);
}

/* RFC 8032, section 7.1, tests 1 to 3 */
static const struct {
	const char *seed, *key, *message, *signature;
} ed25519_cases[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
};

static void ed25519_gives_what_its_rfc_says(void **unused)
{
	for (size_t i = 0; i < ARRAY_LEN(ed25519_cases); i++) {
		struct secret seed = secret_hex(ed25519_cases[i].seed);
		uint8_t key[32], message[2], sig[64];
		size_t n = unhex(ed25519_cases[i].message, message);
		assert_int_equal(ed25519_public(&seed, key, NULL), 0);
		assert_hex(key, sizeof key, ed25519_cases[i].key);
		assert_int_equal(ed25519_sign(&seed, message, n, sig, NULL), 0);
		assert_hex(sig, sizeof sig, ed25519_cases[i].signature);
		assert_true(ed25519_verify(key, message, n, sig));
		for (size_t bit = 0; bit < 512; bit++) {
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(ed25519_verify(key, message, n, sig));
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 256; bit++) {
			key[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(ed25519_verify(key, message, n, sig));
			key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_false(ed25519_verify(key, "x", 1, sig));
		secret_fini(&seed);
	}
}

/* `openssl pkey -pubin -outform DER | sha256sum` of test 1's key. */
static void fingerprint_is_that_of_the_der(void **unused)
{
	uint8_t key[32], got[32];

	unhex(ed25519_cases[0].key, key);
	ed25519_fingerprint(key, got);
	assert_hex(got, 32, "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9");
}

static void comparing_and_random(void **unused)
{
	uint8_t a[256], b[256] = {0};

	assert_int_equal(secret_random(a, sizeof a, NULL), 0);
	assert_false(secret_same(a, b, sizeof a));
	assert_int_equal(secret_random(a, 257, NULL), -ERR_IO);
	secret_wipe(a, sizeof a);
	assert_true(secret_same(a, b, sizeof a));
	crypto_warm_up();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hkdf_gives_what_its_rfc_says),
	    cmocka_unit_test(scrypt_gives_what_its_rfc_says),
	    cmocka_unit_test(hmac_gives_what_its_rfc_says),
	    cmocka_unit_test(gcm_gives_what_its_authors_say),
	    cmocka_unit_test(gcm_opens_nothing_else),
	    cmocka_unit_test(ed25519_gives_what_its_rfc_says),
	    cmocka_unit_test(fingerprint_is_that_of_the_der),
	    cmocka_unit_test(comparing_and_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
