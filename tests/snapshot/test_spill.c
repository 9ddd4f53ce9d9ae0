/* SPDX-License-Identifier: Apache-2.0 */
/* What does not fit in memory comes back from its file, and shows there only if it may. */
#include "fixture.h"
#include "snapshot/spill.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PIECES 40
#define MOST   9000

struct piece {
	uint64_t at;
	size_t n;
	uint8_t data[MOST];
};

static struct piece piece[PIECES];

static void put_all(struct spill *s)
{
	uint64_t seed = 7;

	for (int i = 0; i < PIECES; i++) {
		piece[i].n = 1 + fixture_random(&seed) % MOST;
		fixture_noise(piece[i].data, piece[i].n, &seed);
		/* Where it lies in memory is not changed. */
		uint8_t copy[MOST];
		memcpy(copy, piece[i].data, piece[i].n);
		assert_int_equal(spill_put(s, piece[i].data, piece[i].n, &piece[i].at, NULL), 0);
		assert_memory_equal(copy, piece[i].data, piece[i].n);
	}
}

static void check(bool encrypt)
{
	int fd = memfd_create("spill", MFD_CLOEXEC);
	static uint8_t got[MOST], file[PIECES * MOST];
	struct spill s;
	struct stat st;

	assert_int_equal(spill_init(&s, fd, encrypt, NULL), 0);
	put_all(&s);
	for (int i = PIECES; i-- > 0;) {
		assert_int_equal(spill_get(&s, piece[i].at, got, piece[i].n, NULL), 0);
		assert_memory_equal(got, piece[i].data, piece[i].n);
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, file, sizeof file, 0), st.st_size);
	for (int i = 0; i < PIECES; i++)
		if (piece[i].n >= 16)
			assert_int_equal(!memmem(file, (size_t)st.st_size, piece[i].data, 16),
					 encrypt);
	spill_fini(&s);
	close(fd);
}

static void pieces_come_back(void **unused)
{
	check(false);
}

static void of_an_encrypted_file_nothing_shows(void **unused)
{
	check(true);
}

static void changed_bytes_are_noticed(void **unused)
{
	int fd = memfd_create("spill", MFD_CLOEXEC);
	struct err e = ERR_INIT;
	uint8_t got[MOST], byte;
	struct spill s;

	assert_int_equal(spill_init(&s, fd, true, NULL), 0);
	put_all(&s);
	for (uint64_t at = 0; at < piece[0].n + GCM_TAG_BYTES; at += at < 32 ? 1 : 61) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		assert_int_equal(spill_get(&s, 0, got, piece[0].n, &e), -ERR_CHECKSUM);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	assert_int_equal(spill_get(&s, 0, got, piece[0].n, &e), 0);
	/* One piece in place of another. */
	assert_int_equal(spill_get(&s, piece[1].at, got, piece[0].n, &e), -ERR_CHECKSUM);
	assert_int_equal(ftruncate(fd, (off_t)piece[0].n), 0);
	assert_int_equal(spill_get(&s, 0, got, piece[0].n, &e), -ERR_TRUNCATED);
	spill_fini(&s);
	close(fd);
}

static void without_a_file_there_is_nothing_to_free(void **unused)
{
	struct spill s;

	assert_int_equal(spill_init(&s, -1, true, NULL), 0);
	assert_null(s.seal);
	spill_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_come_back),
	    cmocka_unit_test(of_an_encrypted_file_nothing_shows),
	    cmocka_unit_test(changed_bytes_are_noticed),
	    cmocka_unit_test(without_a_file_there_is_nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
