/* SPDX-License-Identifier: Apache-2.0 */
/* A live capture is memory as it was at its moment, whoever writes how fast; and whatever goes
 * wrong, who writes goes on. */
#include "../stride.h"
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define RAM_BYTES (32 * MIB)
#define WRITTEN	  (12 * MIB) /* from 8 MiB on; the rest are holes */
#define WRITERS	  2

struct world {
	bool copied;	 /* and not protected */
	uint64_t *pages; /* then: written to and not copied since */
	struct fixture f;
	struct uffd u;
	pthread_t thread[WRITERS];
	atomic_bool hold, end;
	atomic_uint held;
	_Atomic uint64_t writes[WRITERS];
	uint8_t *moment; /* RAM when the capture began */
	int spill;
	struct snap_live *live;
};

static struct world w;
static char why[160]; /* there is no userfaultfd here */

static void *write_all_over(void *arg)
{
	unsigned number = (unsigned)(uintptr_t)arg;
	uint64_t seed = 77 + number;

	while (!w.end) {
		if (w.hold) {
			w.held++;
			while (w.hold && !w.end)
				usleep(100);
			w.held--;
		}
		for (int i = 0; i < 8; i++) {
			uint64_t at = 8 * MIB + fixture_random(&seed) % (WRITTEN / 8) * 8;
			/* Told as devices do it. */
			mem_mark(&w.f.ram, at, 8);
			*(volatile uint64_t *)(void *)(w.f.ram.host + at) = fixture_random(&seed);
			mem_mark(&w.f.ram, at, 8);
		}
		w.writes[number]++;
	}
	return NULL;
}

static void pause_ms(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* All writers do something from now on. A hang is ended by the deadline of the test. */
static void writers_go_on(void)
{
	for (unsigned i = 0; i < WRITERS; i++)
		for (uint64_t before = w.writes[i]; w.writes[i] < before + 1000;)
			pause_ms();
}

/* As the initial state of a test: see BOTH(). */
static bool copied = true;

static int setup(void **state)
{
	struct err e = ERR_INIT;
	uint64_t seed = 5;

	memset(&w, 0, sizeof w);
	w.copied = *state;
	w.u = (struct uffd)UFFD_INIT;
	fixture_init(&w.f, RAM_BYTES);
	fixture_text(w.f.ram.host + 8 * MIB, 4 * MIB, &seed);
	w.moment = malloc(RAM_BYTES);
	w.spill = memfd_create("spill", MFD_CLOEXEC);
	w.pages = malloc(mem_track_words(w.f.ram.size) * sizeof *w.pages);
	assert_int_equal(mem_track(&w.f.ram, NULL), 0);
	int r = uffd_open(&w.u, &w.f.ram, &e);
	if (!r)
		r = uffd_can_protect(&w.u, &e);
	if (r)
		err_text(&e, why, sizeof why);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_create(&w.thread[i], NULL, write_all_over, (void *)(uintptr_t)i);
	return 0;
}

static int teardown(void **unused)
{
	w.end = true;
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(w.thread[i], NULL);
	uffd_close(&w.u);
	fixture_fini(&w.f);
	free(w.moment);
	free(w.pages);
	close(w.spill);
	return 0;
}

static void need_uffd(void)
{
	if (w.copied || !why[0])
		return;
	print_message("skipped: %s\n", why);
	skip();
}

static void look(bool all_copied)
{
	if (all_copied)
		memset(w.pages, 0, mem_track_words(w.f.ram.size) * sizeof *w.pages);
	mem_take_dirty(&w.f.ram, w.pages);
}

static int copy(const struct snap_live_opts *o, const atomic_bool *cancel, struct err *e)
{
	const struct snap_progress p = {.cancel = cancel};
	int r = snap_live_new(&w.f.ram, &w.f.layout, o, &w.live, e);

	look(true);
	if (!r)
		r = snap_live_again(w.live, NULL, &p, e);
	for (look(true); !r && !snap_live_settled(w.live, w.pages); look(true))
		r = snap_live_again(w.live, w.pages, &p, e);
	return r;
}

static void arm(const struct snap_live_opts *o)
{
	struct err e = ERR_INIT;

	writers_go_on();
	if (w.copied ? copy(o, NULL, &e) : snap_live_arm(&w.u, &w.f.layout, o, &w.live, &e))
		fail_msg("%s", e.msg);
	writers_go_on();
}

static void begin(void)
{
	struct err e = ERR_INIT;

	w.hold = true;
	while (w.held < WRITERS)
		pause_ms();
	/* By way of the file: reading the mapping would fill holes. */
	assert_int_equal(pread(w.f.ram.fd, w.moment, RAM_BYTES, 0), RAM_BYTES);
	look(false);
	if (snap_live_begin(w.live, w.pages, &e))
		fail_msg("%s", e.msg);
	w.hold = false;
}

static struct snap_live_stats end(void)
{
	struct snap_live_stats st;

	snap_live_end(w.live, &st);
	writers_go_on();
	return st;
}

/* What was written is a snapshot of the moment. */
static void compare(int fd)
{
	struct err e = ERR_INIT;
	struct snap *s = NULL;
	uint8_t got[SNAP_CHUNK_DEFAULT];
	struct snap_reader *r;
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (snap_open_file(path, NULL, &s, &e) || snap_verify(s, NULL, &e))
		fail_msg("%s: %s", e.where, e.msg);
	assert_int_equal(snap_reader_new(s, &r, &e), 0);
	for (uint64_t c = 0; c < snap_info(s)->chunks; c++) {
		struct snap_span span = snap_chunk_span(s, c);
		assert_int_equal(snap_reader_chunk(r, c, got, &e), 0);
		assert_memory_equal(got, w.moment + span.offset, span.bytes);
	}
	snap_reader_free(r);
	snap_close(s);
}

static int save(int fd, const atomic_bool *cancel, struct err *e)
{
	struct snap_write_opts o = {.live = w.live, .level = 1, .progress = {.cancel = cancel}};

	return snap_write(fd, &w.f.manifest, &w.f.ram, &o, NULL, e);
}

static void a_capture_is_of_its_moment(void **unused)
{
	struct err e = ERR_INIT;

	need_uffd();
	for (unsigned i = 0; i < test_rounds(8); i++) {
		int fd = memfd_create("live", MFD_CLOEXEC);
		arm(&(struct snap_live_opts){.level = 1, .spill_fd = -1});
		begin();
		/* So many early copies that some are compressed before they are taken. */
		if (i % 2)
			writers_go_on();
		if (save(fd, NULL, &e))
			fail_msg("%s", e.msg);
		struct snap_live_stats st = end();
		if (i % 2)
			assert_true(st.copied_chunks);
		compare(fd);
		close(fd);
	}
	/* It filled no hole. */
	struct stat sb;
	assert_int_equal(fstat(w.f.ram.fd, &sb), 0);
	assert_true((uint64_t)sb.st_blocks * 512 <= WRITTEN);
}

static void early_copies_go_to_a_file(void **unused)
{
	struct err e = ERR_INIT;
	struct stat sb;

	need_uffd();
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		int fd = memfd_create("live", MFD_CLOEXEC);
		arm(&(struct snap_live_opts){
		    .level = 1, .memory = 65536, .spill_fd = w.spill, .encrypt_spill = encrypt});
		begin();
		/* All of it is changed before anything is written. */
		for (int i = 0; i < 5; i++)
			writers_go_on();
		if (save(fd, NULL, &e))
			fail_msg("%s", e.msg);
		assert_true(end().copied_chunks > 64);
		compare(fd);
		assert_int_equal(fstat(w.spill, &sb), 0);
		assert_true((uint64_t)sb.st_size > MIB);
		assert_int_equal(ftruncate(w.spill, 0), 0);
		assert_int_equal(lseek(w.spill, 0, SEEK_SET), 0);
		close(fd);
	}
}

static void full_file_for_copies(void **unused)
{
	struct err e = ERR_INIT;
	int full = open("/dev/full", O_RDWR | O_CLOEXEC), fd = memfd_create("live", MFD_CLOEXEC);

	need_uffd();
	arm(&(struct snap_live_opts){.level = 1, .memory = 1, .spill_fd = full});
	begin();
	/* The capture is lost, and nobody waits for it. */
	for (int i = 0; i < 5; i++)
		writers_go_on();
	assert_int_equal(save(fd, NULL, &e), -ERR_NOSPACE);
	end();
	/* The next one is as good as ever. */
	arm(&(struct snap_live_opts){.level = 1, .spill_fd = -1});
	begin();
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(save(fd, NULL, &e), 0);
	end();
	compare(fd);
	close(full);
	close(fd);
}

static void copying_ends_early(void **unused)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	const struct snap_live_opts o = {.level = 1, .memory = 1, .spill_fd = full};
	const atomic_bool cancel = true;
	struct err e = ERR_INIT;

	/* More than is kept as it is. */
	for (int i = 0; i < 5; i++)
		writers_go_on();
	assert_int_equal(copy(&o, NULL, &e), -ERR_NOSPACE);
	end();
	assert_int_equal(copy(&o, &cancel, &e), -ERR_CANCELLED);
	end();
	/* There is room until the moment comes. */
	arm(&(struct snap_live_opts){.level = 1, .memory = 64 * MIB, .spill_fd = full});
	end();
	close(full);
}

static void add_chunks(unsigned n)
{
	memset(w.pages, 0, mem_track_words(w.f.ram.size) * sizeof *w.pages);
	assert_int_equal(mem_track(&w.f.ram, NULL), 0);
	for (unsigned i = 0; i < n; i++)
		mem_mark(&w.f.ram, (uint64_t)i * SNAP_CHUNK_DEFAULT, 1);
	mem_take_dirty(&w.f.ram, w.pages);
}

static void rounds_end(void **unused)
{
	const struct snap_live_opts o = {.level = 1, .spill_fd = -1};
	const struct snap_progress p = {0};
	struct err e = ERR_INIT;
	struct snap_live_stats st;

	/* Nobody else marks anything. */
	w.hold = true;
	while (w.held < WRITERS)
		pause_ms();
	assert_int_equal(snap_live_new(&w.f.ram, &w.f.layout, &o, &w.live, &e), 0);
	assert_int_equal(snap_live_again(w.live, NULL, &p, &e), 0);
	/* Few; no fewer than before; and those that it pays to copy now. */
	add_chunks(60);
	assert_true(snap_live_settled(w.live, w.pages));
	add_chunks(500);
	assert_true(snap_live_settled(w.live, w.pages));
	add_chunks(200);
	assert_false(snap_live_settled(w.live, w.pages));
	for (unsigned rounds = 1; rounds < 8; rounds++) {
		assert_int_equal(snap_live_again(w.live, w.pages, &p, &e), 0);
		add_chunks(200);
		assert_true(snap_live_settled(w.live, w.pages));
		add_chunks(100);
		assert_int_equal(snap_live_settled(w.live, w.pages), rounds == 7);
		add_chunks(200);
	}
	add_chunks(7);
	assert_int_equal(snap_live_begin(w.live, w.pages, &e), 0);
	w.hold = false;
	snap_live_end(w.live, &st);
	assert_int_equal(st.early_chunks, 7 * 200);
	assert_int_equal(st.late_chunks, 7);
}

static void what_is_given_up_lets_writers_go(void **unused)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), fd = memfd_create("live", MFD_CLOEXEC);
	const struct snap_live_opts o = {.level = 1, .spill_fd = -1};
	const atomic_bool cancel = true;
	struct err e = ERR_INIT;

	need_uffd();
	for (unsigned i = 0; i < test_rounds(5); i++) {
		arm(&o); /* and no more */
		end();
		arm(&o);
		begin();
		end();
		arm(&o);
		begin();
		assert_int_equal(save(full, NULL, &e), -ERR_NOSPACE);
		end();
		arm(&o);
		begin();
		assert_int_equal(save(fd, &cancel, &e), -ERR_CANCELLED);
		end();
	}
	close(full);
	close(fd);
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void captures_leave_nothing_behind(void **unused)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct err e = ERR_INIT;

	need_uffd();
	unsigned before = descriptors();
	for (unsigned i = 0; i < test_rounds(12); i++) {
		arm(&(struct snap_live_opts){.level = 1, .spill_fd = -1});
		begin();
		if (save(null, NULL, &e))
			fail_msg("%s", e.msg);
		end();
	}
	assert_int_equal(descriptors(), before);
	close(null);
}

static void a_capture_cuts_memory_as_the_file_does(void **unused)
{
	struct err e = ERR_INIT;

	need_uffd();
	arm(&(struct snap_live_opts){.chunk_bytes = 4096, .level = 1, .spill_fd = -1});
	begin();
	assert_int_equal(save(-1, NULL, &e), -ERR_USAGE);
	end();
}

#define TEST(name, state)                                                                          \
	{                                                                                          \
#name, name, setup, teardown, state                                                \
	}
#define BOTH(name) TEST(name, NULL), TEST(name, &copied)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(a_capture_is_of_its_moment),	 BOTH(early_copies_go_to_a_file),
	    TEST(full_file_for_copies, NULL),	 TEST(copying_ends_early, &copied),
	    TEST(rounds_end, &copied),		 BOTH(what_is_given_up_lets_writers_go),
	    BOTH(captures_leave_nothing_behind), BOTH(a_capture_cuts_memory_as_the_file_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
