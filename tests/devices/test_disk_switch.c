/* SPDX-License-Identifier: Apache-2.0 */
/* Freezing, going back, being killed: what is on the file then. */
#include "disk_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES	(1 * MIB)
#define CLUSTER 4096u

static struct disk_image_fd new_overlay(const char *path, const char *over)
{
	struct disk_chain chain;
	struct disk_image_fd img;

	OK(disk_chain_peek(over, &chain, e));
	OK(disk_overlay_create(path, &chain, &img, e));
	disk_chain_close(&chain);
	return img;
}

static void switch_to(struct disk *d, const char *path, struct disk_state *rec)
{
	struct disk_image_fd img = new_overlay(path, disk_path(d));

	OK(disk_switch(d, &img, rec, e));
	assert_string_equal(disk_path(d), img.path);
}

static void expect_file(struct disk_fixture *f, const char *path, const uint8_t *want)
{
	struct disk *d = fixture_open(f, path, false);

	fixture_expect(d, want);
	fixture_close(d);
}

static void check_frozen(const char *path, const struct disk_image_state *rec)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0222, 0);
	assert_int_equal(st.st_mtim.tv_nsec, 0);
	assert_int_equal((uint64_t)st.st_mtim.tv_sec * 1000000000u, rec->mtime_ns);
	assert_int_equal((uint64_t)st.st_size, rec->file_bytes);
	assert_true(rec->frozen);
}

static int loads_left;

static void on_load(struct disk_req *req, int result)
{
	assert_int_equal(result, 0);
	loads_left--;
	free(req->iov->iov_base);
	free(req->owner);
}

struct load {
	struct disk_req req;
	struct iovec iov;
};

/* Many writes at once, as a guest has them in flight when it is paused. */
static void submit_load(struct disk_fixture *f, struct disk *d, uint8_t *model)
{
	for (uint64_t at = 0; at < BYTES; at += 8 * KIB) {
		struct load *l = malloc(sizeof *l);
		uint64_t n = 512 * (1 + fixture_random(f, 16));
		uint8_t *data = malloc(n);
		memset(data, (int)fixture_random(f, 256), n);
		memcpy(model + at, data, n);
		l->iov = (struct iovec){data, n};
		l->req = (struct disk_req){.op = DISK_WRITE,
					   .offset = at,
					   .bytes = n,
					   .iov = &l->iov,
					   .iov_n = 1,
					   .done = on_load,
					   .owner = l};
		loads_left++;
		disk_submit(d, &l->req);
	}
}

#define SWITCHES 4

static void test_switch_under_load(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = malloc(BYTES), *then[SWITCHES];
	struct disk_state *rec = calloc(SWITCHES, sizeof *rec);
	char path[SWITCHES + 1][32] = {"base.raw"};
	struct disk *d;

	fixture_raw(path[0], BYTES, 2);
	fixture_pattern(model, BYTES, 2);
	d = fixture_open(f, path[0], true);
	for (int i = 0; i < SWITCHES; i++) {
		struct disk_state none;
		submit_load(f, d, model);
		snprintf(path[i + 1], sizeof path[0], "o%d.vmdisk", i);
		if (loads_left) {
			struct disk_image_fd img = {.fd = -1, .format = DISK_OVERLAY};
			FAILS(disk_switch(d, &img, &none, e), ERR_WRONG_STATE, "in flight");
		}
		disk_drain(d);
		assert_int_equal(loads_left, 0);
		switch_to(d, path[i + 1], &rec[i]);
		then[i] = malloc(BYTES);
		memcpy(then[i], model, BYTES);
		fixture_expect(d, model);
		assert_int_equal(rec[i].image_n, i + 1);
		assert_int_equal(rec[i].bytes, BYTES);
		assert_false(rec[i].read_only);
		/* Every other switch finds the one before not settled yet. */
		if (i % 2)
			OK(disk_settle(d, e));
	}
	submit_load(f, d, model);
	disk_drain(d);
	fixture_expect(d, model);
	OK(disk_settle(d, e));
	for (int i = 0; i < SWITCHES; i++) {
		check_frozen(path[i], &rec[i].image[0]);
		expect_file(f, path[i], then[i]);
		free(then[i]);
	}
	fixture_close(d);
	expect_file(f, path[SWITCHES], model);
	free(model);
	free(rec);
}

static void test_locks_after_switch(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_state *rec = malloc(sizeof *rec);
	struct disk_chain chain;
	struct disk *d;

	fixture_raw("base.raw", BYTES, 2);
	d = fixture_open(f, "base.raw", true);
	FAILS(disk_chain_open("base.raw", false, &chain, e), ERR_BUSY, "being written");
	switch_to(d, "o.vmdisk", rec);
	OK(disk_chain_open("base.raw", false, &chain, e)); /* for a clone, say */
	disk_chain_close(&chain);
	FAILS(disk_chain_open("base.raw", true, &chain, e), ERR_WRONG_STATE, "frozen");
	assert_int_equal(chmod("base.raw", 0644), 0);
	FAILS(disk_chain_open("base.raw", true, &chain, e), ERR_BUSY, "in use");
	FAILS(disk_chain_open("o.vmdisk", true, &chain, e), ERR_BUSY, "in use");
	fixture_close(d);
	free(rec);
}

static void test_switch_back(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_state *rec = malloc(sizeof *rec);
	uint8_t *model = malloc(BYTES), data[CLUSTER];
	struct disk_chain chain;
	struct disk *d;
	struct stat st;

	fixture_raw("base.raw", BYTES, 2);
	fixture_pattern(model, BYTES, 2);
	fixture_overlay("a.vmdisk", "base.raw");
	d = fixture_open(f, "a.vmdisk", true);
	FAILS(disk_switch_back(d, e), ERR_WRONG_STATE, "a.vmdisk");
	memset(data, 0x51, sizeof data);
	fixture_write(d, 4096, data, sizeof data);
	memcpy(model + 4096, data, sizeof data);
	switch_to(d, "b.vmdisk", rec);
	OK(disk_switch_back(d, e));
	assert_string_equal(strrchr(disk_path(d), '/'), "/a.vmdisk");
	assert_int_equal(unlink("b.vmdisk"), 0);
	assert_int_equal(stat("a.vmdisk", &st), 0);
	assert_true(st.st_mode & 0200);
	FAILS(disk_chain_open("a.vmdisk", false, &chain, e), ERR_BUSY, "being written");
	FAILS(disk_switch_back(d, e), ERR_WRONG_STATE, "");
	/* As if nothing had been: also for the next snapshot. */
	memset(data, 0x52, sizeof data);
	fixture_write(d, 512, data, 512);
	memcpy(model + 512, data, 512);
	fixture_expect(d, model);
	switch_to(d, "b.vmdisk", rec);
	fixture_write(d, 0, data, 512);
	FAILS(disk_switch_back(d, e), ERR_WRONG_STATE, "written");
	fixture_close(d);
	expect_file(f, "a.vmdisk", model);
	memcpy(model, data, 512);
	expect_file(f, "b.vmdisk", model);
	free(model);
	free(rec);
}

static void test_refused(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_state *rec = malloc(sizeof *rec);
	struct disk_image_fd img;
	struct disk_chain chain;
	struct disk *d;

	fixture_raw("base.raw", BYTES, 2);
	fixture_raw("small.raw", BYTES / 2, 2);
	OK(disk_chain_open("base.raw", false, &chain, e));
	OK(disk_open(f->loop, &chain, true, &d, e));
	img = new_overlay("o.vmdisk", "base.raw");
	FAILS(disk_switch(d, &img, rec, e), ERR_WRONG_STATE, "read-only");
	OK(disk_record(d, rec, e));
	assert_true(rec->read_only);
	assert_int_equal(rec->image_n, 1);
	assert_int_equal(fixture_do(d, DISK_WRITE, 0, rec, 512), -ERR_WRONG_STATE);
	fixture_flush(d);
	fixture_close(d);

	d = fixture_open(f, "base.raw", true);
	FAILS(disk_record(d, rec, e), ERR_WRONG_STATE, "being written");
	struct disk_image_fd other = new_overlay("s.vmdisk", "small.raw");
	FAILS(disk_switch(d, &other, rec, e), ERR_STRUCTURE, "not a new overlay");
	close(other.fd);
	OK(disk_switch(d, &img, rec, e));
	fixture_close(d);
	free(rec);
}

/* Kills the process that has the disk: the page cache survives, what it remembered does not. */
static void killed(struct disk_fixture *f, const char *path,
		   void (*work)(struct disk *d, const char *path))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		work(fixture_open(f, path, true), path);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void fill(struct disk *d, uint64_t first, uint64_t n, uint8_t value)
{
	uint8_t data[CLUSTER];

	memset(data, value, sizeof data);
	for (uint64_t i = first; i < first + n; i++)
		fixture_write(d, i * CLUSTER, data, sizeof data);
}

static void work_unflushed(struct disk *d, const char *path)
{
	uint8_t sector[512];

	fill(d, 0, 8, 0xaa);
	fixture_flush(d);
	fill(d, 8, 8, 0xbb);
	memset(sector, 0xbc, sizeof sector);
	fixture_write(d, 20 * CLUSTER + 512, sector, sizeof sector);
	assert_int_equal(fixture_do(d, DISK_ZERO, 24 * CLUSTER, NULL, 2 * CLUSTER), 0);
}

static void test_killed_unflushed(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = malloc(BYTES);

	fixture_raw("base.raw", BYTES, 2);
	fixture_pattern(model, BYTES, 2);
	fixture_overlay("o.vmdisk", "base.raw");
	killed(f, "o.vmdisk", work_unflushed);
	/* What was flushed is there, of the rest what was there before: never zeros. */
	memset(model, 0xaa, 8 * (size_t)CLUSTER);
	expect_file(f, "o.vmdisk", model);
	/* What was lost does not come back with what is written next to it. */
	struct disk *d = fixture_open(f, "o.vmdisk", true);
	memset(model + 10 * CLUSTER + 512, 0xdd, 512);
	fixture_write(d, 10 * CLUSTER + 512, model + 10 * CLUSTER + 512, 512);
	fixture_expect(d, model);
	fixture_close(d);
	expect_file(f, "o.vmdisk", model);
	free(model);
}

/* The guest's flush after a switch covers what it wrote before the switch. */
static void work_switched(struct disk *d, const char *path)
{
	struct disk_state *rec = malloc(sizeof *rec);

	fill(d, 0, 8, 0xaa);
	switch_to(d, "p.vmdisk", rec);
	fill(d, 4, 8, 0xbb);
	switch_to(d, "q.vmdisk", rec);
	fill(d, 6, 1, 0xcc);
	fixture_flush(d);
	fill(d, 7, 1, 0xdd);
}

static void test_killed_after_switch(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = malloc(BYTES);

	fixture_raw("base.raw", BYTES, 2);
	fixture_pattern(model, BYTES, 2);
	fixture_overlay("o.vmdisk", "base.raw");
	killed(f, "o.vmdisk", work_switched);
	memset(model, 0xaa, 8 * (size_t)CLUSTER);
	expect_file(f, "o.vmdisk", model);
	memset(model + 4 * CLUSTER, 0xbb, 8 * (size_t)CLUSTER);
	expect_file(f, "p.vmdisk", model);
	memset(model + 6 * CLUSTER, 0xcc, CLUSTER);
	expect_file(f, "q.vmdisk", model);
	free(model);
}

/* Every restore writes to an overlay of its own. */
static void test_clones(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_state *rec = malloc(sizeof *rec);
	uint8_t *model = malloc(BYTES);
	struct disk *d, *clone[2];

	fixture_raw("base.raw", BYTES, 2);
	fixture_pattern(model, BYTES, 2);
	d = fixture_open(f, "base.raw", true);
	switch_to(d, "go-on.vmdisk", rec);
	OK(disk_settle(d, e));
	for (int i = 0; i < 2; i++) {
		char name[16];
		snprintf(name, sizeof name, "c%d.vmdisk", i);
		fixture_overlay(name, "base.raw");
		clone[i] = fixture_open(f, name, true);
		fill(clone[i], 3, 1, (uint8_t)(0x10 + i));
	}
	fill(d, 3, 1, 0x20);
	for (int i = 0; i < 2; i++) {
		memset(model + 3 * CLUSTER, 0x10 + i, CLUSTER);
		fixture_expect(clone[i], model);
		fixture_close(clone[i]);
	}
	memset(model + 3 * CLUSTER, 0x20, CLUSTER);
	fixture_expect(d, model);
	fixture_close(d);
	free(model);
	free(rec);
}

static void run_reflink(struct disk_fixture *f)
{
	struct disk_state *rec = malloc(sizeof *rec);
	uint8_t *model = malloc(BYTES), *then = malloc(BYTES);
	struct disk_image_fd img;
	struct disk_chain chain;
	struct disk *d;

	fixture_raw("base.raw", BYTES, 2);
	fixture_pattern(model, BYTES, 2);
	d = fixture_open(f, "base.raw", true);
	for (int i = 0; i < 3; i++) {
		char name[16];
		fill(d, (uint64_t)i, 2, (uint8_t)(0x30 + i));
		memset(model + i * CLUSTER, 0x30 + i, 2 * (size_t)CLUSTER);
		memcpy(then, model, BYTES);
		OK(disk_chain_peek(disk_path(d), &chain, e));
		snprintf(name, sizeof name, "c%d.raw", i);
		OK(disk_clone_create(name, &chain, &img, e));
		disk_chain_close(&chain);
		/* Written after the clone was tried and before it is made. */
		fill(d, 9, 1, (uint8_t)i);
		memset(model + 9 * CLUSTER, i, CLUSTER);
		memcpy(then, model, BYTES);
		OK(disk_switch(d, &img, rec, e));
		if (i == 1) {
			OK(disk_switch_back(d, e));
			assert_int_equal(unlink(name), 0);
			continue;
		}
		assert_int_equal(rec->image_n, 1);
		fixture_expect(d, model);
		fill(d, 20, 1, (uint8_t)(0x40 + i));
		memset(model + 20 * CLUSTER, 0x40 + i, CLUSTER);
		fixture_flush(d);
		check_frozen(rec->image[0].path, &rec->image[0]);
		expect_file(f, rec->image[0].path, then);
	}
	fixture_expect(d, model);
	fixture_close(d);
	expect_file(f, "c2.raw", model);
	free(model);
	free(then);
	free(rec);
}

/* A file system of its own that can share blocks, as far as this machine and user can. */
static bool mount_here(const char *mkfs)
{
	char cmd[300];

	snprintf(cmd, sizeof cmd,
		 "truncate -s 400M fs.img && %s fs.img >/dev/null 2>&1 && mkdir -p mnt && "
		 "mount -o loop fs.img mnt 2>/dev/null",
		 mkfs);
	return system(cmd) == 0;
}

static void check_reflink(void **state, const char *mkfs)
{
	struct disk_fixture *f = *state;

	if (!mount_here(mkfs)) {
		fprintf(stderr, "SKIPPED: cannot mount a file system made by %s\n", mkfs);
		skip();
	}
	assert_int_equal(chdir("mnt"), 0);
	run_reflink(f);
	assert_int_equal(chdir(".."), 0);
	assert_int_equal(umount2("mnt", MNT_DETACH), 0);
}

static void test_reflink_btrfs(void **state)
{
	check_reflink(state, "mkfs.btrfs");
}

static void test_reflink_xfs(void **state)
{
	check_reflink(state, "mkfs.xfs");
}

static void test_no_reflink(void **state)
{
	struct disk_chain chain;
	struct disk_image_fd img;
	bool mounted = mount_here("mkfs.ext4");

	if (mounted)
		assert_int_equal(chdir("mnt"), 0);
	fixture_raw("base.raw", BYTES, 2);
	fixture_overlay("o.vmdisk", "base.raw");
	OK(disk_chain_open("o.vmdisk", false, &chain, e));
	FAILS(disk_clone_create("c.raw", &chain, &img, e), ERR_INCOMPATIBLE, "raw");
	disk_chain_close(&chain);
	OK(disk_chain_open("base.raw", false, &chain, e));
	FAILS(disk_clone_create("c.vmdisk", &chain, &img, e), ERR_USAGE, "vmdisk");
	if (mounted)
		FAILS(disk_clone_create("c.raw", &chain, &img, e), ERR_INCOMPATIBLE,
		      "share blocks");
	assert_int_equal(access("c.raw", F_OK), -1);
	disk_chain_close(&chain);
	if (mounted) {
		assert_int_equal(chdir(".."), 0);
		assert_int_equal(umount2("mnt", MNT_DETACH), 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, disk_fixture_setup, disk_fixture_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_switch_under_load),
	    T(test_locks_after_switch),
	    T(test_switch_back),
	    T(test_refused),
	    T(test_killed_unflushed),
	    T(test_killed_after_switch),
	    T(test_clones),
	    T(test_reflink_btrfs),
	    T(test_reflink_xfs),
	    T(test_no_reflink),
	};

	return cmocka_run_group_tests_name("disk_switch", tests, NULL, NULL);
}
