/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that the guest has no use for are zeros in the file, and as they were in memory. */
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* The second region begins in the middle of a chunk of the first. */
static const struct fixture_ram regions[] = {{0, 0x30000}, {0x100000, 0x810000}};

static struct fixture f;
static uint8_t *was, *want; /* memory, and what is to be in the file */
static uint64_t *unused, *changed, page;

static int setup(void **state)
{
	uint64_t seed = 3;

	page = mem_track_bytes();
	fixture_init_regions(&f, regions, ARRAY_LEN(regions));
	fixture_text(f.ram.host, f.ram.size / 2, &seed); /* the other half are holes */
	was = malloc(f.ram.size);
	want = malloc(f.ram.size);
	memcpy(was, f.ram.host, f.ram.size / 2);
	memset(was + f.ram.size / 2, 0, f.ram.size - f.ram.size / 2);
	memcpy(want, was, f.ram.size);
	unused = calloc(mem_track_words(f.ram.size), sizeof *unused);
	changed = calloc(mem_track_words(f.ram.size), sizeof *changed);
	return 0;
}

static int teardown(void **state)
{
	fixture_fini(&f);
	free(was);
	free(want);
	free(unused);
	free(changed);
	return 0;
}

static void leave_out(uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		unused[i / 64] |= 1ull << i % 64;
	memset(want + first * page, 0, n * page);
}

static void leave_out_some(void)
{
	uint64_t pages = f.ram.size / page, seed = 9;

	leave_out(0, 1);
	leave_out(100, 200);
	leave_out(pages - 3, 3);
	for (uint64_t i = 300; i + 8 < pages; i += 1 + fixture_random(&seed) % 50)
		leave_out(i, 1 + fixture_random(&seed) % 8);
}

static uint64_t blocks(void)
{
	struct stat sb;

	assert_int_equal(fstat(f.ram.fd, &sb), 0);
	return (uint64_t)sb.st_blocks;
}

static struct snap *open_or_fail(const char *path)
{
	struct err e = ERR_INIT;
	struct snap *s = NULL;

	if (snap_open_file(path, NULL, &s, &e))
		fail_msg("%s: %s", e.where, e.msg);
	return s;
}

static void expect(struct snap *s, const uint8_t *ram)
{
	struct err e = ERR_INIT;
	struct guest_mem got;

	if (snap_verify(s, NULL, &e) || mem_init(&got, snap_layout(s), &e) ||
	    snap_load_ram(s, &got, NULL, &e))
		fail_msg("%s: %s", e.where, e.msg);
	assert_memory_equal(got.host, ram, got.size);
	mem_fini(&got);
}

static struct snap_stats save(int fd, struct snap_write_opts o)
{
	struct err e = ERR_INIT;
	struct snap_stats st;

	if (snap_write(fd, &f.manifest, &f.ram, &o, &st, &e))
		fail_msg("%s: %s", e.where, e.msg);
	return st;
}

static void save_and_expect(struct snap_write_opts o)
{
	int fd = memfd_create("unused", MFD_CLOEXEC);
	uint64_t before = blocks();
	char path[64];

	save(fd, o);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	struct snap *s = open_or_fail(path);
	expect(s, want);
	snap_close(s);
	close(fd);
	/* By way of the file: reading the mapping would fill holes. */
	uint8_t *now = malloc(f.ram.size);
	assert_int_equal(pread(f.ram.fd, now, f.ram.size, 0), f.ram.size);
	assert_memory_equal(now, was, f.ram.size);
	free(now);
	/* A batch may end in a hole. */
	assert_true(blocks() <= before + MIB / 512);
}

static void pages_are_zeros(void **state)
{
	static const uint32_t chunk[] = {SNAP_CHUNK_MIN, SNAP_CHUNK_DEFAULT, SNAP_CHUNK_MAX};

	leave_out_some();
	for (size_t i = 0; i < ARRAY_LEN(chunk); i++)
		save_and_expect((struct snap_write_opts){
		    .chunk_bytes = chunk[i], .unused = unused, .threads = 1 + (unsigned)i});
}

static void nothing_and_everything(void **state)
{
	save_and_expect((struct snap_write_opts){.unused = unused});
	leave_out(0, f.ram.size / page);
	save_and_expect((struct snap_write_opts){.unused = unused});
	int fd = memfd_create("unused", MFD_CLOEXEC);
	assert_int_equal(save(fd, (struct snap_write_opts){.unused = unused}).zstd_chunks, 0);
	close(fd);
}

static void in_a_live_snapshot(void **state)
{
	struct uffd u = UFFD_INIT;
	struct err e = ERR_INIT;
	struct snap_live *live;

	if (uffd_open(&u, &f.ram, &e) || uffd_can_protect(&u, &e)) {
		print_message("skipped: %s\n", e.msg);
		uffd_close(&u);
		skip();
	}
	leave_out_some();
	if (snap_live_arm(&u, &f.layout, &(struct snap_live_opts){.spill_fd = -1}, &live, &e) ||
	    snap_live_begin(live, NULL, &e))
		fail_msg("%s", e.msg);
	save_and_expect((struct snap_write_opts){.unused = unused, .live = live});
	snap_live_end(live, NULL);
	uffd_close(&u);
}

/* What did not change is the parent's, whether or not it is used. */
static void in_an_incremental_snapshot(void **state)
{
	char folder[] = "/tmp/test-unused-XXXXXX", parent[64], child[64];
	const uint64_t chunk = 65536, chunks = f.ram.size / chunk;
	struct snapshot_parent p;

	assert_non_null(mkdtemp(folder));
	snprintf(parent, sizeof parent, "%s/parent", folder);
	snprintf(child, sizeof child, "%s/child", folder);
	int fd = open(parent, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct snap_stats st = save(fd, (struct snap_write_opts){0});
	close(fd);
	state_defaults(&snapshot_parent_desc, &p);
	memcpy(p.uuid, f.identity.uuid, sizeof p.uuid);
	memcpy(p.digest, st.digest, sizeof p.digest);
	strcpy(p.file, "parent");

	leave_out_some();
	/* Both regions are of whole chunks. */
	assert_int_equal(mem_track(&f.ram, NULL), 0);
	for (uint64_t i = 0; i < chunks; i++)
		if (i % 3)
			mem_mark(&f.ram, i * chunk, 1);
		else
			memcpy(want + i * chunk, was + i * chunk, chunk);
	mem_take_dirty(&f.ram, changed);
	f.identity.uuid[0]++;
	fd = open(child, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	save(fd, (struct snap_write_opts){.parent = &p, .changed = changed, .unused = unused});
	close(fd);
	struct snap *s = open_or_fail(child);
	expect(s, want);
	fd = memfd_create("merged", MFD_CLOEXEC);
	struct err e = ERR_INIT;
	/* Of a copy nothing is left out. */
	if (snap_merge(fd, s, &(struct snap_write_opts){.unused = unused}, NULL, &e))
		fail_msg("%s: %s", e.where, e.msg);
	close(fd);
	assert_int_equal(snap_write(-1, &f.manifest, NULL,
				    &(struct snap_write_opts){.from = s, .unused = unused}, NULL,
				    &e),
			 -ERR_USAGE);
	snap_close(s);
	unlink(parent);
	unlink(child);
	rmdir(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(pages_are_zeros),
	    TEST(nothing_and_everything),
	    TEST(in_a_live_snapshot),
	    TEST(in_an_incremental_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
