/* SPDX-License-Identifier: Apache-2.0 */
#include "../stride.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>

/* 0 when every byte is as it was written. */
static int read_all(const void *data, size_t n, struct err *e)
{
	struct snap_load_opts o = {.threads = 1};
	struct io_src src;
	struct snap *s;

	io_src_mem(&src, data, n);
	int r = snap_open(&src, NULL, &s, e);
	if (r)
		return r;
	r = snap_verify(s, &o, e);
	snap_close(s);
	return r;
}

static void assert_refused(const uint8_t *data, size_t n, const char *what, size_t at)
{
	struct err e = ERR_INIT;
	int r = read_all(data, n, &e);

	if (r >= 0 || -r != e.code || !e.msg[0] || -r < ERR_TRUNCATED || -r > ERR_STRUCTURE)
		fail_msg("%s at 0x%zx: %d (%s)", what, at, r, e.msg);
}

/* Every kind of frame, short chunks, and metadata of all sizes, in 40 KiB. */
static void save_small(struct buf *file)
{
	static const struct fixture_ram ram[] = {{0, 0x9000}, {0x100000, 0x21000}};
	struct snap_write_opts o = {.chunk_bytes = 8192};
	struct fixture f;
	uint64_t seed = 21;

	fixture_init_regions(&f, ram, ARRAY_LEN(ram));
	fixture_noise(f.ram.host + 0x2000, 0x6000, &seed);
	fixture_text(f.ram.host + 0x12000, 0x7000, &seed);
	f.ram.host[f.ram.size - 1] = 1;
	fixture_save(&f, &o, NULL, file);
	fixture_fini(&f);
}

static void save_mid(struct buf *file)
{
	struct fixture f;
	uint64_t seed = 22;

	fixture_init(&f, 144 * MIB);
	fixture_noise(f.ram.host + MIB, MIB + 5, &seed);
	for (uint64_t at = 66 * MIB; at < 140 * MIB; at += 700000)
		fixture_text(f.ram.host + at, 3000, &seed);
	fixture_save(&f, NULL, NULL, file);
	fixture_fini(&f);
}

static void every_prefix_is_refused(void **unused)
{
	struct buf file;

	save_small(&file);
	assert_in_range(file.len, 30000, 70000);
	for (size_t n = 0; n < file.len; n += test_stride()) {
		/* Of exactly that size, so that a sanitizer sees one byte too many. */
		uint8_t *prefix = malloc(n ? n : 1);
		memcpy(prefix, file.data, n);
		assert_refused(prefix, n, "cut", n);
		free(prefix);
	}
	buf_free(&file);
}

static void every_changed_byte_is_refused(void **unused)
{
	struct buf file;
	struct err e = ERR_INIT;
	uint64_t seed = 23;

	save_small(&file);
	assert_int_equal(read_all(file.data, file.len, &e), 0);
	for (size_t at = 0; at < file.len; at += test_stride()) {
		uint8_t was = file.data[at];
		file.data[at] ^= (uint8_t)(1 << fixture_random(&seed) % 8);
		assert_refused(file.data, file.len, "changed", at);
		file.data[at] = was;
	}
	assert_int_equal(read_all(file.data, file.len, &e), 0);
	buf_free(&file);
}

static void cuts_at_every_frame_are_refused(void **unused)
{
	struct buf file;

	save_mid(&file);
	for (size_t at = 0; at < file.len;) {
		for (size_t n = at ? at - 1 : 0; n <= at + 1; n++)
			assert_refused(file.data, n, "cut", n);
		size_t frame = ZSTD_findFrameCompressedSize(file.data + at, file.len - at);
		assert_false(ZSTD_isError(frame));
		at += frame;
	}
	assert_refused(file.data, file.len - 1, "cut", file.len - 1);
	buf_put(&file, "", 1);
	assert_refused(file.data, file.len, "grown", file.len);
	buf_free(&file);
}

static void larger_damage_is_refused(void **unused)
{
	struct buf file, hurt = BUF_INIT;
	uint64_t seed = 24;

	save_mid(&file);
	buf_put(&hurt, file.data, file.len);
	for (int i = 0; i < 150; i++) {
		size_t at = fixture_random(&seed) % file.len;
		size_t n = 1 + fixture_random(&seed) % (i % 3 ? 64 : 100000);
		n = n < file.len - at ? n : file.len - at;
		if (i % 2)
			fixture_noise(hurt.data + at, n, &seed);
		else
			memmove(hurt.data + at, file.data + fixture_random(&seed) % (file.len - n),
				n);
		if (memcmp(hurt.data + at, file.data + at, n))
			assert_refused(hurt.data, hurt.len, "overwritten", at);
		memcpy(hurt.data + at, file.data + at, n);
	}
	buf_free(&file);
	buf_free(&hurt);
}

static int write_to(int fd, const atomic_bool *cancel, void (*fn)(void *, uint64_t, uint64_t),
		    void *arg, struct err *e)
{
	struct snap_write_opts o = {.threads = 3,
				    .progress = {.fn = fn, .arg = arg, .cancel = cancel}};
	struct fixture f;
	uint64_t seed = 25;

	fixture_init(&f, 16 * MIB);
	fixture_noise(f.ram.host, 8 * MIB, &seed);
	int r = snap_write(fd, &f.manifest, &f.ram, &o, NULL, e);
	fixture_fini(&f);
	return r;
}

static void a_full_disk_is_told(void **unused)
{
	struct err e = ERR_INIT;
	int fd = open("/dev/full", O_WRONLY);

	assert_int_equal(write_to(fd, NULL, NULL, NULL, &e), -ERR_NOSPACE);
	assert_int_equal(e.sys, ENOSPC);
	close(fd);
}

static void a_file_that_may_not_grow_is_told(void **unused)
{
	struct rlimit was, limit;
	char name[] = "/tmp/test_damage.XXXXXX";
	struct err e = ERR_INIT;
	struct fixture f;
	uint64_t seed = 27;
	int fd = mkstemp(name), flags = fcntl(fd, F_GETFL);

	fixture_init(&f, 16 * MIB);
	fixture_noise(f.ram.host, 8 * MIB, &seed);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	limit = was;
	limit.rlim_cur = 3 * MIB + 1;
	/* Guest memory is a file too: it has its size already. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	int r = snap_write(fd, &f.manifest, &f.ram, NULL, NULL, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(r, -ERR_IO);
	assert_int_equal(e.sys, EFBIG);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	fixture_fini(&f);
	close(fd);
	unlink(name);
}

static void a_reader_that_goes_away_is_told(void **unused)
{
	struct err e = ERR_INIT;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	close(fd[0]);
	assert_int_equal(write_to(fd[1], NULL, NULL, NULL, &e), -ERR_IO);
	assert_int_equal(e.sys, EPIPE);
	close(fd[1]);
}

static void cancel_at_half(void *arg, uint64_t done, uint64_t total)
{
	if (done >= total / 2)
		atomic_store((atomic_bool *)arg, true);
}

static void saving_and_loading_can_be_cancelled(void **unused)
{
	atomic_bool cancel = false;
	struct err e = ERR_INIT;
	struct io_src src;
	struct snap *s;
	struct buf file;
	int fd = memfd_create("cancelled", MFD_CLOEXEC);

	assert_int_equal(write_to(fd, &cancel, cancel_at_half, &cancel, &e), -ERR_CANCELLED);
	close(fd);
	save_mid(&file);
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, NULL, &s, &e), 0);
	struct snap_load_opts o = {
	    .threads = 1, .progress = {.fn = cancel_at_half, .arg = &cancel, .cancel = &cancel}};
	assert_int_equal(snap_verify(s, &o, &e), -ERR_CANCELLED);
	atomic_store(&cancel, false);
	assert_int_equal(snap_verify(s, &o, &e), -ERR_CANCELLED);
	o.progress.cancel = NULL;
	assert_int_equal(snap_verify(s, &o, &e), 0);
	snap_close(s);
	buf_free(&file);
}

struct drain {
	int fd;
	struct buf got;
};

static void *drain(void *arg)
{
	struct drain *d = arg;
	uint8_t part[5000];
	ssize_t n;

	while ((n = read(d->fd, part, sizeof part)) > 0)
		buf_put(&d->got, part, (size_t)n);
	return NULL;
}

static void a_pipe_gets_the_same_bytes(void **unused)
{
	struct drain d = {.got = BUF_INIT};
	struct fixture f;
	struct buf file;
	struct err e = ERR_INIT;
	pthread_t t;
	int fd[2];
	uint64_t seed = 26;

	fixture_init(&f, 8 * MIB);
	fixture_text(f.ram.host + MIB, 5 * MIB, &seed);
	fixture_save(&f, NULL, NULL, &file);
	assert_int_equal(pipe(fd), 0);
	d.fd = fd[0];
	pthread_create(&t, NULL, drain, &d);
	assert_int_equal(snap_write(fd[1], &f.manifest, &f.ram, NULL, NULL, &e), 0);
	close(fd[1]);
	pthread_join(t, NULL);
	close(fd[0]);
	assert_int_equal(d.got.len, file.len);
	assert_memory_equal(d.got.data, file.data, file.len);
	buf_free(&d.got);
	buf_free(&file);
	fixture_fini(&f);
}

static void memory_of_another_layout_is_refused(void **unused)
{
	struct fixture f, other;
	struct err e = ERR_INIT;
	struct io_src src;
	struct snap *s;
	struct buf file;
	int fd = memfd_create("refused", MFD_CLOEXEC);

	fixture_init(&f, 8 * MIB);
	fixture_init(&other, 10 * MIB);
	assert_int_equal(snap_write(fd, &f.manifest, &other.ram, NULL, NULL, &e), -ERR_USAGE);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	fixture_save(&f, NULL, NULL, &file);
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, NULL, &s, &e), 0);
	assert_int_equal(snap_load_ram(s, &other.ram, NULL, &e), -ERR_USAGE);
	snap_close(s);
	buf_free(&file);
	fixture_fini(&f);
	fixture_fini(&other);
	close(fd);
}

static void manifests_that_no_reader_takes_are_not_written(void **unused)
{
	struct err e = ERR_INIT;
	struct fixture f;
	char id[SNAP_ID_MAX + 2];
	int fd = memfd_create("refused", MFD_CLOEXEC);

	fixture_init(&f, 8 * MIB);
	assert_int_equal(snap_manifest_add(&f.manifest, &machine_desc, "", &f.machine, &e),
			 -ERR_DUPLICATE);
	memset(id, 'x', sizeof id);
	id[SNAP_ID_MAX + 1] = '\0';
	assert_int_equal(snap_manifest_add(&f.manifest, &machine_desc, id, &f.machine, &e),
			 -ERR_LIMIT);
	struct snap_component first = f.manifest.item[0];
	f.manifest.item[0] = f.manifest.item[1];
	f.manifest.item[1] = first;
	assert_int_equal(snap_write(fd, &f.manifest, &f.ram, NULL, NULL, &e), -ERR_STRUCTURE);
	f.manifest.item[1] = f.manifest.item[0];
	f.manifest.item[0] = first;
	struct snap_write_opts o = {.chunk_bytes = 12288};
	assert_int_equal(snap_write(fd, &f.manifest, &f.ram, &o, NULL, &e), -ERR_RANGE);
	f.manifest.n = 2;
	assert_int_equal(snap_write(fd, &f.manifest, &f.ram, NULL, NULL, &e), -ERR_MISSING);
	f.manifest.n = 4;
	strcpy(f.identity.name, "\x1b[2J");
	assert_int_equal(snap_write(fd, &f.manifest, &f.ram, NULL, NULL, &e), -ERR_ENCODING);
	assert_string_equal(e.where, "identity.name");
	strcpy(f.identity.name, "n");
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	fixture_fini(&f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_prefix_is_refused),
	    cmocka_unit_test(every_changed_byte_is_refused),
	    cmocka_unit_test(cuts_at_every_frame_are_refused),
	    cmocka_unit_test(larger_damage_is_refused),
	    cmocka_unit_test(a_full_disk_is_told),
	    cmocka_unit_test(a_file_that_may_not_grow_is_told),
	    cmocka_unit_test(a_reader_that_goes_away_is_told),
	    cmocka_unit_test(saving_and_loading_can_be_cancelled),
	    cmocka_unit_test(a_pipe_gets_the_same_bytes),
	    cmocka_unit_test(memory_of_another_layout_is_refused),
	    cmocka_unit_test(manifests_that_no_reader_takes_are_not_written),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
