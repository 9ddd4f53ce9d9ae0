/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/picture_parts.h"
#include "layout/print.h"

#include <inttypes.h>

static const char page_style[] =
    "<style>\n"
    ":root{color-scheme:light dark}\n"
    "body{margin:0 auto;padding:24px;width:max-content;max-width:calc(100vw - 48px);"
    "background:#fff;color:#1c2128;font:14px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'DejaVu Sans',sans-serif}\n"
    "h1{font-size:20px;margin:0 0 16px 24px;overflow-wrap:anywhere}\n"
    ".wide{overflow-x:auto}.wide svg{display:block}\n"
    "table{border-collapse:collapse;margin:16px 24px;font-size:13px}\n"
    "th,td{padding:5px 12px 5px 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #d8dde3}\n"
    "th{font-weight:600;white-space:nowrap}th.map-name{white-space:normal;overflow-wrap:anywhere;"
    "max-width:22em}\n"
    "td.a,td.r{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
    "monospace;font-size:12px;white-space:nowrap}td.r,th.r{text-align:right;padding-right:20px}\n"
    "td.w{min-width:13em}tr.d td{background:#fff4dc}\n"
    "@media (prefers-color-scheme:dark){body{background:#0f141a;color:#e8edf3}"
    "th,td{border-color:#2f3843}tr.d td{background:#33270f}}\n"
    "</style>\n";

static void cell_text(const char *class, const char *text, FILE *out)
{
	fprintf(out, "<td class=\"%s\">", class);
	picture_put_(text, out);
	fputs("</td>", out);
}

static void indented_name(const struct picture_side *s, uint32_t i, FILE *out)
{
	unsigned depth = 0;

	for (uint32_t p = s->fact[i].parent; p; p = s->fact[p - 1].parent)
		depth++;
	fprintf(out, "<td class=\"a\" style=\"padding-left:%uem\">",
		depth < PICTURE_DEPTH_MAX ? depth : PICTURE_DEPTH_MAX);
	picture_put_(s->layout->region[i].name, out);
	fputs("</td>", out);
}

/* Start, end and size; empty cells when the map has no such region. */
static void place(const struct picture_side *s, uint32_t number, FILE *out)
{
	char size[32];

	if (!number) {
		fputs("<td class=\"a\"></td><td class=\"a\"></td><td class=\"r\"></td>", out);
		return;
	}
	const struct layout_region *r = &s->layout->region[number - 1];
	fprintf(out,
		"<td class=\"a\">0x%" PRIx64 "</td><td class=\"a\">0x%" PRIx64
		"</td><td class=\"r\">%s</td>",
		r->start, s->fact[number - 1].end, layout_size_text(r->size, size));
}

static void kind_and_parent(const struct picture_side *s, uint32_t i, FILE *out)
{
	const struct layout_region *r = &s->layout->region[i];
	const struct picture_fact *f = &s->fact[i];

	cell_text("k", picture_kind_(r), out);
	cell_text("a", f->parent ? s->layout->region[f->parent - 1].name : "", out);
	if (r->irq == LAYOUT_NO_IRQ)
		fputs("<td></td>", out);
	else
		fprintf(out, "<td class=\"r\">%u</td>", r->irq);
}

static void what_differs(const struct picture *p, const uint32_t number[2], FILE *out)
{
	uint32_t s = number[0] ? 0 : 1;

	if (!number[0] || !number[1]) {
		fputs("only in ", out);
		picture_put_(p->side[s].title, out);
	} else {
		picture_changes_(&p->side[0], number[0] - 1, &p->side[1], out);
	}
}

static void flaws(const struct picture *p, const uint32_t number[2], FILE *out)
{
	for (uint32_t s = 0; s < p->sides; s++) {
		if (!number[s] || !p->side[s].fact[number[s] - 1].flaw)
			continue;
		fputs(" [", out);
		if (p->sides > 1) {
			picture_put_(p->side[s].title, out);
			fputs(": ", out);
		}
		picture_facts_(&p->side[s], number[s] - 1, out);
		fputs("]", out);
	}
}

/* @number: the region in each map, counted from 1; 0 for none. */
static void put_region(const struct picture *p, const uint32_t number[2], FILE *out)
{
	const struct picture_side *s = &p->side[number[0] ? 0 : 1];
	uint32_t i = (number[0] ? number[0] : number[1]) - 1;
	const char *name = s->layout->region[i].name;

	fputs(s->fact[i].change || s->fact[i].flaw ? "<tr class=\"d\">" : "<tr>", out);
	indented_name(s, i, out);
	for (uint32_t k = 0; k < p->sides; k++)
		place(&p->side[k], number[k], out);
	kind_and_parent(s, i, out);
	if (p->sides > 1) {
		fputs("<td class=\"w\">", out);
		what_differs(p, number, out);
		fputs("</td>", out);
	}
	fputs("<td class=\"w\">", out);
	picture_put_(layout_note(s->layout, name), out);
	flaws(p, number, out);
	fputs("</td></tr>\n", out);
}

static bool before(const struct picture_side *a, uint32_t i, const struct picture_side *b,
		   uint32_t j)
{
	bool i_port = picture_is_port_(a, i), j_port = picture_is_port_(b, j);

	return i_port != j_port ? j_port : a->layout->region[i].start < b->layout->region[j].start;
}

/* In the first map's order, and what is only in the second where its address belongs. */
static void put_regions(const struct picture *p, FILE *out)
{
	const struct picture_side *a = &p->side[0], *b = &p->side[1];
	uint32_t j = 0, n = p->sides > 1 ? b->n : 0;

	for (uint32_t i = 0; i <= a->n; i++) {
		for (; j < n && (i == a->n || b->fact[j].twin || before(b, j, a, i)); j++)
			if (!b->fact[j].twin)
				put_region(p, (uint32_t[2]){0, j + 1}, out);
		if (i < a->n)
			put_region(p, (uint32_t[2]){i + 1, a->fact[i].twin}, out);
	}
}

static void put_head(const struct picture *p, FILE *out)
{
	static const char three[] = "<th>Start</th><th>End</th><th class=\"r\">Size</th>";
	static const char tail[] = "<th>Kind</th><th>Nested in</th><th>Line</th>";

	fputs("<thead>\n", out);
	if (p->sides == 1) {
		fprintf(out, "<tr><th>Region</th>%s%s<th>Note</th></tr>\n</thead>\n", three, tail);
		return;
	}
	fputs("<tr><th></th>", out);
	for (uint32_t s = 0; s < 2; s++) {
		fputs("<th class=\"map-name\" colspan=\"3\">", out);
		picture_put_(p->side[s].title, out);
		fputs("</th>", out);
	}
	fprintf(out,
		"<th colspan=\"5\"></th></tr>\n<tr><th>Region</th>%s%s%s<th>What differs</th>"
		"<th>Note</th></tr>\n</thead>\n",
		three, three, tail);
}

static void put_names(const struct picture *p, FILE *out)
{
	fputs(p->sides > 1 ? "Memory maps: " : "Memory map: ", out);
	picture_put_(p->side[0].title, out);
	if (p->sides > 1) {
		fputs(" and ", out);
		picture_put_(p->side[1].title, out);
	}
}

void picture_html(const struct picture_map *a, const struct picture_map *b, FILE *out)
{
	struct picture p;

	picture_init_(&p, a, b);
	fputs("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
	      "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" "
	      "content=\"width=device-width, initial-scale=1\"/>\n<title>",
	      out);
	put_names(&p, out);
	fprintf(out, "</title>\n%s</head>\n<body>\n<h1>", page_style);
	put_names(&p, out);
	fputs("</h1>\n<div class=\"wide\">\n", out);
	picture_draw_(&p, out);
	fputs("</div>\n<div class=\"wide\">\n<table>\n", out);
	put_head(&p, out);
	fputs("<tbody>\n", out);
	put_regions(&p, out);
	fputs("</tbody>\n</table>\n</div>\n"
	      "<p style=\"margin:0 24px\">Ends are one past the last address.</p>\n"
	      "</body>\n</html>\n",
	      out);
}
