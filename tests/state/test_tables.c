/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for every record that may stand in a file. */
#include "state/codec.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t random64(void)
{
	static uint64_t seed = 42;
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static int depth_of(const struct state_desc *d)
{
	int deepest = 0;

	for (size_t i = 0; i < d->n_fields; i++)
		if (d->field[i].record) {
			int deep = depth_of(d->field[i].record);
			deepest = deep > deepest ? deep : deepest;
		}
	return deepest + 1;
}

static bool listed(const struct state_desc *d)
{
	for (size_t i = 0; state_all[i]; i++)
		if (state_all[i] == d)
			return true;
	return false;
}

static void check_table(const struct state_desc *d)
{
	const struct state_field *last = NULL;
	bool some = false;

	assert_true(d->n_fields > 0);
	assert_true(d->meaning[0] && d->version >= 1);
	assert_true(depth_of(d) <= STATE_DEPTH_MAX);
	for (size_t i = 0; i < d->n_fields; i++, last = &d->field[i - 1]) {
		const struct state_field *f = &d->field[i];
		if (f->id == 0 || (last && f->id <= last->id))
			fail_msg("%s.%s: ids must ascend from 1", d->name, f->name);
		if (f->since < 1 || f->since > d->version || (last && f->since < last->since))
			fail_msg("%s.%s: since %u of %u", d->name, f->name, f->since, d->version);
		some |= f->since == d->version;
		if (f->dflt > state_max_(f))
			fail_msg("%s.%s: default out of range", d->name, f->name);
		/* A default that an older file gets must be a value. */
		if (f->since > 1 && f->names)
			assert_true(f->dflt < f->names->n && f->names->name[f->dflt]);
		if (f->record && !listed(f->record))
			fail_msg("%s.%s: %s is in no list", d->name, f->name, f->record->name);
		if (!f->meaning[0] || strchr(f->meaning, '|') || strchr(f->meaning, '\n'))
			fail_msg("%s.%s: meaning", d->name, f->name);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(d->field[j].name, f->name);
	}
	assert_true(some); /* a version that changed something */
}

static void tables_keep_the_rules(void **state)
{
	for (size_t i = 0; state_all[i]; i++) {
		check_table(state_all[i]);
		assert_ptr_equal(state_find(state_all[i]->name), state_all[i]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(state_all[j]->name, state_all[i]->name);
	}
	assert_null(state_find("no such record"));
	assert_null(state_find(""));
}

static void fill(const struct state_desc *d, void *st);

static void fill_field(const struct state_field *f, char *st)
{
	char *p = st + f->offset;
	uint32_t n = (uint32_t)(1 + random64() % f->n);
	uint64_t v;

	switch (f->shape) {
	case STATE_SCALAR:
	case STATE_ARRAY:
		for (size_t i = 0; i < f->n; i++)
			for (size_t b = 0; b < state_width_(f); b++)
				p[i * state_width_(f) + b] =
				    (char)(random64() & (f->type == STATE_BOOL ? 1 : 0xff));
		break;
	case STATE_NAMED:
		do
			v = random64() % f->names->n;
		while (!f->names->name[v]);
		*p = (char)v;
		break;
	case STATE_BLOB:
		memcpy(st + f->count_offset, &n, sizeof n);
		for (uint32_t i = 0; i < n; i++)
			p[i] = (char)random64();
		break;
	case STATE_STRING:
		for (uint32_t i = 0; i < n; i++)
			p[i] = (char)('a' + random64() % 26);
		break;
	case STATE_RECORD:
		fill(f->record, p);
		break;
	case STATE_LIST:
		memcpy(st + f->count_offset, &n, sizeof n);
		for (uint32_t i = 0; i < n; i++)
			fill(f->record, p + i * f->record->size);
		break;
	}
}

static void fill(const struct state_desc *d, void *st)
{
	for (size_t i = 0; i < d->n_fields; i++)
		fill_field(&d->field[i], st);
}

static void encode_and_decode(const struct state_desc *d, const void *st, void *back)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	char text[512];

	state_encode(d, st, &b);
	struct cbor_in in = {.data = b.data, .len = b.len};
	int r = state_decode(d, &in, back, &e);
	if (!r)
		r = cbor_finish(&in, &e);
	if (r)
		fail_msg("%s: %s", d->name, err_text(&e, text, sizeof text));
	if (!state_equal(d, st, back))
		fail_msg("%s does not survive", d->name);
	buf_free(&b);
}

static void any_value_survives(void **state)
{
	for (size_t i = 0; state_all[i]; i++) {
		const struct state_desc *d = state_all[i];
		void *st = malloc(d->size), *back = malloc(d->size);
		assert_true(st && back);
		for (int round = 0; round < 8; round++) {
			state_defaults(d, st);
			fill(d, st);
			encode_and_decode(d, st, back);
		}
		free(st);
		free(back);
	}
}

static void every_field_counts(void **state)
{
	for (size_t i = 0; state_all[i]; i++) {
		const struct state_desc *d = state_all[i];
		void *st = malloc(d->size), *other = malloc(d->size);
		assert_true(st && other);
		state_defaults(d, st);
		fill(d, st);
		for (size_t k = 0; k < d->n_fields; k++) {
			const struct state_field *f = &d->field[k];
			char *p = (char *)other + f->offset;
			if (f->shape == STATE_NAMED)
				continue; /* its names may leave no other */
			memcpy(other, st, d->size);
			if (f->shape == STATE_LIST || f->shape == STATE_BLOB)
				--*(uint32_t *)(void *)((char *)other + f->count_offset);
			else if (f->type == STATE_BOOL)
				*(bool *)p = !*(bool *)p;
			else if (f->shape == STATE_RECORD)
				state_defaults(f->record, p);
			else
				p[0] ^= 1;
			if (state_equal(d, st, other))
				fail_msg("%s.%s does not count", d->name, f->name);
		}
		free(st);
		free(other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_keep_the_rules),
	    cmocka_unit_test(any_value_survives),
	    cmocka_unit_test(every_field_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
