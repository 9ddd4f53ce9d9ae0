/* SPDX-License-Identifier: Apache-2.0 */
#include "disk_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int disk_fixture_setup(void **state)
{
	struct disk_fixture *f = calloc(1, sizeof *f);
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "%s/vmm-disk-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	OK(loop_new(&f->loop, e));
	f->random = 88172645463325252u;
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int disk_fixture_teardown(void **state)
{
	struct disk_fixture *f = *state;

	assert_int_equal(chdir(f->dir), 0);
	/* What a test that failed left mounted. */
	umount2("mnt", MNT_DETACH);
	umount2("small", MNT_DETACH);
	assert_int_equal(chdir("/"), 0);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	loop_free(f->loop);
	free(f);
	return 0;
}

/* xorshift64 */
uint64_t fixture_random(struct disk_fixture *f, uint64_t below)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random % below;
}

void fixture_pattern(uint8_t *out, uint64_t bytes, uint32_t seed)
{
	for (uint64_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(1 + (i / DISK_SECTOR * 7 + seed * 31 + i) % 251);
}

void fixture_raw(const char *path, uint64_t bytes, uint32_t seed)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	uint8_t *data = malloc(bytes);

	assert_true(fd >= 0 && data);
	fixture_pattern(data, bytes, seed);
	OK(io_write_all(fd, data, bytes, e));
	free(data);
	close(fd);
}

void fixture_overlay(const char *path, const char *parent)
{
	struct disk_chain chain;
	struct disk_image_fd img;

	OK(disk_chain_open(parent, false, &chain, e));
	OK(disk_overlay_create(path, &chain, &img, e));
	close(img.fd);
	disk_chain_close(&chain);
}

struct disk *fixture_open(struct disk_fixture *f, const char *path, bool writable)
{
	struct disk_chain chain;
	struct disk *d;

	OK(disk_chain_open(path, writable, &chain, e));
	OK(disk_open(f->loop, &chain, !writable, &d, e));
	return d;
}

void fixture_close(struct disk *d)
{
	OK(disk_close(d, e));
}

struct waiting {
	struct disk_req req;
	int result, calls;
};

static void on_done(struct disk_req *req, int result)
{
	struct waiting *w = req->owner;

	w->result = result;
	w->calls++;
}

int fixture_do(struct disk *d, enum disk_op op, uint64_t offset, void *data, uint64_t bytes)
{
	struct iovec iov = {data, bytes};
	struct waiting w = {.req = {.op = op,
				    .offset = offset,
				    .bytes = bytes,
				    .iov = &iov,
				    .iov_n = 1,
				    .done = on_done,
				    .owner = &w}};

	disk_submit(d, &w.req);
	disk_drain(d);
	assert_int_equal(w.calls, 1);
	return w.result;
}

void fixture_read(struct disk *d, uint64_t offset, void *out, uint64_t bytes)
{
	assert_int_equal(fixture_do(d, DISK_READ, offset, out, bytes), 0);
}

void fixture_write(struct disk *d, uint64_t offset, const void *data, uint64_t bytes)
{
	assert_int_equal(fixture_do(d, DISK_WRITE, offset, (void *)(uintptr_t)data, bytes), 0);
}

void fixture_flush(struct disk *d)
{
	assert_int_equal(fixture_do(d, DISK_FLUSH, 0, NULL, 0), 0);
}

void fixture_expect(struct disk *d, const uint8_t *want)
{
	uint64_t bytes = disk_bytes(d);
	uint8_t *got = malloc(bytes);

	assert_non_null(got);
	fixture_read(d, 0, got, bytes);
	for (uint64_t i = 0; i < bytes; i++)
		if (got[i] != want[i])
			fail_msg("byte 0x%llx is 0x%02x, 0x%02x expected", (unsigned long long)i,
				 got[i], want[i]);
	free(got);
}
