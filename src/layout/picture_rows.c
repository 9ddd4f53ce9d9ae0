/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/picture_parts.h"

#include <inttypes.h>

#define PAGE_BITS 12

/* Heights in pixels: the least that a row's text needs, and more for each doubling of a size. */
#define HEIGHT_REGION 24
#define HEIGHT_OPEN   26
#define HEIGHT_POINT  22
#define HEIGHT_GAP    18
#define HEIGHT_CLOSE  6
#define HEIGHT_END    20

static int doublings(uint64_t size, unsigned from)
{
	int bits = size ? 63 - __builtin_clzll(size) : 0;

	return bits > (int)from ? bits - (int)from : 0;
}

static int height_of(const struct picture_row *r, bool ports)
{
	unsigned from = ports ? 0 : PAGE_BITS;

	switch (r->kind) {
	case ROW_POINT:
		return HEIGHT_POINT;
	case ROW_LEAF:
		return HEIGHT_REGION + 2 * doublings(r->size, from);
	case ROW_OPEN:
		return HEIGHT_OPEN;
	case ROW_CLOSE:
		return HEIGHT_CLOSE;
	case ROW_REST:
	case ROW_FREE:
		return HEIGHT_GAP + doublings(r->size, from);
	default:
		return HEIGHT_END;
	}
}

static struct picture_row *add_row(struct picture_column *c, enum picture_row_kind kind,
				   unsigned depth, uint64_t start, uint64_t size)
{
	static struct picture_row none;

	/* Cannot be: see PICTURE_ROWS_MAX. */
	if (c->n == PICTURE_ROWS_MAX)
		return &none;
	struct picture_row *r = &c->row[c->n++];
	*r = (struct picture_row){
	    .kind = (uint8_t)kind,
	    .depth = (uint8_t)(depth < PICTURE_DEPTH_MAX ? depth : PICTURE_DEPTH_MAX),
	    .start = start,
	    .size = size,
	};
	r->h = height_of(r, c->ports);
	return r;
}

/* Regions that lie in @parent, by their starts. */
static unsigned children_of(const struct picture_column *c, uint16_t parent,
			    uint16_t out[static LAYOUT_REGIONS_MAX])
{
	const struct picture_side *s = c->side;
	unsigned n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->fact[i].parent != parent || picture_is_port_(s, i) != c->ports)
			continue;
		unsigned at = n++;
		for (; at && s->layout->region[out[at - 1]].start > s->layout->region[i].start;
		     at--)
			out[at] = out[at - 1];
		out[at] = (uint16_t)i;
	}
	return n;
}

static uint64_t add_children(struct picture_column *c, uint16_t parent, unsigned depth,
			     uint64_t from, uint64_t to);

static void add_region(struct picture_column *c, uint16_t region, unsigned depth)
{
	const struct layout_region *r = &c->side->layout->region[region];
	uint64_t end = c->side->fact[region].end;
	uint16_t child[LAYOUT_REGIONS_MAX];

	if (!children_of(c, (uint16_t)(region + 1), child)) {
		add_row(c, r->size ? ROW_LEAF : ROW_POINT, depth, r->start, r->size)->region =
		    region;
		return;
	}
	struct picture_row *open = add_row(c, ROW_OPEN, depth, r->start, r->size);
	open->region = region;
	add_children(c, (uint16_t)(region + 1), depth + 1, r->start, end);
	open->close = (uint16_t)c->n;
	add_row(c, ROW_CLOSE, depth, end, 0)->region = region;
}

/*
 * What lies in [@from, @to) of @parent, gaps included; goes no deeper than there are regions, as
 * parents come first. The row of a parent's name stands for its part before the first child.
 * Returns where the last one ends.
 */
static uint64_t add_children(struct picture_column *c, uint16_t parent, unsigned depth,
			     uint64_t from, uint64_t to)
{
	enum picture_row_kind gap = parent ? ROW_REST : ROW_FREE;
	uint16_t child[LAYOUT_REGIONS_MAX];
	unsigned n = children_of(c, parent, child);
	uint64_t at = from;

	for (unsigned i = 0; i < n; i++) {
		uint64_t start = c->side->layout->region[child[i]].start;
		uint64_t end = c->side->fact[child[i]].end;
		uint64_t up_to = !parent || start < to ? start : to;
		if (up_to > at && (i || !parent))
			add_row(c, gap, depth, at, up_to - at);
		add_region(c, child[i], depth);
		at = end > at ? end : at;
	}
	if (at < to)
		add_row(c, gap, depth, at, to - at);
	return at > to ? at : to;
}

int picture_kind_width_(const struct picture_column *c)
{
	unsigned most = 0;

	/* Ports are ports. */
	for (uint32_t i = 0; i < c->n && !c->ports; i++) {
		const struct picture_row *r = &c->row[i];
		if (r->kind > ROW_OPEN)
			continue;
		unsigned n = picture_cells_(picture_kind_(&c->side->layout->region[r->region]));
		most = n > most ? n : most;
	}
	return picture_width_(most, FONT_ADDRESS);
}

int picture_size_width_(const struct picture_column *c)
{
	unsigned most = 5;

	for (uint32_t i = 0; i < c->n; i++) {
		char size[32];
		unsigned n = picture_cells_(picture_size_(c->row[i].size, c->ports, size));
		most = n > most ? n : most;
	}
	return picture_width_(most, FONT_NAME);
}

static int row_width(const struct picture_column *c, const struct picture_row *r)
{
	struct picture_badge badge[PICTURE_BADGES_MAX];
	const char *name = c->side->layout->region[r->region].name;
	int w = r->depth * PICTURE_INDENT + 22 + picture_width_(picture_cells_(name), FONT_NAME);
	unsigned n = picture_badges_(c->side, r->region, badge);

	for (unsigned i = 0; i < n; i++)
		w += picture_width_(picture_cells_(badge[i].text), FONT_BADGE) + 18;
	return w;
}

static void measure(struct picture_column *c)
{
	int right = picture_kind_width_(c) + picture_size_width_(c) + 64;
	uint64_t last = c->n ? c->row[c->n - 1].start : 0;
	char text[24];

	c->w = c->ports ? 320 : 400;
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->row[i].kind > ROW_OPEN)
			continue;
		int w = row_width(c, &c->row[i]) + right;
		c->w = w > c->w ? w : c->w;
	}
	for (uint32_t i = 0; i < c->n; i++)
		last = c->row[i].start > last ? c->row[i].start : last;
	int digits = snprintf(text, sizeof text, "%" PRIx64, last);
	int least = c->ports ? 4 : 10;
	c->digits = digits > least ? digits : least;
	c->gutter = picture_width_((unsigned)c->digits + 2, FONT_ADDRESS) + 12;
}

/* Of ports, what lies before the first and after the last is of no interest. */
static uint64_t first_start(const struct picture_column *c)
{
	uint16_t child[LAYOUT_REGIONS_MAX];
	unsigned n = c->ports ? children_of(c, 0, child) : 0;

	return n ? c->side->layout->region[child[0]].start : 0;
}

void picture_rows_(struct picture_column *c, const struct picture_side *s, bool ports)
{
	c->side = s;
	c->ports = ports;
	c->n = 0;
	bool any = !ports;
	for (uint32_t i = 0; i < s->n && !any; i++)
		any = picture_is_port_(s, i);
	if (!any)
		return;
	uint64_t end = add_children(c, 0, 0, first_start(c), ports ? 0 : picture_limit_(s));
	add_row(c, ROW_END, 0, end, 0);
	measure(c);
}

int picture_row_end_(const struct picture_column *c, const struct picture_row *r)
{
	const struct picture_row *last = r->kind == ROW_OPEN ? &c->row[r->close] : r;

	return last->y + last->h;
}

/* In the order of a column: by address, outer before inner. */
static int compare(const struct picture_row *a, const struct picture_row *b)
{
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return (b->kind == ROW_POINT) - (a->kind == ROW_POINT);
}

static void place(struct picture_column *c, uint32_t *i, int *y)
{
	struct picture_row *r = &c->row[(*i)++];

	r->y = *y;
	*y += r->h;
}

/* The row above takes the room, and lower edges go down with it. */
static void stretch(struct picture_column *c, uint32_t i, int *y, int to)
{
	int more = to - *y;

	*y = to;
	while (i && c->row[i - 1].kind == ROW_CLOSE)
		c->row[--i].y += more;
	if (i)
		c->row[i - 1].h += more;
}

/* Both are in order if the layouts are sound; if not, this still ends, with fewer pairs. */
static void place_both(struct picture_column *a, struct picture_column *b)
{
	int ya = 0, yb = 0;
	uint32_t i = 0, j = 0;

	while (i < a->n && j < b->n) {
		int order = compare(&a->row[i], &b->row[j]);
		if (a->row[i].kind == ROW_CLOSE) {
			place(a, &i, &ya);
		} else if (b->row[j].kind == ROW_CLOSE) {
			place(b, &j, &yb);
		} else if (order) {
			order < 0 ? place(a, &i, &ya) : place(b, &j, &yb);
		} else {
			int y = ya > yb ? ya : yb;
			stretch(a, i, &ya, y);
			stretch(b, j, &yb, y);
			place(a, &i, &ya);
			place(b, &j, &yb);
		}
	}
	while (i < a->n)
		place(a, &i, &ya);
	while (j < b->n)
		place(b, &j, &yb);
	a->h = ya;
	b->h = yb;
}

void picture_align_(struct picture_column *a, struct picture_column *b)
{
	uint32_t i = 0;

	a->h = 0;
	if (b) {
		place_both(a, b);
		return;
	}
	while (i < a->n)
		place(a, &i, &a->h);
}
