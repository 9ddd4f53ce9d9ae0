/* SPDX-License-Identifier: Apache-2.0 */
/* A layout for people and for programs. Prefix: layout_. */
#ifndef LAYOUT_PRINT_H
#define LAYOUT_PRINT_H

#include "layout/layout.h"

#include <stdio.h>

struct json_t;

/** layout_print_text() - id, digest, then a table: memory and I/O ports, nested regions indented.
 * @l has passed layout_coherent(), so that a map that breaks rules can be looked at. Ends are one past
 * the last address, as everywhere. */
void layout_print_text(const struct layout *l, FILE *out);

/** layout_json() - {id, digest, params, regions}; owned by the caller. Addresses are strings. */
struct json_t *layout_json(const struct layout *l);

/** layout_size_text() - "64 MiB", "4 KiB", "32": exact, in the largest unit that divides; returns
 * @buf. */
const char *layout_size_text(uint64_t bytes, char buf[static 32]);

#endif
