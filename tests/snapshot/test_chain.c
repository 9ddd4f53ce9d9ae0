/* SPDX-License-Identifier: Apache-2.0 */
/* Incremental snapshots: chains are read as what they stand for, or not at all. */
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define CHUNK 4096u
#define FILES 5
#define MOST  70

/* Three leaves: a short region, and one that is changed here and there. */
static const struct fixture_ram regions[] = {{0, 0x5000}, {0x100000, 0x840000}};

static char folder[64];

struct chain {
	struct fixture f;
	struct snap_write_opts o;
	struct snapshot_parent parent;
	uint64_t changed[64], seed;
	unsigned n;
	uint8_t *ram[FILES]; /* as it was saved in each file */
};

static char *path_of(const char *name)
{
	static char path[8][128];
	static unsigned next;
	char *p = path[next++ % 8];

	snprintf(p, sizeof path[0], "%s/%s", folder, name);
	return p;
}

static char *file(unsigned i)
{
	char name[32];

	snprintf(name, sizeof name, "%u.vmsnap", i);
	return path_of(name);
}

static void chain_init(struct chain *c, const struct fixture_ram *ram, size_t n)
{
	memset(c, 0, sizeof *c);
	fixture_init_regions(&c->f, ram, n);
	assert_int_equal(mem_track(&c->f.ram, NULL), 0);
	c->o.chunk_bytes = CHUNK;
	c->seed = 7;
	state_defaults(&snapshot_parent_desc, &c->parent);
}

static void chain_fini(struct chain *c)
{
	for (unsigned i = 0; i < FILES; i++)
		free(c->ram[i]);
	fixture_fini(&c->f);
}

static void touch(struct chain *c, uint64_t chunk)
{
	mem_mark(&c->f.ram, chunk * CHUNK, CHUNK);
}

static void put(struct chain *c, uint64_t chunk, bool zero)
{
	uint8_t *at = c->f.ram.host + chunk * CHUNK;

	if (zero)
		memset(at, 0, CHUNK);
	else
		fixture_text(at, CHUNK, &c->seed);
	touch(c, chunk);
}

/* Writes the next file of the chain, which names the one before; or, @full, none. */
static void save_as(struct chain *c, const char *path, bool full, struct snap_stats *st)
{
	const char *slash = strrchr(path, '/');
	struct err e = ERR_INIT;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	c->f.identity.uuid[0] = (uint8_t)c->n;
	c->o.parent = full ? NULL : &c->parent;
	c->o.changed = full ? NULL : c->changed;
	memset(c->changed, 0, sizeof c->changed);
	mem_take_dirty(&c->f.ram, c->changed);
	if (snap_write(fd, &c->f.manifest, &c->f.ram, &c->o, st, &e))
		fail_msg("%s: %s", e.where, e.msg);
	close(fd);
	memcpy(c->parent.uuid, c->f.identity.uuid, sizeof c->parent.uuid);
	memcpy(c->parent.digest, st->digest, sizeof c->parent.digest);
	snprintf(c->parent.file, sizeof c->parent.file, "%s", slash + 1);
}

static void save(struct chain *c)
{
	struct snap_stats st;

	save_as(c, file(c->n), !c->n, &st);
	if (c->n < FILES) {
		c->ram[c->n] = malloc(c->f.ram.size);
		memcpy(c->ram[c->n], c->f.ram.host, c->f.ram.size);
	}
	c->n++;
}

/* Leaf 0 mixed; leaf 1 zero, then the parent's, then all of it written to, then zero again; leaf 2
 * short. */
static void make(struct chain *c)
{
	uint64_t chunks = c->f.ram.size / CHUNK;

	for (uint64_t i = 0; i < 40; i++)
		put(c, i * 3, false);
	put(c, chunks - 1, false);
	save(c);
	for (unsigned n = 1; n < FILES; n++) {
		for (unsigned i = 0; i < 30; i++)
			put(c, fixture_random(&c->seed) % 130, i % 5 == 0);
		if (n == 2)
			for (unsigned i = 0; i < 1024; i++) /* all of a leaf, and zero again */
				put(c, 1024 + i, i % 4);
		if (n == 3)
			for (unsigned i = 0; i < 1024; i++)
				put(c, 1024 + i, true);
		if (n == 4)
			put(c, chunks - 1, true);
		touch(c, 700); /* written to, with what was there */
		save(c);
	}
}

static struct snap *open_or_fail(const char *path, const struct snap_open_opts *o)
{
	struct err e = ERR_INIT;
	struct snap *s = NULL;

	if (snap_open_file(path, o, &s, &e))
		fail_msg("%s: %s", e.where, e.msg);
	return s;
}

static void compare_loaded(struct snap *s, const uint8_t *want)
{
	struct guest_mem ram;
	struct err e = ERR_INIT;

	for (unsigned threads = 1; threads <= 3; threads++) {
		struct snap_load_opts lo = {.threads = threads};
		assert_int_equal(mem_init(&ram, snap_layout(s), &e), 0);
		if (snap_load_ram(s, &ram, &lo, &e) || snap_verify(s, &lo, &e))
			fail_msg("%s: %s", e.where, e.msg);
		assert_memory_equal(ram.host, want, ram.size);
		mem_fini(&ram);
	}
}

static void compare_read(struct snap *s, const uint8_t *want)
{
	struct err e = ERR_INIT;
	struct snap_reader *r;
	uint8_t got[CHUNK];
	uint64_t zeros;

	assert_int_equal(snap_reader_new(s, &r, &e), 0);
	for (uint64_t c = 0; c < snap_info(s)->chunks; c++) {
		struct snap_span span = snap_chunk_span(s, c);
		assert_int_equal(snap_reader_zeros(r, c, &zeros, &e), 0);
		assert_int_equal(snap_reader_chunk(r, c, got, &e), 0);
		assert_memory_equal(got, want + span.offset, span.bytes);
		if (zeros)
			assert_true(!got[0] && !memcmp(got, got + 1, span.bytes - 1));
	}
	snap_reader_free(r);
}

/* A full file, which has the same RAM and state and needs no other. */
static void compare_merged(struct snap *s, const uint8_t *want, const struct snap_write_opts *o,
			   const struct snap_open_opts *with)
{
	struct err e = ERR_INIT;
	struct snap_stats st;
	const char *path = path_of("merged");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (snap_merge(fd, s, o, &st, &e))
		fail_msg("%s: %s", e.where, e.msg);
	close(fd);
	assert_int_equal(st.parent_chunks, 0);
	struct snap *m = open_or_fail(path, with);
	assert_null(snap_parent(m));
	assert_memory_not_equal(snap_info(m)->uuid, snap_info(s)->uuid, 16);
	assert_string_equal(snap_identity(m)->name, snap_identity(s)->name);
	assert_int_equal(snap_manifest(m)->n, snap_manifest(s)->n - (snap_parent(s) ? 1 : 0));
	compare_loaded(m, want);
	snap_close(m);
	unlink(path);
}

static void chains_are_what_they_stand_for(void **unused)
{
	struct chain c;

	chain_init(&c, regions, ARRAY_LEN(regions));
	make(&c);
	for (unsigned i = 0; i < FILES; i++) {
		struct snap *s = open_or_fail(file(i), NULL);
		assert_int_equal(!!snap_parent(s), !!i);
		assert_int_equal(!!snap_info(s)->parent_chunks, !!i);
		compare_loaded(s, c.ram[i]);
		compare_read(s, c.ram[i]);
		compare_merged(s, c.ram[i], NULL, NULL);
		snap_close(s);
	}
	chain_fini(&c);
}

static void encrypted_chains_are_read_with_one_key(void **unused)
{
	struct fixture_keys k;
	struct chain c;
	struct snap *s;

	fixture_keys_init(&k);
	struct snap_open_opts with = {.key = &k.key};
	chain_init(&c, regions, ARRAY_LEN(regions));
	c.o.master = &k.master;
	make(&c);
	for (unsigned i = 0; i < FILES; i++) {
		s = open_or_fail(file(i), &with);
		compare_loaded(s, c.ram[i]);
		compare_read(s, c.ram[i]);
		compare_merged(s, c.ram[i], NULL, NULL);
		compare_merged(s, c.ram[i], &(struct snap_write_opts){.master = &k.master}, &with);
		snap_close(s);
	}
	/* A child in the clear of an encrypted parent. */
	c.o.master = NULL;
	save(&c);
	s = open_or_fail(file(FILES), NULL);
	assert_int_equal(snap_ram_readable(s, NULL), -ERR_KEY);
	snap_close(s);
	chain_fini(&c);
	fixture_keys_fini(&k);
}

/* All but RAM can be looked at; every way to RAM says why not. */
static void assert_no_ram(const char *path, int code, const char *names)
{
	struct snap *s = open_or_fail(path, NULL);
	struct err e = ERR_INIT;
	struct snap_reader *r;
	struct guest_mem ram;
	uint8_t byte;
	char text[512];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_non_null(snap_parent(s));
	assert_true(snap_manifest(s)->n > 4);
	assert_int_equal(snap_ram_readable(s, &e), -code);
	if (!strstr(err_text(&e, text, sizeof text), names))
		fail_msg("%s: does not name %s", text, names);
	assert_int_equal(snap_reader_new(s, &r, &e), -code);
	assert_int_equal(snap_read_ram(s, 0, &byte, 1, &e), -code);
	assert_int_equal(snap_verify(s, NULL, &e), -code);
	assert_int_equal(snap_merge(null, s, NULL, NULL, &e), -code);
	assert_int_equal(mem_init(&ram, snap_layout(s), NULL), 0);
	assert_int_equal(snap_load_ram(s, &ram, NULL, &e), -code);
	mem_fini(&ram);
	close(null);
	snap_close(s);
}

static void a_parent_is_there_and_is_the_one(void **unused)
{
	char away[128];
	struct chain c;

	chain_init(&c, regions, ARRAY_LEN(regions));
	make(&c);
	strcpy(away, path_of("away"));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rename(file(i), away), 0);
		assert_no_ram(file(3), ERR_IO, strrchr(file(i), '/') + 1);
		/* Another snapshot of that name. */
		assert_int_equal(link(file(4), file(i)), 0);
		assert_no_ram(file(3), ERR_CHECKSUM, strrchr(file(i), '/') + 1);
		assert_int_equal(rename(away, file(i)), 0);
	}
	struct snap *s = open_or_fail(file(3), NULL);
	compare_loaded(s, c.ram[3]);
	assert_int_equal(snap_set_parent(s, s, NULL), -ERR_USAGE);
	snap_close(s);
	chain_fini(&c);
}

/* Files read without a folder to look in. */
static void a_parent_may_be_given(void **unused)
{
	struct io_src src[2];
	struct snap *s, *parent;
	struct buf b[2] = {BUF_INIT, BUF_INIT};
	struct err e = ERR_INIT;
	struct chain c;

	chain_init(&c, regions, ARRAY_LEN(regions));
	make(&c);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(io_read_file(file(i), 64 * MIB, &b[i], &e), 0);
		io_src_mem(&src[i], b[i].data, b[i].len);
	}
	assert_int_equal(snap_open(&src[1], NULL, &s, &e), 0);
	assert_int_equal(snap_ram_readable(s, &e), -ERR_MISSING);
	assert_non_null(strstr(e.msg, "0.vmsnap"));
	assert_null(snap_parent_of(s));
	assert_int_equal(snap_open(&src[1], NULL, &parent, &e), 0);
	assert_int_equal(snap_set_parent(s, parent, &e), -ERR_CHECKSUM);
	assert_int_equal(snap_set_parent(parent, s, &e), -ERR_CHECKSUM);
	snap_close(parent);
	assert_int_equal(snap_open(&src[0], NULL, &parent, &e), 0);
	assert_int_equal(snap_set_parent(parent, s, &e), -ERR_USAGE);
	assert_int_equal(snap_set_parent(s, parent, &e), 0);
	assert_ptr_equal(snap_parent_of(s), parent);
	compare_loaded(s, c.ram[1]);
	snap_close(s);
	buf_free(&b[0]);
	buf_free(&b[1]);
	chain_fini(&c);
}

static void parents_cut_memory_alike(void **unused)
{
	static const struct fixture_ram other[] = {{0, 0x5000}, {0x200000, 0x840000}};
	struct chain c, d;

	chain_init(&c, regions, ARRAY_LEN(regions));
	save(&c);
	c.o.chunk_bytes = 2 * CHUNK;
	save(&c);
	assert_no_ram(file(1), ERR_STRUCTURE, "0.vmsnap");
	/* As large, but elsewhere. */
	chain_init(&d, other, ARRAY_LEN(other));
	save(&d);
	c.o.chunk_bytes = CHUNK;
	c.parent = d.parent;
	save_as(&c, file(1), false, &(struct snap_stats){0});
	assert_no_ram(file(1), ERR_STRUCTURE, "0.vmsnap");
	chain_fini(&c);
	chain_fini(&d);
}

static void chains_end(void **unused)
{
	static const struct fixture_ram small[] = {{0, 0x2000}};
	struct snap_stats st;
	struct chain c;

	chain_init(&c, small, ARRAY_LEN(small));
	for (unsigned i = 0; i <= SNAP_CHAIN_MAX; i++)
		save(&c);
	struct snap *s = open_or_fail(file(SNAP_CHAIN_MAX - 1), NULL);
	compare_loaded(s, c.f.ram.host);
	compare_read(s, c.f.ram.host);
	snap_close(s);
	assert_no_ram(file(SNAP_CHAIN_MAX), ERR_LIMIT, "64");
	/* Names go in circles, digests do not. */
	strcpy(c.parent.file, "1.vmsnap");
	save_as(&c, file(0), false, &st);
	assert_no_ram(file(0), ERR_CHECKSUM, "1.vmsnap");
	strcpy(c.parent.file, "0.vmsnap");
	save_as(&c, file(0), false, &st);
	assert_no_ram(file(0), ERR_CHECKSUM, "0.vmsnap");
	strcpy(c.parent.file, "../0.vmsnap");
	save_as(&c, file(0), false, &st);
	assert_no_ram(file(0), ERR_RANGE, "parent");
	c.parent.file[0] = 0;
	save_as(&c, file(0), false, &st);
	assert_no_ram(file(0), ERR_RANGE, "parent");
	chain_fini(&c);
}

static void flip(const char *path, uint64_t at)
{
	uint8_t byte;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x20;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static int verify(const char *path, struct err *e)
{
	struct snap *s = open_or_fail(path, NULL);
	int r = snap_verify(s, NULL, e);

	snap_close(s);
	return r;
}

/* A byte in the first frame of RAM. */
static uint64_t first_frame(const char *path)
{
	struct snap *s = open_or_fail(path, NULL);
	uint64_t at = 128 + snap_info(s)->manifest_bytes;

	snap_close(s);
	return at + 20;
}

static void damage_in_a_parent_is_found_where_it_counts(void **unused)
{
	struct err e = ERR_INIT;
	struct chain c;

	chain_init(&c, regions, ARRAY_LEN(regions));
	put(&c, 0, false);
	put(&c, 2, false);
	save(&c);
	put(&c, 2, false);
	save(&c);
	uint64_t at = first_frame(file(0));
	flip(file(0), at);
	assert_int_equal(verify(file(1), &e), -ERR_CHECKSUM);
	assert_non_null(strstr(e.where, "0.vmsnap"));
	assert_int_equal(verify(file(0), &e), -ERR_CHECKSUM);
	flip(file(0), at);
	assert_int_equal(verify(file(1), &e), 0);
	/* What nobody needs is not looked at. */
	put(&c, 0, false);
	save(&c);
	flip(file(0), at);
	assert_int_equal(verify(file(2), &e), 0);
	assert_int_equal(verify(file(1), &e), -ERR_CHECKSUM);
	chain_fini(&c);
}

static void arguments_that_do_not_fit_are_refused(void **unused)
{
	struct err e = ERR_INIT;
	struct chain c;

	chain_init(&c, regions, ARRAY_LEN(regions));
	c.o.parent = &c.parent;
	assert_int_equal(snap_write(-1, &c.f.manifest, &c.f.ram, &c.o, NULL, &e), -ERR_USAGE);
	c.o.parent = NULL;
	c.o.changed = c.changed;
	assert_int_equal(snap_write(-1, &c.f.manifest, &c.f.ram, &c.o, NULL, &e), -ERR_USAGE);
	chain_fini(&c);
}

static int setup(void **unused)
{
	strcpy(folder, "/tmp/vmm-chain-XXXXXX");
	return !mkdtemp(folder);
}

static int teardown(void **unused)
{
	for (unsigned i = 0; i < MOST; i++)
		unlink(file(i));
	unlink(path_of("away"));
	unlink(path_of("merged"));
	return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(chains_are_what_they_stand_for),
	    TEST(encrypted_chains_are_read_with_one_key),
	    TEST(a_parent_is_there_and_is_the_one),
	    TEST(a_parent_may_be_given),
	    TEST(parents_cut_memory_alike),
	    TEST(chains_end),
	    TEST(damage_in_a_parent_is_found_where_it_counts),
	    TEST(arguments_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
