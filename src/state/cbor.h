/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deterministic CBOR (RFC 8949 section 4.2.1) over libcbor's streaming codec: only unsigned and
 * negative integers, byte and text strings, arrays, maps and booleans, all of definite length and
 * shortest form. Anything else is refused with the offset where it stands. Nothing is allocated
 * for what a header claims: strings are returned as pointers into the input.
 */
#ifndef STATE_CBOR_H
#define STATE_CBOR_H

#include "base/base.h"

enum cbor_kind { CBOR_UINT, CBOR_NEGINT, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_BOOL };

/* @value: the integer, length of a string, or number of elements (pairs) of an array (map). */
struct cbor_item {
	enum cbor_kind kind;
	uint64_t value;
	const uint8_t *str; /* borrowed from the input; strings only */
	size_t at;	    /* offset of the item in the input */
};

/* Trust: the bytes are hostile. Threads: one reader each. */
struct cbor_in {
	const uint8_t *data;
	size_t len, at;
	uint64_t base; /* added to offsets in errors: where @data lies in its file */
};

/** cbor_next() - decode one item header, or one scalar. -ERR_TRUNCATED, -ERR_ENCODING. */
int cbor_next(struct cbor_in *in, struct cbor_item *item, struct err *e) MUST_CHECK;

/** cbor_expect() - the next item, of kind @kind, or -ERR_TYPE. */
int cbor_expect(struct cbor_in *in, enum cbor_kind kind, struct cbor_item *item,
		struct err *e) MUST_CHECK;

/** cbor_text_ok() - UTF-8 (RFC 3629) without control characters: what is read is printed on terminals. */
bool cbor_text_ok(const uint8_t *p, size_t n);

/** cbor_finish() - -ERR_STRUCTURE when bytes are left over. */
int cbor_finish(const struct cbor_in *in, struct err *e) MUST_CHECK;

void cbor_put_uint(struct buf *out, uint64_t v);
void cbor_put_bool(struct buf *out, bool v);
void cbor_put_bytes(struct buf *out, const void *data, size_t n);
void cbor_put_text(struct buf *out, const char *text);
void cbor_put_array(struct buf *out, size_t n);
void cbor_put_map(struct buf *out, size_t pairs);

#endif
