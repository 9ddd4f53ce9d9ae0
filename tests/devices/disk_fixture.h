/* SPDX-License-Identifier: Apache-2.0 */
/* Disks in a directory of their own, and requests that are waited for. */
#ifndef TESTS_DISK_FIXTURE_H
#define TESTS_DISK_FIXTURE_H

#include "devices/disk.h"

#include <setjmp.h>
#include <cmocka.h>

struct disk_fixture {
	char dir[256];
	struct loop *loop;
	uint64_t random;
};

/* cmocka setup and teardown: *state is a struct disk_fixture, cwd its empty directory. */
int disk_fixture_setup(void **state);
int disk_fixture_teardown(void **state);

uint64_t fixture_random(struct disk_fixture *f, uint64_t below);
/* A raw image of @bytes whose sector number i is filled with a pattern of @seed and i. */
void fixture_raw(const char *path, uint64_t bytes, uint32_t seed);
void fixture_pattern(uint8_t *out, uint64_t bytes, uint32_t seed);

/* These fail the test when they fail. */
void fixture_overlay(const char *path, const char *parent);
struct disk *fixture_open(struct disk_fixture *f, const char *path, bool writable);
void fixture_close(struct disk *d);
void fixture_read(struct disk *d, uint64_t offset, void *out, uint64_t bytes);
void fixture_write(struct disk *d, uint64_t offset, const void *data, uint64_t bytes);
void fixture_flush(struct disk *d);
/* The result; drains. */
int fixture_do(struct disk *d, enum disk_op op, uint64_t offset, void *data, uint64_t bytes);
/* Whole disk equals @want. */
void fixture_expect(struct disk *d, const uint8_t *want);

#define OK(call)                                                                                   \
	do {                                                                                       \
		struct err ok_e = ERR_INIT, *e = &ok_e;                                            \
		char ok_text[512];                                                                 \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, err_text(e, ok_text, sizeof ok_text));           \
	} while (0)

/* @call, which uses `e`, fails with @code and its text contains @words. */
#define FAILS(call, err_code, words)                                                               \
	do {                                                                                       \
		struct err f_e = ERR_INIT, *e = &f_e;                                              \
		char f_text[512];                                                                  \
		int f_r = (call);                                                                  \
		if (f_r != -(err_code))                                                            \
			fail_msg("%s: %s %s, wanted %s", #call, err_code_name(-f_r),               \
				 err_text(e, f_text, sizeof f_text), err_code_name(err_code));     \
		if (!strstr(err_text(e, f_text, sizeof f_text), words))                            \
			fail_msg("%s: \"%s\" does not say \"%s\"", #call, f_text, words);          \
	} while (0)

#endif
