/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Decode @n bytes that end where their allocation ends; all of them must be used. */
static int decode(const uint8_t *data, size_t n, struct sample *out, struct err *e)
{
	uint8_t *exact = malloc(n ? n : 1);

	assert_non_null(exact);
	if (n)
		memcpy(exact, data, n);
	struct cbor_in in = {.data = exact, .len = n};
	*e = (struct err)ERR_INIT;
	int r = state_decode(&sample_desc, &in, out, e);
	if (!r)
		r = cbor_finish(&in, e);
	free(exact);
	return r;
}

static void encoding_is_what_it_should_be(void **state)
{
	struct buf b = BUF_INIT;

	state_encode(&sample_desc, &sample_value, &b);
	assert_int_equal(b.len, SAMPLE_BYTES);
	assert_memory_equal(b.data, sample_bytes, SAMPLE_BYTES);
	buf_free(&b);
}

static void every_field_is_decoded(void **state)
{
	struct sample s;
	struct err e;

	memset(&s, 0xa5, sizeof s);
	assert_int_equal(decode(sample_bytes, SAMPLE_BYTES, &s, &e), 0);
	assert_int_equal(s.small, 0xc8);
	assert_int_equal(s.medium, 0xbeef);
	assert_int_equal(s.large, 0x300000);
	assert_true(s.huge == 0xfedcba9876543210);
	assert_true(s.on);
	assert_int_equal(s.colour, 3);
	assert_memory_equal(s.mac, "\xaa\xbb\xcc", 3);
	assert_int_equal(s.bar[0], 0x10);
	assert_int_equal(s.bar[1], 0x1234);
	assert_true(s.bar[2] == 0xdeadbeef);
	assert_int_equal(s.blob_len, 3);
	assert_memory_equal(s.blob, "\1\2\3", 3);
	assert_string_equal(s.name, "h\xc3\xa9y");
	assert_int_equal(s.inner.port, 443);
	assert_false(s.inner.open);
	assert_int_equal(s.item_n, 2);
	assert_int_equal(s.item[0].port, 22);
	assert_true(s.item[0].open);
	assert_int_equal(s.item[1].port, 8080);
	assert_false(s.item[1].open);
	assert_int_equal(s.when, 1500000001);
	assert_false(s.late);
	assert_int_equal(s.added.port, 65535);
	assert_false(s.added.open);
	assert_true(state_equal(&sample_desc, &s, &sample_value));
}

static void no_prefix_is_a_record(void **state)
{
	struct sample s, before;
	struct err e;

	memset(&s, 0xa5, sizeof s);
	before = s;
	for (size_t n = 0; n < SAMPLE_BYTES; n++) {
		assert_int_equal(decode(sample_bytes, n, &s, &e), -ERR_TRUNCATED);
		assert_true(e.offset <= n);
		assert_memory_equal(&s, &before, sizeof s); /* untouched */
	}
}

/* What is accepted is the one encoding of what it says: version 3 records must come back as they
 * were. */
static void check_if_accepted(const uint8_t *data, size_t n)
{
	struct sample s, again;
	struct buf b = BUF_INIT;
	struct err e;

	if (decode(data, n, &s, &e)) {
		assert_int_not_equal(e.code, 0);
		assert_true(e.offset <= n);
		return;
	}
	state_encode(&sample_desc, &s, &b);
	if (data[AT_VERSION] == 3) {
		assert_int_equal(b.len, n);
		assert_memory_equal(b.data, data, n);
	}
	assert_int_equal(decode(b.data, b.len, &again, &e), 0);
	assert_true(state_equal(&sample_desc, &s, &again));
	buf_free(&b);
}

static void every_bit_flip_is_refused_or_another_record(void **state)
{
	uint8_t data[SAMPLE_BYTES];

	for (size_t i = 0; i < 8 * SAMPLE_BYTES; i++) {
		memcpy(data, sample_bytes, SAMPLE_BYTES);
		data[i / 8] ^= (uint8_t)(1u << i % 8);
		check_if_accepted(data, SAMPLE_BYTES);
	}
}

static void every_byte_in_every_place(void **state)
{
	uint8_t data[SAMPLE_BYTES];

	for (size_t i = 0; i < SAMPLE_BYTES; i++)
		for (unsigned v = 0; v < 256; v++) {
			memcpy(data, sample_bytes, SAMPLE_BYTES);
			data[i] = (uint8_t)v;
			check_if_accepted(data, SAMPLE_BYTES);
		}
}

/* The first @pairs pairs, said to be of @version. */
static size_t older(uint8_t version, unsigned pairs, size_t n, uint8_t *out)
{
	memcpy(out, sample_bytes, n);
	out[AT_MAP] = (uint8_t)(0xa0 | pairs);
	out[AT_VERSION] = version;
	return n;
}

static void older_versions_get_defaults(void **state)
{
	uint8_t data[SAMPLE_BYTES];
	struct sample s;
	struct err e;
	size_t n = older(1, 13, AT_WHEN - 1, data);

	assert_int_equal(decode(data, n, &s, &e), 0);
	assert_int_equal(s.item[1].port, 8080);
	assert_true(s.when == 5000000000);
	assert_true(s.late);
	assert_int_equal(s.added.port, 80);
	assert_true(s.added.open);

	n = older(2, 15, AT_ADDED - 1, data);
	assert_int_equal(decode(data, n, &s, &e), 0);
	assert_int_equal(s.when, 1500000001);
	assert_false(s.late);
	assert_int_equal(s.added.port, 80);
	check_if_accepted(data, n);
}

static void defaults_are_those_of_the_table(void **state)
{
	struct sample s;

	memset(&s, 0xa5, sizeof s);
	state_defaults(&sample_desc, &s);
	assert_int_equal(s.small, 3);
	assert_int_equal(s.medium, 500);
	assert_int_equal(s.large, 70000);
	assert_int_equal(s.huge, 0);
	assert_false(s.on);
	assert_int_equal(s.colour, 1);
	assert_int_equal(s.mac[2] | s.bar[0], 0);
	assert_int_equal(s.blob_len, 0);
	assert_string_equal(s.name, "");
	assert_int_equal(s.inner.port, 80);
	assert_true(s.inner.open);
	assert_int_equal(s.item_n, 0);
}

static void the_least_and_the_most_fit(void **state)
{
	struct sample s, back;
	struct buf b = BUF_INIT;
	struct err e;

	state_defaults(&sample_desc, &s);
	for (int most = 0; most < 2; most++) {
		if (most) {
			s.small = UINT8_MAX;
			s.medium = UINT16_MAX;
			s.large = UINT32_MAX;
			s.huge = s.when = UINT64_MAX;
			memset(s.mac, 0xff, sizeof s.mac);
			memset(s.bar, 0xff, sizeof s.bar);
			s.blob_len = sizeof s.blob;
			memset(s.blob, 0xff, sizeof s.blob);
			memset(s.name, 'm', sizeof s.name - 1);
			s.item_n = 2;
		}
		state_encode(&sample_desc, &s, &b);
		assert_int_equal(decode(b.data, b.len, &back, &e), 0);
		assert_true(state_equal(&sample_desc, &s, &back));
		assert_memory_equal(back.name, s.name, sizeof s.name);
		b.len = 0;
	}
	buf_free(&b);
}

/* What does not count must not: room in lists, blobs and texts, padding. */
static void equality_is_of_values(void **state)
{
	struct sample a = sample_value, b;

	memset(&b, 0xff, sizeof b);
	b = sample_value;
	b.blob[3] = 9;
	assert_true(state_equal(&sample_desc, &a, &b));
	a.item_n = b.item_n = 1;
	a.item[1].port = 1;
	assert_true(state_equal(&sample_desc, &a, &b));
	b.item[0].open = false;
	assert_false(state_equal(&sample_desc, &a, &b));
	b = a;
	b.bar[2]--;
	assert_false(state_equal(&sample_desc, &a, &b));
	b = a;
	b.blob_len = 2;
	assert_false(state_equal(&sample_desc, &a, &b));
}

/* clang-format off */
#define NEST2(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) RECORD(T, 1, sample_inner, in, 1, "")
#define NEST3(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) LIST(T, 1, nest2, in, 1, 1, "")
#define NEST4(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) RECORD(T, 1, nest3, in, 1, "")
#define NEST5(T, FIELD, FLAG, ENUM, ARRAY, BYTES, TEXT, RECORD, LIST) RECORD(T, 1, nest4, in, 1, "")
/* clang-format on */
STATE_DECLARE(nest2, NEST2);
STATE_DECLARE(nest3, NEST3);
STATE_DECLARE(nest4, NEST4);
STATE_DECLARE(nest5, NEST5);
STATE_DEFINE(nest2, NEST2, "nest2", 1, "");
STATE_DEFINE(nest3, NEST3, "nest3", 1, "");
STATE_DEFINE(nest4, NEST4, "nest4", 1, "");
STATE_DEFINE(nest5, NEST5, "nest5", 1, "");

static int back_again(const struct state_desc *d, void *st, struct err *e)
{
	struct buf b = BUF_INIT;

	state_encode(d, st, &b);
	struct cbor_in in = {.data = b.data, .len = b.len};
	int r = state_decode(d, &in, st, e);
	buf_free(&b);
	return r;
}

static void tables_nest_no_deeper_than_allowed(void **state)
{
	struct nest4 four;
	struct nest5 five;
	struct err e = ERR_INIT;

	state_defaults(&nest4_desc, &four);
	four.in.in_n = 1;
	four.in.in[0].in.port = 17;
	assert_int_equal(back_again(&nest4_desc, &four, &e), 0);
	assert_int_equal(four.in.in[0].in.port, 17);

	state_defaults(&nest5_desc, &five);
	assert_int_equal(back_again(&nest5_desc, &five, &e), 0);
	five.in.in.in_n = 1;
	assert_int_equal(back_again(&nest5_desc, &five, &e), -ERR_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(encoding_is_what_it_should_be),
	    cmocka_unit_test(every_field_is_decoded),
	    cmocka_unit_test(no_prefix_is_a_record),
	    cmocka_unit_test(every_bit_flip_is_refused_or_another_record),
	    cmocka_unit_test(every_byte_in_every_place),
	    cmocka_unit_test(older_versions_get_defaults),
	    cmocka_unit_test(defaults_are_those_of_the_table),
	    cmocka_unit_test(the_least_and_the_most_fit),
	    cmocka_unit_test(equality_is_of_values),
	    cmocka_unit_test(tables_nest_no_deeper_than_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
