/* SPDX-License-Identifier: Apache-2.0 */
/* Records that must be refused, each with its code, offset and place. */
#include "sample.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FILE_OFFSET 0x1000

struct bad {
	const char *what;
	/* The sample, with @cut bytes at @at replaced by @n bytes @put. */
	size_t at, cut, n;
	const char *put;
	int code;
	size_t offset;
	const char *where;
};

#define PUT(s) sizeof(s) - 1, s

/* clang-format off */
static const struct bad bads[] = {
	/* the map and its version */
	{"empty map", AT_MAP, 1, PUT("\xa0"), ERR_MISSING, 0, ""},
	{"array for a map", AT_MAP, 1, PUT("\x90"), ERR_TYPE, 0, ""},
	{"indefinite map", AT_MAP, 1, PUT("\xbf"), ERR_ENCODING, 0, ""},
	{"map length not shortest", AT_MAP, 1, PUT("\xb8\x10"), ERR_ENCODING, 0, ""},
	{"more pairs than there can be", AT_MAP, 1, PUT("\xbb\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_TRUNCATED, SAMPLE_BYTES + 8, ""},
	{"no version key", 1, 2, PUT(""), ERR_MISSING, 1, ""},
	{"text for the version key", 1, 1, PUT("\x61v"), ERR_TYPE, 1, ""},
	{"version 0", AT_VERSION, 1, PUT("\x00"), ERR_VERSION, AT_VERSION, ""},
	{"version 4", AT_VERSION, 1, PUT("\x04"), ERR_VERSION, AT_VERSION, ""},
	{"version 65539", AT_VERSION, 1, PUT("\x1a\x00\x01\x00\x03"), ERR_VERSION, AT_VERSION, ""},
	{"version not shortest", AT_VERSION, 1, PUT("\x18\x03"), ERR_ENCODING, AT_VERSION, ""},
	{"negative version", AT_VERSION, 1, PUT("\x22"), ERR_TYPE, AT_VERSION, ""},
	{"version 3's fields in version 2", AT_VERSION, 1, PUT("\x02"), ERR_UNKNOWN, AT_ADDED - 1, ""},
	{"version 3's fields in version 1", AT_VERSION, 1, PUT("\x01"), ERR_UNKNOWN, AT_WHEN - 1, ""},

	/* keys */
	{"field twice", AT_MEDIUM - 1, 1, PUT("\x01"), ERR_DUPLICATE, AT_MEDIUM - 1, ""},
	{"version twice", AT_SMALL - 1, 1, PUT("\x00"), ERR_DUPLICATE, AT_SMALL - 1, ""},
	{"out of order", AT_LARGE - 1, 1, PUT("\x01"), ERR_ENCODING, AT_LARGE - 1, ""},
	{"nobody's field between others", AT_WHEN - 1, 1, PUT("\x0d"), ERR_UNKNOWN, AT_WHEN - 1, ""},
	{"nobody's field at the end", AT_ADDED - 1, 1, PUT("\x17"), ERR_MISSING, AT_ADDED - 1, ""},
	{"one field more", AT_MAP, 1, PUT("\xb1"), ERR_TRUNCATED, SAMPLE_BYTES, ""},
	{"first field missing", AT_SMALL - 1, 3, PUT(""), ERR_MISSING, AT_SMALL - 1, ""},
	{"field in the middle missing", AT_BLOB - 1, 5, PUT(""), ERR_MISSING, AT_BLOB - 1, ""},
	{"one pair less", AT_MAP, 1, PUT("\xaf"), ERR_MISSING, AT_ADDED - 1, ""},
	{"negative key", AT_SMALL - 1, 1, PUT("\x20"), ERR_TYPE, AT_SMALL - 1, ""},
	{"key not shortest", AT_SMALL - 1, 1, PUT("\x18\x01"), ERR_ENCODING, AT_SMALL - 1, ""},
	{"key past 16 bits", AT_SMALL - 1, 1, PUT("\x1a\x00\x01\x00\x01"), ERR_MISSING, AT_SMALL - 1, ""},

	/* numbers */
	{"text for a number", AT_SMALL, 2, PUT("\x61x"), ERR_TYPE, AT_SMALL, "small"},
	{"negative number", AT_SMALL, 2, PUT("\x20"), ERR_TYPE, AT_SMALL, "small"},
	{"boolean for a number", AT_SMALL, 2, PUT("\xf5"), ERR_TYPE, AT_SMALL, "small"},
	{"float for a number", AT_SMALL, 2, PUT("\xf9\x3c\x00"), ERR_ENCODING, AT_SMALL, "small"},
	{"null for a number", AT_SMALL, 2, PUT("\xf6"), ERR_ENCODING, AT_SMALL, "small"},
	{"undefined for a number", AT_SMALL, 2, PUT("\xf7"), ERR_ENCODING, AT_SMALL, "small"},
	{"break for a number", AT_SMALL, 2, PUT("\xff"), ERR_ENCODING, AT_SMALL, "small"},
	{"tagged number", AT_SMALL, 2, PUT("\xc2\x18\xc8"), ERR_ENCODING, AT_SMALL, "small"},
	{"8 bits and one", AT_SMALL, 2, PUT("\x19\x01\x00"), ERR_RANGE, AT_SMALL, "small"},
	{"16 bits and one", AT_MEDIUM, 3, PUT("\x1a\x00\x01\x00\x00"), ERR_RANGE, AT_MEDIUM, "medium"},
	{"32 bits and one", AT_LARGE, 5, PUT("\x1b\x00\x00\x00\x01\x00\x00\x00\x00"), ERR_RANGE, AT_LARGE, "large"},
	{"8 bits in 16", AT_SMALL, 2, PUT("\x19\x00\xc8"), ERR_ENCODING, AT_SMALL, "small"},
	{"16 bits in 32", AT_MEDIUM, 3, PUT("\x1a\x00\x00\xbe\xef"), ERR_ENCODING, AT_MEDIUM, "medium"},
	{"32 bits in 64", AT_LARGE, 5, PUT("\x1b\x00\x00\x00\x00\x00\x30\x00\x00"), ERR_ENCODING, AT_LARGE, "large"},
	{"reserved length", AT_SMALL, 2, PUT("\x1c"), ERR_ENCODING, AT_SMALL, "small"},
	{"number for a flag", AT_ON, 1, PUT("\x01"), ERR_TYPE, AT_ON, "on"},
	{"flag in two bytes", AT_ON, 1, PUT("\xf8\x15"), ERR_ENCODING, AT_ON, "on"},
	{"nameless value below", AT_COLOUR, 1, PUT("\x00"), ERR_RANGE, AT_COLOUR, "colour"},
	{"nameless value between", AT_COLOUR, 1, PUT("\x02"), ERR_RANGE, AT_COLOUR, "colour"},
	{"nameless value above", AT_COLOUR, 1, PUT("\x04"), ERR_RANGE, AT_COLOUR, "colour"},
	{"nameless value past 8 bits", AT_COLOUR, 1, PUT("\x19\x01\x03"), ERR_RANGE, AT_COLOUR, "colour"},

	/* arrays */
	{"a byte too few", AT_MAC, 4, PUT("\x42\xaa\xbb"), ERR_RANGE, AT_MAC, "mac"},
	{"a byte too many", AT_MAC, 4, PUT("\x44\xaa\xbb\xcc\xdd"), ERR_LIMIT, AT_MAC, "mac"},
	{"array for bytes", AT_MAC, 4, PUT("\x83\x01\x02\x03"), ERR_TYPE, AT_MAC, "mac"},
	{"indefinite bytes", AT_MAC, 1, PUT("\x5f\x43"), ERR_ENCODING, AT_MAC, "mac"},
	{"bytes past the end", AT_MAC, 1, PUT("\x58\x7f"), ERR_TRUNCATED, AT_MAC, "mac"},
	{"all the bytes there are", AT_MAC, 1, PUT("\x5b\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_TRUNCATED, AT_MAC, "mac"},
	{"a number too few", AT_BAR, 1, PUT("\x82"), ERR_RANGE, AT_BAR, "bar"},
	{"a number too many", AT_BAR, 1, PUT("\x84"), ERR_LIMIT, AT_BAR, "bar"},
	{"numbers beyond measure", AT_BAR, 1, PUT("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_LIMIT, AT_BAR, "bar"},
	{"bytes for numbers", AT_BAR, 1, PUT("\x43"), ERR_TYPE, AT_BAR, "bar"},
	{"second number too large", AT_BAR + 2, 3, PUT("\x1b\x00\x00\x00\x01\x00\x00\x00\x00"), ERR_RANGE, AT_BAR + 2, "bar"},
	{"text among numbers", AT_BAR + 1, 1, PUT("\x60"), ERR_TYPE, AT_BAR + 1, "bar"},

	/* strings */
	{"blob too long", AT_BLOB, 4, PUT("\x55" "123456789012345678901"), ERR_LIMIT, AT_BLOB, "blob"},
	{"text for a blob", AT_BLOB, 1, PUT("\x63"), ERR_ENCODING, AT_BLOB, "blob"},
	{"printable text for a blob", AT_BLOB, 4, PUT("\x63" "abc"), ERR_TYPE, AT_BLOB, "blob"},
	{"text too long", AT_NAME, 5, PUT("\x67" "1234567"), ERR_LIMIT, AT_NAME, "name"},
	{"bytes for text", AT_NAME, 1, PUT("\x44"), ERR_TYPE, AT_NAME, "name"},
	{"NUL in text", AT_NAME, 5, PUT("\x62" "a\0"), ERR_ENCODING, AT_NAME, "name"},
	{"escape in text", AT_NAME, 5, PUT("\x62" "\x1b["), ERR_ENCODING, AT_NAME, "name"},
	{"no UTF-8", AT_NAME, 5, PUT("\x62" "a\xff"), ERR_ENCODING, AT_NAME, "name"},
	{"half a character", AT_NAME, 5, PUT("\x62" "a\xc3"), ERR_ENCODING, AT_NAME, "name"},

	/* records in it */
	{"number for a record", AT_INNER, 9, PUT("\x05"), ERR_TYPE, AT_INNER, "inner"},
	{"inner version 2", AT_INNER + 2, 1, PUT("\x02"), ERR_VERSION, AT_INNER + 2, "inner"},
	{"inner field missing", AT_INNER, 9, PUT("\xa2\x00\x01\x02\xf4"), ERR_MISSING, AT_INNER + 3, "inner"},
	{"inner value too large", AT_INNER + 4, 3, PUT("\x1a\x00\x01\x00\x00"), ERR_RANGE, AT_INNER + 4, "inner.port"},
	{"list too long", AT_ITEM, 1, PUT("\x83"), ERR_LIMIT, AT_ITEM, "item"},
	{"list beyond measure", AT_ITEM, 1, PUT("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_LIMIT, AT_ITEM, "item"},
	{"indefinite list", AT_ITEM, 1, PUT("\x9f"), ERR_ENCODING, AT_ITEM, "item"},
	{"record for a list", AT_ITEM, 1, PUT(""), ERR_TYPE, AT_ITEM, "item"},
	{"second record's flag", AT_ITEM + 16, 1, PUT("\x00"), ERR_TYPE, AT_ITEM + 16, "item.1.open"},
	{"first record's version", AT_ITEM + 3, 1, PUT("\x05"), ERR_VERSION, AT_ITEM + 3, "item.0"},

	/* the end */
	{"a byte after the end", SAMPLE_BYTES, 0, PUT("\x00"), ERR_STRUCTURE, SAMPLE_BYTES, ""},
	{"list too short, so more follows", AT_ITEM, 1, PUT("\x81"), ERR_TYPE, AT_ITEM + 8, ""},
};
/* clang-format on */

static void refuse(const struct bad *b)
{
	size_t n = SAMPLE_BYTES - b->cut + b->n;
	uint8_t *data = malloc(n);
	struct sample s, before;
	struct err e = ERR_INIT;

	assert_non_null(data);
	memcpy(data, sample_bytes, b->at);
	memcpy(data + b->at, b->put, b->n);
	memcpy(data + b->at + b->n, sample_bytes + b->at + b->cut, SAMPLE_BYTES - b->at - b->cut);
	memset(&s, 0xa5, sizeof s);
	before = s;

	struct cbor_in in = {.data = data, .len = n, .base = FILE_OFFSET};
	int r = state_decode(&sample_desc, &in, &s, &e);
	if (r && memcmp(&s, &before, sizeof s))
		fail_msg("%s: the record was touched", b->what);
	if (!r)
		r = cbor_finish(&in, &e);
	if (r != -b->code || e.code != b->code)
		fail_msg("%s: %s, %s expected", b->what, r ? err_code_name(-r) : "accepted",
			 err_code_name(b->code));
	if (e.offset != FILE_OFFSET + b->offset)
		fail_msg("%s: at %lld, %zu expected", b->what, (long long)(e.offset - FILE_OFFSET),
			 b->offset);
	if (strcmp(e.where, b->where))
		fail_msg("%s: in '%s', '%s' expected", b->what, e.where, b->where);
	assert_true(e.msg[0]);
	free(data);
}

static void each_is_refused_for_its_reason(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bads); i++)
		refuse(&bads[i]);
}

/* Nobody has to ask why. */
static void refused_without_an_err_too(void **state)
{
	struct cbor_in in = {.data = sample_bytes, .len = AT_ITEM + 5};
	struct sample s;

	assert_int_equal(state_decode(&sample_desc, &in, &s, NULL), -ERR_TRUNCATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_refused_for_its_reason),
	    cmocka_unit_test(refused_without_an_err_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
