/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/picture_parts.h"
#include "layout/print.h"

#include <inttypes.h>
#include <string.h>

bool picture_is_port_(const struct picture_side *s, uint32_t region)
{
	return s->layout->region[region].kind == REGION_PIO;
}

const char *picture_kind_(const struct layout_region *r)
{
	const char *name = r->kind < region_kind_names.n ? region_kind_names.name[r->kind] : NULL;

	return name ? name : "unknown";
}

uint64_t picture_limit_(const struct picture_side *s)
{
	unsigned bits = s->layout->params.phys_bits;

	return bits && bits < 64 ? layout_limit(s->layout) : 0;
}

/* As the layout has it, unless that one comes later or belongs to the other address space. */
static uint16_t parent_of(const struct picture_side *s, uint32_t i)
{
	uint16_t p = s->layout->region[i].parent;

	return p && p <= i && picture_is_port_(s, p - 1) == picture_is_port_(s, i) ? p : 0;
}

static uint8_t own_flaws(const struct picture_side *s, uint32_t i)
{
	const struct layout_region *r = &s->layout->region[i];
	const struct picture_fact *f = &s->fact[i];
	uint64_t sum, limit = picture_is_port_(s, i) ? UINT16_MAX + 1 : picture_limit_(s);
	uint8_t flaw = 0;

	if (!num_add(r->start, r->size, &sum))
		flaw |= FLAW_WRAPS;
	else if (limit && f->end > limit)
		flaw |= FLAW_LIMIT;
	if (r->parent != f->parent)
		flaw |= FLAW_OUTSIDE;
	if (f->parent) {
		const struct layout_region *in = &s->layout->region[f->parent - 1];
		if (!num_inside(r->start, r->size, in->start, in->size))
			flaw |= FLAW_OUTSIDE;
	}
	return flaw;
}

static bool overlap(const struct picture_side *s, uint32_t i, uint32_t j)
{
	const struct layout_region *a = &s->layout->region[i], *b = &s->layout->region[j];

	return a->size && b->size && s->fact[i].parent == s->fact[j].parent &&
	       picture_is_port_(s, i) == picture_is_port_(s, j) && a->start < s->fact[j].end &&
	       b->start < s->fact[i].end;
}

void picture_side_init_(struct picture_side *s, const struct picture_map *m)
{
	*s = (struct picture_side){.layout = m->layout, .title = m->title};
	s->n = m->layout->region_n < LAYOUT_REGIONS_MAX ? m->layout->region_n : LAYOUT_REGIONS_MAX;
	for (uint32_t i = 0; i < s->n; i++) {
		struct picture_fact *f = &s->fact[i];
		const struct layout_region *r = &m->layout->region[i];
		f->parent = parent_of(s, i);
		if (!num_add(r->start, r->size, &f->end))
			f->end = UINT64_MAX;
		f->flaw = own_flaws(s, i);
		for (uint32_t j = 0; j < i; j++)
			if (overlap(s, i, j)) {
				f->flaw |= FLAW_OVERLAPS;
				s->fact[j].flaw |= FLAW_OVERLAPS;
			}
	}
}

static const char *parent_name(const struct picture_side *s, uint32_t i)
{
	return s->fact[i].parent ? s->layout->region[s->fact[i].parent - 1].name : "";
}

static uint8_t change_between(const struct picture_side *a, uint32_t i,
			      const struct picture_side *b, uint32_t j)
{
	const struct layout_region *p = &a->layout->region[i], *q = &b->layout->region[j];
	uint8_t change = 0;

	if (p->start != q->start)
		change |= CHANGE_MOVED;
	if (p->size != q->size)
		change |= q->size > p->size ? CHANGE_GREW : CHANGE_SHRANK;
	if (p->kind != q->kind)
		change |= CHANGE_KIND;
	if (p->irq != q->irq)
		change |= CHANGE_LINE;
	if (strcmp(parent_name(a, i), parent_name(b, j)))
		change |= CHANGE_PARENT;
	return change;
}

static void find_twin(struct picture_side *a, uint32_t i, struct picture_side *b)
{
	for (uint32_t j = 0; j < b->n; j++) {
		if (b->fact[j].twin || strcmp(a->layout->region[i].name, b->layout->region[j].name))
			continue;
		a->fact[i].twin = (uint16_t)(j + 1);
		b->fact[j].twin = (uint16_t)(i + 1);
		a->fact[i].change = b->fact[j].change = change_between(a, i, b, j);
		return;
	}
	a->fact[i].change = CHANGE_ONLY;
}

uint32_t picture_compare_(struct picture_side *a, struct picture_side *b)
{
	uint32_t differ = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		find_twin(a, i, b);
		differ += a->fact[i].change != 0;
	}
	for (uint32_t j = 0; j < b->n; j++)
		if (!b->fact[j].twin) {
			b->fact[j].change = CHANGE_ONLY;
			differ++;
		}
	return differ;
}

static const struct {
	uint8_t bit;
	const char *text, *class;
} change_badge[] =
    {
	{CHANGE_ONLY, "only here", "c-only"},
	{CHANGE_MOVED, "moved", "c-moved"},
	{CHANGE_GREW, "grew", "c-size"},
	{CHANGE_SHRANK, "shrank", "c-size"},
	{CHANGE_KIND, "other kind", "c-other"},
	{CHANGE_LINE, "other line", "c-other"},
	{CHANGE_PARENT, "other parent", "c-other"},
},
  flaw_badge[] = {
      {FLAW_OVERLAPS, "overlaps", "c-flaw"},
      {FLAW_OUTSIDE, "outside its parent", "c-flaw"},
      {FLAW_WRAPS, "past 2^64", "c-flaw"},
      {FLAW_LIMIT, "past the limit", "c-flaw"},
};

static void badge(struct picture_badge *b, const char *text, const char *class)
{
	snprintf(b->text, sizeof b->text, "%s", text);
	b->class = class;
}

unsigned picture_badges_(const struct picture_side *s, uint32_t region,
			 struct picture_badge out[static PICTURE_BADGES_MAX])
{
	const struct picture_fact *f = &s->fact[region];
	const struct layout_region *r = &s->layout->region[region];
	unsigned n = 0;
	char text[32];

	if (r->irq != LAYOUT_NO_IRQ) {
		snprintf(text, sizeof text, "line %u", r->irq);
		badge(&out[n++], text, "c-line");
	}
	for (size_t i = 0; i < ARRAY_LEN(change_badge); i++)
		if (f->change & change_badge[i].bit)
			badge(&out[n++], change_badge[i].text, change_badge[i].class);
	for (size_t i = 0; i < ARRAY_LEN(flaw_badge); i++)
		if (f->flaw & flaw_badge[i].bit)
			badge(&out[n++], flaw_badge[i].text, flaw_badge[i].class);
	/* Where the next row starts says nothing about it. */
	if (f->flaw && !(f->flaw & FLAW_WRAPS)) {
		snprintf(text, sizeof text, "ends 0x%" PRIx64, f->end);
		badge(&out[n++], text, "c-flaw");
	}
	return n;
}

void picture_facts_(const struct picture_side *s, uint32_t region, FILE *out)
{
	const struct layout_region *r = &s->layout->region[region];
	const struct picture_fact *f = &s->fact[region];
	char size[32];

	fprintf(out, "0x%" PRIx64 " to 0x%" PRIx64 ", %s%s, %s", r->start, f->end,
		layout_size_text(r->size, size), picture_is_port_(s, region) ? " ports" : "",
		picture_kind_(r));
	if (f->parent) {
		fputs(", in ", out);
		picture_put_(parent_name(s, region), out);
	}
	if (r->irq != LAYOUT_NO_IRQ)
		fprintf(out, ", line %u", r->irq);
	for (size_t i = 0; i < ARRAY_LEN(flaw_badge); i++)
		if (f->flaw & flaw_badge[i].bit)
			fprintf(out, ", %s", flaw_badge[i].text);
	for (uint32_t j = 0; j < s->n; j++)
		if (j != region && overlap(s, region, j)) {
			fputs("; overlaps ", out);
			picture_put_(s->layout->region[j].name, out);
		}
}

static void put_line(uint16_t irq, FILE *out)
{
	if (irq == LAYOUT_NO_IRQ)
		fputs("none", out);
	else
		fprintf(out, "%u", irq);
}

static void put_parents(const char *was, const char *is, FILE *out)
{
	fputs("nested in ", out);
	picture_put_(*was ? was : "none", out);
	fputs(" \u2192 ", out);
	picture_put_(*is ? is : "none", out);
}

void picture_changes_(const struct picture_side *a, uint32_t region, const struct picture_side *b,
		      FILE *out)
{
	const struct picture_fact *f = &a->fact[region];
	const struct layout_region *p = &a->layout->region[region];
	const char *sep = "";
	char was[32], is[32];

	if (!f->twin)
		return;
	const struct layout_region *q = &b->layout->region[f->twin - 1];
	if (f->change & CHANGE_MOVED) {
		bool up = q->start > p->start;
		fprintf(out, "moved by %s%s", up ? "+" : "\u2212",
			layout_size_text(up ? q->start - p->start : p->start - q->start, was));
		sep = "; ";
	}
	if (f->change & (CHANGE_GREW | CHANGE_SHRANK)) {
		fprintf(out, "%s%s, %s \u2192 %s", sep, f->change & CHANGE_GREW ? "grew" : "shrank",
			layout_size_text(p->size, was), layout_size_text(q->size, is));
		sep = "; ";
	}
	if (f->change & CHANGE_KIND) {
		fprintf(out, "%skind %s \u2192 %s", sep, picture_kind_(p), picture_kind_(q));
		sep = "; ";
	}
	if (f->change & CHANGE_LINE) {
		fprintf(out, "%sline ", sep);
		put_line(p->irq, out);
		fputs(" \u2192 ", out);
		put_line(q->irq, out);
		sep = "; ";
	}
	if (f->change & CHANGE_PARENT) {
		fputs(sep, out);
		put_parents(parent_name(a, region), parent_name(b, f->twin - 1u), out);
	}
}
