/* SPDX-License-Identifier: Apache-2.0 */
/* Records from JSON: back from what is printed, and refused for every way of being wrong. */
#include "sample.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void printed_comes_back(void **state)
{
	json_t *j = state_json(&sample_desc, &sample_value);
	struct sample back;
	struct err e = ERR_INIT;

	assert_int_equal(state_from_json(&sample_desc, j, &back, &e), 0);
	assert_true(state_equal(&sample_desc, &sample_value, &back));
	json_decref(j);
}

/* The printed sample with @key set to the JSON text @value; NULL takes it away. */
static int change(const char *key, const char *value, struct err *e)
{
	json_t *j = state_json(&sample_desc, &sample_value);
	struct sample st = sample_value;

	if (value)
		json_object_set_new(j, key, json_loads(value, JSON_DECODE_ANY, NULL));
	else
		json_object_del(j, key);
	*e = (struct err)ERR_INIT;
	int r = state_from_json(&sample_desc, j, &st, e);
	json_decref(j);
	if (r)
		assert_true(state_equal(&sample_desc, &sample_value, &st)); /* untouched */
	return r;
}

static void what_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *key, *value;
		int code;
	} cases[] = {
	    {"small", "255", 0},
	    {"small", "\"0xff\"", 0},
	    {"small", "\"255\"", 0},
	    {"small", "256", -ERR_RANGE},
	    {"small", "-1", -ERR_TYPE},
	    {"small", "\"-1\"", -ERR_TYPE},
	    {"small", "\"12x\"", -ERR_TYPE},
	    {"small", "\"\"", -ERR_TYPE},
	    {"small", "1.5", -ERR_TYPE},
	    {"small", "true", -ERR_TYPE},
	    {"small", "null", -ERR_TYPE},
	    {"small", NULL, -ERR_MISSING},
	    {"huge", "\"0xffffffffffffffff\"", 0},
	    {"huge", "\"0x10000000000000000\"", -ERR_TYPE},
	    {"on", "1", -ERR_TYPE},
	    {"colour", "\"mauve\"", -ERR_RANGE},
	    {"colour", "1", -ERR_RANGE},
	    {"mac", "\"010203\"", 0},
	    {"mac", "\"0102\"", -ERR_LIMIT},
	    {"mac", "\"01020304\"", -ERR_LIMIT},
	    {"mac", "\"01020g\"", -ERR_ENCODING},
	    {"mac", "[1, 2, 3]", -ERR_LIMIT},
	    {"bar", "[1, 2, 3]", 0},
	    {"bar", "[1, 2]", -ERR_LIMIT},
	    {"bar", "[1, 2, 4294967296]", -ERR_RANGE},
	    {"blob", "\"\"", 0},
	    {"blob", "\"0\"", -ERR_LIMIT},
	    {"blob", "\"000102030405060708090a0b0c0d0e0f1011121314\"", -ERR_LIMIT},
	    {"name", "\"\"", 0},
	    {"name", "\"sevenxx\"", -ERR_LIMIT},
	    {"name", "\"a\\nb\"", -ERR_ENCODING},
	    {"name", "\"a\\u009b\"", -ERR_ENCODING}, /* CSI: moves a terminal's cursor as well */
	    {"name", "5", -ERR_TYPE},
	    {"inner", "{\"port\": 1, \"open\": false}", 0},
	    {"inner", "{\"port\": 1}", -ERR_MISSING},
	    {"inner", "{\"port\": 1, \"open\": false, \"more\": 1}", -ERR_UNKNOWN},
	    {"inner", "[]", -ERR_TYPE},
	    {"item", "[]", 0},
	    {"item", "[{\"port\": 1, \"open\": 5}]", -ERR_TYPE},
	    {"item", "[{}, {}, {}]", -ERR_LIMIT},
	    {"item", "{}", -ERR_LIMIT},
	    {"nobody", "1", -ERR_UNKNOWN},
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = change(cases[i].key, cases[i].value, &e);
		if (r != cases[i].code)
			fail_msg("%s: %s: %d (%s)", cases[i].key, cases[i].value, r, e.msg);
		if (r && r != -ERR_UNKNOWN)
			assert_int_equal(strncmp(e.where, cases[i].key, strlen(cases[i].key)), 0);
	}
	change("item", "[{\"port\": 1, \"open\": true}, {\"port\": 70000, \"open\": true}]", &e);
	assert_string_equal(e.where, "item.1.port");
}

/* @text as a file; NULL: the sample as it is written. */
static int read_back(const char *text, struct err *e)
{
	char path[] = "/tmp/test-json.XXXXXX";
	int fd = mkstemp(path);
	json_t *j = state_file_json(&sample_desc, &sample_value);
	char *written = json_dumps(j, 0);
	struct sample st;

	text = text ? text : written;
	*e = (struct err)ERR_INIT;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	int r = state_read_file(&sample_desc, path, &st, e);
	unlink(path);
	if (!r)
		assert_true(state_equal(&sample_desc, &sample_value, &st));
	else
		assert_string_equal(e->file, path);
	json_decref(j);
	free(written);
	return r;
}

static void files(void **state)
{
	struct err e;
	char *large = malloc(2 * MIB);
	struct sample st;

	assert_int_equal(read_back(NULL, &e), 0);
	assert_int_equal(read_back("", &e), -ERR_ENCODING);
	assert_int_equal(read_back("{", &e), -ERR_ENCODING);
	assert_int_equal(read_back("{\"record\": 1, \"record\": 2}", &e), -ERR_ENCODING);
	assert_int_equal(read_back("[]", &e), -ERR_MAGIC);
	assert_int_equal(read_back("{\"record\": \"other\"}", &e), -ERR_MAGIC);
	assert_int_equal(read_back("{\"record\": \"sample\"}", &e), -ERR_VERSION);
	assert_int_equal(read_back("{\"record\": \"sample\", \"version\": 99}", &e), -ERR_VERSION);
	assert_int_equal(read_back("{\"record\": \"sample\", \"version\": 3}", &e), -ERR_TYPE);
	memset(large, '[', 2 * MIB - 1);
	large[2 * MIB - 1] = '\0';
	assert_int_equal(read_back(large, &e), -ERR_LIMIT);
	large[MIB / 2] = '\0'; /* deeper than anybody needs */
	assert_int_equal(read_back(large, &e), -ERR_ENCODING);
	free(large);
	e = (struct err)ERR_INIT;
	assert_int_equal(state_read_file(&sample_desc, "/none", &st, &e), -ERR_IO);
	assert_int_equal(state_read_file(&sample_desc, "/tmp", &st, &e), -ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(printed_comes_back),
	    cmocka_unit_test(what_is_wrong_is_refused),
	    cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
