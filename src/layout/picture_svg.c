/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/picture_parts.h"
#include "layout/print.h"

#include <inttypes.h>
#include <string.h>

static void draw_title(const struct picture *p, unsigned s, FILE *out)
{
	const struct picture_side *side = &p->side[s];
	const struct layout_params *params = &side->layout->params;
	const struct picture_column *c = &p->column[s][0];
	unsigned lines = picture_title_lines_(side->title, c->w);
	unsigned cells = (unsigned)(c->w / picture_width_(1, FONT_TITLE));
	int x = p->sides > 1 ? c->x : PICTURE_MARGIN, y = p->title_y;
	char ram[32];

	fputs("<g><title>", out);
	picture_put_(side->title, out);
	fputs("</title>\n", out);
	for (unsigned i = 0; i < lines; i++, y += PICTURE_LINE) {
		bool cut = i + 1 == lines && picture_cells_(side->title) > lines * cells;
		picture_text_(x, y, "t", FONT_TITLE, side->title, i * cells, cells - 2 * cut, out);
		if (cut)
			fprintf(out, "<text class=\"t\" x=\"%d\" y=\"%d\">\u2026</text>\n",
				x + picture_width_(cells - 1, FONT_TITLE), y);
	}
	if (strcmp(side->title, side->layout->id)) {
		picture_text_(x, y, "s", FONT_NAME, side->layout->id, 0, LAYOUT_ID_MAX, out);
		y += PICTURE_LINE;
	}
	fprintf(out,
		"<text class=\"p\" x=\"%d\" y=\"%d\">%s of RAM, %u vCPU%s, %u address bits</text>\n"
		"</g>\n",
		x, y, picture_size_(params->ram_bytes, false, ram), params->vcpus,
		params->vcpus == 1 ? "" : "s", params->phys_bits);
}

/* "No region differs", "3 regions differ". */
static void put_verdict(const struct picture *p, FILE *out)
{
	if (!p->differ)
		fputs("No region differs", out);
	else
		fprintf(out, "%u region%s", p->differ, p->differ == 1 ? " differs" : "s differ");
}

static void draw_item(const struct picture_item *t, FILE *out)
{
	bool change = t->class && t->class[0] == 'c', kind = t->class && t->class[0] == 'k';
	int x = t->x;

	if (t->class) {
		fprintf(out,
			"<rect class=\"%s %s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"12\"%s/>",
			change ? "pill" : "box", t->class, x, t->y - 10, PICTURE_SWATCH,
			change ? " rx=\"6\"" : "");
		if (kind)
			fprintf(out,
				"<rect class=\"stripe\" x=\"%d\" y=\"%d\" width=\"4\" "
				"height=\"12\"/>",
				x, t->y - 10);
		x += PICTURE_SWATCH + 6;
	}
	fprintf(out, "<text class=\"p\" x=\"%d\" y=\"%d\">%s</text>\n", x, t->y, t->text);
}

static const struct picture_row *row_of(const struct picture_column *c, uint32_t region)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->row[i].kind <= ROW_OPEN && c->row[i].region == region)
			return &c->row[i];
	return NULL;
}

/* A band from a region's place at the left to its place at the right. */
static void draw_link(const struct picture_column *a, const struct picture_row *r,
		      const struct picture_column *b, const struct picture_row *q, FILE *out)
{
	uint8_t change = a->side->fact[r->region].change;
	int top = a->y + r->y, bottom = a->y + picture_row_end_(a, r);
	int to_top = b->y + q->y, to_bottom = b->y + picture_row_end_(b, q);
	int from = a->x + a->w, to = b->x, mid = (from + to) / 2, left, right, unused;

	picture_box_(a, r, &unused, &left);
	picture_box_(b, q, &right, &unused);
	/* Straight where it crosses the edge of what the region lies in: text is near there. */
	fprintf(out,
		"<path class=\"link %s\" d=\"M%d %dH%dC%d %d %d %d %d %dH%dV%dH%dC%d %d %d %d %d "
		"%dH%dz\"><title>",
		change & CHANGE_MOVED ? "c-moved" : "c-size", left, top, from, mid, top, mid,
		to_top, to, to_top, right, to_bottom, to, mid, to_bottom, mid, bottom, from, bottom,
		left);
	picture_put_(a->side->layout->region[r->region].name, out);
	fputs(": ", out);
	picture_changes_(a->side, r->region, b->side, out);
	fputs("</title></path>\n", out);
}

static void draw_links(const struct picture *p, FILE *out)
{
	const struct picture_side *a = &p->side[0];

	for (uint32_t i = 0; i < a->n; i++) {
		unsigned ports = picture_is_port_(a, i);
		const struct picture_row *r = row_of(&p->column[0][ports], i), *q;
		if (!(a->fact[i].change & CHANGE_PLACE) || !r)
			continue;
		/* None when it became ports, or ceased to be. */
		q = row_of(&p->column[1][ports], a->fact[i].twin - 1u);
		if (q)
			draw_link(&p->column[0][ports], r, &p->column[1][ports], q, out);
	}
}

static void put_description(const struct picture *p, FILE *out)
{
	fputs("<title id=\"map-title\">", out);
	fputs(p->sides > 1 ? "Memory maps: " : "Memory map: ", out);
	picture_put_(p->side[0].title, out);
	if (p->sides > 1) {
		fputs(" and ", out);
		picture_put_(p->side[1].title, out);
	}
	fprintf(out, "</title>\n<desc id=\"map-desc\">Regions of guest physical memory and I/O "
		     "ports in order, the lowest addresses at the top, not to scale. ");
	for (uint32_t s = 0; s < p->sides; s++) {
		picture_put_(p->side[s].title, out);
		fputs(": ", out);
		picture_put_(p->side[s].layout->id, out);
		fprintf(out, ", %u regions. ", p->side[s].n);
	}
	if (p->sides > 1) {
		put_verdict(p, out);
		fputs(".", out);
	}
	fputs("</desc>\n", out);
}

static void draw_column(const struct picture *p, unsigned side, unsigned ports, FILE *out)
{
	const struct picture_column *c = &p->column[side][ports];

	if (!c->n)
		return;
	fprintf(out, "<g>\n<text class=\"h\" x=\"%d\" y=\"%d\">%s</text>\n", c->x, c->y - 9,
		ports ? "I/O ports" : "Memory");
	picture_draw_column_(c, p->sides > 1 ? &p->side[!side] : NULL, out);
	fputs("</g>\n", out);
}

void picture_draw_(const struct picture *p, FILE *out)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"map\" width=\"%d\" "
		"height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
		"aria-labelledby=\"map-title map-desc\">\n",
		p->width, p->height, p->width, p->height);
	put_description(p, out);
	picture_style_(out);
	fputs("<defs><pattern id=\"free\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">"
	      "<path class=\"hatch\" d=\"M-2 2l4-4M0 8l8-8M6 10l4-4\"/></pattern></defs>\n",
	      out);
	fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", p->width, p->height);
	if (p->sides > 1) {
		fprintf(out, "<text class=\"t\" x=\"%d\" y=\"%d\">", PICTURE_MARGIN,
			PICTURE_MARGIN + 12);
		put_verdict(p, out);
		fputs("</text>\n", out);
	}
	for (uint32_t i = 0; i < p->items; i++)
		draw_item(&p->item[i], out);
	for (unsigned s = 0; s < p->sides; s++) {
		draw_title(p, s, out);
		draw_column(p, s, 0, out);
		draw_column(p, s, 1, out);
	}
	if (p->sides > 1)
		draw_links(p, out);
	fputs("</svg>\n", out);
}

void picture_svg(const struct picture_map *a, const struct picture_map *b, FILE *out)
{
	struct picture p;

	picture_init_(&p, a, b);
	picture_draw_(&p, out);
}
