/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out at every place where it is asked for, in turn: -ERR_NOMEM, nothing leaked (a
 * sanitizer looks), nothing changed, and the next try succeeds. The linker puts the three
 * allocators below in the place of the C library's (--wrap).
 */
#include "layout/layout.h"
#include "sample.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static long left = -1; /* allocations that succeed until one fails; -1: all do */
static unsigned asked; /* allocations in this try */
static bool failed;    /* one of them failed */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	asked++;
	if (left < 0 || left-- > 0)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* Let the first, second, ... allocation of @act fail until none is left that could. */
static void starve(int (*act)(struct err *e))
{
	struct err e;
	int r;

	for (long i = 0;; i++) {
		e = (struct err)ERR_INIT;
		asked = 0;
		failed = false;
		left = i;
		r = act(&e);
		left = -1;
		if (!failed)
			break;
		assert_int_equal(r, -ERR_NOMEM);
		assert_int_equal(e.code, ERR_NOMEM);
	}
	assert_int_equal(r, 0);
	assert_true(asked > 0); /* it was put to the test */
}

static int decode(struct err *e)
{
	struct cbor_in in = {.data = sample_bytes, .len = SAMPLE_BYTES};
	struct sample s, before;

	memset(&s, 0xa5, sizeof s);
	before = s;
	int r = state_decode(&sample_desc, &in, &s, e);
	if (r)
		assert_memory_equal(&s, &before, sizeof s);
	else
		assert_int_equal(s.added.port, 65535);
	return r;
}

static void state_decode_does_not_mind(void **state)
{
	starve(decode);
}

static int encode(struct err *e)
{
	struct buf b = BUF_INIT;
	int r = 0;

	state_encode(&sample_desc, &sample_value, &b);
	for (int i = 0; i < 100; i++) /* so that the buffer has to grow */
		state_encode(&sample_desc, &sample_value, &b);
	if (b.failed)
		r = err_set(e, ERR_NOMEM, "out of memory");
	else
		assert_int_equal(b.len, 101 * SAMPLE_BYTES);
	buf_free(&b);
	return r;
}

static void state_encode_says_so(void **state)
{
	starve(encode);
}

static int equal(struct err *e)
{
	return state_equal(&sample_desc, &sample_value, &sample_value)
		   ? 0
		   : err_set(e, ERR_NOMEM, "out of memory");
}

static void nothing_is_equal_by_chance(void **state)
{
	starve(equal);
}

static int build(struct err *e)
{
	struct layout_params p;
	struct layout l, before;

	memset(&l, 0xa5, sizeof l);
	before = l;
	layout_params_init(&p, 6 * GIB);
	int r = layout_build(layout_def_find("x86_64/linux@1"), &p, &l, e);
	if (r)
		assert_memory_equal(&l, &before, sizeof l);
	return r;
}

static void layout_build_does_not_mind(void **state)
{
	starve(build);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(state_decode_does_not_mind),
	    cmocka_unit_test(state_encode_says_so),
	    cmocka_unit_test(nothing_is_equal_by_chance),
	    cmocka_unit_test(layout_build_does_not_mind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
