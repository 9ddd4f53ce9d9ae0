/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layout as a picture, for people: one map, or two side by side with what differs marked. SVG
 * stands for itself; HTML has the SVG in it and below it a table of all regions. Neither refers to
 * anything outside. Addresses grow downwards, as in the table of layout_print_text().
 *
 * Prefix: picture_. Any thread; nothing is allocated. The caller looks at ferror() of the stream.
 */
#ifndef LAYOUT_PICTURE_H
#define LAYOUT_PICTURE_H

#include "layout/layout.h"

#include <stdio.h>

/* Both borrowed. The title is any text: "saved", a file's name. */
struct picture_map {
	const struct layout *layout;
	const char *title;
};

/**
 * picture_svg() - draw @a, or @a and @b side by side
 * @b: NULL for one map
 *
 * Trust: layouts need not have passed layout_check(): what overlaps, lies outside of its parent or
 * reaches past the address limit is drawn and marked. Regions of two maps are paired by name.
 * The document is well-formed XML whatever the names are, and of bounded length.
 */
void picture_svg(const struct picture_map *a, const struct picture_map *b, FILE *out);

/** picture_html() - as picture_svg(), as a page with the table below; well-formed XML as well. */
void picture_html(const struct picture_map *a, const struct picture_map *b, FILE *out);

#endif
