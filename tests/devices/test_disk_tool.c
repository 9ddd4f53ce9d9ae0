/* SPDX-License-Identifier: Apache-2.0 */
/* vmm disk info, commit and flatten; and whether the images are those of a snapshot. */
#include "disk_fixture.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last cluster is short. */
#define BYTES	(300 * KIB + 1536)
#define CLUSTER 4096u

/* base.raw, a.vmdisk over it, b.vmdisk on top; @model is what b holds. */
static uint8_t *make_chain(struct disk_fixture *f)
{
	uint8_t *model = malloc(BYTES);
	const char *const path[] = {"base.raw", "a.vmdisk", "b.vmdisk"};

	fixture_raw(path[0], BYTES, 6);
	fixture_pattern(model, BYTES, 6);
	for (int i = 1; i < 3; i++) {
		/* As it is when it was frozen. */
		struct timespec t[2] = {{.tv_sec = 1}, {.tv_sec = 1700000000 + i}};
		assert_int_equal(utimensat(AT_FDCWD, path[i - 1], t, 0), 0);
		fixture_overlay(path[i], path[i - 1]);
		struct disk *d = fixture_open(f, path[i], true);
		for (int k = 0; k < 12; k++) {
			uint64_t at = 512 * fixture_random(f, BYTES / 512 - 8);
			memset(model + at, 16 * i + k, 4096);
			fixture_write(d, at, model + at, 4096);
		}
		memset(model + BYTES - 512, i, 512);
		fixture_write(d, BYTES - 512, model + BYTES - 512, 512);
		uint64_t hole = CLUSTER * (uint64_t)(20 + i);
		assert_int_equal(fixture_do(d, DISK_ZERO, hole, NULL, 3 * CLUSTER), 0);
		memset(model + hole, 0, 3 * (size_t)CLUSTER);
		fixture_close(d);
	}
	return model;
}

static void expect_file(struct disk_fixture *f, const char *path, const uint8_t *want)
{
	struct disk *d = fixture_open(f, path, false);

	fixture_expect(d, want);
	fixture_close(d);
}

static void test_flatten(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f);
	struct disk_chain chain;
	struct stat st;

	OK(disk_tool_flatten("b.vmdisk", "flat.raw", e));
	expect_file(f, "flat.raw", model);
	assert_int_equal(stat("flat.raw", &st), 0);
	assert_int_equal(st.st_size, BYTES);
	assert_true((uint64_t)st.st_blocks * 512 <= BYTES + 4096 - 3 * CLUSTER); /* the hole */
	FAILS(disk_tool_flatten("b.vmdisk", "flat.raw", e), ERR_WRONG_STATE, "flat.raw: exists");
	FAILS(disk_tool_flatten("b.vmdisk", "flat.vmdisk", e), ERR_USAGE, "raw image");
	FAILS(disk_tool_flatten("b.vmdisk", "no/flat.raw", e), ERR_IO, "no/flat.raw");
	OK(disk_chain_open("b.vmdisk", true, &chain, e));
	FAILS(disk_tool_flatten("b.vmdisk", "flat2.raw", e), ERR_BUSY, "b.vmdisk");
	disk_chain_close(&chain);
	free(model);
}

static void test_commit(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f), sector[512];
	struct disk_chain chain;
	struct stat before, after;

	assert_int_equal(stat("b.vmdisk", &before), 0);
	OK(disk_chain_open("a.vmdisk", false, &chain, e));
	FAILS(disk_tool_commit("b.vmdisk", false, e), ERR_BUSY, "a.vmdisk: in use");
	disk_chain_close(&chain);
	OK(disk_tool_commit("b.vmdisk", false, e));
	assert_int_equal(stat("b.vmdisk", &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(after.st_size, before.st_size);
	expect_file(f, "b.vmdisk", model);
	expect_file(f, "a.vmdisk", model);
	/* It is empty, and an overlay still. */
	struct disk *d = fixture_open(f, "b.vmdisk", true);
	memset(sector, 0x77, sizeof sector);
	fixture_write(d, 512, sector, sizeof sector);
	memcpy(model + 512, sector, sizeof sector);
	fixture_expect(d, model);
	fixture_close(d);
	OK(disk_tool_commit("b.vmdisk", false, e));
	OK(disk_tool_commit("a.vmdisk", false, e));
	expect_file(f, "base.raw", model);
	FAILS(disk_tool_commit("base.raw", false, e), ERR_USAGE, "lies on nothing");
	/* b knows that a has gone on. */
	FAILS(disk_chain_open("b.vmdisk", false, &chain, e), ERR_INCOMPATIBLE, "written since");
	free(model);
}

static void test_commit_frozen(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f);

	assert_int_equal(chmod("a.vmdisk", 0444), 0);
	FAILS(disk_tool_commit("b.vmdisk", false, e), ERR_WRONG_STATE, "a.vmdisk: frozen");
	assert_int_equal(chmod("b.vmdisk", 0444), 0);
	FAILS(disk_tool_commit("b.vmdisk", true, e), ERR_WRONG_STATE, "b.vmdisk: frozen");
	assert_int_equal(chmod("b.vmdisk", 0644), 0);
	OK(disk_tool_commit("b.vmdisk", true, e));
	expect_file(f, "a.vmdisk", model);
	free(model);
}

static json_t *info(const char *path, int want)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_int_equal(disk_tool_info(path, true, out, NULL), want);
	fclose(out);
	json_t *o = json_loads(text, 0, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

static json_t *image(json_t *o, size_t i, const char *key)
{
	return json_object_get(json_array_get(json_object_get(o, "images"), i), key);
}

static void test_info(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f), data[2 * CLUSTER] = {0};
	struct disk *d = fixture_open(f, "b.vmdisk", true);

	fixture_write(d, 0, data, sizeof data);
	fixture_flush(d);
	json_t *o = info("b.vmdisk", 0); /* while it is in use */
	assert_int_equal(json_array_size(json_object_get(o, "images")), 3);
	assert_string_equal(json_string_value(image(o, 0, "locked_for")), "writing");
	assert_string_equal(json_string_value(image(o, 2, "locked_for")), "reading");
	assert_string_equal(json_string_value(image(o, 1, "format")), "overlay");
	assert_string_equal(json_string_value(image(o, 2, "format")), "raw");
	assert_int_equal(json_integer_value(image(o, 0, "bytes")), BYTES);
	assert_int_equal(json_integer_value(image(o, 0, "clusters")), 76);
	assert_true(json_integer_value(image(o, 0, "clusters_present")) > 5);
	assert_true(json_is_false(image(o, 1, "frozen")));
	assert_true(json_is_null(image(o, 1, "problem")));
	json_decref(o);
	fixture_close(d);

	/* What is wrong is told, and what can be told about the rest. */
	assert_int_equal(chmod("a.vmdisk", 0400), 0);
	assert_int_equal(truncate("base.raw", BYTES - 512), 0);
	o = info("b.vmdisk", 0);
	assert_non_null(strstr(json_string_value(image(o, 2, "problem")), "when it was overlaid"));
	assert_true(json_is_true(image(o, 1, "frozen")));
	assert_string_equal(json_string_value(image(o, 0, "locked_for")), "none");
	json_decref(o);
	assert_int_equal(unlink("base.raw"), 0);
	o = info("b.vmdisk", -ERR_IO);
	assert_int_equal(json_array_size(json_object_get(o, "images")), 2);
	json_decref(o);
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	FAILS(disk_tool_info("b.vmdisk", false, out, e), ERR_IO, "base.raw: cannot open");
	fclose(out);
	assert_non_null(strstr(text, "a.vmdisk\n    format      overlay, frozen\n"));
	free(text);
	FAILS(disk_tool_info("none.raw", false, stderr, e), ERR_IO, "none.raw");
	free(model);
}

/* --- verify --------------------------------------------------------------------------------- */

/* Freezes b.vmdisk as a snapshot does. */
static void take(struct disk_fixture *f, struct disk_state *rec)
{
	struct disk *d = fixture_open(f, "b.vmdisk", true);
	struct disk_image_fd img;
	struct disk_chain chain;

	OK(disk_chain_peek("b.vmdisk", &chain, e));
	OK(disk_overlay_create("next.vmdisk", &chain, &img, e));
	disk_chain_close(&chain);
	OK(disk_switch(d, &img, rec, e));
	OK(disk_settle(d, e));
	strcpy(rec->id, "root");
	fixture_close(d);
}

/* The rules that were found, as "D052 D055"; refusals only unless @all. */
static const char *found_rules(const struct disk_state *saved, const char *path)
{
	static char text[256];
	struct findings *out = calloc(1, sizeof *out);
	struct disk_chain chain;

	OK(disk_verify_open(saved, path, &chain, out, e));
	text[0] = '\0';
	for (uint32_t i = 0; i < out->n; i++) {
		const struct finding *x = &out->item[i];
		assert_true(!strncmp(x->subject, "root: ", 6));
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
			 x->rule->id);
	}
	disk_chain_close(&chain);
	free(out);
	return text;
}

static void shell(const char *cmd)
{
	if (system(cmd))
		fail_msg("%s", cmd);
}

static void test_verify(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f);
	struct disk_state *rec = malloc(sizeof *rec);

	take(f, rec);
	assert_string_equal(found_rules(rec, "b.vmdisk"), "");
	shell("mkdir copy moved; for f in *.raw *.vmdisk; do cp -p $f copy; done");
	assert_string_equal(found_rules(rec, "copy/b.vmdisk"), "");
	shell("tar cf - b.vmdisk a.vmdisk base.raw | tar xf - -C moved");
	assert_string_equal(found_rules(rec, "moved/b.vmdisk"), "");

	/* A disk that was written since, in each of the ways. */
	assert_string_equal(found_rules(rec, "none.vmdisk"), "D050");
	assert_string_equal(found_rules(rec, "a.vmdisk"), "D051");
	assert_string_equal(found_rules(rec, "next.vmdisk"), "D051");
	shell("cd copy; chmod u+w b.vmdisk");
	assert_string_equal(found_rules(rec, "copy/b.vmdisk"), "D056");
	shell("cd copy; printf x | dd of=b.vmdisk bs=1 seek=50000 conv=notrunc status=none; "
	      "chmod a-w b.vmdisk");
	assert_string_equal(found_rules(rec, "copy/b.vmdisk"), "D055");
	shell("cd copy; touch -r ../b.vmdisk b.vmdisk");
	assert_string_equal(found_rules(rec, "copy/b.vmdisk"), "");
	/* One that hides it, but was a disk of a VM meanwhile. */
	shell("cd copy; chmod u+w b.vmdisk");
	fixture_close(fixture_open(f, "copy/b.vmdisk", true));
	shell("cd copy; touch -r ../b.vmdisk b.vmdisk; chmod a-w b.vmdisk");
	assert_string_equal(found_rules(rec, "copy/b.vmdisk"), "D054");
	/* The image at the bottom: the overlay on it knows already, the rules say which. */
	shell("cd moved; touch base.raw");
	assert_string_equal(found_rules(rec, "moved/b.vmdisk"), "D055");
	shell("cd moved; printf xxxx >> base.raw; touch -r ../base.raw base.raw");
	assert_string_equal(found_rules(rec, "moved/b.vmdisk"), "D050"); /* not even a disk */
	shell("cd moved; truncate -s +508 base.raw; touch -r ../base.raw base.raw");
	assert_string_equal(found_rules(rec, "moved/b.vmdisk"), "D052");
	free(model);
	free(rec);
}

static void test_verify_other(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f);
	struct disk_state *rec = malloc(sizeof *rec), *bad = malloc(sizeof *bad);

	take(f, rec);
	shell("mkdir x; cp -p base.raw x");
	fixture_overlay("x/a.vmdisk", "x/base.raw");
	fixture_overlay("x/b.vmdisk", "x/a.vmdisk");
	shell("cd x; touch -r ../a.vmdisk a.vmdisk; touch -r ../b.vmdisk b.vmdisk; chmod a-w "
	      "b.vmdisk");
	assert_string_equal(found_rules(rec, "x/b.vmdisk"), "D053 D053");
	/* Records that no snapshot of ours has. */
	*bad = *rec;
	bad->image_n = 0;
	assert_string_equal(found_rules(bad, "b.vmdisk"), "D051");
	assert_string_equal(found_rules(bad, "none.vmdisk"), "D050");
	*bad = *rec;
	bad->bytes = UINT64_MAX;
	bad->image[2].mtime_ns = UINT64_MAX;
	assert_string_equal(found_rules(bad, "b.vmdisk"), "D052 D055");
	/* In use is nobody's fault. */
	struct disk *d = fixture_open(f, "next.vmdisk", true);
	struct findings *out = calloc(1, sizeof *out);
	struct disk_chain chain;
	FAILS(disk_verify_open(rec, "next.vmdisk", &chain, out, e), ERR_BUSY, "next.vmdisk");
	assert_string_equal(found_rules(rec, "b.vmdisk"), "");
	fixture_close(d);
	free(out);
	free(model);
	free(rec);
	free(bad);
}

/* Through the snapshot's encoding and back. */
static void test_record_encodes(void **state)
{
	struct disk_fixture *f = *state;
	uint8_t *model = make_chain(f);
	struct disk_state *rec = malloc(sizeof *rec), *back = malloc(sizeof *back);
	struct buf b = BUF_INIT;

	take(f, rec);
	state_encode(&disk_state_desc, rec, &b);
	struct cbor_in in = {.data = b.data, .len = b.len};
	OK(state_decode(&disk_state_desc, &in, back, e));
	assert_true(state_equal(&disk_state_desc, rec, back));
	assert_string_equal(found_rules(back, "b.vmdisk"), "");
	buf_free(&b);
	free(model);
	free(rec);
	free(back);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, disk_fixture_setup, disk_fixture_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_flatten), T(test_commit),	   T(test_commit_frozen),  T(test_info),
	    T(test_verify),  T(test_verify_other), T(test_record_encodes),
	};

	return cmocka_run_group_tests_name("disk_tool", tests, NULL, NULL);
}
