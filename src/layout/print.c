/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/print.h"

#include <inttypes.h>
#include <jansson.h>

const char *layout_size_text(uint64_t bytes, char buf[static 32])
{
	static const char *const unit[] = {"", " KiB", " MiB", " GiB", " TiB"};
	size_t i = 0;

	for (; bytes && bytes % KIB == 0 && i + 1 < ARRAY_LEN(unit); i++)
		bytes /= KIB;
	snprintf(buf, 32, "%" PRIu64 "%s", bytes, unit[i]);
	return buf;
}

static int depth(const struct layout *l, const struct layout_region *r)
{
	int d = 0;

	/* Parents precede their children: layout_check(). */
	for (; r->parent; r = &l->region[r->parent - 1])
		d++;
	return d;
}

static void print_region(const struct layout *l, const struct layout_region *r, FILE *out)
{
	const char *note = layout_note(l, r->name);
	int indent = 2 * depth(l, r);
	char size[32], line[24] = "";

	if (r->irq != LAYOUT_NO_IRQ)
		snprintf(line, sizeof line, "[line %u] ", r->irq);
	fprintf(out, "0x%010" PRIx64 "  0x%010" PRIx64 "  %9s  %-12s  %*s", r->start, region_end(r),
		layout_size_text(r->size, size), region_kind_names.name[r->kind], indent, "");
	if (*line || *note)
		fprintf(out, "%-*s  %s%s\n", 28 - indent, r->name, line, note);
	else
		fprintf(out, "%s\n", r->name);
}

void layout_print_text(const struct layout *l, FILE *out)
{
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1], ram[32];
	bool ports = false;

	layout_digest(l, digest);
	fprintf(out, "%s, %s of RAM, %u vCPU%s, %u address bits\nsha256 %s\n\n", l->id,
		layout_size_text(l->params.ram_bytes, ram), l->params.vcpus,
		l->params.vcpus == 1 ? "" : "s", l->params.phys_bits, sha256_hex(digest, hex));
	fprintf(out, "%-12s  %-12s  %9s  %-12s  %-28s  %s\n", "start", "end", "size", "kind",
		"name", "note");
	for (uint32_t i = 0; i < l->region_n; i++) {
		if (l->region[i].kind == REGION_PIO && !ports) {
			fputs("\nI/O ports\n", out);
			ports = true;
		}
		print_region(l, &l->region[i], out);
	}
}

static json_t *region_json(const struct layout *l, const struct layout_region *r)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", json_string(r->name));
	json_object_set_new(j, "kind", json_string(region_kind_names.name[r->kind]));
	json_object_set_new(j, "start", json_sprintf("0x%" PRIx64, r->start));
	json_object_set_new(j, "end", json_sprintf("0x%" PRIx64, region_end(r)));
	json_object_set_new(j, "size", json_integer((json_int_t)r->size));
	json_object_set_new(j, "backed", json_boolean(layout_backed(l, r)));
	json_object_set_new(j, "parent",
			    r->parent ? json_string(layout_parent(l, r)) : json_null());
	json_object_set_new(j, "line",
			    r->irq == LAYOUT_NO_IRQ ? json_null() : json_integer(r->irq));
	json_object_set_new(j, "note", json_string(layout_note(l, r->name)));
	return j;
}

struct json_t *layout_json(const struct layout *l)
{
	json_t *j = json_object(), *regions = json_array();
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	layout_digest(l, digest);
	json_object_set_new(j, "id", json_string(l->id));
	json_object_set_new(j, "digest", json_string(sha256_hex(digest, hex)));
	json_object_set_new(j, "params", state_json(&layout_params_desc, &l->params));
	for (uint32_t i = 0; i < l->region_n; i++)
		json_array_append_new(regions, region_json(l, &l->region[i]));
	json_object_set_new(j, "regions", regions);
	return j;
}
