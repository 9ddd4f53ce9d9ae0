/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks on a host that fails: the linker puts the functions here between the disk and libc or
 * liburing
 * (--wrap), and they fail the n-th call, shorten it, or note in which order things are done.
 */
#include "devices/disk_image.h"
#include "disk_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES	(1 * MIB)
#define CLUSTER DISK_CLUSTER

/* --- system calls of a switch and of the tools ---------------------------------------------- */

static int fail_in = -1; /* calls from now; < 0: none */

static bool fails(void)
{
	if (fail_in < 0 || fail_in-- > 0)
		return false;
	errno = EIO;
	return true;
}

/* Declares `type __real_name args;` and the wrapper, which fails with @bad. */
#define WRAP(type, name, bad, args, call)                                                          \
	type __real_##name args;                                                                   \
	type __wrap_##name args;                                                                   \
	type __wrap_##name args                                                                    \
	{                                                                                          \
		return fails() ? (bad) : __real_##name call;                                       \
	}

WRAP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, futimens, -1, (int fd, const struct timespec t[2]), (fd, t))
WRAP(int, fdatasync, -1, (int fd), (fd))
WRAP(int, fsync, -1, (int fd), (fd))
WRAP(ssize_t, pwrite64, -1, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pread64, -1, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, fstat64, -1, (int fd, struct stat *st), (fd, st))
WRAP(int, fcntl64, -1, (int fd, int cmd, void *arg), (fd, cmd, arg))
WRAP(int, fallocate64, -1, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

/* --- operations of the ring ------------------------------------------------------------------ */

static struct ring_faults {
	int opcode;	  /* that fails; -1: none */
	int after;	  /* so many of them are let through */
	int times;	  /* so many fail then */
	bool bad_mode;	  /* it is an fallocate that the file system cannot do */
	unsigned shorten; /* one in so many transfers is cut short */
	bool dead;	  /* the kernel takes nothing any more */
} faults = {.opcode = -1};

/* Clusters whose write the disk has reported as done; those done when the last sync began. */
static bool done_now[BYTES / CLUSTER], done_at_sync[BYTES / CLUSTER];
static unsigned bitmap_writes, syncs;
static bool watch_order;
static void go_on_writing(void);

static void spoil(struct io_uring_sqe *sqe)
{
	struct iovec *iov = (struct iovec *)(uintptr_t)sqe->addr;
	static unsigned n;

	if (sqe->opcode == faults.opcode && faults.after-- <= 0 && faults.times-- > 0) {
		if (faults.bad_mode)
			sqe->len = 0x4000; /* where liburing puts the mode: EOPNOTSUPP */
		else
			sqe->fd = -1; /* EBADF */
		return;
	}
	bool moves = sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV;
	if (!faults.shorten || !moves || ++n % faults.shorten)
		return;
	/* As if the kernel had done a part only: it gets a part of the list, or of its first piece.
	 */
	static struct iovec part[64];
	struct iovec *p = &part[n / faults.shorten % 64];
	*p = *iov;
	if (p->iov_len > 1)
		p->iov_len = 1 + p->iov_len / 3;
	sqe->addr = (uintptr_t)p;
	sqe->len = 1;
}

static void check_order(const struct io_uring_sqe *sqe)
{
	const struct iovec *iov = (const struct iovec *)(uintptr_t)sqe->addr;

	if (sqe->opcode == IORING_OP_FSYNC) {
		syncs++;
		memcpy(done_at_sync, done_now, sizeof done_now);
		go_on_writing();
	}
	if (sqe->opcode != IORING_OP_WRITEV || sqe->off >= DISK_HEADER_BYTES + DISK_BITMAP_PAGE)
		return;
	bitmap_writes++;
	assert_int_equal(sqe->off, DISK_HEADER_BYTES);
	for (size_t c = 0; c < BYTES / CLUSTER; c++)
		if (((const uint8_t *)iov->iov_base)[c / 8] >> c % 8 & 1)
			assert_true(done_at_sync[c]);
}

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;

	if (faults.dead)
		return -EPERM;
	for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];
		if (watch_order)
			check_order(sqe);
		spoil(sqe);
	}
	return __real_io_uring_submit(ring);
}

/* --- tests ------------------------------------------------------------------------------------ */

static int setup(void **state)
{
	faults = (struct ring_faults){.opcode = -1};
	fail_in = -1;
	watch_order = false;
	return disk_fixture_setup(state);
}

static struct disk *start(struct disk_fixture *f, bool overlay, uint8_t **model)
{
	fixture_raw("base.raw", BYTES, 4);
	*model = malloc(BYTES);
	fixture_pattern(*model, BYTES, 4);
	if (overlay)
		fixture_overlay("o.vmdisk", "base.raw");
	return fixture_open(f, overlay ? "o.vmdisk" : "base.raw", true);
}

static void write_model(struct disk *d, uint8_t *model, uint64_t offset, uint64_t n, uint8_t value)
{
	memset(model + offset, value, n);
	fixture_write(d, offset, model + offset, n);
}

static void test_read_and_write_fail(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model, data[3 * CLUSTER];
	struct disk *d = start(f, true, &model);

	write_model(d, model, 0, 2 * CLUSTER, 0x11);
	faults = (struct ring_faults){.opcode = IORING_OP_READV, .times = 1};
	assert_int_equal(fixture_do(d, DISK_READ, 0, data, sizeof data), -ERR_IO);
	faults = (struct ring_faults){.opcode = IORING_OP_WRITEV, .times = 1};
	assert_int_equal(fixture_do(d, DISK_WRITE, 8 * CLUSTER, data, sizeof data), -ERR_IO);
	/* Filling up a cluster: either of its reads, any of its writes. */
	for (int i = 0; i < 5; i++) {
		faults = (struct ring_faults){.opcode = i < 2 ? IORING_OP_READV : IORING_OP_WRITEV,
					      .after = i < 2 ? i : i - 2,
					      .times = 1};
		assert_int_equal(fixture_do(d, DISK_WRITE, 16 * CLUSTER + 512, data, 512), -ERR_IO);
	}
	/* A cluster that could not be written is what it was. */
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
}

/* On a full disk a discard must not need room. */
static void test_discard_writes_nothing(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model;
	struct disk *d = start(f, true, &model);

	faults = (struct ring_faults){.opcode = IORING_OP_WRITEV, .times = 1};
	assert_int_equal(fixture_do(d, DISK_DISCARD, 512, NULL, 4 * CLUSTER), 0);
	assert_int_equal(fixture_do(d, DISK_DISCARD, 8 * CLUSTER + 512, NULL, 512), 0);
	assert_int_equal(faults.times, 1);
	memset(model + CLUSTER, 0, 3 * CLUSTER);
	fixture_expect(d, model);
	faults.times = 0;
	fixture_close(d);
	free(model);
}

static void test_short_transfers(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model;
	struct disk *d = start(f, true, &model);

	faults.shorten = 2;
	for (uint64_t i = 0; i < 60; i++)
		write_model(d, model, 512 * fixture_random(f, 1000),
			    512 * (1 + fixture_random(f, 900)), (uint8_t)(i + 1));
	fixture_expect(d, model);
	fixture_flush(d);
	fixture_close(d);
	d = fixture_open(f, "o.vmdisk", false);
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
}

static void test_no_holes(void **state)
{
	struct disk_fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		uint8_t *model;
		struct disk *d = start(f, i & 1, &model);
		faults = (struct ring_faults){
		    .opcode = IORING_OP_FALLOCATE, .times = 1000, .bad_mode = true};
		if (i & 2)
			assert_int_equal(fixture_do(d, DISK_DISCARD, 0, NULL, 8 * CLUSTER), 0);
		fixture_expect(d, model); /* it could not, and need not */
		assert_int_equal(fixture_do(d, DISK_ZERO, 512, NULL, 300 * KIB), 0);
		memset(model + 512, 0, 300 * KIB);
		assert_int_equal(fixture_do(d, DISK_DISCARD, 0, NULL, 8 * CLUSTER), 0);
		assert_int_equal(fixture_do(d, DISK_ZERO, 600 * KIB + 1024, NULL, 9 * CLUSTER), 0);
		memset(model + 600 * KIB + 1024, 0, 9 * CLUSTER);
		fixture_expect(d, model);
		assert_int_equal(faults.times, 999); /* it is not tried again */
		fixture_close(d);
		unlink("o.vmdisk");
		free(model);
	}
}

/* What a sync lost nobody can say, so nobody is told that a later one was good. */
static void test_sync_fails(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model;
	struct disk *d = start(f, true, &model);

	write_model(d, model, 0, CLUSTER, 0x11);
	faults = (struct ring_faults){.opcode = IORING_OP_FSYNC, .times = 1};
	assert_int_equal(fixture_do(d, DISK_FLUSH, 0, NULL, 0), -ERR_IO);
	assert_int_equal(fixture_do(d, DISK_FLUSH, 0, NULL, 0), -ERR_IO);
	fixture_expect(d, model);
	write_model(d, model, 0, CLUSTER, 0x12);
	fixture_expect(d, model);
	FAILS(disk_settle(d, e), ERR_IO, "o.vmdisk: cannot be written");
	FAILS(disk_close(d, e), ERR_IO, "o.vmdisk");
	free(model);
}

/* A bitmap that could not be written is written by the next flush. */
static void test_bitmap_write_fails(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model;
	struct disk *d = start(f, true, &model);

	write_model(d, model, 0, CLUSTER, 0x11);
	faults = (struct ring_faults){.opcode = IORING_OP_WRITEV, .times = 1};
	assert_int_equal(fixture_do(d, DISK_FLUSH, 0, NULL, 0), -ERR_IO);
	fixture_flush(d);
	fixture_close(d);
	d = fixture_open(f, "o.vmdisk", false);
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
}

static void test_ring_dies(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model, data[512];
	struct disk *d = start(f, true, &model);

	faults.dead = true;
	assert_int_equal(fixture_do(d, DISK_READ, 0, data, sizeof data), -ERR_IO);
	faults.dead = false;
	assert_int_equal(fixture_do(d, DISK_WRITE, 512, data, sizeof data), -ERR_IO);
	FAILS(disk_close(d, e), ERR_IO, "cannot be written");
	free(model);
}

/* Bits follow their clusters, also those that are written while a flush is under way: a few are
 * whenever a sync begins. */
struct stream {
	struct disk_req req;
	struct iovec iov;
	uint8_t data[CLUSTER];
	struct disk *d;
	uint64_t cluster;
	bool idle;
};

static struct stream stream[4];
static uint64_t stream_next, stream_allowed;

static void stream_write(struct stream *s)
{
	s->idle = stream_next == stream_allowed;
	if (s->idle)
		return;
	s->cluster = stream_next++;
	s->req.offset = s->cluster * CLUSTER;
	disk_submit(s->d, &s->req);
}

static void stream_done(struct disk_req *req, int result)
{
	struct stream *s = req->owner;

	assert_int_equal(result, 0);
	done_now[s->cluster] = true;
	stream_write(s);
}

static void go_on_writing(void)
{
	if (stream_allowed < BYTES / CLUSTER)
		stream_allowed += 16;
	for (size_t i = 0; i < ARRAY_LEN(stream); i++)
		if (stream[i].idle)
			stream_write(&stream[i]);
}

static void flush_done(struct disk_req *req, int result)
{
	assert_int_equal(result, 0);
	if (stream_next < BYTES / CLUSTER)
		disk_submit(req->owner, req);
}

static void test_order(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_req flush[2];
	uint8_t *model;
	struct disk *d = start(f, true, &model);

	watch_order = true;
	stream_next = 0;
	stream_allowed = 16;
	memset(done_now, 0, sizeof done_now);
	for (size_t i = 0; i < ARRAY_LEN(stream); i++) {
		struct stream *s = &stream[i];
		*s = (struct stream){.d = d};
		memset(s->data, 0x70, sizeof s->data);
		s->iov = (struct iovec){s->data, sizeof s->data};
		s->req = (struct disk_req){.op = DISK_WRITE,
					   .bytes = CLUSTER,
					   .iov = &s->iov,
					   .iov_n = 1,
					   .done = stream_done,
					   .owner = s};
		stream_write(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(flush); i++) {
		flush[i] = (struct disk_req){.op = DISK_FLUSH, .done = flush_done, .owner = d};
		disk_submit(d, &flush[i]);
	}
	disk_drain(d);
	assert_true(bitmap_writes > 1);
	assert_true(syncs > bitmap_writes);
	memset(model, 0x70, BYTES);
	fixture_expect(d, model);
	fixture_close(d);
	watch_order = false;
	d = fixture_open(f, "o.vmdisk", false);
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
}

/* Whatever fails in a switch, the disk stays where it was, and the next switch works. */
static void check_switch_fails(struct disk_fixture *f, bool overlay, bool back)
{
	struct disk_state *rec = malloc(sizeof *rec);
	uint8_t *model;
	struct disk *d = start(f, overlay, &model);
	struct disk_chain chain;
	struct disk_image_fd img;
	struct stat st;
	int failures = 0;

	OK(disk_chain_peek(disk_path(d), &chain, e));
	OK(disk_overlay_spare("next.vmdisk", &chain, &img, e));
	disk_chain_close(&chain);
	for (bool worked = false; !worked;) {
		struct err why = ERR_INIT;
		write_model(d, model, 512 * fixture_random(f, 2000), 512, (uint8_t)(failures + 1));
		if (back)
			OK(disk_switch(d, &img, rec, e));
		fail_in = failures;
		int r = back ? disk_switch_back(d, &why) : disk_switch(d, &img, rec, &why);
		worked = fail_in >= 0;
		fail_in = -1;
		if (worked) {
			assert_int_equal(r, 0);
			break;
		}
		failures++;
		/* Going back does not depend on the overlay, which may not learn of it. */
		assert_true((back && !r) || (r < 0 && why.msg[0]));
		if (back) {
			/* Then it goes on there; nothing is lost. */
			fixture_expect(d, model);
			if (r)
				OK(disk_switch_back(d, e));
			OK(disk_chain_peek(disk_path(d), &chain, e));
			assert_int_equal(unlink("next.vmdisk"), 0);
			OK(disk_overlay_spare("next.vmdisk", &chain, &img, e));
			disk_chain_close(&chain);
			continue;
		}
		assert_int_equal(stat(disk_path(d), &st), 0);
		assert_true(st.st_mode & 0200);
		FAILS(disk_chain_open(disk_path(d), false, &chain, e), ERR_BUSY, "being written");
		fixture_expect(d, model);
		fixture_flush(d);
	}
	assert_true(failures >= (back ? 2 : 5));
	fixture_expect(d, model);
	char path[DISK_PATH_MAX + 1];
	strcpy(path, disk_path(d));
	fixture_close(d);
	d = fixture_open(f, path, false);
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
	free(rec);
}

static void test_switch_fails_raw(void **state)
{
	check_switch_fails(*state, false, false);
}

static void test_switch_fails_overlay(void **state)
{
	check_switch_fails(*state, true, false);
}

static void test_switch_back_fails(void **state)
{
	check_switch_fails(*state, true, true);
}

static void test_open_fails(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model;
	int failures = 0;

	fixture_close(start(f, true, &model));
	for (;; failures++) {
		struct disk_chain chain;
		struct err why = ERR_INIT;
		struct disk *d = NULL;
		fail_in = failures;
		int r = disk_chain_open("o.vmdisk", true, &chain, &why);
		if (!r) {
			r = disk_open(f->loop, &chain, false, &d, &why);
			if (r)
				disk_chain_close(&chain);
		}
		bool worked = fail_in >= 0;
		fail_in = -1;
		if (!worked) {
			assert_true(r < 0 && why.msg[0]);
			continue;
		}
		assert_int_equal(r, 0);
		fixture_expect(d, model);
		fixture_close(d);
		break;
	}
	assert_true(failures > 10);
	free(model);
}

/* Broken off anywhere, a commit can be repeated, and before that nobody may go on with the overlay.
 */
static void test_commit_broken_off(void **state)
{
	struct disk_fixture *f = *state;
	int failures = 0;

	for (bool worked = false; !worked; failures++) {
		struct disk_chain chain;
		uint8_t *model;
		struct disk *d = start(f, true, &model);
		for (uint64_t i = 0; i < 20; i++)
			write_model(d, model, 3 * CLUSTER * i, i % 3 ? CLUSTER : 512,
				    (uint8_t)(i + 9));
		assert_int_equal(fixture_do(d, DISK_ZERO, 70 * CLUSTER, NULL, 5 * CLUSTER), 0);
		memset(model + 70 * CLUSTER, 0, 5 * CLUSTER);
		fixture_close(d);
		fail_in = failures;
		int r = disk_tool_commit("o.vmdisk", false, NULL);
		worked = fail_in >= 0;
		fail_in = -1;
		assert_true(worked == !r);
		int opened = disk_chain_open("o.vmdisk", false, &chain, NULL);
		if (!opened) {
			disk_chain_close(&chain);
			d = fixture_open(f, "o.vmdisk", false);
			fixture_expect(d, model);
			fixture_close(d);
		} else {
			assert_int_equal(opened, -ERR_WRONG_STATE);
		}
		if (!worked)
			OK(disk_tool_commit("o.vmdisk", false, e));
		d = fixture_open(f, "o.vmdisk", false);
		fixture_expect(d, model);
		fixture_close(d);
		d = fixture_open(f, "base.raw", false);
		fixture_expect(d, model);
		fixture_close(d);
		assert_int_equal(unlink("o.vmdisk"), 0);
		free(model);
	}
	assert_true(failures > 20);
}

static void test_flatten_fails(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model;
	struct disk *d = start(f, true, &model);
	int failures = 0;

	write_model(d, model, 5 * CLUSTER, CLUSTER, 0x44);
	fixture_close(d);
	for (bool worked = false; !worked; failures++) {
		fail_in = failures;
		int r = disk_tool_flatten("o.vmdisk", "flat.raw", NULL);
		worked = fail_in >= 0;
		fail_in = -1;
		/* The last that can fail is the sync of the directory: it is there then, and whole.
		 */
		if (!access("flat.raw", F_OK)) {
			d = fixture_open(f, "flat.raw", false);
			fixture_expect(d, model);
			fixture_close(d);
			if (!worked)
				assert_int_equal(unlink("flat.raw"), 0);
		} else {
			assert_true(r < 0);
		}
	}
	assert_true(failures > 10);
	assert_int_equal(system("test $(ls | wc -l) = 3"), 0); /* and nothing else is left */
	free(model);
}

static void check_full(struct disk_fixture *f)
{
	uint8_t *model = malloc(8 * MIB), *data = malloc(64 * KIB);
	bool full = false;
	struct disk *d;

	fixture_raw("base.raw", 8 * MIB, 4);
	fixture_pattern(model, 8 * MIB, 4);
	assert_int_equal(mkdir("small", 0755), 0);
	if (mount("none", "small", "tmpfs", 0, "size=1m")) {
		fprintf(stderr, "SKIPPED: cannot mount a tmpfs\n");
		free(model);
		free(data);
		skip();
	}
	fixture_overlay("small/o.vmdisk", "base.raw");
	d = fixture_open(f, "small/o.vmdisk", true);
	for (uint64_t at = 0; at < 2 * MIB; at += 64 * KIB) {
		memset(data, 0x33, 64 * KIB);
		int r = fixture_do(d, DISK_WRITE, at, data, 64 * KIB);
		assert_true(r == 0 || r == -ERR_NOSPACE);
		full |= r == -ERR_NOSPACE;
		if (!r)
			memset(model + at, 0x33, 64 * KIB);
	}
	assert_true(full);
	/* What was refused is as before, and there is a way on. */
	fixture_expect(d, model);
	int flushed = fixture_do(d, DISK_FLUSH, 0, NULL, 0);
	assert_true(flushed == 0 || flushed == -ERR_NOSPACE);
	assert_int_equal(mount("none", "small", "tmpfs", MS_REMOUNT, "size=4m"), 0);
	write_model(d, model, 1 * MIB, 1 * MIB, 0x34);
	fixture_flush(d);
	fixture_close(d);
	d = fixture_open(f, "small/o.vmdisk", false);
	fixture_expect(d, model);
	fixture_close(d);
	assert_int_equal(umount2("small", MNT_DETACH), 0);
	free(model);
	free(data);
}

static void test_full(void **state)
{
	check_full(*state);
}

/* The same without privileges: a limit on the size of files. */
static void test_file_size_limit(void **state)
{
	struct disk_fixture *f = *state;
	struct rlimit old, limit;
	uint8_t *model, data[CLUSTER] = {0};
	struct disk *d = start(f, true, &model);

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){512 * KIB, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	write_model(d, model, 8 * CLUSTER, CLUSTER, 0x21);
	assert_int_equal(fixture_do(d, DISK_WRITE, 800 * KIB, data, CLUSTER), -ERR_NOSPACE);
	fixture_expect(d, model);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	write_model(d, model, 800 * KIB, CLUSTER, 0x22);
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, disk_fixture_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_read_and_write_fail),
	    T(test_discard_writes_nothing),
	    T(test_short_transfers),
	    T(test_no_holes),
	    T(test_sync_fails),
	    T(test_bitmap_write_fails),
	    T(test_ring_dies),
	    T(test_order),
	    T(test_switch_fails_raw),
	    T(test_switch_fails_overlay),
	    T(test_switch_back_fails),
	    T(test_open_fails),
	    T(test_commit_broken_off),
	    T(test_flatten_fails),
	    T(test_full),
	    T(test_file_size_limit),
	};

	return cmocka_run_group_tests_name("disk_fault", tests, NULL, NULL);
}
