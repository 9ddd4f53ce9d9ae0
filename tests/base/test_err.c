/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *text(const struct err *e)
{
	static char line[512];

	return err_text(e, line, sizeof line);
}

static void the_origin_fills_it(void **state)
{
	struct err e = ERR_INIT;

	assert_int_equal(e.code, 0);
	assert_true(e.offset == ERR_NO_OFFSET);
	assert_int_equal(err_set(&e, ERR_RANGE, "%d too many", 3), -ERR_RANGE);
	assert_int_equal(e.code, ERR_RANGE);
	assert_int_equal(e.sys, 0);
	assert_string_equal(text(&e), "3 too many");

	assert_int_equal(err_at(&e, ERR_CHECKSUM, 0x1a40, "digest differs"), -ERR_CHECKSUM);
	assert_string_equal(text(&e), "0x1a40: digest differs");
	err_where(&e, "divisor");
	err_where(&e, "uart%d", 0);
	assert_string_equal(e.where, "uart0.divisor");
	assert_string_equal(text(&e), "0x1a40: uart0.divisor: digest differs");

	/* The next failure starts anew. */
	assert_int_equal(err_set(&e, ERR_USAGE, "no"), -ERR_USAGE);
	assert_string_equal(text(&e), "no");
	assert_true(e.offset == ERR_NO_OFFSET);
}

static void system_errors_keep_their_number(void **state)
{
	struct err e = ERR_INIT;
	char want[128];

	assert_int_equal(err_sys(&e, ERR_IO, ENOENT, "cannot open"), -ERR_IO);
	assert_int_equal(e.sys, ENOENT);
	snprintf(want, sizeof want, "cannot open: %s", strerror(ENOENT));
	assert_string_equal(text(&e), want);
	assert_int_equal(err_sys(&e, ERR_IO, ENOSPC, "x"), -ERR_NOSPACE);
	assert_int_equal(e.code, ERR_NOSPACE);
	assert_int_equal(err_sys(&e, ERR_IO, EDQUOT, "x"), -ERR_NOSPACE);
	assert_int_equal(err_sys(&e, ERR_KVM, ENOMEM, "x"), -ERR_NOMEM);
	assert_int_equal(err_sys(&e, ERR_KVM, EINVAL, "x"), -ERR_KVM);
}

static void nobody_needs_to_ask(void **state)
{
	assert_int_equal(err_set(NULL, ERR_BUG, "%s", "x"), -ERR_BUG);
	assert_int_equal(err_sys(NULL, ERR_IO, ENOSPC, "x"), -ERR_NOSPACE);
	assert_int_equal(err_at(NULL, ERR_TYPE, 1, "x"), -ERR_TYPE);
	err_where(NULL, "x");
}

static void long_texts_are_cut(void **state)
{
	struct err e = ERR_INIT;
	char long_text[1000], small[8];

	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	err_set(&e, ERR_BUG, "%s", long_text);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
	for (int i = 0; i < 40; i++)
		err_where(&e, "level%d", i);
	assert_int_equal(strlen(e.where), sizeof e.where - 1);
	assert_memory_equal(e.where, "level39.level38.", 16); /* the outermost stay */
	err_where(&e, "%s", long_text);
	assert_int_equal(strlen(e.where), sizeof e.where - 1);
	assert_string_equal(err_text(&e, small, sizeof small), "xxxxxxx");
}

/* Pinned: files of tests and other programs name them. */
static void codes_have_their_numbers_and_names(void **state)
{
	static const struct {
		int code;
		const char *name;
	} codes[] = {
	    {1, "USAGE"},	  {2, "NAME"},	     {3, "WRONG_STATE"}, {20, "TRUNCATED"},
	    {21, "MAGIC"},	  {22, "VERSION"},   {23, "FEATURE"},	 {24, "CHECKSUM"},
	    {25, "ENCODING"},	  {26, "TYPE"},	     {27, "RANGE"},	 {28, "MISSING"},
	    {29, "UNKNOWN"},	  {30, "DUPLICATE"}, {31, "LIMIT"},	 {32, "STRUCTURE"},
	    {33, "SIGNATURE"},	  {34, "KEY"},
	    {50, "INCOMPATIBLE"}, {70, "IO"},	     {71, "NOSPACE"},	 {72, "NOMEM"},
	    {73, "KVM"},	  {74, "BUSY"},	     {75, "TIMEOUT"},	 {76, "CANCELLED"},
	    {90, "BUG"},
	};
	size_t named = 0;

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		assert_string_equal(err_code_name(codes[i].code), codes[i].name);
	for (int code = -10; code < 1000; code++)
		named += strcmp(err_code_name(code), "?") != 0;
	assert_int_equal(named, ARRAY_LEN(codes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_origin_fills_it),
	    cmocka_unit_test(system_errors_keep_their_number),
	    cmocka_unit_test(nobody_needs_to_ask),
	    cmocka_unit_test(long_texts_are_cut),
	    cmocka_unit_test(codes_have_their_numbers_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
