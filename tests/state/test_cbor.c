/* SPDX-License-Identifier: Apache-2.0 */
#include "state/cbor.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* One item in a buffer that ends where the item's bytes do. */
static int next(const uint8_t *data, size_t n, struct cbor_item *it, struct err *e)
{
	uint8_t *exact = malloc(n ? n : 1);

	assert_non_null(exact);
	if (n)
		memcpy(exact, data, n);
	struct cbor_in in = {.data = exact, .len = n, .base = 100};
	*e = (struct err)ERR_INIT;
	int r = cbor_next(&in, it, e);
	if (!r) {
		assert_int_equal(it->at, 0);
		assert_true(in.at > 0 && in.at <= n);
		it->str = NULL; /* goes with the copy */
	}
	free(exact);
	return r;
}

/* RFC 8949, appendix A: vectors of the kinds in use. */
static void vectors_of_the_rfc(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum cbor_kind kind;
		uint64_t value;
	} good[] = {
	    {"\x00", 1, CBOR_UINT, 0},
	    {"\x0a", 1, CBOR_UINT, 10},
	    {"\x17", 1, CBOR_UINT, 23},
	    {"\x18\x18", 2, CBOR_UINT, 24},
	    {"\x18\x64", 2, CBOR_UINT, 100},
	    {"\x19\x03\xe8", 3, CBOR_UINT, 1000},
	    {"\x1a\x00\x0f\x42\x40", 5, CBOR_UINT, 1000000},
	    {"\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00", 9, CBOR_UINT, 1000000000000},
	    {"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9, CBOR_UINT, UINT64_MAX},
	    {"\x20", 1, CBOR_NEGINT, 0},
	    {"\x38\x63", 2, CBOR_NEGINT, 99},
	    {"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", 9, CBOR_NEGINT, UINT64_MAX},
	    {"\xf4", 1, CBOR_BOOL, 0},
	    {"\xf5", 1, CBOR_BOOL, 1},
	    {"\x40", 1, CBOR_BYTES, 0},
	    {"\x44\x01\x02\x03\x04", 5, CBOR_BYTES, 4},
	    {"\x60", 1, CBOR_TEXT, 0},
	    {"\x64IETF", 5, CBOR_TEXT, 4},
	    {"\x62\"\\", 3, CBOR_TEXT, 2},
	    {"\x62\xc3\xbc", 3, CBOR_TEXT, 2},
	    {"\x63\xe6\xb0\xb4", 4, CBOR_TEXT, 3},
	    {"\x64\xf0\x90\x85\x91", 5, CBOR_TEXT, 4},
	    {"\x80", 1, CBOR_ARRAY, 0},
	    {"\x98\x19", 2, CBOR_ARRAY, 25},
	    {"\xa0", 1, CBOR_MAP, 0},
	    {"\xa5", 1, CBOR_MAP, 5},
	};
	struct cbor_item it;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const uint8_t *p = (const uint8_t *)good[i].bytes;
		assert_int_equal(next(p, good[i].n, &it, &e), 0);
		assert_int_equal(it.kind, good[i].kind);
		assert_true(it.value == good[i].value);
		for (size_t n = 0; n < good[i].n; n++) {
			assert_int_equal(next(p, n, &it, &e), -ERR_TRUNCATED);
			assert_int_equal(e.offset, 100);
		}
	}
}

/* What the subset allows, said anew: every header of at most two bytes, and longer ones by width.
 */
static bool allowed(uint8_t first, uint64_t argument)
{
	unsigned major = first >> 5, info = first & 0x1f;

	if (major == 6)
		return false;
	if (major == 7)
		return info == 20 || info == 21;
	return info < 24 || (info == 24 && argument >= 24) || (info == 25 && argument > 0xff) ||
	       (info == 26 && argument > 0xffff) || (info == 27 && argument > 0xffffffff);
}

static void every_header(void **state)
{
	static const uint64_t arguments[] = {0,	     23,      24,	  0xff,	      0x100,
					     0xffff, 0x10000, 0xffffffff, 0x100000000};
	struct cbor_item it;
	struct err e;

	for (unsigned first = 0; first < 256; first++)
		for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
			unsigned info = first & 0x1f, major = first >> 5;
			unsigned width = info >= 24 && info <= 27 ? 1u << (info - 24) : 0;
			/* Room for the strings that fit it, of printable text. */
			static uint8_t data[9 + 0x10001];
			if (width < 8 && arguments[i] >> (8 * width) && width)
				continue;
			memset(data, 'a', sizeof data);
			data[0] = (uint8_t)first;
			for (unsigned k = 0; k < width; k++)
				data[1 + k] = (uint8_t)(arguments[i] >> (8 * (width - 1 - k)));
			uint64_t v = width ? arguments[i] : info;
			int r = next(data, sizeof data, &it, &e);
			/* Of a string, what is not there is noticed before its header is. */
			if ((major == 2 || major == 3) && info < 28 && v > 0x10001)
				assert_int_equal(r, -ERR_TRUNCATED);
			else
				assert_int_equal(r, allowed((uint8_t)first, v) ? 0 : -ERR_ENCODING);
			if (!r && it.kind != CBOR_BOOL)
				assert_true(it.value == v);
		}
}

static bool text_accepted(const char *bytes, size_t n)
{
	uint8_t data[16];
	struct cbor_item it;
	struct err e;

	data[0] = (uint8_t)(0x60 | n);
	memcpy(data + 1, bytes, n);
	int r = next(data, n + 1, &it, &e);
	if (r)
		assert_int_equal(r, -ERR_ENCODING);
	return !r;
}

static void text_is_printable_utf8(void **state)
{
	static const struct {
		const char *bytes;
		bool ok;
	} cases[] = {
	    {" ~", true},
	    {"\x1f", false},
	    {"\n", false},
	    {"\x7f", false},
	    {"\xc2\x80", false}, /* C1 controls: terminals obey them */
	    {"\xc2\x9f", false},
	    {"\xc2\xa0", true},
	    {"\x80", false},
	    {"\xc0\x80", false}, /* overlong */
	    {"\xc1\xbf", false},
	    {"\xe0\x9f\xbf", false},
	    {"\xe0\xa0\x80", true},
	    {"\xed\x9f\xbf", true},
	    {"\xed\xa0\x80", false}, /* surrogates */
	    {"\xed\xbf\xbf", false},
	    {"\xee\x80\x80", true},
	    {"\xf0\x8f\xbf\xbf", false},
	    {"\xf0\x90\x80\x80", true},
	    {"\xf4\x8f\xbf\xbf", true},
	    {"\xf4\x90\x80\x80", false}, /* past U+10FFFF */
	    {"\xf5\x80\x80\x80", false},
	    {"\xff", false},
	    {"\xc3", false}, /* cut short */
	    {"\xe6\xb0", false},
	    {"\xf0\x90\x85", false},
	    {"\xc3(", false},
	    {"a\xc3\xa9z", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (text_accepted(cases[i].bytes, strlen(cases[i].bytes)) != cases[i].ok)
			fail_msg("text %zu is %s", i, cases[i].ok ? "refused" : "accepted");
	assert_false(text_accepted("a\0b", 3));
}

static void what_is_put_is_read(void **state)
{
	static const uint64_t values[] = {0,	  23,	   24,	       0xff,	    0x100,
					  0xffff, 0x10000, 0xffffffff, 0x100000000, UINT64_MAX};
	struct buf b = BUF_INIT;
	struct cbor_item it;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		cbor_put_uint(&b, values[i]);
		cbor_put_array(&b, values[i]);
		cbor_put_map(&b, values[i]);
	}
	cbor_put_bool(&b, true);
	cbor_put_bool(&b, false);
	cbor_put_bytes(&b, "\0\xff", 2);
	cbor_put_bytes(&b, NULL, 0);
	cbor_put_text(&b, "text");

	struct cbor_in in = {.data = b.data, .len = b.len};
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		assert_int_equal(cbor_expect(&in, CBOR_UINT, &it, &e), 0);
		assert_true(it.value == values[i]);
		assert_int_equal(cbor_expect(&in, CBOR_ARRAY, &it, &e), 0);
		assert_true(it.value == values[i]);
		assert_int_equal(cbor_expect(&in, CBOR_MAP, &it, &e), 0);
		assert_true(it.value == values[i]);
	}
	assert_int_equal(cbor_expect(&in, CBOR_BOOL, &it, &e), 0);
	assert_int_equal(it.value, 1);
	assert_int_equal(cbor_expect(&in, CBOR_BOOL, &it, &e), 0);
	assert_int_equal(it.value, 0);
	assert_int_equal(cbor_expect(&in, CBOR_BYTES, &it, &e), 0);
	assert_memory_equal(it.str, "\0\xff", 2);
	assert_int_equal(cbor_expect(&in, CBOR_BYTES, &it, &e), 0);
	assert_int_equal(it.value, 0);
	assert_int_equal(cbor_finish(&in, &e), -ERR_STRUCTURE);
	size_t at = in.at;
	assert_int_equal(cbor_expect(&in, CBOR_BYTES, &it, &e), -ERR_TYPE);
	assert_int_equal(e.offset, at);
	assert_non_null(strstr(e.msg, "text where byte string should be"));
	in.at = at;
	assert_int_equal(cbor_expect(&in, CBOR_TEXT, &it, &e), 0);
	assert_memory_equal(it.str, "text", 4);
	assert_int_equal(cbor_finish(&in, &e), 0);
	assert_int_equal(cbor_next(&in, &it, &e), -ERR_TRUNCATED);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors_of_the_rfc),
	    cmocka_unit_test(every_header),
	    cmocka_unit_test(text_is_printable_utf8),
	    cmocka_unit_test(what_is_put_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
