/* SPDX-License-Identifier: Apache-2.0 */
/* Records from JSON, as state_json() writes them: profiles and policies that people keep in files.
 */
#include "state/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int read_record(const struct state_desc *d, const json_t *j, uint8_t *st, struct err *e);

static void store(const struct state_field *f, uint8_t *st, size_t i, uint64_t v)
{
	uint8_t *p = st + f->offset + i * state_width_(f);

	switch ((enum state_type)f->type) {
	case STATE_U8:
		*p = (uint8_t)v;
		break;
	case STATE_BOOL:
		*(bool *)p = v;
		break;
	case STATE_U16:
		memcpy(p, &(uint16_t){(uint16_t)v}, 2);
		break;
	case STATE_U32:
		memcpy(p, &(uint32_t){(uint32_t)v}, 4);
		break;
	case STATE_U64:
		memcpy(p, &v, 8);
		break;
	}
}

static int read_number(const struct state_field *f, const json_t *j, uint64_t *v, struct err *e)
{
	char *end;

	if (f->type == STATE_BOOL) {
		*v = json_is_true(j);
		return json_is_boolean(j) ? 0 : err_set(e, ERR_TYPE, "no true or false");
	}
	if (json_is_integer(j) && json_integer_value(j) >= 0) {
		*v = (uint64_t)json_integer_value(j);
	} else if (json_is_string(j)) {
		const char *text = json_string_value(j);
		errno = 0;
		*v = strtoull(text, &end, 0);
		if (errno || *end || end == text || text[0] == '-')
			return err_set(e, ERR_TYPE, "no number");
	} else {
		return err_set(e, ERR_TYPE, "no number");
	}
	return *v <= state_max_(f)
		   ? 0
		   : err_set(e, ERR_RANGE, "%" PRIu64 ", at most %" PRIu64 " can be", *v,
			     state_max_(f));
}

static int read_name(const struct state_field *f, const json_t *j, uint8_t *st, struct err *e)
{
	const char *text = json_string_value(j);

	for (size_t i = 0; text && i < f->names->n; i++)
		if (f->names->name[i] && !strcmp(f->names->name[i], text)) {
			store(f, st, 0, i);
			return 0;
		}
	return err_set(e, ERR_RANGE, "not one of the names there are");
}

/* Two digits a byte. @n: in, the most there may be; out, how many there were. */
static int read_bytes(const json_t *j, uint8_t *to, size_t *n, struct err *e)
{
	const char *text = json_string_value(j);
	size_t len = text ? json_string_length(j) : 1;

	if (len % 2 || len / 2 > *n)
		return err_set(e, ERR_LIMIT, "no hexadecimal digits of at most %zu bytes", *n);
	if (!num_unhex(text, to, len / 2))
		return err_set(e, ERR_ENCODING, "no hexadecimal digits");
	*n = len / 2;
	return 0;
}

static int read_text(const struct state_field *f, const json_t *j, uint8_t *st, struct err *e)
{
	const char *text = json_string_value(j);
	size_t n = text ? json_string_length(j) : 0;

	if (!text)
		return err_set(e, ERR_TYPE, "no text");
	if (n > f->n)
		return err_set(e, ERR_LIMIT, "%zu bytes of text, at most %zu can be", n, f->n);
	if (!cbor_text_ok((const uint8_t *)text, n))
		return err_set(e, ERR_ENCODING, "text is not printable");
	memcpy(st + f->offset, text, n + 1);
	return 0;
}

static int read_array(const struct state_field *f, const json_t *j, uint8_t *st, struct err *e)
{
	size_t n = f->n;
	uint64_t v = 0;
	int r = 0;

	if (f->type == STATE_U8) {
		r = read_bytes(j, st + f->offset, &n, e);
		return r || n == f->n ? r : err_set(e, ERR_LIMIT, "%zu bytes, not %zu", n, f->n);
	}
	if (json_array_size(j) != f->n)
		return err_set(e, ERR_LIMIT, "%zu values, not %zu", json_array_size(j), f->n);
	for (size_t i = 0; !r && i < f->n; i++) {
		r = read_number(f, json_array_get(j, i), &v, e);
		if (!r)
			store(f, st, i, v);
	}
	return r;
}

static int read_list(const struct state_field *f, const json_t *j, uint8_t *st, struct err *e)
{
	size_t n = json_array_size(j);
	int r = 0;

	if (!json_is_array(j) || n > f->n)
		return err_set(e, ERR_LIMIT, "no list of at most %zu", f->n);
	for (size_t i = 0; !r && i < n; i++) {
		r = read_record(f->record, json_array_get(j, i),
				st + f->offset + i * f->record->size, e);
		if (r)
			err_where(e, "%zu", i);
	}
	memcpy(st + f->count_offset, &(uint32_t){(uint32_t)n}, 4);
	return r;
}

static int read_field(const struct state_field *f, const json_t *j, uint8_t *st, struct err *e)
{
	size_t n = f->n;
	uint64_t v = 0;
	int r;

	switch ((enum state_shape)f->shape) {
	case STATE_SCALAR:
		r = read_number(f, j, &v, e);
		if (!r)
			store(f, st, 0, v);
		return r;
	case STATE_NAMED:
		return read_name(f, j, st, e);
	case STATE_ARRAY:
		return read_array(f, j, st, e);
	case STATE_BLOB:
		r = read_bytes(j, st + f->offset, &n, e);
		if (!r)
			memcpy(st + f->count_offset, &(uint32_t){(uint32_t)n}, 4);
		return r;
	case STATE_STRING:
		return read_text(f, j, st, e);
	case STATE_RECORD:
		return read_record(f->record, j, st + f->offset, e);
	case STATE_LIST:
		return read_list(f, j, st, e);
	}
	return err_set(e, ERR_BUG, "%s", f->name);
}

static int read_record(const struct state_desc *d, const json_t *j, uint8_t *st, struct err *e)
{
	int r = 0;

	if (!json_is_object(j))
		return err_set(e, ERR_TYPE, "no %s", d->name);
	for (size_t i = 0; !r && i < d->n_fields; i++) {
		const json_t *value = json_object_get(j, d->field[i].name);
		r = value ? read_field(&d->field[i], value, st, e)
			  : err_set(e, ERR_MISSING, "missing");
		if (r)
			err_where(e, "%s", d->field[i].name);
	}
	if (!r && json_object_size(j) != d->n_fields)
		r = err_set(e, ERR_UNKNOWN, "fields that %s does not have", d->name);
	return r;
}

int state_from_json(const struct state_desc *d, const struct json_t *j, void *st, struct err *e)
{
	uint8_t *tmp = calloc(1, d->size);

	if (!tmp)
		return err_set(e, ERR_NOMEM, "out of memory");
	state_defaults(d, tmp);
	int r = read_record(d, j, tmp, e);
	if (!r)
		memcpy(st, tmp, d->size);
	free(tmp);
	return r;
}

/* --- a record alone in a file ------------------------------------------------------------------
 */

#define FILE_BYTES_MAX MIB

static int check_head(const struct state_desc *d, const json_t *j, struct err *e)
{
	const char *record = json_string_value(json_object_get(j, "record"));
	const json_t *version = json_object_get(j, "version");

	if (!record || strcmp(record, d->name))
		return err_set(e, ERR_MAGIC, "no %s (\"record\" is %s)", d->name,
			       record ? "another" : "missing");
	if (!json_is_integer(version) || json_integer_value(version) != d->version)
		return err_set(e, ERR_VERSION, "version %lld of %s, this build reads %u",
			       (long long)json_integer_value(version), d->name, d->version);
	return 0;
}

int state_read_file(const struct state_desc *d, const char *path, void *st, struct err *e)
{
	struct buf b = BUF_INIT;
	json_error_t why;
	int r = io_read_file(path, FILE_BYTES_MAX, &b, e);
	json_t *j =
	    r ? NULL : json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &why);

	if (!r && !j)
		r = err_set(e, ERR_ENCODING, "line %d, column %d: no JSON", why.line, why.column);
	if (!r)
		r = check_head(d, j, e);
	if (!r)
		r = state_from_json(d, json_object_get(j, d->name), st, e);
	if (r)
		err_file(e, path);
	json_decref(j);
	buf_free(&b);
	return r;
}

struct json_t *state_file_json(const struct state_desc *d, const void *st)
{
	return json_pack("{s:s, s:i, s:o}", "record", d->name, "version", (int)d->version, d->name,
			 state_json(d, st));
}
