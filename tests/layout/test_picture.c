/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of sound, changed and hostile maps; test_picture.py looks at what is drawn. */
#include "layout/picture.h"
#include "maps.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOSTILE_ROUNDS 500
#define LENGTH_MAX     MIB

/* Owned by the caller. */
static char *draw(bool html, const struct layout *a, const struct layout *b)
{
	const struct picture_map first = {a, "saved"}, second = {b, "wanted"};
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	(html ? picture_html : picture_svg)(&first, b ? &second : NULL, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(strlen(text), n);
	assert_true(n < LENGTH_MAX);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void every_region_is_drawn_once(void **unused)
{
	static const uint64_t ram[] = {64 * MIB, 4 * GIB, 64 * GIB};
	struct layout l;

	for (size_t i = 0; i < ARRAY_LEN(ram); i++) {
		maps_x86(&l, ram[i]);
		char *text = draw(false, &l, NULL);
		assert_int_equal(count(text, "<g class=\"region\">"), l.region_n);
		for (uint32_t k = 0; k < l.region_n; k++) {
			char label[64];
			snprintf(label, sizeof label, ">%s</text>", l.region[k].name);
			assert_int_equal(count(text, label), 1);
		}
		assert_int_equal(count(text, "class=\"pill c-"), count(text, "pill c-line"));
		free(text);
	}
}

static void the_window_that_grew_pushes_the_next(void **unused)
{
	struct layout small, large;
	struct err e = ERR_INIT;

	maps_arm(&small, 8 * MIB);
	maps_arm(&large, 1 * GIB);
	assert_int_equal(layout_check(&small, &e), 0);
	assert_int_equal(layout_check(&large, &e), 0);
	char *text = draw(false, &small, &large);
	assert_non_null(strstr(text, ">2 regions differ<"));
	assert_non_null(strstr(text, "PLATFORM_MMIO: grew, 8 MiB \u2192 1 GiB<"));
	assert_non_null(strstr(text, "HIGH_MMIO: moved by +1016 MiB; shrank"));
	assert_int_equal(count(text, "<path class=\"link "), 2);
	free(text);
	text = draw(false, &large, &small);
	assert_non_null(strstr(text, "HIGH_MMIO: moved by \u22121016 MiB; grew"));
	free(text);
}

static void equal_maps_show_no_difference(void **unused)
{
	struct layout l;

	maps_x86(&l, 4 * GIB);
	char *text = draw(false, &l, &l);
	assert_non_null(strstr(text, ">No region differs<"));
	assert_int_equal(count(text, "<path class=\"link "), 0);
	assert_int_equal(count(text, "rect class=\"mark"), 0);
	free(text);
}

static void unsound_maps_are_marked(void **unused)
{
	struct layout l;

	maps_arm(&l, 8 * MIB);
	l.region[l.region_n - 1].size = UINT64_MAX;
	l.region[0].size = 0x100;
	l.region[9].start = 0;
	char *text = draw(false, &l, NULL);
	assert_int_equal(count(text, ">past 2^64</text>"), 1);
	assert_int_equal(count(text, ">overlaps</text>"), 2);
	/* KERNEL of RAM, and what lies in it. */
	assert_int_equal(count(text, ">outside its parent</text>"), 3);
	free(text);
}

static void hostile_maps_are_drawn_as_well(void **unused)
{
	struct layout *l = malloc(sizeof *l), *other = malloc(sizeof *other);

	assert_non_null(l);
	assert_non_null(other);
	for (uint64_t seed = 0; seed < HOSTILE_ROUNDS; seed++) {
		maps_hostile(l, seed);
		maps_hostile(other, seed + HOSTILE_ROUNDS);
		char *text = draw(seed % 2, l, seed % 3 ? other : NULL);
		unsigned n = l->region_n + (seed % 3 ? other->region_n : 0);
		assert_int_equal(count(text, "<g class=\"region\">"), n);
		assert_null(strstr(text, "<script"));
		for (const char *p = text; *p; p++)
			assert_true(*p == '\n' || (unsigned char)*p >= ' ');
		free(text);
	}
	free(l);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_region_is_drawn_once),
	    cmocka_unit_test(the_window_that_grew_pushes_the_next),
	    cmocka_unit_test(equal_maps_show_no_difference),
	    cmocka_unit_test(unsound_maps_are_marked),
	    cmocka_unit_test(hostile_maps_are_drawn_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
