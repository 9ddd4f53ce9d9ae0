/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/aml.h"

#include <string.h>

static void put(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t le[8];

	num_put_le64(le, v);
	buf_put(b, le, bytes);
}

/* Makes room for @n bytes at @at. */
static uint8_t *insert(struct buf *b, size_t at, size_t n)
{
	if (!buf_grow(b, n))
		return NULL;
	memmove(b->data + at + n, b->data + at, b->len - n - at);
	return b->data + at;
}

/* PkgLength counts itself (ACPI 6.4, 20.2.4). */
void aml_end(struct buf *b, size_t opened)
{
	size_t len = b->len - opened, n = 1;

	if (len + n > 0x3f) /* 6 bits in the first byte; or 4 there and 8 in each further one */
		for (n = 2; len + n >= (size_t)1 << (8 * n - 4); n++)
			;
	uint8_t *at = b->failed ? NULL : insert(b, opened, n);
	if (!at)
		return;
	len += n;
	if (n == 1) {
		at[0] = (uint8_t)len;
		return;
	}
	at[0] = (uint8_t)((n - 1) << 6 | (len & 0xf));
	for (size_t i = 1; i < n; i++)
		at[i] = (uint8_t)(len >> (4 + 8 * (i - 1)));
}

void aml_op(struct buf *b, enum aml_op op)
{
	put(b, op, 1);
}

/* NameString: root prefix, then one segment, two (0x2e) or more (0x2f, count). */
void aml_path(struct buf *b, const char *path)
{
	unsigned segments = 1;

	if (*path == '\\') {
		put(b, '\\', 1);
		path++;
	}
	for (const char *p = path; *p; p++)
		segments += *p == '.';
	if (segments == 2)
		put(b, 0x2e, 1);
	if (segments > 2)
		put(b, 0x2f | segments << 8, 2);
	for (; segments; segments--) {
		size_t n = strcspn(path, ".");
		buf_put(b, path, n);
		buf_put(b, "____", 4 - n); /* segments are padded to four characters */
		path += n + 1;
	}
}

void aml_name(struct buf *b, const char *name)
{
	put(b, 0x08, 1);
	aml_path(b, name);
}

void aml_int(struct buf *b, uint64_t v)
{
	if (v <= 1) {
		put(b, v, 1); /* ZeroOp, OneOp */
		return;
	}
	unsigned shift = v > UINT32_MAX ? 3 : v > UINT16_MAX ? 2 : v > UINT8_MAX ? 1 : 0;
	static const uint8_t prefix[] = {0x0a, 0x0b, 0x0c, 0x0e};
	put(b, prefix[shift], 1);
	put(b, v, 1u << shift);
}

void aml_text(struct buf *b, const char *text)
{
	put(b, 0x0d, 1);
	buf_put(b, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

/* ACPI 6.4, 19.3.4 */
void aml_eisa_id(struct buf *b, const char *id)
{
	uint8_t be[4] = {
	    (uint8_t)((id[0] - '@') << 2 | (id[1] - '@') >> 3),
	    (uint8_t)((id[1] - '@') << 5 | (id[2] - '@')),
	    (uint8_t)(hex_digit(id[3]) << 4 | hex_digit(id[4])),
	    (uint8_t)(hex_digit(id[5]) << 4 | hex_digit(id[6])),
	};

	aml_int(b, num_le32(be));
}

size_t aml_scope(struct buf *b, const char *path)
{
	put(b, 0x10, 1);
	size_t opened = b->len;
	aml_path(b, path);
	return opened;
}

size_t aml_device(struct buf *b, const char *name)
{
	put(b, 0x825b, 2);
	size_t opened = b->len;
	aml_path(b, name);
	return opened;
}

/* Serialized: a method that creates names may not run twice at once. */
size_t aml_method(struct buf *b, const char *name, unsigned args)
{
	put(b, 0x14, 1);
	size_t opened = b->len;
	aml_path(b, name);
	put(b, 0x08 | args, 1);
	return opened;
}

size_t aml_package(struct buf *b, unsigned elements)
{
	put(b, 0x12, 1);
	size_t opened = b->len;
	put(b, elements, 1);
	return opened;
}

size_t aml_if(struct buf *b)
{
	aml_op(b, AML_IF);
	return b->len;
}

size_t aml_else(struct buf *b)
{
	aml_op(b, AML_ELSE);
	return b->len;
}

void aml_bytes(struct buf *b, const void *data, size_t n)
{
	put(b, 0x11, 1);
	size_t opened = b->len;
	aml_int(b, n);
	buf_put(b, data, n);
	aml_end(b, opened);
}

size_t aml_resources(struct buf *b)
{
	put(b, 0x11, 1);
	return b->len;
}

/* BufferOp PkgLength BufferSize ByteList: the size is known now. */
void aml_resources_end(struct buf *b, size_t opened)
{
	struct buf size = BUF_INIT;

	put(b, 0x79, 2); /* end tag; a checksum of 0 counts as right */
	aml_int(&size, b->len - opened);
	uint8_t *at = b->failed || size.failed ? NULL : insert(b, opened, size.len);
	if (at)
		memcpy(at, size.data, size.len);
	b->failed |= size.failed;
	buf_free(&size);
	aml_end(b, opened);
}

void aml_ports(struct buf *b, uint64_t start, uint64_t size)
{
	put(b, 0x0147, 2); /* I/O port, all 16 bits decoded */
	put(b, start, 2);
	put(b, start, 2);
	put(b, 1, 1);
	put(b, size, 1);
}

void aml_isa_irq(struct buf *b, unsigned irq)
{
	put(b, 0x22, 1);
	put(b, 1u << irq, 2);
}

void aml_gsi(struct buf *b, uint32_t gsi)
{
	put(b, 0x89, 1);
	put(b, 6, 2);
	put(b, 0x03, 1); /* consumer, edge */
	put(b, 1, 1);
	put(b, gsi, 4);
}

/* Address space descriptors of 16, 32 or 64 bits (ACPI 6.4, 6.4.3.5), whichever holds it. */
void aml_range(struct buf *b, enum aml_space space, bool producer, uint64_t start, uint64_t size)
{
	uint64_t last = start + size - 1;
	unsigned width = space == AML_BUS ? 2 : last > UINT32_MAX ? 8 : 4;

	put(b, width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a, 1);
	put(b, 3 + 5 * width, 2);
	put(b, space, 1);
	put(b, 0x0c | !producer, 1);		   /* both ends are fixed */
	put(b, space == AML_MEMORY ? 0x01 : 0, 1); /* not cacheable, read and write */
	put(b, 0, width);
	put(b, start, width);
	put(b, last, width);
	put(b, 0, width);
	put(b, size, width);
}
