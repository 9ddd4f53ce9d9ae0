/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the encoding raw: read as any other, and mapped without being changed. */
#include "fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const struct fixture_ram odd[] = {
    {0, 0x25000}, {0x200000, 0x1000}, {0x100000000, 0x13000}, {0x180000000, 0x20000}};

static const struct snap_write_opts raw = {.raw = true};

static char path[] = "/tmp/vmm-test-raw-XXXXXX";

/* A file of a file system, as people have them, and what is in it. */
static struct snap *save_and_open(struct fixture *f, const struct snap_write_opts *o,
				  struct snap_stats *st)
{
	struct err e = ERR_INIT;
	struct snap *s;
	int fd = mkstemp(strcpy(path, "/tmp/vmm-test-raw-XXXXXX"));

	assert_true(fd >= 0);
	if (snap_write(fd, &f->manifest, &f->ram, o, st, &e) || snap_open_file(path, NULL, &s, &e))
		fail_msg("0x%lx: %s", e.offset, e.msg);
	close(fd);
	return s;
}

static void map(const struct snap *s, struct guest_mem *ram)
{
	struct err e = ERR_INIT;

	if (mem_init_private(ram, snap_layout(s), &e) || snap_map_ram(s, ram, &e))
		fail_msg("%s", e.msg);
}

static void verify(struct snap *s)
{
	struct err e = ERR_INIT;

	if (snap_verify(s, NULL, &e))
		fail_msg("0x%lx: %s", e.offset, e.msg);
}

static void chunks_of_every_size_come_back(void **unused)
{
	uint64_t seed = 2;

	for (uint32_t chunk = SNAP_CHUNK_MIN; chunk <= SNAP_CHUNK_MAX; chunk *= 4) {
		struct snap_write_opts o = {.raw = true, .chunk_bytes = chunk};
		struct fixture f;
		struct buf file;
		fixture_init_regions(&f, odd, ARRAY_LEN(odd));
		fixture_text(f.ram.host, 0x21000, &seed);
		fixture_noise(f.ram.host + 0x2b000, 0x9000, &seed);
		f.ram.host[f.ram.size - 1] = 1;
		fixture_save(&f, &o, NULL, &file);
		for (unsigned threads = 1; threads <= 4; threads++)
			fixture_compare(&f, &file, threads);
		buf_free(&file);
		fixture_fini(&f);
	}
}

static void pieces_are_read_where_they_are(void **unused)
{
	static uint8_t got[400000];
	struct err e = ERR_INIT;
	struct fixture f;
	uint64_t seed = 5;

	fixture_init_regions(&f, odd, ARRAY_LEN(odd));
	fixture_text(f.ram.host, 0x1f000, &seed);
	fixture_noise(f.ram.host + 0x28000, 0x4000, &seed);
	struct snap *s = save_and_open(&f, &raw, NULL);
	for (int i = 0; i < 500; i++) {
		uint64_t at = fixture_random(&seed) % f.ram.size;
		size_t n = fixture_random(&seed) % (f.ram.size - at + 1);
		assert_int_equal(snap_read_ram(s, at, got, n, &e), 0);
		assert_memory_equal(got, f.ram.host + at, n);
	}
	snap_close(s);
	unlink(path);
	fixture_fini(&f);
}

static void large_memory_is_sparse_and_mapped(void **unused)
{
	struct snap_stats st;
	struct fixture f;
	struct guest_mem ram;
	struct stat sb;
	uint64_t seed = 3;

	fixture_init(&f, 6 * GIB);
	/* Around the end of a payload frame, across the slots, and the last byte. */
	fixture_text(f.ram.host + GIB - 5000, 10000, &seed);
	fixture_noise(f.ram.host + f.ram.slot[1].offset - 4096, 8192, &seed);
	f.ram.host[f.ram.size - 1] = 7;
	struct snap *s = save_and_open(&f, &raw, &st);
	assert_true(snap_info(s)->is_raw);
	assert_int_equal(st.zero_chunks + st.raw_chunks, 6 * GIB / SNAP_CHUNK_DEFAULT);
	assert_true(st.file_bytes > 6 * GIB);
	assert_int_equal(stat(path, &sb), 0);
	assert_true((uint64_t)sb.st_blocks * 512 < 4 * MIB);
	verify(s);

	map(s, &ram);
	snap_close(s); /* the mapping stays */
	for (uint64_t at = 0; (at = mem_next_data(&f.ram, at)) < f.ram.size; at += 4096)
		assert_memory_equal(ram.host + at, f.ram.host + at, 4096);
	assert_true(mem_next_data(&ram, 0) <= GIB - 5000);
	uint64_t next = mem_next_data(&ram, GIB + MIB);
	assert_true(next > GIB + MIB && next <= f.ram.slot[1].offset - 4096);
	ram.host[GIB + 2 * MIB] = 1;
	assert_int_equal(mem_next_data(&ram, GIB + MIB), GIB + 2 * MIB);
	mem_fini(&ram);
	unlink(path);
	fixture_fini(&f);
}

static void writes_stay_and_what_is_discarded_is_zero(void **unused)
{
	struct err e = ERR_INIT;
	struct guest_mem one, other;
	struct fixture f;
	uint64_t seed = 6;
	static const uint8_t zeros[8192];

	fixture_init(&f, 8 * MIB);
	fixture_text(f.ram.host + MIB, MIB, &seed);
	struct snap *s = save_and_open(&f, &raw, NULL);
	map(s, &one);
	map(s, &other);
	memset(one.host + MIB, 0x11, 4096);
	memset(one.host + 4 * MIB, 0x22, 8192);
	assert_memory_equal(other.host, f.ram.host, f.ram.size);
	/* What the file has, what was written over it, and what was written to a hole of it. */
	assert_true(mem_discard(&one, gpa(MIB), 12288));
	assert_true(mem_discard(&one, gpa(4 * MIB - 100), 8192 + 200));
	assert_memory_equal(one.host + MIB, zeros, 8192);
	assert_memory_equal(one.host + 4 * MIB, zeros, 8192);
	assert_true(mem_next_data(&one, 4 * MIB + 4096) > 4 * MIB + 4096);
	assert_memory_equal(other.host, f.ram.host, f.ram.size);
	/* A snapshot of it has what was written, and what was not. */
	one.host[6 * MIB] = 0x33;
	uint8_t *want = malloc(one.size), *got = malloc(one.size);
	memcpy(want, one.host, one.size);
	struct guest_mem saved = f.ram;
	f.ram = one;
	struct buf file;
	fixture_save(&f, NULL, NULL, &file);
	struct io_src src;
	struct snap *again;
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, NULL, &again, &e), 0);
	assert_int_equal(snap_read_ram(again, 0, got, one.size, &e), 0);
	assert_memory_equal(got, want, one.size);
	snap_close(again);
	buf_free(&file);
	free(want);
	free(got);
	verify(s);
	mem_fini(&one);
	mem_fini(&other);
	f.ram = saved;
	snap_close(s);
	unlink(path);
	fixture_fini(&f);
}

static void memory_that_was_loaded_once_is_shared(void **unused)
{
	struct err e = ERR_INIT;
	struct guest_mem one, other;
	struct fixture f;
	uint64_t seed = 8;

	fixture_init(&f, 8 * MIB);
	fixture_text(f.ram.host + MIB, MIB, &seed);
	uint8_t *want = calloc(1, f.ram.size);
	memcpy(want + MIB, f.ram.host + MIB, MIB); /* without filling holes */
	assert_int_equal(mem_share(&f.ram, &e), 0);
	assert_int_equal(mem_init_private(&one, &f.layout, &e), 0);
	assert_int_equal(mem_map(&one, 0, one.size, f.ram.fd, 0, &e), 0);
	assert_int_equal(mem_init_private(&other, &f.layout, &e), 0);
	assert_int_equal(mem_map(&other, 0, other.size, f.ram.fd, 0, &e), 0);
	assert_true(one.is_shmem);
	/* Before anything reads the holes, which fills them. */
	assert_int_equal(mem_next_data(&one, 3 * MIB), UINT64_MAX);
	one.host[5 * MIB] = 1;
	assert_int_equal(mem_next_data(&one, 3 * MIB), 5 * MIB);
	assert_memory_equal(other.host, want, other.size);
	assert_int_equal(pwrite(f.ram.fd, "x", 1, 0), -1);
	free(want);
	mem_fini(&one);
	mem_fini(&other);
	fixture_fini(&f);
}

static void *drain(void *arg)
{
	struct buf *b = arg;
	int fd = (int)b->len;
	ssize_t n;

	*b = (struct buf)BUF_INIT;
	do {
		void *at = buf_grow(b, MIB);
		n = read(fd, at, MIB);
		b->len -= MIB - (size_t)(n > 0 ? n : 0);
	} while (n > 0);
	return NULL;
}

static void a_pipe_gets_the_same_bytes(void **unused)
{
	struct err e = ERR_INIT;
	struct fixture f;
	struct buf file, got = BUF_INIT;
	uint64_t seed = 7;
	pthread_t reader;
	int ends[2];

	fixture_init_regions(&f, odd, ARRAY_LEN(odd));
	fixture_text(f.ram.host, 0x21000, &seed);
	fixture_save(&f, &raw, NULL, &file);
	assert_int_equal(pipe(ends), 0);
	got.len = (size_t)ends[0];
	pthread_create(&reader, NULL, drain, &got);
	assert_int_equal(snap_write(ends[1], &f.manifest, &f.ram, &raw, NULL, &e), 0);
	close(ends[1]);
	pthread_join(reader, NULL);
	close(ends[0]);
	assert_int_equal(got.len, file.len);
	assert_memory_equal(got.data, file.data, file.len);
	buf_free(&got);
	buf_free(&file);
	fixture_fini(&f);
}

static struct snap *merge(const struct snap *from, const struct snap_write_opts *o,
			  struct io_src *src, struct buf *b)
{
	struct err e = ERR_INIT;
	struct snap *s;
	int fd = memfd_create("merged", MFD_CLOEXEC);

	if (snap_merge(fd, from, o, NULL, &e))
		fail_msg("%s", e.msg);
	off_t size = lseek(fd, 0, SEEK_END);
	*b = (struct buf)BUF_INIT;
	assert_non_null(buf_grow(b, (size_t)size));
	assert_int_equal(pread(fd, b->data, (size_t)size, 0), size);
	close(fd);
	io_src_mem(src, b->data, b->len);
	if (snap_open(src, NULL, &s, &e))
		fail_msg("0x%lx: %s", e.offset, e.msg);
	verify(s);
	return s;
}

static void ram_is(struct snap *s, const struct guest_mem *want)
{
	struct err e = ERR_INIT;
	uint8_t *got = malloc(want->size);

	assert_int_equal(snap_read_ram(s, 0, got, want->size, &e), 0);
	assert_memory_equal(got, want->host, want->size);
	free(got);
}

static void merging_turns_one_encoding_into_the_other(void **unused)
{
	struct fixture f;
	struct io_src src[2];
	struct buf b[2];
	uint64_t seed = 9;

	fixture_init_regions(&f, odd, ARRAY_LEN(odd));
	fixture_text(f.ram.host, 0x21000, &seed);
	fixture_noise(f.ram.host + 0x2b000, 0x9000, &seed);
	struct snap *packed = save_and_open(&f, NULL, NULL);
	struct snap *plain = merge(packed, &raw, &src[0], &b[0]);
	assert_true(snap_info(plain)->is_raw);
	ram_is(plain, &f.ram);
	struct snap *again = merge(plain, NULL, &src[1], &b[1]);
	assert_false(snap_info(again)->is_raw);
	assert_int_equal(snap_info(again)->stored_bytes, snap_info(packed)->stored_bytes);
	ram_is(again, &f.ram);
	snap_close(again);
	snap_close(plain);
	snap_close(packed);
	buf_free(&b[0]);
	buf_free(&b[1]);
	unlink(path);
	fixture_fini(&f);
}

static void a_raw_one_can_be_a_parent(void **unused)
{
	struct err e = ERR_INIT;
	struct snapshot_parent parent;
	uint64_t seed = 10;
	struct fixture f;
	struct io_src src;
	struct buf child, merged;
	struct snap *s;

	fixture_init_regions(&f, odd, ARRAY_LEN(odd));
	fixture_text(f.ram.host, 0x21000, &seed);
	struct snap *p = save_and_open(&f, &raw, NULL);
	state_defaults(&snapshot_parent_desc, &parent);
	strcpy(parent.file, "parent");
	memcpy(parent.digest, snap_info(p)->digest, sizeof parent.digest);
	fixture_text(f.ram.host, 4096, &seed);
	uint64_t *changed = calloc(mem_track_words(f.ram.size), sizeof *changed);
	changed[0] = 1;
	const struct snap_write_opts o = {.parent = &parent, .changed = changed};
	fixture_save(&f, &o, NULL, &child);
	io_src_mem(&src, child.data, child.len);
	assert_int_equal(snap_open(&src, NULL, &s, &e), 0);
	assert_int_equal(snap_set_parent(s, p, &e), 0);
	verify(s);
	ram_is(s, &f.ram);
	struct io_src msrc;
	struct snap *m = merge(s, &raw, &msrc, &merged);
	ram_is(m, &f.ram);
	snap_close(m);
	snap_close(s);
	buf_free(&child);
	buf_free(&merged);
	free(changed);
	unlink(path);
	fixture_fini(&f);
}

static void what_does_not_go_together_is_refused(void **unused)
{
	struct snapshot_parent parent;
	struct fixture_keys k;
	struct err e = ERR_INIT;
	struct fixture f;
	uint64_t changed[1] = {1};
	struct guest_mem ram;

	fixture_keys_init(&k);
	fixture_init_regions(&f, odd, ARRAY_LEN(odd));
	state_defaults(&snapshot_parent_desc, &parent);
	const struct snap_write_opts sealed = {.raw = true, .master = &k.master, .salt = k.salt};
	const struct snap_write_opts child = {.raw = true, .parent = &parent, .changed = changed};
	int fd = memfd_create("none", MFD_CLOEXEC);
	assert_int_equal(snap_write(fd, &f.manifest, &f.ram, &sealed, NULL, &e), -ERR_USAGE);
	assert_int_equal(snap_write(fd, &f.manifest, &f.ram, &child, NULL, &e), -ERR_USAGE);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	/* One that is not raw, and memory of another machine. */
	struct snap *s = save_and_open(&f, NULL, NULL);
	assert_int_equal(mem_init_private(&ram, &f.layout, &e), 0);
	assert_int_equal(snap_map_ram(s, &ram, &e), -ERR_USAGE);
	mem_fini(&ram);
	snap_close(s);
	unlink(path);
	fixture_fini(&f);
	fixture_keys_fini(&k);
}

/* Headers of payload frames and what is between them too: nothing is left that no check looks at.
 */
static void every_changed_byte_is_found(void **unused)
{
	struct err e = ERR_INIT;
	struct fixture f;
	struct io_src src;
	struct snap *s;
	struct buf file;
	uint64_t seed = 11;

	fixture_init_regions(&f, odd, 2);
	fixture_text(f.ram.host, 0x1f000, &seed);
	fixture_save(&f, &raw, NULL, &file);
	for (size_t at = 0; at < file.len;
	     at += at % (2 * MIB) < 16 || at % (2 * MIB) > 2 * MIB - 32
		       ? 1
		       : 1 + fixture_random(&seed) % 20000) {
		file.data[at] ^= 0x40;
		io_src_mem(&src, file.data, file.len);
		int r = snap_open(&src, NULL, &s, &e);
		if (!r) {
			r = snap_verify(s, NULL, &e);
			snap_close(s);
		}
		if (!r)
			fail_msg("byte 0x%zx", at);
		file.data[at] ^= 0x40;
	}
	buf_free(&file);
	fixture_fini(&f);
}

static void a_live_capture_is_written_as_it_is(void **unused)
{
	struct err e = ERR_INIT;
	struct uffd u = UFFD_INIT;
	struct snap_live *live;
	struct fixture f;
	struct io_src src;
	struct snap *s;
	struct buf file;
	uint64_t seed = 12;

	fixture_init(&f, 8 * MIB);
	fixture_text(f.ram.host + MIB, 2 * MIB, &seed);
	if (uffd_open(&u, &f.ram, &e) || uffd_can_protect(&u, &e)) {
		print_message("skipped: %s\n", e.msg);
		uffd_close(&u);
		fixture_fini(&f);
		skip();
	}
	uint8_t *moment = malloc(f.ram.size);
	memcpy(moment, f.ram.host, f.ram.size);
	const struct snap_live_opts lo = {.spill_fd = -1};
	assert_int_equal(snap_live_arm(&u, &f.layout, &lo, &live, &e), 0);
	assert_int_equal(snap_live_begin(live, NULL, &e), 0);
	memset(f.ram.host + MIB, 0x55, MIB); /* copied first, and compressed */
	const struct snap_write_opts o = {.raw = true, .live = live};
	fixture_save(&f, &o, NULL, &file);
	snap_live_end(live, NULL);
	io_src_mem(&src, file.data, file.len);
	assert_int_equal(snap_open(&src, NULL, &s, &e), 0);
	verify(s);
	memcpy(f.ram.host, moment, f.ram.size);
	ram_is(s, &f.ram);
	snap_close(s);
	buf_free(&file);
	free(moment);
	uffd_close(&u);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chunks_of_every_size_come_back),
	    cmocka_unit_test(pieces_are_read_where_they_are),
	    cmocka_unit_test(large_memory_is_sparse_and_mapped),
	    cmocka_unit_test(writes_stay_and_what_is_discarded_is_zero),
	    cmocka_unit_test(memory_that_was_loaded_once_is_shared),
	    cmocka_unit_test(a_pipe_gets_the_same_bytes),
	    cmocka_unit_test(merging_turns_one_encoding_into_the_other),
	    cmocka_unit_test(a_raw_one_can_be_a_parent),
	    cmocka_unit_test(what_does_not_go_together_is_refused),
	    cmocka_unit_test(every_changed_byte_is_found),
	    cmocka_unit_test(a_live_capture_is_written_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
