/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *printed;
static size_t printed_n;

static FILE *begin(void)
{
	FILE *out = open_memstream(&printed, &printed_n);

	assert_non_null(out);
	return out;
}

static void expect(FILE *out, const char *want)
{
	fclose(out);
	assert_string_equal(printed, want);
	free(printed);
}

static void text(void **state)
{
	FILE *out = begin();

	state_text(&sample_desc, &sample_value, 2, out);
	expect(out, "  small                0xc8\n"
		    "  medium               48879\n"
		    "  large                3 MiB\n"
		    "  huge                 0xfedcba9876543210\n"
		    "  on                   yes\n"
		    "  colour               blue\n"
		    "  mac                  aabbcc\n"
		    "  bar                  0x10 0x1234 0xdeadbeef\n"
		    "  blob                 010203\n"
		    "  name                 h\xc3\xa9y\n"
		    "  inner:\n"
		    "    port                 443\n"
		    "    open                 no\n"
		    "  item 0: port 22, open yes\n"
		    "  item 1: port 8080, open no\n"
		    "  when                 1.500000001 s\n"
		    "  late                 no\n"
		    "  added:\n"
		    "    port                 65535\n"
		    "    open                 no\n");
}

static void text_of_much_and_of_nothing(void **state)
{
	struct sample s;
	FILE *out = begin();

	state_defaults(&sample_desc, &s);
	s.large = 5 * 1024;
	s.bar[0] = 7;
	state_text(&sample_desc, &s, 0, out);
	s.large = 1025;
	s.blob_len = 20;
	memset(s.blob, 0xab, sizeof s.blob);
	state_text(&sample_desc, &s, 0, out);
	fclose(out);
	assert_non_null(strstr(printed, "large                5 KiB\n"));
	assert_non_null(strstr(printed, "large                1025\n"));
	assert_non_null(strstr(printed, "bar                  0x7 (then 2 zeros)\n"));
	assert_non_null(strstr(printed, "blob                 (empty)\n"));
	assert_non_null(strstr(printed, "blob                 abababababababababababababababab... "
					"(20 bytes)\n"));
	assert_non_null(strstr(printed, "name                 \n"));
	free(printed);
}

static void json(void **state)
{
	struct json_t *j = state_json(&sample_desc, &sample_value);
	char *dump = json_dumps(j, JSON_COMPACT);

	assert_string_equal(dump,
			    "{\"small\":\"0xc8\",\"medium\":48879,\"large\":3145728,"
			    "\"huge\":\"0xfedcba9876543210\",\"on\":true,\"colour\":\"blue\","
			    "\"mac\":\"aabbcc\",\"bar\":[\"0x10\",\"0x1234\",\"0xdeadbeef\"],"
			    "\"blob\":\"010203\",\"name\":\"h\xc3\xa9y\","
			    "\"inner\":{\"port\":443,\"open\":false},"
			    "\"item\":[{\"port\":22,\"open\":true},{\"port\":8080,\"open\":false}],"
			    "\"when\":1500000001,\"late\":false,"
			    "\"added\":{\"port\":65535,\"open\":false}}");
	free(dump);
	json_decref(j);

	/* Numbers that JSON's readers may not hold. */
	struct sample s = sample_value;
	s.when = UINT64_MAX;
	j = state_json(&sample_desc, &s);
	assert_string_equal(json_string_value(json_object_get(j, "when")), "18446744073709551615");
	json_decref(j);
}

static void cddl(void **state)
{
	FILE *out = begin();

	state_cddl(&sample_desc, out);
	expect(out, "; One of everything\n"
		    "sample = {\n"
		    "  0: 3, ; version\n"
		    "  1: uint .size 1, ; small: Eight bits\n"
		    "  2: uint .size 2, ; medium: Sixteen bits\n"
		    "  3: uint .size 4, ; large: Thirty-two bits\n"
		    "  4: uint .size 8, ; huge: Sixty-four bits\n"
		    "  5: bool, ; on: A flag\n"
		    "  6: 1 / 3, ; colour: A colour (1=red 3=blue)\n"
		    "  7: bytes .size 3, ; mac: Bytes\n"
		    "  8: [3*3 uint .size 4], ; bar: Numbers\n"
		    "  9: bytes .size (0..20), ; blob: Some bytes\n"
		    "  10: text .size (0..6), ; name: Some text\n"
		    "  11: sample-inner, ; inner: A record\n"
		    "  12: [0*2 sample-inner], ; item: Records\n"
		    "  20: uint .size 8, ; when: Since version 2\n"
		    "  21: bool, ; late: Since version 2\n"
		    "  22: sample-inner, ; added: Since version 3\n"
		    "}\n");
}

static void markdown(void **state)
{
	FILE *out = begin();

	state_markdown(&sample_desc, out);
	expect(out, "### `sample` (version 3)\n\nOne of everything.\n\n"
		    "| id | field | type | since | default | meaning |\n"
		    "| --- | --- | --- | --- | --- | --- |\n"
		    "| 1 | `small` | `uint .size 1` | 1 | 3 | Eight bits |\n"
		    "| 2 | `medium` | `uint .size 2` | 1 | 500 | Sixteen bits |\n"
		    "| 3 | `large` | `uint .size 4` | 1 | 70000 | Thirty-two bits |\n"
		    "| 4 | `huge` | `uint .size 8` | 1 | 0 | Sixty-four bits |\n"
		    "| 5 | `on` | `bool` | 1 | 0 | A flag |\n"
		    "| 6 | `colour` | `1 / 3` | 1 | 1 | A colour; 1 red; 3 blue |\n"
		    "| 7 | `mac` | `bytes .size 3` | 1 |  | Bytes |\n"
		    "| 8 | `bar` | `[3*3 uint .size 4]` | 1 |  | Numbers |\n"
		    "| 9 | `blob` | `bytes .size (0..20)` | 1 |  | Some bytes |\n"
		    "| 10 | `name` | `text .size (0..6)` | 1 |  | Some text |\n"
		    "| 11 | `inner` | `sample-inner` | 1 |  | A record |\n"
		    "| 12 | `item` | `[0*2 sample-inner]` | 1 |  | Records |\n"
		    "| 20 | `when` | `uint .size 8` | 2 | 5000000000 | Since version 2 |\n"
		    "| 21 | `late` | `bool` | 2 | 1 | Since version 2 |\n"
		    "| 22 | `added` | `sample-inner` | 3 |  | Since version 3 |\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text),	cmocka_unit_test(text_of_much_and_of_nothing),
	    cmocka_unit_test(json),	cmocka_unit_test(cddl),
	    cmocka_unit_test(markdown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
