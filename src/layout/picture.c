/* SPDX-License-Identifier: Apache-2.0 */
/* Where columns, titles and legend stand on the sheet. */
#include "layout/picture_parts.h"

#define CHANNEL	 120 /* between two maps: room for the lines that join them */
#define BETWEEN	 36  /* memory and the ports beside or below it */
#define HEADINGS 22  /* "Memory", above a column */

static const char *const sentences[] = {
    "Low addresses at the top, each where its row starts.",
    "Not to scale: heights grow with the logarithm of sizes.",
    "\u2248 is rounded.",
};

static const struct {
	uint8_t change;
	const char *text, *class;
} change_legend[] = {
    {CHANGE_MOVED, "moved", "c-moved"},
    {CHANGE_GREW | CHANGE_SHRANK, "grew or shrank, from left to right", "c-size"},
    {CHANGE_ONLY, "only in this map", "c-only"},
    {CHANGE_KIND | CHANGE_LINE | CHANGE_PARENT, "other kind, line or parent", "c-other"},
};

static void add_item(struct picture *p, const char *text, const char *class)
{
	if (p->items < PICTURE_ITEMS_MAX)
		p->item[p->items++] = (struct picture_item){.text = text, .class = class};
}

static const char *kind_drawn(const struct picture *p, unsigned kind)
{
	for (uint32_t s = 0; s < p->sides; s++)
		for (uint32_t i = 0; i < p->side[s].n; i++)
			if (p->side[s].layout->region[i].kind == kind)
				return picture_kind_(&p->side[s].layout->region[i]);
	return NULL;
}

static bool flawed(const struct picture *p)
{
	for (uint32_t s = 0; s < p->sides; s++)
		for (uint32_t i = 0; i < p->side[s].n; i++)
			if (p->side[s].fact[i].flaw)
				return true;
	return false;
}

static void add_items(struct picture *p)
{
	uint8_t change = 0;

	for (size_t i = 0; i < ARRAY_LEN(sentences); i++)
		add_item(p, sentences[i], NULL);
	for (unsigned kind = 0; kind < region_kind_names.n; kind++)
		if (kind_drawn(p, kind))
			add_item(p, kind_drawn(p, kind), picture_class_(kind));
	add_item(p, "free", "gap");
	for (uint32_t i = 0; i < p->side[0].n; i++)
		change |= p->side[0].fact[i].change;
	for (uint32_t i = 0; p->sides > 1 && i < p->side[1].n; i++)
		change |= p->side[1].fact[i].change;
	for (size_t i = 0; i < ARRAY_LEN(change_legend); i++)
		if (change & change_legend[i].change)
			add_item(p, change_legend[i].text, change_legend[i].class);
	if (flawed(p))
		add_item(p, "not a sound map: would be refused", "c-flaw");
}

static int item_width(const struct picture_item *t)
{
	return picture_width_(picture_cells_(t->text), FONT_BADGE) +
	       (t->class ? PICTURE_SWATCH + 6 : 0);
}

static bool is_change(const struct picture_item *t)
{
	return t->class && t->class[0] == 'c';
}

/* In lines from @y on; sentences, kinds and changes each begin one. Returns the lower edge. */
static int flow_items(struct picture *p, int y)
{
	int x = PICTURE_MARGIN;

	for (uint32_t i = 0; i < p->items; i++) {
		struct picture_item *t = &p->item[i], *before = i ? t - 1 : t;
		bool turn = !before->class != !t->class || is_change(before) != is_change(t);
		if (i && (turn || x + item_width(t) > p->width - PICTURE_MARGIN)) {
			x = PICTURE_MARGIN;
			y += turn ? PICTURE_LINE + 6 : PICTURE_LINE;
		}
		t->x = x;
		t->y = y;
		x += item_width(t) + 18;
	}
	return y + PICTURE_LINE;
}

unsigned picture_title_lines_(const char *title, int width)
{
	unsigned cells = (unsigned)(width / picture_width_(1, FONT_TITLE));
	unsigned n = (picture_cells_(title) + cells - 1) / cells;

	return n < 1 ? 1 : n < PICTURE_TITLE_LINES ? n : PICTURE_TITLE_LINES;
}

/* Title and the two lines below it. */
static int title_height(const struct picture *p)
{
	unsigned most = 0;

	for (uint32_t s = 0; s < p->sides; s++) {
		unsigned n = picture_title_lines_(p->side[s].title, p->column[s][0].w);
		most = n > most ? n : most;
	}
	return ((int)most + 2) * PICTURE_LINE;
}

/* Ports beside memory. */
static void arrange_one(struct picture *p)
{
	struct picture_column *c = &p->column[0][0], *ports = &p->column[0][1];

	c->x = PICTURE_MARGIN + c->gutter;
	p->width = c->x + c->w + PICTURE_MARGIN;
	picture_align_(c, NULL);
	if (ports->n) {
		picture_align_(ports, NULL);
		ports->x = c->x + c->w + BETWEEN + ports->gutter;
		p->width = ports->x + ports->w + PICTURE_MARGIN;
	}
	p->title_y = PICTURE_MARGIN + 12;
	int y = flow_items(p, p->title_y + title_height(p) + 8);
	c->y = ports->y = y + HEADINGS + 14;
	p->height = c->y + (c->h > ports->h ? c->h : ports->h) + PICTURE_MARGIN;
}

static int wider(int a, int b)
{
	return a > b ? a : b;
}

static int arrange_pair(struct picture *p, unsigned ports, int y)
{
	struct picture_column *a = &p->column[0][ports], *b = &p->column[1][ports];

	if (!a->n && !b->n)
		return y;
	picture_align_(a, b);
	a->y = b->y = y + HEADINGS;
	return a->y + wider(a->h, b->h) + BETWEEN;
}

/* Maps beside each other, their addresses outside; ports below memory. */
static void arrange_two(struct picture *p)
{
	int gutter = 0;

	for (unsigned s = 0; s < 2; s++) {
		struct picture_column *c = p->column[s];
		c[0].w = c[1].w = wider(c[0].w, c[1].w);
		gutter = wider(gutter, c[0].gutter);
		c[0].mirrored = c[1].mirrored = s;
	}
	p->column[0][0].x = p->column[0][1].x = PICTURE_MARGIN + gutter;
	int x = p->column[0][0].x + p->column[0][0].w + CHANNEL;
	p->column[1][0].x = p->column[1][1].x = x;
	p->width = x + p->column[1][0].w + gutter + PICTURE_MARGIN;

	p->title_y = flow_items(p, PICTURE_MARGIN + 12 + PICTURE_LINE + 6) + 22;
	int y = arrange_pair(p, 0, p->title_y + title_height(p) + 6);
	p->height = arrange_pair(p, 1, y) - BETWEEN + PICTURE_MARGIN;
}

void picture_init_(struct picture *p, const struct picture_map *a, const struct picture_map *b)
{
	const struct picture_map *map[2] = {a, b};

	p->sides = b ? 2 : 1;
	p->differ = p->items = 0;
	for (uint32_t s = 0; s < p->sides; s++)
		picture_side_init_(&p->side[s], map[s]);
	if (b)
		p->differ = picture_compare_(&p->side[0], &p->side[1]);
	for (uint32_t s = 0; s < p->sides; s++)
		for (unsigned ports = 0; ports < 2; ports++) {
			struct picture_column *c = &p->column[s][ports];
			c->x = c->y = c->w = c->h = 0;
			c->gutter = 0;
			c->mirrored = false;
			picture_rows_(c, &p->side[s], ports);
		}
	add_items(p);
	b ? arrange_two(p) : arrange_one(p);
}
