/* SPDX-License-Identifier: Apache-2.0 */
/* One column: boxes, addresses, names. */
#include "layout/picture_parts.h"
#include "layout/print.h"

#include <inttypes.h>

#define STRIPE 4 /* of the kind's full colour, at the left of a box */

void picture_text_(int x, int y, const char *class, enum picture_font font, const char *text,
		   unsigned from, unsigned n, FILE *out)
{
	unsigned cells = picture_cells_(text);

	cells = cells > from ? cells - from : 0;
	cells = cells < n ? cells : n;
	fprintf(out, "<text class=\"%s\" x=\"%d\" y=\"%d\"", class, x, y);
	/* Other scripts come from other fonts. */
	if (!picture_ascii_(text) && cells)
		fprintf(out, " textLength=\"%d\" lengthAdjust=\"spacingAndGlyphs\"",
			picture_width_(cells, font));
	fputc('>', out);
	picture_put_part_(text, from, n, out);
	fputs("</text>\n", out);
}

void picture_box_(const struct picture_column *c, const struct picture_row *r, int *left,
		  int *right)
{
	*left = c->x + r->depth * PICTURE_INDENT;
	*right = c->x + c->w - r->depth * PICTURE_INSET;
}

static int baseline(const struct picture_row *r)
{
	return r->kind == ROW_REST || r->kind == ROW_FREE ? 13 : 16;
}

static void draw_rect(const struct picture_column *c, const struct picture_row *r,
		      const char *class, int inset, FILE *out)
{
	int left, right, top = c->y + r->y;

	picture_box_(c, r, &left, &right);
	fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", class,
		left + inset, top + inset, right - left - 2 * inset,
		c->y + picture_row_end_(c, r) - top - 2 * inset);
}

static void draw_stripe(const struct picture_column *c, const struct picture_row *r, FILE *out)
{
	int left, right;

	picture_box_(c, r, &left, &right);
	fprintf(out, "<rect class=\"stripe\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
		left, c->y + r->y, STRIPE, picture_row_end_(c, r) - r->y);
}

static void draw_right(const struct picture_column *c, const struct picture_row *r,
		       const char *kind, const char *size, FILE *out)
{
	int x = c->x + c->w - PICTURE_DEPTH_MAX * PICTURE_INSET - 8;
	int y = c->y + r->y + baseline(r);

	fprintf(out, "<text class=\"s e%s\" x=\"%d\" y=\"%d\">%s</text>\n",
		r->kind <= ROW_OPEN ? "" : " m", x, y, size);
	if (*kind)
		fprintf(out, "<text class=\"k e\" x=\"%d\" y=\"%d\">%s</text>\n",
			x - picture_size_width_(c) - 14, y, kind);
}

static void draw_badges(const struct picture_column *c, const struct picture_row *r, int x,
			FILE *out)
{
	struct picture_badge badge[PICTURE_BADGES_MAX];
	unsigned n = picture_badges_(c->side, r->region, badge);
	int y = c->y + r->y;

	for (unsigned i = 0; i < n; i++) {
		int w = picture_width_(picture_cells_(badge[i].text), FONT_BADGE) + 12;
		fprintf(out,
			"<rect class=\"pill %s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"15\" "
			"rx=\"7\"/><text class=\"b %s\" x=\"%d\" y=\"%d\">%s</text>\n",
			badge[i].class, x, y + 4, w, badge[i].class, x + 6, y + 15, badge[i].text);
		x += w + 6;
	}
}

static void draw_tooltip(const struct picture_column *c, uint32_t region,
			 const struct picture_side *other, FILE *out)
{
	const char *name = c->side->layout->region[region].name;
	const char *note = layout_note(c->side->layout, name);

	fputs("<title>", out);
	picture_put_(name, out);
	fputs("\n", out);
	picture_facts_(c->side, region, out);
	if (*note) {
		fputs("\n", out);
		picture_put_(note, out);
	}
	if (other && c->side->fact[region].change) {
		fputs("\n", out);
		if (!c->side->fact[region].twin)
			fputs("only in this map", out);
		else if (c->mirrored)
			picture_changes_(other, c->side->fact[region].twin - 1u, c->side, out);
		else
			picture_changes_(c->side, region, other, out);
	}
	fputs("</title>\n", out);
}

/* The gravest one's. */
static const char *mark_class(const struct picture_fact *f)
{
	return f->flaw			  ? "mark c-flaw"
	       : f->change & CHANGE_ONLY  ? "mark c-only"
	       : f->change & CHANGE_MOVED ? "mark c-moved"
	       : f->change & CHANGE_PLACE ? "mark c-size"
	       : f->change		  ? "mark c-other"
					  : NULL;
}

static void draw_region(const struct picture_column *c, const struct picture_row *r,
			const struct picture_side *other, FILE *out)
{
	const struct layout_region *region = &c->side->layout->region[r->region];
	const char *mark = mark_class(&c->side->fact[r->region]);
	char class[40], size[32];
	int left, right, y = c->y + r->y + baseline(r);

	picture_box_(c, r, &left, &right);
	fputs("<g class=\"region\">", out);
	draw_tooltip(c, r->region, other, out);
	if (r->kind == ROW_POINT) {
		fprintf(out, "<path class=\"point\" d=\"M%d %dh10\"/>\n", left, y - 4);
	} else {
		snprintf(class, sizeof class, "box %s", picture_class_(region->kind));
		draw_rect(c, r, class, 0, out);
		draw_stripe(c, r, out);
		if (mark)
			draw_rect(c, r, mark, 1, out);
	}
	picture_text_(left + 14, y, "n", FONT_NAME, region->name, 0, LAYOUT_NAME_MAX, out);
	draw_badges(c, r, left + 24 + picture_width_(picture_cells_(region->name), FONT_NAME), out);
	draw_right(c, r, c->ports ? "" : picture_kind_(region),
		   r->kind == ROW_POINT ? "point" : picture_size_(r->size, c->ports, size), out);
	fputs("</g>\n", out);
}

static void draw_gap(const struct picture_column *c, const struct picture_row *r, FILE *out)
{
	int left, right;
	char size[32];

	picture_box_(c, r, &left, &right);
	if (r->kind == ROW_FREE) {
		draw_rect(c, r, "gap", 0, out);
		fprintf(out, "<text class=\"k\" x=\"%d\" y=\"%d\">free</text>\n", left + 14,
			c->y + r->y + baseline(r));
	}
	draw_right(c, r, "", picture_size_(r->size, c->ports, size), out);
}

/* A short line at the border, the address below it. */
static void draw_address(const struct picture_column *c, const struct picture_row *r, FILE *out)
{
	int edge = c->mirrored ? c->x + c->w : c->x, out_by = c->mirrored ? 8 : -8;
	int y = c->y + r->y;

	fprintf(out,
		"<path class=\"tick\" d=\"M%d %dh%d\"/><text class=\"a%s\" x=\"%d\" y=\"%d\">"
		"0x%0*" PRIx64 "</text>\n",
		edge, y, out_by, c->mirrored ? "" : " e", edge + out_by, y + baseline(r), c->digits,
		r->start);
}

void picture_draw_column_(const struct picture_column *c, const struct picture_side *other,
			  FILE *out)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct picture_row *r = &c->row[i];
		if (r->kind <= ROW_OPEN)
			draw_region(c, r, other, out);
		else if (r->kind == ROW_REST || r->kind == ROW_FREE)
			draw_gap(c, r, out);
		/* What follows a point starts at the same address. */
		bool again = i && r[-1].kind == ROW_POINT && r[-1].start == r->start;
		if (r->kind != ROW_CLOSE && !again)
			draw_address(c, r, out);
	}
}
