/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of device trees (Devicetree Specification 0.4, chapter 5). A node is the offset of its
 * FDT_BEGIN_NODE in the structure block, so the root is 0.
 */
#include "guest.h"

#define MAGIC		0xd00dfeedu
#define BEGIN_NODE	1u
#define END_NODE	2u
#define PROPERTY	3u
#define NOP		4u
#define TOTALSIZE	4
#define OFF_STRUCT	8
#define OFF_STRINGS	12
#define DEPTH_MAX	8
#define CELLS_DEFAULT	2u
#define INTERRUPT_CELLS 12u /* bytes: kind, number, flags */

static const uint8_t *blob, *tree, *strings;

uint32_t fdt_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t fdt_u64(const uint8_t *p)
{
	return (uint64_t)fdt_u32(p) << 32 | fdt_u32(p + 4);
}

uint32_t fdt_total_bytes(void)
{
	return fdt_u32(blob + TOTALSIZE);
}

void fdt_open(uint64_t fdt)
{
	blob = (const uint8_t *)fdt;
	CHECK(fdt_u32(blob) == MAGIC, "no device tree at 0x%lx", fdt);
	tree = blob + fdt_u32(blob + OFF_STRUCT);
	strings = blob + fdt_u32(blob + OFF_STRINGS);
}

static int align4(int at)
{
	return (at + 3) & ~3;
}

static int text_bytes(const char *s)
{
	int n = 0;

	while (s[n++])
		;
	return n;
}

const char *fdt_name(int node)
{
	return (const char *)tree + node + 4;
}

/* What follows the token at @at. */
static int after(int at)
{
	switch (fdt_u32(tree + at)) {
	case BEGIN_NODE:
		return at + 4 + align4(text_bytes(fdt_name(at)));
	case PROPERTY:
		return at + 12 + align4((int)fdt_u32(tree + at + 4));
	case END_NODE:
	case NOP:
		return at + 4;
	default:
		return FDT_NONE;
	}
}

int fdt_next(int node)
{
	int at = node == FDT_NONE ? 0 : after(node);

	while (at != FDT_NONE && fdt_u32(tree + at) != BEGIN_NODE)
		at = after(at);
	return at;
}

int fdt_parent(int node)
{
	int open[DEPTH_MAX], depth = 0;

	for (int at = 0; at != FDT_NONE; at = after(at)) {
		if (at == node)
			return depth ? open[depth - 1] : FDT_NONE;
		uint32_t token = fdt_u32(tree + at);
		if (token == BEGIN_NODE && depth < DEPTH_MAX)
			open[depth++] = at;
		else if (token == END_NODE)
			depth--;
	}
	return FDT_NONE;
}

const uint8_t *fdt_property(int node, const char *name, uint32_t bytes_min, uint32_t *bytes)
{
	if (node == FDT_NONE)
		return NULL;
	for (int at = after(node); fdt_u32(tree + at) == PROPERTY || fdt_u32(tree + at) == NOP;
	     at = after(at)) {
		if (fdt_u32(tree + at) == NOP ||
		    !same_text((const char *)strings + fdt_u32(tree + at + 8), name))
			continue;
		uint32_t n = fdt_u32(tree + at + 4);
		if (bytes)
			*bytes = n;
		return n >= bytes_min ? tree + at + 12 : NULL;
	}
	return NULL;
}

static bool is_compatible(int node, const char *compatible)
{
	uint32_t n = 0;
	const char *s = (const char *)fdt_property(node, "compatible", 1, &n);

	for (const char *end = s + n; s && s < end; s += text_bytes(s))
		if (same_text(s, compatible))
			return true;
	return false;
}

int fdt_next_compatible(int node, const char *compatible)
{
	do
		node = fdt_next(node);
	while (node != FDT_NONE && !is_compatible(node, compatible));
	return node;
}

static bool is_named(int node, const char *name)
{
	const char *s = fdt_name(node);

	if (same_text(s, name))
		return true;
	while (*name && *s == *name)
		s++, name++;
	return !*name && *s == '@';
}

int fdt_child(int parent, const char *name)
{
	for (int node = fdt_next(parent); node != FDT_NONE; node = fdt_next(node))
		if (is_named(node, name) && fdt_parent(node) == parent)
			return node;
	return FDT_NONE;
}

int fdt_by_phandle(uint32_t phandle)
{
	for (int node = fdt_next(FDT_NONE); node != FDT_NONE; node = fdt_next(node)) {
		const uint8_t *p = fdt_property(node, "phandle", 4, NULL);
		if (p && fdt_u32(p) == phandle)
			return node;
	}
	return FDT_NONE;
}

static uint32_t cells(int node, const char *name)
{
	const uint8_t *p = fdt_property(node, name, 4, NULL);

	return p ? fdt_u32(p) : CELLS_DEFAULT;
}

static uint64_t cells_value(const uint8_t *p, uint32_t n)
{
	return n == 2 ? fdt_u64(p) : n ? fdt_u32(p) : 0;
}

bool fdt_reg(int node, unsigned i, struct range *out)
{
	int parent = fdt_parent(node);
	uint32_t at = cells(parent, "#address-cells"), size = cells(parent, "#size-cells");
	const uint8_t *p = fdt_property(node, "reg", (i + 1) * (at + size) * 4, NULL);

	if (!p)
		return false;
	p += i * (at + size) * 4;
	*out = (struct range){cells_value(p, at), cells_value(p + at * 4, size)};
	return true;
}

struct range fdt_need_reg(int node, unsigned i)
{
	struct range r;

	CHECK(node != FDT_NONE && fdt_reg(node, i, &r), "no reg %u of %s", i,
	      node == FDT_NONE ? "a node that is not there" : fdt_name(node));
	return r;
}

uint32_t fdt_interrupt(int node, unsigned i)
{
	const uint8_t *p = fdt_property(node, "interrupts", (i + 1) * INTERRUPT_CELLS, NULL);

	CHECK(p, "no interrupt %u of %s", i, fdt_name(node));
	p += i * INTERRUPT_CELLS;
	return fdt_u32(p + 4) + (fdt_u32(p) ? 16 : GIC_SPI);
}
