/* SPDX-License-Identifier: Apache-2.0 */
#include "state/codec.h"

#include <stdlib.h>
#include <string.h>

size_t state_width_(const struct state_field *f)
{
	static const size_t width[] = {
		[STATE_U8] = 1, [STATE_U16] = 2, [STATE_U32] = 4, [STATE_U64] = 8,
		[STATE_BOOL] = sizeof(bool),
	};

	return f->shape == STATE_RECORD || f->shape == STATE_LIST ? f->record->size
								  : width[f->type];
}

uint64_t state_load_(const struct state_field *f, const void *st, size_t i)
{
	const char *p = (const char *)st + f->offset + i * state_width_(f);

	switch (f->type) {
	case STATE_U8: return *(const uint8_t *)p;
	case STATE_U16: return *(const uint16_t *)(const void *)p;
	case STATE_U32: return *(const uint32_t *)(const void *)p;
	case STATE_U64: return *(const uint64_t *)(const void *)p;
	case STATE_BOOL: return *(const bool *)p;
	}
	return 0;
}

static void store(const struct state_field *f, void *st, size_t i, uint64_t v)
{
	char *p = (char *)st + f->offset + i * state_width_(f);

	switch (f->type) {
	case STATE_U8: *(uint8_t *)p = (uint8_t)v; break;
	case STATE_U16: *(uint16_t *)(void *)p = (uint16_t)v; break;
	case STATE_U32: *(uint32_t *)(void *)p = (uint32_t)v; break;
	case STATE_U64: *(uint64_t *)(void *)p = v; break;
	case STATE_BOOL: *(bool *)p = v; break;
	}
}

uint64_t state_max_(const struct state_field *f)
{
	switch (f->type) {
	case STATE_U8: return UINT8_MAX;
	case STATE_U16: return UINT16_MAX;
	case STATE_U32: return UINT32_MAX;
	case STATE_BOOL: return 1;
	}
	return UINT64_MAX;
}

uint32_t state_count_(const struct state_field *f, const void *st)
{
	if (f->shape != STATE_BLOB && f->shape != STATE_LIST)
		return (uint32_t)f->n;
	return *(const uint32_t *)(const void *)((const char *)st + f->count_offset);
}

static void set_count(const struct state_field *f, void *st, uint32_t n)
{
	*(uint32_t *)(void *)((char *)st + f->count_offset) = n;
}

static void default_field(const struct state_field *f, void *st)
{
	if (f->shape == STATE_RECORD)
		state_defaults(f->record, (char *)st + f->offset);
	else if (f->shape == STATE_SCALAR || f->shape == STATE_NAMED)
		store(f, st, 0, f->dflt);
}

void state_defaults(const struct state_desc *d, void *st)
{
	memset(st, 0, d->size);
	for (size_t i = 0; i < d->n_fields; i++)
		default_field(&d->field[i], st);
}

static void encode_field(const struct state_field *f, const void *st, struct buf *out)
{
	const char *p = (const char *)st + f->offset;

	switch (f->shape) {
	case STATE_SCALAR:
		if (f->type == STATE_BOOL)
			cbor_put_bool(out, state_load_(f, st, 0));
		else
			cbor_put_uint(out, state_load_(f, st, 0));
		break;
	case STATE_NAMED:
		cbor_put_uint(out, state_load_(f, st, 0));
		break;
	case STATE_ARRAY:
		if (f->type == STATE_U8) {
			cbor_put_bytes(out, p, f->n);
			break;
		}
		cbor_put_array(out, f->n);
		for (size_t i = 0; i < f->n; i++)
			cbor_put_uint(out, state_load_(f, st, i));
		break;
	case STATE_BLOB:
		cbor_put_bytes(out, p, state_count_(f, st));
		break;
	case STATE_STRING:
		cbor_put_text(out, p);
		break;
	case STATE_RECORD:
		state_encode(f->record, p, out);
		break;
	case STATE_LIST:
		cbor_put_array(out, state_count_(f, st));
		for (uint32_t i = 0; i < state_count_(f, st); i++)
			state_encode(f->record, p + i * f->record->size, out);
		break;
	}
}

void state_encode(const struct state_desc *d, const void *st, struct buf *out)
{
	cbor_put_map(out, d->n_fields + 1);
	cbor_put_uint(out, 0);
	cbor_put_uint(out, d->version);
	for (size_t i = 0; i < d->n_fields; i++) {
		cbor_put_uint(out, d->field[i].id);
		encode_field(&d->field[i], st, out);
	}
}

static int decode(const struct state_desc *d, struct cbor_in *in, void *st, int depth,
		  struct err *e);

static int decode_uint(const struct state_field *f, struct cbor_in *in, void *st, size_t i,
		       struct err *e)
{
	struct cbor_item it;
	int r = cbor_expect(in, CBOR_UINT, &it, e);

	if (r)
		return r;
	if (it.value > state_max_(f))
		return err_at(e, ERR_RANGE, in->base + it.at, "value %llu out of range",
			      (unsigned long long)it.value);
	if (f->names && (it.value >= f->names->n || !f->names->name[it.value]))
		return err_at(e, ERR_RANGE, in->base + it.at, "value %llu has no meaning",
			      (unsigned long long)it.value);
	store(f, st, i, it.value);
	return 0;
}

/* A string or array header whose length must lie in [min, max]. */
static int decode_length(struct cbor_in *in, enum cbor_kind kind, size_t min, size_t max,
			 struct cbor_item *it, struct err *e)
{
	int r = cbor_expect(in, kind, it, e);

	if (r)
		return r;
	if (it->value > max)
		return err_at(e, ERR_LIMIT, in->base + it->at, "%llu elements, at most %zu allowed",
			      (unsigned long long)it->value, max);
	if (it->value < min)
		return err_at(e, ERR_RANGE, in->base + it->at, "%llu elements, %zu needed",
			      (unsigned long long)it->value, min);
	return 0;
}

static int decode_records(const struct state_field *f, struct cbor_in *in, void *st, int depth,
			  struct err *e)
{
	char *p = (char *)st + f->offset;
	struct cbor_item it;

	if (f->shape == STATE_RECORD)
		return decode(f->record, in, p, depth + 1, e);

	int r = decode_length(in, CBOR_ARRAY, 0, f->n, &it, e);
	for (uint32_t i = 0; !r && i < it.value; i++) {
		r = decode(f->record, in, p + i * f->record->size, depth + 1, e);
		if (r)
			err_where(e, "%u", i);
	}
	if (!r)
		set_count(f, st, (uint32_t)it.value);
	return r;
}

static int decode_field(const struct state_field *f, struct cbor_in *in, void *st, int depth,
			struct err *e)
{
	char *p = (char *)st + f->offset;
	struct cbor_item it;
	int r = 0;

	switch (f->shape) {
	case STATE_SCALAR:
	case STATE_NAMED:
		if (f->type != STATE_BOOL)
			return decode_uint(f, in, st, 0, e);
		r = cbor_expect(in, CBOR_BOOL, &it, e);
		if (!r)
			store(f, st, 0, it.value);
		return r;
	case STATE_ARRAY:
		r = decode_length(in, f->type == STATE_U8 ? CBOR_BYTES : CBOR_ARRAY, f->n, f->n,
				  &it, e);
		if (!r && f->type == STATE_U8)
			memcpy(p, it.str, f->n);
		else
			for (size_t i = 0; !r && i < f->n; i++)
				r = decode_uint(f, in, st, i, e);
		return r;
	case STATE_BLOB:
		r = decode_length(in, CBOR_BYTES, 0, f->n, &it, e);
		if (!r && it.value)
			memcpy(p, it.str, it.value);
		if (!r)
			set_count(f, st, (uint32_t)it.value);
		return r;
	case STATE_STRING:
		r = decode_length(in, CBOR_TEXT, 0, f->n, &it, e);
		if (!r && it.value)
			memcpy(p, it.str, it.value);
		return r;
	}
	return decode_records(f, in, st, depth, e);
}

/* The version and the number of pairs that go with it. */
static int decode_head(const struct state_desc *d, struct cbor_in *in, uint16_t *version,
		       uint64_t *pairs, struct err *e)
{
	struct cbor_item map, key, val;
	int r = cbor_expect(in, CBOR_MAP, &map, e);

	if (r)
		return r;
	if (map.value == 0)
		return err_at(e, ERR_MISSING, in->base + map.at, "no version");
	r = cbor_expect(in, CBOR_UINT, &key, e);
	if (r)
		return r;
	if (key.value != 0)
		return err_at(e, ERR_MISSING, in->base + key.at, "no version");
	r = cbor_expect(in, CBOR_UINT, &val, e);
	if (r)
		return r;
	if (val.value == 0 || val.value > d->version)
		return err_at(e, ERR_VERSION, in->base + val.at,
			      "%s version %llu, this build reads 1 to %u", d->name,
			      (unsigned long long)val.value, d->version);
	*version = (uint16_t)val.value;
	*pairs = map.value - 1;
	return 0;
}

static int decode(const struct state_desc *d, struct cbor_in *in, void *st, int depth,
		  struct err *e)
{
	struct cbor_item key;
	uint16_t version = 0;
	uint64_t pairs = 0, last = 0;
	size_t next = 0;

	if (depth > STATE_DEPTH_MAX)
		return err_set(e, ERR_BUG, "%s nested too deep", d->name);
	int r = decode_head(d, in, &version, &pairs, e);
	if (r)
		return r;
	state_defaults(d, st);
	for (; pairs; pairs--) {
		r = cbor_expect(in, CBOR_UINT, &key, e);
		if (r)
			return r;
		if (key.value == last)
			return err_at(e, ERR_DUPLICATE, in->base + key.at, "field %llu twice",
				      (unsigned long long)key.value);
		if (key.value < last)
			return err_at(e, ERR_ENCODING, in->base + key.at, "fields not in order");
		last = key.value;
		while (next < d->n_fields && d->field[next].since > version)
			next++;
		const struct state_field *f = next < d->n_fields ? &d->field[next++] : NULL;
		if (!f || key.value < f->id)
			return err_at(e, ERR_UNKNOWN, in->base + key.at, "%s has no field %llu",
				      d->name, (unsigned long long)key.value);
		if (key.value > f->id)
			return err_at(e, ERR_MISSING, in->base + key.at, "no %s", f->name);
		r = decode_field(f, in, st, depth, e);
		if (r) {
			err_where(e, "%s", f->name);
			return r;
		}
	}
	for (; next < d->n_fields; next++)
		if (d->field[next].since <= version)
			return err_at(e, ERR_MISSING, in->base + in->at, "no %s",
				      d->field[next].name);
	return 0;
}

int state_decode(const struct state_desc *d, struct cbor_in *in, void *st, struct err *e)
{
	void *tmp = calloc(1, d->size);

	if (!tmp)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = decode(d, in, tmp, 1, e);
	if (!r)
		memcpy(st, tmp, d->size);
	free(tmp);
	return r;
}

/* Encoding is a bijection, so equal bytes are equal states. */
bool state_equal(const struct state_desc *d, const void *a, const void *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;

	state_encode(d, a, &x);
	state_encode(d, b, &y);
	bool equal = !x.failed && !y.failed && x.len == y.len && !memcmp(x.data, y.data, x.len);
	buf_free(&x);
	buf_free(&y);
	return equal;
}
