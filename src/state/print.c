/* SPDX-License-Identifier: Apache-2.0 */
#include "state/arm64_registers.h"
#include "state/codec.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* Bytes of a blob shown in text; JSON has all of them. */
#define TEXT_BLOB_MAX 16
#define SMALL_FIELDS  4

static void put_scalar(const struct state_field *f, uint64_t v, FILE *out)
{
	char name[64];

	if (f->type == STATE_BOOL)
		fputs(v ? "yes" : "no", out);
	else if (f->shape == STATE_NAMED)
		fputs(f->names->name[v], out);
	else if (f->show == SHOW_hex)
		fprintf(out, "0x%" PRIx64, v);
	else if (f->show == SHOW_arm64)
		fprintf(out, "0x%" PRIx64 " %s", v, arm64_reg_name(v, name, sizeof name));
	else if (f->show == SHOW_size && v && v % MIB == 0)
		fprintf(out, "%" PRIu64 " MiB", v / MIB);
	else if (f->show == SHOW_size && v && v % KIB == 0)
		fprintf(out, "%" PRIu64 " KiB", v / KIB);
	else if (f->show == SHOW_ns)
		fprintf(out, "%" PRIu64 ".%09" PRIu64 " s", v / 1000000000, v % 1000000000);
	else
		fprintf(out, "%" PRIu64, v);
}

static void put_bytes(const uint8_t *p, size_t n, FILE *out)
{
	for (size_t i = 0; i < n && i < TEXT_BLOB_MAX; i++)
		fprintf(out, "%02x", p[i]);
	if (n > TEXT_BLOB_MAX)
		fprintf(out, "... (%zu bytes)", n);
	if (!n)
		fputs("(empty)", out);
}

static void put_array(const struct state_field *f, const void *st, FILE *out)
{
	size_t last = f->n;

	if (f->type == STATE_U8) {
		put_bytes((const uint8_t *)st + f->offset, f->n, out);
		return;
	}
	/* Trailing zeros say nothing. */
	while (last > 1 && !state_load_(f, st, last - 1))
		last--;
	for (size_t i = 0; i < last; i++) {
		fputs(i ? " " : "", out);
		put_scalar(f, state_load_(f, st, i), out);
	}
	if (last < f->n)
		fprintf(out, " (then %zu zeros)", f->n - last);
}

static void put_value(const struct state_field *f, const void *st, FILE *out)
{
	const uint8_t *p = (const uint8_t *)st + f->offset;

	if (f->shape == STATE_ARRAY)
		put_array(f, st, out);
	else if (f->shape == STATE_BLOB)
		put_bytes(p, state_count_(f, st), out);
	else if (f->shape == STATE_STRING)
		fputs((const char *)p, out);
	else
		put_scalar(f, state_load_(f, st, 0), out);
}

/* Elements of such go in one line each: a processor has hundreds of registers. */
static bool is_small(const struct state_desc *d)
{
	for (size_t i = 0; i < d->n_fields; i++)
		if (d->field[i].shape == STATE_RECORD || d->field[i].shape == STATE_LIST ||
		    d->field[i].shape == STATE_ARRAY)
			return false;
	return d->n_fields <= SMALL_FIELDS;
}

static void put_small(const struct state_desc *d, const void *st, FILE *out)
{
	for (size_t i = 0; i < d->n_fields; i++) {
		fprintf(out, "%s%s ", i ? ", " : " ", d->field[i].name);
		put_value(&d->field[i], st, out);
	}
	fputc('\n', out);
}

static void put_nested(const struct state_field *f, const void *st, int indent, FILE *out)
{
	const char *p = (const char *)st + f->offset;

	if (f->shape == STATE_RECORD) {
		fprintf(out, "%*s%s:\n", indent, "", f->name);
		state_text(f->record, p, indent + 2, out);
		return;
	}
	for (uint32_t i = 0; i < state_count_(f, st); i++) {
		fprintf(out, "%*s%s %u:", indent, "", f->name, i);
		if (is_small(f->record)) {
			put_small(f->record, p + i * f->record->size, out);
		} else {
			fputc('\n', out);
			state_text(f->record, p + i * f->record->size, indent + 2, out);
		}
	}
}

void state_text(const struct state_desc *d, const void *st, int indent, FILE *out)
{
	for (size_t i = 0; i < d->n_fields; i++) {
		const struct state_field *f = &d->field[i];

		if (f->shape == STATE_RECORD || f->shape == STATE_LIST) {
			put_nested(f, st, indent, out);
			continue;
		}
		fprintf(out, "%*s%-20s ", indent, "", f->name);
		put_value(f, st, out);
		fputc('\n', out);
	}
}

/* Hexadecimal fields are strings: JSON numbers lose 64-bit addresses in most readers. */
static json_t *json_scalar(const struct state_field *f, uint64_t v)
{
	if (f->type == STATE_BOOL)
		return json_boolean(v);
	if (f->shape == STATE_NAMED)
		return json_string(f->names->name[v]);
	if (f->show == SHOW_hex || f->show == SHOW_arm64)
		return json_sprintf("0x%" PRIx64, v);
	if (v > INT64_MAX)
		return json_sprintf("%" PRIu64, v);
	return json_integer((json_int_t)v);
}

static json_t *json_hex(const uint8_t *p, size_t n)
{
	struct buf hex = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		char two[3];
		snprintf(two, sizeof two, "%02x", p[i]);
		buf_put(&hex, two, 2);
	}
	json_t *j = json_stringn(hex.len ? (char *)hex.data : "", hex.len);
	buf_free(&hex);
	return j;
}

static json_t *json_field(const struct state_field *f, const void *st)
{
	const uint8_t *p = (const uint8_t *)st + f->offset;
	json_t *list;

	switch (f->shape) {
	case STATE_BLOB:
		return json_hex(p, state_count_(f, st));
	case STATE_STRING:
		return json_string((const char *)p);
	case STATE_RECORD:
		return state_json(f->record, p);
	case STATE_LIST:
		list = json_array();
		for (uint32_t i = 0; i < state_count_(f, st); i++)
			json_array_append_new(list, state_json(f->record, p + i * f->record->size));
		return list;
	case STATE_ARRAY:
		if (f->type == STATE_U8)
			return json_hex(p, f->n);
		list = json_array();
		for (size_t i = 0; i < f->n; i++)
			json_array_append_new(list, json_scalar(f, state_load_(f, st, i)));
		return list;
	}
	return json_scalar(f, state_load_(f, st, 0));
}

struct json_t *state_json(const struct state_desc *d, const void *st)
{
	json_t *j = json_object();

	for (size_t i = 0; i < d->n_fields; i++)
		json_object_set_new(j, d->field[i].name, json_field(&d->field[i], st));
	return j;
}
