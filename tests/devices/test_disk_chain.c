/* SPDX-License-Identifier: Apache-2.0 */
/* Opening chains: locks between processes, frozen images, parents that changed, loops, limits. */
#include "disk_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES (64 * KIB)

static int open_code(const char *path, bool writable)
{
	struct disk_chain chain;
	int r = disk_chain_open(path, writable, &chain, NULL);

	if (!r)
		disk_chain_close(&chain);
	return -r;
}

/* In a process of its own: what disk_chain_open() says, as exit status. */
static int open_elsewhere(const char *path, bool writable)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(open_code(path, writable));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_locks(void **state)
{
	struct disk_chain writer, reader;

	fixture_raw("base.raw", BYTES, 1);
	fixture_overlay("top.vmdisk", "base.raw");

	OK(disk_chain_open("top.vmdisk", true, &writer, e));
	assert_int_equal(open_elsewhere("top.vmdisk", true), ERR_BUSY);
	assert_int_equal(open_elsewhere("top.vmdisk", false), ERR_BUSY);
	assert_int_equal(open_elsewhere("base.raw", true), ERR_BUSY);
	assert_int_equal(open_elsewhere("base.raw", false), 0);
	FAILS(disk_chain_open("top.vmdisk", true, &reader, e), ERR_BUSY,
	      "top.vmdisk: in use by another process");

	/* Locks go with the descriptor, whoever closes his own. */
	int kept = dup(writer.image[0].fd);
	disk_chain_close(&writer);
	assert_int_equal(open_elsewhere("top.vmdisk", true), ERR_BUSY);
	close(kept);
	assert_int_equal(open_elsewhere("top.vmdisk", true), 0);

	OK(disk_chain_open("top.vmdisk", false, &reader, e));
	assert_int_equal(open_elsewhere("top.vmdisk", false), 0);
	assert_int_equal(open_elsewhere("top.vmdisk", true), ERR_BUSY);
	assert_int_equal(open_elsewhere("base.raw", true), ERR_BUSY);
	disk_chain_close(&reader);

	/* Looking takes no lock and minds none. */
	OK(disk_chain_open("top.vmdisk", true, &writer, e));
	OK(disk_chain_peek("top.vmdisk", &reader, e));
	assert_int_equal(reader.n, 2);
	disk_chain_close(&reader);
	disk_chain_close(&writer);
}

static void test_frozen(void **state)
{
	struct disk_chain chain;

	fixture_raw("base.raw", BYTES, 1);
	assert_int_equal(chmod("base.raw", 0444), 0);
	FAILS(disk_chain_open("base.raw", true, &chain, e), ERR_WRONG_STATE, "base.raw: frozen");
	OK(disk_chain_open("base.raw", false, &chain, e));
	disk_chain_close(&chain);
	assert_int_equal(chmod("base.raw", 0464), 0); /* any write bit */
	OK(disk_chain_open("base.raw", true, &chain, e));
	disk_chain_close(&chain);
}

static void touch_ns(const char *path, long ns)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000, .tv_nsec = ns}};

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void test_parent_changed(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_chain chain;
	struct disk *d;
	uint8_t sector[512] = {1};

	fixture_raw("base.raw", BYTES, 1);
	touch_ns("base.raw", 5);
	fixture_overlay("a.vmdisk", "base.raw");
	assert_int_equal(open_code("a.vmdisk", false), 0);
	touch_ns("base.raw", 6);
	FAILS(disk_chain_open("a.vmdisk", false, &chain, e), ERR_INCOMPATIBLE,
	      "touch -d @1000000000.000000005");
	touch_ns("base.raw", 5);
	assert_int_equal(open_code("a.vmdisk", false), 0);
	assert_int_equal(truncate("base.raw", 2 * BYTES), 0);
	touch_ns("base.raw", 5);
	FAILS(disk_chain_open("a.vmdisk", false, &chain, e), ERR_INCOMPATIBLE,
	      "base.raw: has 131072");
	assert_int_equal(truncate("base.raw", BYTES), 0);
	touch_ns("base.raw", 5);

	/* An overlay tells it by its generation, too. */
	d = fixture_open(f, "a.vmdisk", true);
	fixture_write(d, 0, sector, sizeof sector);
	fixture_close(d);
	touch_ns("a.vmdisk", 0);
	fixture_overlay("b.vmdisk", "a.vmdisk");
	assert_int_equal(open_code("b.vmdisk", false), 0);
	fixture_close(fixture_open(f, "a.vmdisk", true));
	touch_ns("a.vmdisk", 0);
	FAILS(disk_chain_open("b.vmdisk", false, &chain, e), ERR_INCOMPATIBLE,
	      "a.vmdisk: was written since");
	assert_int_equal(unlink("a.vmdisk"), 0);
	FAILS(disk_chain_open("b.vmdisk", false, &chain, e), ERR_IO, "a.vmdisk: cannot open");
	fixture_overlay("a.vmdisk", "base.raw");
	touch_ns("a.vmdisk", 0);
	FAILS(disk_chain_open("b.vmdisk", false, &chain, e), ERR_INCOMPATIBLE, "another overlay");
}

static void test_not_an_image(void **state)
{
	struct disk_chain chain;
	int fd;

	assert_int_equal(mkfifo("fifo.raw", 0644), 0);
	FAILS(disk_chain_open("fifo.raw", false, &chain, e), ERR_IO, "not a regular file");
	assert_int_equal(mkfifo("fifo.vmdisk", 0644), 0);
	FAILS(disk_chain_open("fifo.vmdisk", false, &chain, e), ERR_IO, "regular file");
	FAILS(disk_chain_open(".", false, &chain, e), ERR_IO, "not a regular file");
	FAILS(disk_chain_open("none.raw", true, &chain, e), ERR_IO, "No such file");
	fixture_raw("odd.raw", 1000, 1);
	FAILS(disk_chain_open("odd.raw", true, &chain, e), ERR_RANGE, "1000 bytes");
	assert_true((fd = open("empty.raw", O_CREAT | O_WRONLY, 0644)) >= 0);
	close(fd);
	FAILS(disk_chain_open("empty.raw", true, &chain, e), ERR_RANGE, "0 bytes");
	fixture_raw("not.vmdisk", BYTES, 1);
	FAILS(disk_chain_open("not.vmdisk", true, &chain, e), ERR_MAGIC, "not a disk overlay");
	fixture_raw("b\x1b[2Jell.raw", BYTES, 1);
	FAILS(disk_chain_open("b\x1b[2Jell.raw", true, &chain, e), ERR_USAGE, "printable");
}

/* A guest that writes an overlay's header into its raw disk gains nothing by it. */
static void test_raw_stays_raw(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t header[4096];
	struct disk_chain chain;
	struct disk *d;
	int fd;

	fixture_raw("secret", BYTES, 9);
	fixture_overlay("evil.vmdisk", "secret");
	assert_true((fd = open("evil.vmdisk", O_RDONLY)) >= 0);
	assert_int_equal(read(fd, header, sizeof header), sizeof header);
	close(fd);
	fixture_raw("base.raw", 2 * BYTES, 1);
	d = fixture_open(f, "base.raw", true);
	fixture_write(d, 0, header, sizeof header);
	fixture_close(d);
	OK(disk_chain_open("base.raw", true, &chain, e));
	assert_int_equal(chain.n, 1);
	disk_chain_close(&chain);
}

static void test_depth(void **state)
{
	struct disk_chain chain;
	struct disk_image_fd img;
	char below[32] = "base.raw", name[32];

	fixture_raw(below, BYTES, 1);
	for (int i = 1; i < DISK_CHAIN_MAX; i++) {
		snprintf(name, sizeof name, "o%d.vmdisk", i);
		fixture_overlay(name, below);
		strcpy(below, name);
	}
	OK(disk_chain_open(below, true, &chain, e));
	assert_int_equal(chain.n, DISK_CHAIN_MAX);
	FAILS(disk_overlay_create("more.vmdisk", &chain, &img, e), ERR_LIMIT, "flatten");
	assert_int_equal(access("more.vmdisk", F_OK), -1);
	/* Made behind our back, it is still not opened. */
	chain.n--;
	OK(disk_overlay_create("more.vmdisk", &chain, &img, e));
	close(img.fd);
	chain.n++;
	disk_chain_close(&chain);
	FAILS(disk_chain_open("more.vmdisk", true, &chain, e), ERR_LIMIT, "64 images");
}

static void test_loop(void **state)
{
	struct disk_chain chain;

	fixture_raw("base.raw", BYTES, 1);
	fixture_overlay("a.vmdisk", "base.raw");
	fixture_overlay("b.vmdisk", "a.vmdisk");
	fixture_overlay("c.vmdisk", "b.vmdisk");
	/* c lies on b lies on "a", which is c by another name. */
	assert_int_equal(unlink("a.vmdisk"), 0);
	assert_int_equal(link("c.vmdisk", "a.vmdisk"), 0);
	FAILS(disk_chain_open("c.vmdisk", true, &chain, e), ERR_STRUCTURE, "lies under itself");
}

static void test_create(void **state)
{
	struct disk_chain chain;
	struct disk_image_fd img;
	struct stat st;

	fixture_raw("base.raw", BYTES, 1);
	assert_int_equal(chmod("base.raw", 0440), 0);
	assert_int_equal(mkdir("sub", 0755), 0);
	assert_int_equal(mkdir("other", 0755), 0);
	OK(disk_chain_open("base.raw", false, &chain, e));
	FAILS(disk_overlay_create("x.raw", &chain, &img, e), ERR_USAGE, "ends in .vmdisk");
	FAILS(disk_overlay_create("base.raw", &chain, &img, e), ERR_USAGE, "ends in");
	FAILS(disk_overlay_create("no/x.vmdisk", &chain, &img, e), ERR_IO, "no/x.vmdisk");
	OK(disk_overlay_create("sub/x.vmdisk", &chain, &img, e));
	/* Locked from the start, readable as its parent is. */
	assert_int_equal(open_elsewhere("sub/x.vmdisk", false), ERR_BUSY);
	assert_int_equal(fstat(img.fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	close(img.fd);
	FAILS(disk_overlay_create("sub/x.vmdisk", &chain, &img, e), ERR_WRONG_STATE, "exists");
	disk_chain_close(&chain);

	OK(disk_chain_open("sub/x.vmdisk", false, &chain, e));
	assert_string_equal(strrchr(chain.image[1].path, '/'), "/base.raw");
	OK(disk_overlay_create("other/y.vmdisk", &chain, &img, e));
	close(img.fd);
	disk_chain_close(&chain);
	/* The whole directory may move. */
	assert_int_equal(mkdir("new", 0755), 0);
	assert_int_equal(rename("sub", "new/sub") | rename("other", "new/other") |
			     rename("base.raw", "new/base.raw"),
			 0);
	OK(disk_chain_open("new/other/y.vmdisk", true, &chain, e));
	assert_int_equal(chain.n, 3);
	disk_chain_close(&chain);
}

static void test_truncated(void **state)
{
	struct disk_chain chain;

	fixture_raw("base.raw", BYTES, 1);
	fixture_overlay("a.vmdisk", "base.raw");
	assert_int_equal(truncate("a.vmdisk", 8192 + BYTES - 1), 0);
	FAILS(disk_chain_open("a.vmdisk", false, &chain, e), ERR_TRUNCATED, "0x11fff");
	assert_int_equal(truncate("a.vmdisk", 4095), 0);
	FAILS(disk_chain_open("a.vmdisk", false, &chain, e), ERR_TRUNCATED, "0xfff");
	assert_int_equal(truncate("a.vmdisk", 0), 0);
	FAILS(disk_chain_open("a.vmdisk", false, &chain, e), ERR_TRUNCATED, "header");
}

/* Every bit of the header counts. */
static void test_header_flips(void **state)
{
	uint8_t header[4096];
	int fd;

	fixture_raw("base.raw", BYTES, 1);
	fixture_overlay("a.vmdisk", "base.raw");
	assert_true((fd = open("a.vmdisk", O_RDWR)) >= 0);
	assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
	for (uint32_t i = 0; i < 8 * sizeof header; i++) {
		uint8_t byte = header[i / 8] ^ (uint8_t)(1u << i % 8);
		assert_int_equal(pwrite(fd, &byte, 1, i / 8), 1);
		int r = open_code("a.vmdisk", false);
		int want = i / 8 < 8 ? ERR_MAGIC : i / 8 < 12 ? ERR_VERSION : ERR_CHECKSUM;
		if (r != want)
			fail_msg("bit %u: %s", i, err_code_name(r));
		assert_int_equal(pwrite(fd, &header[i / 8], 1, i / 8), 1);
	}
	close(fd);
}

/* 16 clusters: two bytes of the bitmap mean something. */
static void test_bitmap_tail(void **state)
{
	static const off_t at[] = {4096, 4097, 4098, 5000, 8191};
	struct disk_fixture *f = *state;
	struct disk_chain chain;
	struct disk *d;
	int fd;

	fixture_raw("base.raw", BYTES, 1);
	fixture_overlay("a.vmdisk", "base.raw");
	assert_true((fd = open("a.vmdisk", O_RDWR)) >= 0);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		assert_int_equal(pwrite(fd, "\x80", 1, at[i]), 1);
		OK(disk_chain_open("a.vmdisk", false, &chain, e));
		if (at[i] < 4098) {
			OK(disk_open(f->loop, &chain, true, &d, e));
			OK(disk_close(d, e));
		} else {
			FAILS(disk_open(f->loop, &chain, true, &d, e), ERR_RANGE, "after the last");
			disk_chain_close(&chain);
		}
		assert_int_equal(pwrite(fd, "", 1, at[i]), 1);
	}
	close(fd);
}

static void make_spare(const char *path, const char *over)
{
	struct disk_chain chain;
	struct disk_image_fd img;

	OK(disk_chain_peek(over, &chain, e));
	OK(disk_overlay_spare(path, &chain, &img, e));
	assert_false(disk_overlay_discard(path, over)); /* it is locked */
	disk_chain_close(&chain);
	close(img.fd);
}

/* Only a spare one over this image that is open nowhere and holds nothing. */
static void test_discard(void **state)
{
	struct disk_fixture *f = *state;
	const char *base = "base.raw";

	fixture_raw(base, BYTES, 1);
	fixture_raw("other.raw", BYTES, 1);
	fixture_overlay("used.vmdisk", base);
	make_spare("a.vmdisk", base);
	make_spare("b.vmdisk", "other.raw");
	assert_false(disk_overlay_discard("used.vmdisk", base));
	assert_false(disk_overlay_discard("b.vmdisk", base));
	assert_false(disk_overlay_discard("none.vmdisk", base));
	assert_false(disk_overlay_discard("other.raw", base));
	assert_false(disk_overlay_discard(base, base));

	assert_int_equal(chmod("a.vmdisk", 0444), 0);
	assert_false(disk_overlay_discard("a.vmdisk", base));
	assert_int_equal(chmod("a.vmdisk", 0644), 0);
	assert_int_equal(link("a.vmdisk", "c.vmdisk"), 0);
	assert_false(disk_overlay_discard("a.vmdisk", base));
	assert_int_equal(unlink("c.vmdisk"), 0);
	assert_int_equal(symlink("a.vmdisk", "c.vmdisk"), 0);
	assert_false(disk_overlay_discard("c.vmdisk", base));
	assert_true(disk_overlay_discard("a.vmdisk", base));
	assert_int_equal(access("a.vmdisk", F_OK), -1);

	make_spare("a.vmdisk", base);
	int fd = open("a.vmdisk", O_WRONLY);
	assert_int_equal(pwrite(fd, "\1", 1, 4096), 1); /* the first cluster is there */
	assert_false(disk_overlay_discard("a.vmdisk", base));
	assert_int_equal(pwrite(fd, "", 1, 4096), 1);
	close(fd);
	/* Whoever writes to it uses it, even if nothing is written. */
	fixture_close(fixture_open(f, "a.vmdisk", true));
	assert_false(disk_overlay_discard("a.vmdisk", base));
}

/* One that was switched to is none any more; one that was given back is. */
static void test_discard_after_switch(void **state)
{
	struct disk_fixture *f = *state;
	struct disk_image_fd img;
	struct disk_chain chain;
	struct disk_state rec;
	struct disk *d;

	for (int back = 0; back < 2; back++) {
		const char *base = back ? "b.raw" : "a.raw", *path = back ? "b.vmdisk" : "a.vmdisk";
		fixture_raw(base, BYTES, 1);
		d = fixture_open(f, base, true);
		OK(disk_chain_peek(base, &chain, e));
		OK(disk_overlay_spare(path, &chain, &img, e));
		disk_chain_close(&chain);
		OK(disk_switch(d, &img, &rec, e));
		if (back)
			OK(disk_switch_back(d, e));
		assert_int_equal(disk_overlay_discard(path, base), back);
		fixture_close(d);
		assert_int_equal(disk_overlay_discard(path, base), false);
		assert_int_equal(access(path, F_OK), back ? -1 : 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, disk_fixture_setup, disk_fixture_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_locks),
	    T(test_frozen),
	    T(test_parent_changed),
	    T(test_not_an_image),
	    T(test_raw_stays_raw),
	    T(test_depth),
	    T(test_loop),
	    T(test_create),
	    T(test_truncated),
	    T(test_header_flips),
	    T(test_bitmap_tail),
	    T(test_discard),
	    T(test_discard_after_switch),
	};

	return cmocka_run_group_tests_name("disk_chain", tests, NULL, NULL);
}
