/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static void sizes_are_powers_of_two(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
	    {"0", 0},
	    {"1", 1},
	    {"4096", 4096},
	    {"0x1000", 4096},
	    {"1k", KIB},
	    {"1K", KIB},
	    {"512M", 512 * MIB},
	    {"4G", 4 * GIB},
	    {"16g", 16 * GIB},
	    {"2T", 2 * TIB},
	    {"0x10G", 16 * GIB},
	    {"18446744073709551615", UINT64_MAX},
	    {"16777215T", 16777215 * TIB},
	};
	static const char *const bad[] = {
	    "",		 " 1",
	    "+1",	 "-1",
	    "K",	 "1KB",
	    "1 K",	 "1P",
	    "0x",	 "1.5G",
	    "1K ",	 "18446744073709551616",
	    "4G4",	 "1KK",
	    "abcd",	 "99999999999999999999K",
	    "16777216T", "18014398509481984K",
	};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		v = 12345;
		if (num_parse_size(good[i].text, &v) || v != good[i].value)
			fail_msg("'%s' is %llu", good[i].text, (unsigned long long)v);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (num_parse_size(bad[i], &v) != -ERR_USAGE)
			fail_msg("'%s' was taken for %llu", bad[i], (unsigned long long)v);
}

static void leading_zeros_are_decimal(void **state)
{
	uint64_t v;

	assert_int_equal(num_parse_size("010M", &v), 0);
	assert_int_equal(v, 10 * MIB);
	assert_int_equal(num_parse_size("08", &v), 0);
	assert_int_equal(v, 8);
}

static void arithmetic_says_when_it_overflows(void **state)
{
	uint64_t v;

	assert_true(num_add(UINT64_MAX - 1, 1, &v));
	assert_true(v == UINT64_MAX);
	assert_false(num_add(UINT64_MAX, 1, &v));
	assert_true(num_mul(1ull << 32, (1ull << 32) - 1, &v));
	assert_false(num_mul(1ull << 32, 1ull << 32, &v));

	assert_true(num_align_up(0, 4096, &v) && v == 0);
	assert_true(num_align_up(1, 4096, &v) && v == 4096);
	assert_true(num_align_up(4096, 4096, &v) && v == 4096);
	assert_true(num_align_up(77, 1, &v) && v == 77);
	assert_true(num_align_up(UINT64_MAX - 4095, 4096, &v) && v == UINT64_MAX - 4095);
	assert_false(num_align_up(UINT64_MAX - 4094, 4096, &v));
}

static void inside_holds_at_the_edges(void **state)
{
	assert_true(num_inside(10, 5, 10, 5));
	assert_true(num_inside(15, 0, 10, 5));
	assert_false(num_inside(16, 0, 10, 5));
	assert_false(num_inside(9, 1, 10, 5));
	assert_false(num_inside(10, 6, 10, 5));
	assert_false(num_inside(14, 2, 10, 5));
	assert_false(num_inside(UINT64_MAX, 2, 0, UINT64_MAX));
	assert_false(num_inside(5, UINT64_MAX - 2, 0, UINT64_MAX)); /* end wraps to 2 */
	assert_true(num_inside(0, UINT64_MAX, 0, UINT64_MAX));
	assert_true(num_inside(UINT64_MAX, 1, UINT64_MAX, 1));
}

static void little_endian_at_any_place(void **state)
{
	uint8_t b[16] = {0};

	for (size_t at = 0; at < 8; at++) {
		num_put_le64(b + at, 0x8877665544332211);
		assert_memory_equal(b + at, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
		assert_true(num_le64(b + at) == 0x8877665544332211);
		assert_int_equal(num_le32(b + at), 0x44332211);
		assert_int_equal(num_le16(b + at), 0x2211);
	}
	num_put_le32(b, 0xddccbbaa);
	assert_memory_equal(b, "\xaa\xbb\xcc\xdd", 4);
	num_put_le16(b, 0x0201);
	assert_memory_equal(b, "\x01\x02\xcc\xdd", 4);
}

static void hexadecimal_both_ways(void **state)
{
	const uint8_t bytes[] = {0x00, 0x19, 0xaf, 0xf0, 0xff};
	char text[2 * sizeof bytes + 2] = {0};
	uint8_t back[sizeof bytes];

	text[2 * sizeof bytes + 1] = '!';
	assert_string_equal(num_hex(bytes, sizeof bytes, text), "0019aff0ff");
	assert_int_equal(text[2 * sizeof bytes + 1], '!');
	assert_true(num_unhex(text, back, sizeof back));
	assert_memory_equal(back, bytes, sizeof bytes);
	assert_string_equal(num_hex(bytes, 0, text), "");
	assert_false(num_unhex("0A", back, 1));
	assert_false(num_unhex("0g", back, 1));
	assert_false(num_unhex("0", back, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes_are_powers_of_two),
	    cmocka_unit_test(leading_zeros_are_decimal),
	    cmocka_unit_test(arithmetic_says_when_it_overflows),
	    cmocka_unit_test(inside_holds_at_the_edges),
	    cmocka_unit_test(little_endian_at_any_place),
	    cmocka_unit_test(hexadecimal_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
