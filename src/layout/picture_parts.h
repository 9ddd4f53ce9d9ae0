/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/layout/: what a picture is made of. picture_facts.c says what is true of each
 * region, picture_rows.c makes a column of rows of a map, picture.c arranges columns on a sheet,
 * picture_draw.c, picture_svg.c and picture_html.c write it.
 */
#ifndef LAYOUT_PICTURE_PARTS_H
#define LAYOUT_PICTURE_PARTS_H

#include "layout/picture.h"

/* What is wrong with a region that layout_check() would refuse. */
enum picture_flaw {
	FLAW_OVERLAPS = 1,
	FLAW_OUTSIDE = 2, /* of its parent, or the parent is none */
	FLAW_WRAPS = 4,
	FLAW_LIMIT = 8,
};

/* How a region differs from the one of the same name in the other map. */
enum picture_change {
	CHANGE_MOVED = 1,
	CHANGE_GREW = 2,
	CHANGE_SHRANK = 4,
	CHANGE_ONLY = 8, /* there is none */
	CHANGE_KIND = 16,
	CHANGE_LINE = 32,
	CHANGE_PARENT = 64,
};
#define CHANGE_PLACE (CHANGE_MOVED | CHANGE_GREW | CHANGE_SHRANK)

struct picture_fact {
	uint64_t end;	 /* UINT64_MAX when it reaches past */
	uint16_t parent; /* as in the layout, but 0 for one that cannot be drawn in */
	uint16_t twin;	 /* number of the region in the other map, counted from 1 */
	uint8_t flaw, change;
};

struct picture_side {
	const struct layout *layout;
	const char *title;
	uint32_t n;
	struct picture_fact fact[LAYOUT_REGIONS_MAX];
};

enum picture_row_kind {
	ROW_POINT, /* sorts before what starts at the same address */
	ROW_LEAF,
	ROW_OPEN,  /* a region with others in it: its name */
	ROW_CLOSE, /* its lower edge */
	ROW_REST,  /* of a parent, between its children */
	ROW_FREE,  /* between top-level regions */
	ROW_END,   /* the last address */
};

struct picture_row {
	uint64_t start, size;
	int y, h;
	uint16_t region;
	uint16_t close; /* ROW_OPEN: number of its ROW_CLOSE */
	uint8_t kind, depth;
};

/* For each region: itself, its lower edge, a gap before it, a gap at its end. */
#define PICTURE_ROWS_MAX  (4 * LAYOUT_REGIONS_MAX + 2)
#define PICTURE_DEPTH_MAX 4 /* deeper ones are drawn no further in */

struct picture_column {
	const struct picture_side *side;
	bool ports;
	bool mirrored; /* addresses at the right */
	uint32_t n;
	int x, y, w, h, gutter, digits;
	struct picture_row row[PICTURE_ROWS_MAX];
};

struct picture_badge {
	char text[32];
	const char *class;
};
#define PICTURE_BADGES_MAX 12

/* An entry of the legend, or a sentence above it. */
struct picture_item {
	int x, y;
	const char *text;
	const char *class; /* of the swatch; NULL for a sentence */
};
#define PICTURE_ITEMS_MAX 32

struct picture {
	uint32_t sides;
	uint32_t differ; /* regions */
	int width, height;
	int title_y; /* base line of the first line of titles */
	struct picture_side side[2];
	struct picture_column column[2][2]; /* side, then memory and ports; n is 0 for none */
	uint32_t items;
	struct picture_item item[PICTURE_ITEMS_MAX];
};

/* --- picture_text.c ----------------------------------------------------------------------- */

/* Fonts of a known advance, so that widths are known as well. */
enum picture_font { FONT_BADGE = 10, FONT_ADDRESS = 11, FONT_NAME = 12, FONT_TITLE = 14 };

/** picture_put_() - @text for XML; what is not printable becomes U+FFFD. */
void picture_put_(const char *text, FILE *out);
/** picture_put_part_() - the cells [@from, @from + @n) of it. */
void picture_put_part_(const char *text, unsigned from, unsigned n, FILE *out);
/** picture_cells_() - its width in a monospaced font. */
unsigned picture_cells_(const char *text);
bool picture_ascii_(const char *text);
int picture_width_(unsigned cells, enum picture_font font);
/** picture_size_() - as layout_size_text(), but rounded where that has many digits; a plain number
 * when it counts ports. */
const char *picture_size_(uint64_t bytes, bool ports, char buf[static 32]);

/* --- picture_facts.c ---------------------------------------------------------------------- */

void picture_side_init_(struct picture_side *s, const struct picture_map *m);
/** picture_compare_() - fills twins and changes of both; returns how many regions differ. */
uint32_t picture_compare_(struct picture_side *a, struct picture_side *b);
bool picture_is_port_(const struct picture_side *s, uint32_t region);
const char *picture_kind_(const struct layout_region *r);
/** picture_limit_() - end of memory; 0 when the address bits make no sense. */
uint64_t picture_limit_(const struct picture_side *s);
/** picture_badges_() - what is written beside the name; returns how many. */
unsigned picture_badges_(const struct picture_side *s, uint32_t region,
			 struct picture_badge out[static PICTURE_BADGES_MAX]);
/** picture_facts_() - start, end, size, kind, parent, line, what is wrong with it: for a tooltip.
 */
void picture_facts_(const struct picture_side *s, uint32_t region, FILE *out);
/** picture_changes_() - what changed from @a to its twin in @b, in words. */
void picture_changes_(const struct picture_side *a, uint32_t region, const struct picture_side *b,
		      FILE *out);

/* --- picture_rows.c ----------------------------------------------------------------------- */

/** picture_rows_() - the rows of memory or of the ports, and the width that they need. */
void picture_rows_(struct picture_column *c, const struct picture_side *s, bool ports);
/** picture_align_() - gives rows their places; the same addresses side by side where they can be.
 * @b may be NULL. */
void picture_align_(struct picture_column *a, struct picture_column *b);
/** picture_row_end_() - lower edge of a region's box. */
int picture_row_end_(const struct picture_column *c, const struct picture_row *r);
/* Widths of the texts at the right of a column. */
int picture_kind_width_(const struct picture_column *c);
int picture_size_width_(const struct picture_column *c);

/* --- picture_style.c ---------------------------------------------------------------------- */

/** picture_style_() - the style sheet of the drawing. */
void picture_style_(FILE *out);
/** picture_class_() - "k-ram": the class that colours a kind. */
const char *picture_class_(unsigned kind);

/* --- picture.c, picture_draw.c, picture_svg.c --------------------------------------------- */

#define PICTURE_MARGIN	    24
#define PICTURE_TITLE_LINES 3
#define PICTURE_LINE	    18 /* from one line of text to the next */
#define PICTURE_INDENT	    14 /* of a nested region, at the left */
#define PICTURE_INSET	    5  /* and at the right */
#define PICTURE_SWATCH	    20

void picture_init_(struct picture *p, const struct picture_map *a, const struct picture_map *b);
/** picture_title_lines_() - how many lines the title takes in @width. */
unsigned picture_title_lines_(const char *title, int width);
/** picture_text_() - the cells [@from, @from + @n) of @text at a place; @font is that of @class. */
void picture_text_(int x, int y, const char *class, enum picture_font font, const char *text,
		   unsigned from, unsigned n, FILE *out);
void picture_draw_column_(const struct picture_column *c, const struct picture_side *other,
			  FILE *out);
/** picture_box_() - left and right edge of a row's box. */
void picture_box_(const struct picture_column *c, const struct picture_row *r, int *left,
		  int *right);
void picture_draw_(const struct picture *p, FILE *out);

#endif
