/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/workset.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define CHUNKS 1000

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t other[16] = {2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* formats/working-set.md, written out: nothing here is the writer's. */
static void make(struct buf *b, const uint64_t *chunk, uint32_t n)
{
	uint8_t number[8], digest[SHA256_BYTES];

	*b = (struct buf)BUF_INIT;
	buf_put(b, "VMMWSET\1", 8);
	buf_put(b, uuid, 16);
	num_put_le32(number, n);
	num_put_le32(number + 4, 0);
	buf_put(b, number, 8);
	for (uint32_t i = 0; i < n; i++) {
		num_put_le64(number, chunk[i]);
		buf_put(b, number, 8);
	}
	sha256_of(b->data, b->len, digest);
	buf_put(b, digest, sizeof digest);
	assert_false(b->failed);
}

/* As make(), for one whose body was changed: a digest that is right. */
static void sign(struct buf *b)
{
	sha256_of(b->data, b->len - SHA256_BYTES, b->data + b->len - SHA256_BYTES);
}

static int file_of(const void *data, size_t n)
{
	int fd = memfd_create("ws", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, n, 0), n);
	return fd;
}

static int read_set(const void *data, size_t n, uint64_t chunks, struct workset *out, struct err *e)
{
	int fd = file_of(data, n);
	int r = workset_read(fd, uuid, chunks, out, e);

	close(fd);
	if (r) {
		assert_null(out->chunk);
		assert_int_equal(out->n, 0);
	}
	return r;
}

static void refuse(const struct buf *b, enum err_code code, uint64_t at)
{
	struct err e = ERR_INIT;
	struct workset w;

	assert_int_equal(read_set(b->data, b->len, CHUNKS, &w, &e), -(int)code);
	assert_int_equal(e.code, code);
	assert_int_equal(e.offset, at);
	assert_true(e.msg[0]);
	/* Nobody has to ask why. */
	assert_int_equal(read_set(b->data, b->len, CHUNKS, &w, NULL), -(int)code);
}

static void what_is_written_is_read(void **state)
{
	static const uint32_t sizes[] = {0, 1, 2, 1023, 1024, 1025, 5000};
	struct err e = ERR_INIT;

	int fd = memfd_create("ws", MFD_CLOEXEC);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		struct workset w = WORKSET_INIT, got;
		for (uint32_t i = 0; i < sizes[s]; i++)
			workset_add(&w, (uint64_t)i * 7 % 5000 + (i ? 5000ull << 20 : 0));
		assert_int_equal(w.n, sizes[s]);
		assert_int_equal(workset_write(fd, uuid, &w, &e), 0);
		assert_int_equal(lseek(fd, 0, SEEK_END), 64 + 8 * (off_t)sizes[s]);
		assert_int_equal(workset_read(fd, uuid, 5001ull << 20, &got, &e), 0);
		assert_int_equal(got.n, w.n);
		if (w.n)
			assert_memory_equal(got.chunk, w.chunk, w.n * sizeof *w.chunk);
		workset_fini(&w);
		workset_fini(&got);
		workset_fini(&got); /* harmless */
	}
	close(fd);
}

static void the_bytes_are_those_of_the_specification(void **state)
{
	static const uint64_t chunk[] = {5, 0, 999, 0x123};
	struct workset w = WORKSET_INIT;
	struct err e = ERR_INIT;
	struct buf want;
	uint8_t got[128];

	make(&want, chunk, 4);
	for (size_t i = 0; i < 4; i++)
		workset_add(&w, chunk[i]);
	/* In place of something longer. */
	memset(got, 0xa5, sizeof got);
	int fd = file_of(got, sizeof got);
	assert_int_equal(workset_write(fd, uuid, &w, &e), 0);
	assert_int_equal(pread(fd, got, sizeof got, 0), want.len);
	assert_memory_equal(got, want.data, want.len);
	close(fd);
	workset_fini(&w);
	assert_int_equal(read_set(want.data, want.len, CHUNKS, &w, &e), 0);
	assert_int_equal(w.n, 4);
	assert_memory_equal(w.chunk, chunk, sizeof chunk);
	workset_fini(&w);
	buf_free(&want);
}

static void a_full_set_takes_no_more(void **state)
{
	struct workset w = WORKSET_INIT, got;
	struct err e = ERR_INIT;

	for (uint64_t i = 0; i < WORKSET_MAX + 5000; i++)
		workset_add(&w, i);
	assert_int_equal(w.n, WORKSET_MAX);
	int fd = memfd_create("ws", MFD_CLOEXEC);
	assert_int_equal(workset_write(fd, uuid, &w, &e), 0);
	assert_int_equal(workset_read(fd, uuid, WORKSET_MAX, &got, &e), 0);
	assert_int_equal(got.n, WORKSET_MAX);
	workset_add(&got, 1);
	assert_int_equal(got.n, WORKSET_MAX);
	assert_int_equal(got.chunk[WORKSET_MAX - 1], WORKSET_MAX - 1);
	workset_fini(&got);
	workset_fini(&w);
	close(fd);
}

static const uint64_t some[] = {5, 0, 999};

static void every_prefix_is_refused(void **state)
{
	struct workset w;
	struct buf b;

	make(&b, some, 3);
	for (size_t n = 0; n < b.len; n++) {
		struct err e = ERR_INIT;
		int r = read_set(b.data, n, CHUNKS, &w, &e);
		assert_int_equal(r, n ? -ERR_TRUNCATED : -ERR_MISSING);
	}
	buf_put(&b, "", 1);
	refuse(&b, ERR_TRUNCATED, b.len);
	buf_free(&b);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct workset w;
	struct buf b;

	make(&b, some, 3);
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_not_equal(read_set(b.data, b.len, CHUNKS, &w, &e), 0);
		b.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(read_set(b.data, b.len, CHUNKS, &w, &e), 0);
	workset_fini(&w);
	buf_free(&b);
}

/* With digests that are right: whoever made them meant it. */
static void hostile_files_are_refused(void **state)
{
	static const uint64_t outside[] = {5, CHUNKS}, huge[] = {UINT64_MAX}, twice[] = {7, 8, 7};
	struct err e = ERR_INIT;
	struct workset w;
	struct buf b;

	make(&b, outside, 2);
	refuse(&b, ERR_RANGE, 40);
	buf_free(&b);
	make(&b, huge, 1);
	refuse(&b, ERR_RANGE, 32);
	buf_free(&b);
	make(&b, twice, 3);
	refuse(&b, ERR_DUPLICATE, 48);
	buf_free(&b);

	make(&b, some, 3);
	num_put_le32(b.data + 24, UINT32_MAX);
	sign(&b);
	refuse(&b, ERR_LIMIT, 24);
	num_put_le32(b.data + 24, WORKSET_MAX + 1);
	sign(&b);
	refuse(&b, ERR_LIMIT, 24);
	num_put_le32(b.data + 24, WORKSET_MAX);
	sign(&b);
	refuse(&b, ERR_TRUNCATED, b.len);
	num_put_le32(b.data + 24, 2);
	sign(&b);
	refuse(&b, ERR_TRUNCATED, b.len);
	num_put_le32(b.data + 24, 3);
	b.data[31] = 1;
	sign(&b);
	refuse(&b, ERR_RANGE, 28);
	b.data[31] = 0;
	memcpy(b.data + 8, other, 16);
	sign(&b);
	refuse(&b, ERR_MISSING, 8);
	memcpy(b.data + 8, uuid, 16);
	b.data[7] = 2; /* another version */
	sign(&b);
	refuse(&b, ERR_MAGIC, 0);
	b.data[7] = 1;
	b.data[b.len - 1] ^= 1;
	refuse(&b, ERR_CHECKSUM, 56);
	buf_free(&b);

	/* Of a snapshot without chunks, whatever that is. */
	make(&b, some, 1);
	assert_int_equal(read_set(b.data, b.len, 0, &w, &e), -ERR_RANGE);
	buf_free(&b);
}

static void what_is_no_file_is_refused(void **state)
{
	struct workset w;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(workset_read(fds[0], uuid, CHUNKS, &w, NULL), -ERR_IO);
	assert_int_equal(workset_read(-1, uuid, CHUNKS, &w, NULL), -ERR_IO);
	w = (struct workset)WORKSET_INIT;
	assert_int_equal(workset_write(fds[1], uuid, &w, NULL), -ERR_IO);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_is_read),
	    cmocka_unit_test(the_bytes_are_those_of_the_specification),
	    cmocka_unit_test(a_full_set_takes_no_more),
	    cmocka_unit_test(every_prefix_is_refused),
	    cmocka_unit_test(every_flipped_bit_is_refused),
	    cmocka_unit_test(hostile_files_are_refused),
	    cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
