/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of a layout, each with its rule. */
#include "layout/compat.h"

#include <inttypes.h>
#include <string.h>

#define PAGE		4096
#define PORT_LIMIT	0x10000
#define PHYS_BITS_LEAST 32
#define PHYS_BITS_MOST	52

static void add(struct findings *out, enum rule_id rule, const struct layout_region *r,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void add(struct findings *out, enum rule_id rule, const struct layout_region *r,
		const char *fmt, ...)
{
	char saved[96], found[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(found, sizeof found, fmt, ap);
	va_end(ap);
	snprintf(saved, sizeof saved, "%s 0x%" PRIx64 ", 0x%" PRIx64 " bytes",
		 region_kind_names.name[r->kind], r->start, r->size);
	findings_add(out, rule, r->name, saved, found);
}

static bool is_port(const struct layout_region *r)
{
	return r->kind == REGION_PIO;
}

static uint64_t limit_of(const struct layout *l, const struct layout_region *r)
{
	return is_port(r) ? PORT_LIMIT : layout_limit(l);
}

static void check_place(const struct layout *l, const struct layout_region *r, struct findings *out)
{
	uint64_t limit = limit_of(l, r);

	if (!r->name[0])
		add(out, RULE_L014, r, "a region without a name");
	if (!num_inside(r->start, r->size, 0, limit))
		add(out, RULE_L011, r, "reaches past the address limit 0x%" PRIx64, limit);
	if (layout_backed(l, r) && (r->start % PAGE || r->size % PAGE))
		add(out, RULE_L012, r, "is backed but not page-aligned");
}

static void check_parent(const struct layout *l, const struct layout_region *r,
			 struct findings *out)
{
	if (!r->parent)
		return;
	const struct layout_region *in = &l->region[r->parent - 1];
	if (is_port(in) != is_port(r) || !num_inside(r->start, r->size, in->start, in->size))
		add(out, RULE_L013, r, "does not lie in %s", in->name);
}

/* Order, names and overlap against every earlier region; there are at most 64. */
static void check_pairs(const struct layout *l, uint32_t i, struct findings *out)
{
	const struct layout_region *r = &l->region[i];

	for (uint32_t j = 0; j < i; j++) {
		const struct layout_region *q = &l->region[j];
		bool same_space = is_port(q) == is_port(r);
		if (!strcmp(q->name, r->name))
			add(out, RULE_L014, r, "stands there twice");
		if (same_space ? q->start > r->start : is_port(q))
			add(out, RULE_L015, r, "is not in order");
		/* What reaches past the limit has been said, and its end may have wrapped. */
		else if (same_space && q->parent == r->parent && r->size &&
			 num_inside(q->start, q->size, 0, limit_of(l, q)) &&
			 region_end(q) > r->start)
			add(out, RULE_L010, r, "overlaps %s (0x%" PRIx64 " to 0x%" PRIx64 ")",
			    q->name, q->start, region_end(q));
	}
}

/* On a split below 1 MiB the reserved part between two pieces of RAM is part of the RAM size too.
 */
static void check_ram(const struct layout *l, struct findings *out)
{
	uint64_t ram = 0, backed = 0;
	char saved[64], found[64];

	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (r->kind == REGION_RAM && !r->parent && !num_add(ram, r->size, &ram))
			return; /* far past the limit, which has been said */
		if (layout_backed(l, r) && !num_add(backed, r->size, &backed))
			return;
	}
	if (ram <= l->params.ram_bytes && backed >= l->params.ram_bytes)
		return;
	snprintf(saved, sizeof saved, "%" PRIu64 " bytes", l->params.ram_bytes);
	snprintf(found, sizeof found, "RAM regions hold %" PRIu64 " bytes", ram);
	findings_add(out, RULE_L016, "RAM", saved, found);
}

int layout_coherent(const struct layout *l, struct err *e)
{
	if (!l->region_n)
		return err_set(e, ERR_STRUCTURE, "no regions");
	if (l->params.phys_bits >= 64)
		return err_set(e, ERR_STRUCTURE, "%u physical address bits", l->params.phys_bits);
	for (uint32_t i = 0; i < l->region_n; i++)
		if (l->region[i].parent > i)
			return err_set(e, ERR_STRUCTURE, "%s stands before the region it lies in",
				       l->region[i].name);
	return 0;
}

void layout_violations(const struct layout *l, struct findings *out)
{
	uint8_t bits = l->params.phys_bits;

	if (bits < PHYS_BITS_LEAST || bits > PHYS_BITS_MOST) {
		char saved[8];
		snprintf(saved, sizeof saved, "%u", bits);
		findings_add(out, RULE_L017, "address limit", saved,
			     "physical address bits: 32 to 52");
		return;
	}
	for (uint32_t i = 0; i < l->region_n; i++) {
		check_place(l, &l->region[i], out);
		check_parent(l, &l->region[i], out);
		check_pairs(l, i, out);
	}
	check_ram(l, out);
}

int layout_check(const struct layout *l, struct err *e)
{
	int r = layout_coherent(l, e);

	if (r)
		return r;
	struct findings f = {0};
	layout_violations(l, &f);
	if (f.n)
		r = err_set(e, ERR_STRUCTURE, "%s %s %s", f.item[0].rule->id, f.item[0].subject,
			    f.item[0].found);
	return r;
}
