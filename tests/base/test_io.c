/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define BYTES 100000

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

static void fill(int fd)
{
	uint8_t *data = malloc(BYTES);

	assert_non_null(data);
	for (size_t i = 0; i < BYTES; i++)
		data[i] = pattern(i);
	assert_int_equal(write(fd, data, BYTES), BYTES);
	free(data);
}

/* An unlinked file of BYTES bytes. */
static int new_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	fill(fd);
	return fd;
}

static void check_reads(const struct io_src *src)
{
	struct err e = ERR_INIT;
	uint8_t *out = malloc(BYTES);

	assert_non_null(out);
	assert_int_equal(src->size, BYTES);
	assert_int_equal(io_read_at(src, out, BYTES, 0, &e), 0);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(out[i], pattern(i));
	assert_int_equal(io_read_at(src, out, 3, BYTES - 3, &e), 0);
	assert_int_equal(out[2], pattern(BYTES - 1));
	assert_int_equal(io_read_at(src, out, 0, BYTES, &e), 0);

	assert_int_equal(io_read_at(src, out, 4, BYTES - 3, &e), -ERR_TRUNCATED);
	assert_int_equal(e.offset, BYTES - 3);
	assert_int_equal(io_read_at(src, out, 0, BYTES + 1, &e), -ERR_TRUNCATED);
	assert_int_equal(io_read_at(src, out, 1, UINT64_MAX, &e), -ERR_TRUNCATED);
	assert_int_equal(io_read_at(src, out, 8, UINT64_MAX - 3, &e), -ERR_TRUNCATED);
	free(out);
}

static void reads_files_and_memory(void **state)
{
	struct err e = ERR_INIT;
	struct io_src src;
	int fd = new_file();

	assert_int_equal(io_src_fd(&src, fd, &e), 0);
	check_reads(&src);
	void *map = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	io_src_mem(&src, map, BYTES);
	check_reads(&src);
	munmap(map, BYTES);
	close(fd);

	io_src_mem(&src, NULL, 0);
	assert_int_equal(io_read_at(&src, NULL, 0, 0, &e), 0);
}

static void only_what_has_a_size(void **state)
{
	struct err e = ERR_INIT;
	struct io_src src;
	int p[2], dir = open("/", O_RDONLY | O_DIRECTORY);

	assert_int_equal(pipe(p), 0);
	assert_int_equal(io_src_fd(&src, p[0], &e), -ERR_IO);
	assert_int_equal(io_src_fd(&src, dir, &e), -ERR_IO);
	assert_int_equal(io_src_fd(&src, -1, &e), -ERR_IO);
	assert_int_equal(e.sys, EBADF);
	close(p[0]);
	close(p[1]);
	close(dir);
}

/* Somebody cuts the file after it was opened: an error with the place, no signal. */
static void a_shrinking_file_is_truncated(void **state)
{
	struct err e = ERR_INIT;
	struct io_src src;
	uint8_t out[100];
	int fd = new_file();

	assert_int_equal(io_src_fd(&src, fd, &e), 0);
	assert_int_equal(ftruncate(fd, 50060), 0);
	assert_int_equal(io_read_at(&src, out, 60, 50000, &e), 0);
	assert_int_equal(io_read_at(&src, out, 61, 50000, &e), -ERR_TRUNCATED);
	assert_int_equal(e.offset, 50060);
	assert_int_equal(io_read_at(&src, out, 1, BYTES - 1, &e), -ERR_TRUNCATED);
	/* A growing one is what it was when opened. */
	assert_int_equal(ftruncate(fd, 2 * BYTES), 0);
	assert_int_equal(io_read_at(&src, out, 1, BYTES, &e), -ERR_TRUNCATED);
	close(fd);
}

static void read_errors_have_their_place(void **state)
{
	struct err e = ERR_INIT;
	struct io_src src = {.size = 100, .fd = open("/", O_RDONLY | O_DIRECTORY)};
	uint8_t c;

	assert_int_equal(io_read_at(&src, &c, 1, 42, &e), -ERR_IO);
	assert_int_equal(e.sys, EISDIR);
	assert_int_equal(e.offset, 42);
	assert_int_equal(io_read_at(&src, &c, 1, 42, NULL), -ERR_IO);
	close(src.fd);
}

static void whole_files_have_a_limit(void **state)
{
	char path[] = "/tmp/test-io-XXXXXX";
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	fill(fd);
	close(fd);
	assert_int_equal(io_read_file(path, BYTES, &b, &e), 0);
	assert_int_equal(b.len, BYTES);
	assert_int_equal(b.data[BYTES - 1], pattern(BYTES - 1));
	buf_free(&b);
	assert_int_equal(io_read_file(path, BYTES - 1, &b, &e), -ERR_LIMIT);
	buf_free(&b);
	assert_int_equal(io_read_file("/dev/zero", 1000, &b, &e), -ERR_LIMIT);
	buf_free(&b);
	assert_int_equal(io_read_file("/dev/null", 0, &b, &e), 0);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	assert_int_equal(io_read_file("/", 1000, &b, &e), -ERR_IO);
	assert_int_equal(e.sys, EISDIR);
	buf_free(&b);
	unlink(path);
	assert_int_equal(io_read_file(path, BYTES, &b, &e), -ERR_IO);
	assert_int_equal(e.sys, ENOENT);
	buf_free(&b);
}

static void *slow_reader(void *arg)
{
	size_t *total = arg;
	uint8_t chunk[777];
	ssize_t n;

	while ((n = read((int)*total, chunk, sizeof chunk)) > 0)
		(total[1]) += (size_t)n;
	return NULL;
}

/* A pipe takes less at a time than what is written. */
static void writes_all_of_it(void **state)
{
	struct err e = ERR_INIT;
	uint8_t *data = calloc(1, 1 << 20), back[4];
	pthread_t thread;
	int p[2], fd;

	assert_non_null(data);
	assert_int_equal(pipe(p), 0);
	size_t arg[2] = {(size_t)p[0], 0};
	assert_int_equal(pthread_create(&thread, NULL, slow_reader, arg), 0);
	assert_int_equal(io_write_all(p[1], data, 1 << 20, &e), 0);
	close(p[1]);
	pthread_join(thread, NULL);
	assert_int_equal(arg[1], 1 << 20);
	close(p[0]);

	fd = new_file();
	assert_int_equal(io_write_all_at(fd, "abcd", 4, 50000, &e), 0);
	assert_int_equal(pread(fd, back, 4, 50000), 4);
	assert_memory_equal(back, "abcd", 4);
	assert_int_equal(lseek(fd, 0, SEEK_END), BYTES);
	close(fd);
	free(data);
}

static void write_errors_say_what(void **state)
{
	struct err e = ERR_INIT;
	int full = open("/dev/full", O_WRONLY), p[2];

	assert_true(full >= 0);
	assert_int_equal(io_write_all(full, "x", 1, &e), -ERR_NOSPACE);
	assert_int_equal(e.sys, ENOSPC);
	assert_int_equal(io_write_all_at(full, "x", 1, 7, &e), -ERR_NOSPACE);
	assert_int_equal(io_write_all(full, "", 0, &e), 0);
	close(full);

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(p), 0);
	close(p[0]);
	assert_int_equal(io_write_all(p[1], "x", 1, &e), -ERR_IO);
	assert_int_equal(e.sys, EPIPE);
	assert_int_equal(io_write_all_at(p[1], "x", 1, 0, &e), -ERR_IO); /* no place in a pipe */
	assert_int_equal(e.sys, ESPIPE);
	close(p[1]);
}

static void digests(void **state)
{
	/* FIPS 180-4, "abc". */
	static const char want[] =
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	uint8_t digest[SHA256_BYTES], parts[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	sha256_of("abc", 3, digest);
	assert_string_equal(sha256_hex(digest, hex), want);
	struct sha256 *h = sha256_new();
	sha256_add(h, "a", 1);
	sha256_add(h, "", 0);
	sha256_add(h, "bc", 2);
	sha256_end(h, parts);
	assert_memory_equal(digest, parts, SHA256_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_files_and_memory),
	    cmocka_unit_test(only_what_has_a_size),
	    cmocka_unit_test(a_shrinking_file_is_truncated),
	    cmocka_unit_test(read_errors_have_their_place),
	    cmocka_unit_test(whole_files_have_a_limit),
	    cmocka_unit_test(writes_all_of_it),
	    cmocka_unit_test(write_errors_say_what),
	    cmocka_unit_test(digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
