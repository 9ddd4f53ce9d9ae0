/* SPDX-License-Identifier: Apache-2.0 */
/* Signed and encrypted files: come back with their keys, and are refused without, changed or not.
 */
#include "../stride.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct fixture_keys keys;
static struct snap_master passphrase_master;

/* Every way to seal a file, and what opens it. */
static const struct variant {
	const char *name;
	bool encrypted, passphrase, is_signed;
} variants[] = {
    {"signed", false, false, true},
    {"encrypted", true, false, false},
    {"passphrase", true, true, false},
    {"encrypted and signed", true, false, true},
};

static struct snap_write_opts write_opts(const struct variant *v)
{
	return (struct snap_write_opts){
	    .chunk_bytes = 8192,
	    .master = !v->encrypted   ? NULL
		      : v->passphrase ? &passphrase_master
				      : &keys.master,
	    .sign = v->is_signed ? &keys.sign : NULL,
	    .salt = keys.salt,
	};
}

static struct snap_open_opts open_opts(const struct variant *v)
{
	return (struct snap_open_opts){
	    .key = !v->encrypted   ? NULL
		   : v->passphrase ? &keys.passphrase
				   : &keys.key,
	    .signer = v->is_signed ? keys.signer : NULL,
	};
}

static int read_all(const struct buf *file, size_t n, const struct snap_open_opts *opts,
		    struct err *e)
{
	struct snap_load_opts o = {.threads = 1};
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, file->data, n);
	int r = snap_open(&src, opts, &s, e);
	if (r)
		return r;
	r = snap_verify(s, &o, e);
	snap_close(s);
	return r;
}

static void assert_refused(const struct buf *file, size_t n, const struct snap_open_opts *opts,
			   const char *what, size_t at)
{
	struct err e = ERR_INIT;
	int r = read_all(file, n, opts, &e);

	if (r >= 0 || -r != e.code || !e.msg[0] || -r < ERR_TRUNCATED || -r > ERR_KEY)
		fail_msg("%s at 0x%zx: %d (%s)", what, at, r, e.msg);
}

static void make(struct fixture *f)
{
	static const struct fixture_ram ram[] = {{0, 0x9000}, {0x100000, 0x21000}};
	uint64_t seed = 21;

	fixture_init_regions(f, ram, ARRAY_LEN(ram));
	fixture_noise(f->ram.host + 0x2000, 0x1200, &seed);
	fixture_text(f->ram.host + 0x12000, 0x1100, &seed);
	f->ram.host[f->ram.size - 1] = 1;
}

static void save(const struct variant *v, struct buf *file)
{
	struct snap_write_opts o = write_opts(v);
	struct fixture f;

	make(&f);
	fixture_save(&f, &o, NULL, file);
	fixture_fini(&f);
}

static void they_come_back(void **unused)
{
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		for (uint32_t chunk = SNAP_CHUNK_MIN; chunk <= SNAP_CHUNK_MAX; chunk *= 4) {
			struct snap_write_opts o = write_opts(&variants[i]);
			struct snap_open_opts with = open_opts(&variants[i]);
			struct fixture f;
			struct buf file;
			make(&f);
			o.chunk_bytes = chunk;
			o.threads = 3;
			fixture_save(&f, &o, NULL, &file);
			for (unsigned threads = 1; threads < 4; threads++)
				fixture_compare_with(&f, &file, &with, threads);
			buf_free(&file);
			fixture_fini(&f);
		}
}

static void pieces_come_back(void **unused)
{
	struct snap_open_opts with = open_opts(&variants[1]);
	uint8_t got[3000];
	struct fixture f;
	struct io_src src;
	struct snap *s;
	struct buf file;

	make(&f);
	struct snap_write_opts o = write_opts(&variants[1]);
	fixture_save(&f, &o, NULL, &file);
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, &with, &s, NULL), 0);
	for (uint64_t at = 0; at + sizeof got <= f.ram.size; at += 1234) {
		assert_int_equal(snap_read_ram(s, at, got, sizeof got, NULL), 0);
		assert_memory_equal(got, f.ram.host + at, sizeof got);
	}
	snap_close(s);
	buf_free(&file);
	fixture_fini(&f);
}

static void every_changed_byte_is_refused(void **unused)
{
	uint64_t seed = 31;

	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		struct snap_open_opts with = open_opts(&variants[i]);
		struct err e = ERR_INIT;
		struct buf file;
		save(&variants[i], &file);
		assert_int_equal(read_all(&file, file.len, &with, &e), 0);
		/* Each time scrypt is worked out again. */
		size_t step = test_stride() * (variants[i].passphrase ? 23 : 1);
		for (size_t at = 0; at < file.len; at += at < 150 ? 1 : step) {
			uint8_t was = file.data[at];
			file.data[at] ^= (uint8_t)(1 << fixture_random(&seed) % 8);
			assert_refused(&file, file.len, &with, variants[i].name, at);
			file.data[at] = was;
		}
		assert_int_equal(read_all(&file, file.len, &with, &e), 0);
		buf_free(&file);
	}
}

static void every_prefix_is_refused(void **unused)
{
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		struct snap_open_opts with = open_opts(&variants[i]);
		struct buf file;
		save(&variants[i], &file);
		for (size_t n = 0; n < file.len;
		     n += n < 1000 || n + 300 > file.len ? test_stride() : 37)
			assert_refused(&file, n, &with, variants[i].name, n);
		buf_free(&file);
	}
}

static int open_code(const struct buf *file, const struct snap_key *key, const uint8_t *signer,
		     struct err *e)
{
	const struct snap_open_opts o = {.key = key, .signer = signer};

	*e = (struct err)ERR_INIT;
	return -read_all(file, file->len, &o, e);
}

static void only_the_right_keys_open(void **unused)
{
	struct snap_key wrong = {SNAP_KEY_GIVEN,
				 fixture_secret("wrongwrongwrongwrongwrongwrong..", 32)};
	struct snap_key typo = {SNAP_KEY_PASSPHRASE, fixture_secret("Correct horse", 13)};
	uint8_t other[32] = {1};
	struct err e;
	struct buf plain, is_signed, encrypted, passphrase, both;

	const struct variant none = {"plain", false, false, false};
	save(&none, &plain);
	save(&variants[0], &is_signed);
	save(&variants[1], &encrypted);
	save(&variants[2], &passphrase);
	save(&variants[3], &both);

	assert_int_equal(open_code(&plain, NULL, NULL, &e), 0);
	assert_int_equal(open_code(&plain, &keys.key, NULL, &e), ERR_KEY);
	assert_non_null(strstr(e.msg, "not encrypted"));
	assert_int_equal(open_code(&plain, NULL, keys.signer, &e), ERR_SIGNATURE);
	assert_string_equal(e.msg, "not signed");

	assert_int_equal(open_code(&is_signed, NULL, NULL, &e), 0);
	assert_int_equal(open_code(&is_signed, NULL, other, &e), ERR_SIGNATURE);
	assert_non_null(strstr(e.msg, "another key"));

	assert_int_equal(open_code(&encrypted, NULL, NULL, &e), ERR_KEY);
	assert_non_null(strstr(e.msg, "key is needed"));
	assert_int_equal(open_code(&encrypted, &wrong, NULL, &e), ERR_KEY);
	assert_non_null(strstr(e.msg, "cannot be opened with this key"));
	assert_int_equal(open_code(&encrypted, &keys.passphrase, NULL, &e), ERR_KEY);
	assert_non_null(strstr(e.msg, "with a key, not with a passphrase"));
	assert_int_equal(open_code(&encrypted, &keys.key, keys.signer, &e), ERR_SIGNATURE);

	assert_int_equal(open_code(&passphrase, &keys.passphrase, NULL, &e), 0);
	assert_int_equal(open_code(&passphrase, &typo, NULL, &e), ERR_KEY);
	assert_int_equal(open_code(&passphrase, &keys.key, NULL, &e), ERR_KEY);
	assert_int_equal(open_code(&both, &keys.key, other, &e), ERR_SIGNATURE);
	assert_int_equal(open_code(&both, NULL, keys.signer, &e), ERR_KEY);
	assert_int_equal(open_code(&both, &keys.key, keys.signer, &e), 0);

	buf_free(&plain);
	buf_free(&is_signed);
	buf_free(&encrypted);
	buf_free(&passphrase);
	buf_free(&both);
	snap_key_fini(&wrong);
	snap_key_fini(&typo);
}

/* Nothing of the guest or its machine stands in an encrypted file, and no two files are alike. */
static void nothing_shows(void **unused)
{
	struct snap_write_opts o = write_opts(&variants[1]);
	struct buf first, second;
	struct fixture f;

	make(&f);
	memset(f.identity.name, 'n', 20);
	f.identity.name[20] = '\0';
	o.salt = NULL;
	fixture_save(&f, &o, NULL, &first);
	fixture_save(&f, &o, NULL, &second);
	assert_null(memmem(first.data, first.len, f.identity.name, 20));
	assert_null(memmem(first.data, first.len, keys.master.key.data, 32));
	/* Noise is stored as it is, by zstd. */
	assert_null(memmem(first.data, first.len, f.ram.host + 0x2000, 16));
	assert_int_equal(first.len, second.len);
	/* Behind the header, the salt in it included, nothing is as before for long. */
	size_t manifest = num_le32(first.data + 132);
	for (size_t at = 144; at + 8 < 128 + manifest; at += 8)
		assert_memory_not_equal(first.data + at, second.data + at, 8);
	buf_free(&first);
	buf_free(&second);
	fixture_fini(&f);
}

/* A chunk of another file, encrypted under the same master key, in place of one of the same length.
 */
static void a_chunk_of_another_file_is_refused(void **unused)
{
	struct snap_open_opts with = open_opts(&variants[1]);
	struct snap_write_opts o = write_opts(&variants[1]);
	uint8_t salt[SNAP_SALT_BYTES] = {9};
	struct buf one, other;
	struct fixture f;

	make(&f);
	fixture_save(&f, &o, NULL, &one);
	o.salt = salt;
	fixture_save(&f, &o, NULL, &other);
	assert_int_equal(one.len, other.len);
	/* Behind the manifest there is a frame of zeros. */
	size_t at = 128 + 8 + num_le32(one.data + 132) + 18;
	size_t n = 8 + num_le32(one.data + at + 4);
	assert_int_equal(num_le32(one.data + at), 0x184d2a55);
	memcpy(one.data + at, other.data + at, n);
	assert_refused(&one, one.len, &with, "chunk", at);
	/* All but the header: as if the salt alone were another. */
	memcpy(one.data + 128, other.data + 128, one.len - 128);
	assert_refused(&one, one.len, &with, "all but the header", 128);
	buf_free(&one);
	buf_free(&other);
	fixture_fini(&f);
}

static void costs_are_bounded(void **unused)
{
	static const struct snap_kdf bad[] = {
	    {SNAP_KEY_PASSPHRASE, 9, 8, 1, {0}},       {SNAP_KEY_PASSPHRASE, 22, 1, 1, {0}},
	    {SNAP_KEY_PASSPHRASE, 19, 5, 1, {0}},      {SNAP_KEY_PASSPHRASE, 18, 8, 3, {0}},
	    {SNAP_KEY_PASSPHRASE, 255, 255, 255, {0}}, {SNAP_KEY_PASSPHRASE, 12, 0, 1, {0}},
	    {SNAP_KEY_PASSPHRASE, 12, 8, 0, {0}},      {SNAP_KEY_PASSPHRASE, 32, 1, 1, {0}},
	    {SNAP_KEY_PASSPHRASE, 64, 1, 1, {0}},
	};
	static const struct snap_kdf good[] = {
	    {SNAP_KEY_PASSPHRASE, 17, 8, 1, {0}},
	    {SNAP_KEY_PASSPHRASE, 18, 8, 2, {0}},
	    {SNAP_KEY_PASSPHRASE, 10, 1, 255, {0}},
	    {SNAP_KEY_GIVEN, 0, 0, 0, {0}},
	};
	const struct snap_kdf unknown = {(enum snap_key_kind)3, 17, 8, 1, {0}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(snap_kdf_check(&bad[i], NULL), -ERR_LIMIT);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(snap_kdf_check(&good[i], NULL), 0);
	assert_int_equal(snap_kdf_check(&unknown, NULL), -ERR_FEATURE);
}

static void outside_is_seen_without_a_key(void **unused)
{
	const struct snap_open_opts vouch = {.signer = keys.signer};
	char path[] = "/tmp/test_seal.XXXXXX";
	struct snap_info info;
	struct buf file;
	int fd = mkstemp(path);

	save(&variants[3], &file);
	assert_int_equal(write(fd, file.data, file.len), file.len);
	assert_int_equal(snap_peek(path, NULL, &info, NULL), 0);
	assert_true(info.is_signed && !info.vouched && info.key_kind == SNAP_KEY_GIVEN);
	assert_memory_equal(info.signer, keys.signer, 32);
	assert_int_equal(snap_peek(path, &vouch, &info, NULL), 0);
	assert_true(info.vouched);
	/* What a signature covers: the header, by its digest, and the footer. */
	for (size_t at = 40; at < 128; at++) {
		uint8_t changed = file.data[at] ^ 1;
		assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
		assert_true(snap_peek(path, NULL, &info, NULL) < 0);
		assert_int_equal(pwrite(fd, file.data + at, 1, (off_t)at), 1);
	}
	assert_int_equal(snap_peek(path, NULL, &info, NULL), 0);
	close(fd);
	unlink(path);
	buf_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(they_come_back),
	    cmocka_unit_test(pieces_come_back),
	    cmocka_unit_test(every_changed_byte_is_refused),
	    cmocka_unit_test(every_prefix_is_refused),
	    cmocka_unit_test(only_the_right_keys_open),
	    cmocka_unit_test(nothing_shows),
	    cmocka_unit_test(a_chunk_of_another_file_is_refused),
	    cmocka_unit_test(costs_are_bounded),
	    cmocka_unit_test(outside_is_seen_without_a_key),
	};

	fixture_keys_init(&keys);
	if (snap_master_again(&keys.passphrase, &keys.passphrase_kdf, &passphrase_master, NULL))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	snap_master_fini(&passphrase_master);
	fixture_keys_fini(&keys);
	return failed;
}
