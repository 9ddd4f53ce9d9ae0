/* SPDX-License-Identifier: Apache-2.0 */
#include "state/cbor.h"

#include <cbor.h>
#include <string.h>

/* What libcbor's callbacks saw of one item. */
struct seen {
	struct cbor_item item;
	bool ok;
};

static void see(void *ctx, enum cbor_kind kind, uint64_t value, const uint8_t *str)
{
	struct seen *s = ctx;

	s->item.kind = kind;
	s->item.value = value;
	s->item.str = str;
	s->ok = true;
}

/* clang-format off */
static void on_u8(void *c, uint8_t v) { see(c, CBOR_UINT, v, NULL); }
static void on_u16(void *c, uint16_t v) { see(c, CBOR_UINT, v, NULL); }
static void on_u32(void *c, uint32_t v) { see(c, CBOR_UINT, v, NULL); }
static void on_u64(void *c, uint64_t v) { see(c, CBOR_UINT, v, NULL); }
static void on_n8(void *c, uint8_t v) { see(c, CBOR_NEGINT, v, NULL); }
static void on_n16(void *c, uint16_t v) { see(c, CBOR_NEGINT, v, NULL); }
static void on_n32(void *c, uint32_t v) { see(c, CBOR_NEGINT, v, NULL); }
static void on_n64(void *c, uint64_t v) { see(c, CBOR_NEGINT, v, NULL); }
static void on_bytes(void *c, cbor_data p, size_t n) { see(c, CBOR_BYTES, n, p); }
static void on_text(void *c, cbor_data p, size_t n) { see(c, CBOR_TEXT, n, p); }
static void on_array(void *c, size_t n) { see(c, CBOR_ARRAY, n, NULL); }
static void on_map(void *c, size_t n) { see(c, CBOR_MAP, n, NULL); }
static void on_bool(void *c, bool v) { see(c, CBOR_BOOL, v, NULL); }

/* Kinds that are not in use: leaving seen.ok false refuses them. */
static void no(void *c) { (void)c; }
static void no_float(void *c, float v) { (void)c, (void)v; }
static void no_double(void *c, double v) { (void)c, (void)v; }
static void no_tag(void *c, uint64_t v) { (void)c, (void)v; }
/* clang-format on */

static const struct cbor_callbacks callbacks = {
    .uint8 = on_u8,
    .uint16 = on_u16,
    .uint32 = on_u32,
    .uint64 = on_u64,
    .negint8 = on_n8,
    .negint16 = on_n16,
    .negint32 = on_n32,
    .negint64 = on_n64,
    .byte_string = on_bytes,
    .byte_string_start = no,
    .string = on_text,
    .string_start = no,
    .array_start = on_array,
    .indef_array_start = no,
    .map_start = on_map,
    .indef_map_start = no,
    .indef_break = no,
    .tag = no_tag,
    .float2 = no_float,
    .float4 = no_float,
    .float8 = no_double,
    .boolean = on_bool,
    .null = no,
    .undefined = no,
};

/* Length of the shortest header for @v: RFC 8949 section 3. */
static size_t shortest(uint64_t v)
{
	return v < 24 ? 1 : v <= UINT8_MAX ? 2 : v <= UINT16_MAX ? 3 : v <= UINT32_MAX ? 5 : 9;
}

bool cbor_text_ok(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint8_t c = p[i++];
		uint32_t v, min;
		int more;

		if (c < 0x80)
			v = c, min = 0, more = 0;
		else if (c >= 0xc2 && c < 0xe0)
			v = c & 0x1f, min = 0x80, more = 1;
		else if (c >= 0xe0 && c < 0xf0)
			v = c & 0x0f, min = 0x800, more = 2;
		else if (c >= 0xf0 && c < 0xf5)
			v = c & 0x07, min = 0x10000, more = 3;
		else
			return false;
		while (more--) {
			if (i == n || (p[i] & 0xc0) != 0x80)
				return false;
			v = v << 6 | (p[i++] & 0x3f);
		}
		if (v < min || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			return false;
		if (v < 0x20 || (v >= 0x7f && v < 0xa0))
			return false;
	}
	return true;
}

int cbor_next(struct cbor_in *in, struct cbor_item *item, struct err *e)
{
	struct seen seen = {.ok = false};
	struct cbor_decoder_result r =
	    cbor_stream_decode(in->data + in->at, in->len - in->at, &callbacks, &seen);
	uint64_t at = in->base + in->at;
	if (r.status == CBOR_DECODER_NEDATA)
		return err_at(e, ERR_TRUNCATED, at, "CBOR item runs past the end");
	if (r.status != CBOR_DECODER_FINISHED || !seen.ok)
		return err_at(e, ERR_ENCODING, at, "not a CBOR item of the kinds in use");

	size_t header = r.read;
	if (seen.item.kind == CBOR_BYTES || seen.item.kind == CBOR_TEXT)
		header -= seen.item.value;
	if (seen.item.kind != CBOR_BOOL && header != shortest(seen.item.value))
		return err_at(e, ERR_ENCODING, at, "not in shortest form");
	if (seen.item.kind == CBOR_TEXT && !cbor_text_ok(seen.item.str, seen.item.value))
		return err_at(e, ERR_ENCODING, at, "text is not printable UTF-8");
	seen.item.at = in->at;
	in->at += r.read;
	*item = seen.item;
	return 0;
}

int cbor_expect(struct cbor_in *in, enum cbor_kind kind, struct cbor_item *item, struct err *e)
{
	static const char *const names[] = {
	    [CBOR_UINT] = "unsigned integer", [CBOR_NEGINT] = "negative integer",
	    [CBOR_BYTES] = "byte string",     [CBOR_TEXT] = "text",
	    [CBOR_ARRAY] = "array",	      [CBOR_MAP] = "map",
	    [CBOR_BOOL] = "boolean",
	};
	struct cbor_item got;
	int r = cbor_next(in, &got, e);

	if (r)
		return r;
	if (got.kind != kind)
		return err_at(e, ERR_TYPE, in->base + got.at, "%s where %s should be",
			      names[got.kind], names[kind]);
	*item = got;
	return 0;
}

int cbor_finish(const struct cbor_in *in, struct err *e)
{
	if (in->at != in->len)
		return err_at(e, ERR_STRUCTURE, in->base + in->at, "%zu bytes after the end",
			      in->len - in->at);
	return 0;
}

static void put(struct buf *out, size_t (*encode)(uint64_t, unsigned char *, size_t), uint64_t v)
{
	uint8_t tmp[9];

	buf_put(out, tmp, encode(v, tmp, sizeof tmp));
}

static size_t encode_bytes(uint64_t n, unsigned char *p, size_t room)
{
	return cbor_encode_bytestring_start((size_t)n, p, room);
}

static size_t encode_text(uint64_t n, unsigned char *p, size_t room)
{
	return cbor_encode_string_start((size_t)n, p, room);
}

static size_t encode_array(uint64_t n, unsigned char *p, size_t room)
{
	return cbor_encode_array_start((size_t)n, p, room);
}

static size_t encode_map(uint64_t n, unsigned char *p, size_t room)
{
	return cbor_encode_map_start((size_t)n, p, room);
}

static size_t encode_uint(uint64_t v, unsigned char *p, size_t room)
{
	return cbor_encode_uint(v, p, room);
}

void cbor_put_uint(struct buf *out, uint64_t v)
{
	put(out, encode_uint, v);
}

void cbor_put_bool(struct buf *out, bool v)
{
	uint8_t tmp[1];

	buf_put(out, tmp, cbor_encode_bool(v, tmp, sizeof tmp));
}

void cbor_put_bytes(struct buf *out, const void *data, size_t n)
{
	put(out, encode_bytes, n);
	buf_put(out, data, n);
}

void cbor_put_text(struct buf *out, const char *text)
{
	size_t n = strlen(text);

	put(out, encode_text, n);
	buf_put(out, text, n);
}

void cbor_put_array(struct buf *out, size_t n)
{
	put(out, encode_array, n);
}

void cbor_put_map(struct buf *out, size_t pairs)
{
	put(out, encode_map, pairs);
}
