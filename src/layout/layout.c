/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/def.h"

#include <string.h>

/* Each name's versions in ascending order: the last one found is the newest. */
static const struct layout_def *const defs[] = {
    &layout_x86_64_linux_1, &layout_x86_64_linux_2,  &layout_x86_64_bios_1,
    &layout_x86_64_bios_2,  &layout_aarch64_linux_1, &layout_aarch64_linux_2,
    &layout_aarch64_bios_1, &layout_aarch64_bios_2,
};

const struct layout_def *layout_def_find(const char *id)
{
	const struct layout_def *found = NULL;
	size_t n = strlen(id);

	for (size_t i = 0; i < ARRAY_LEN(defs); i++)
		if (!strcmp(defs[i]->id, id) ||
		    (!strncmp(defs[i]->id, id, n) && defs[i]->id[n] == '@'))
			found = defs[i];
	return found;
}

const struct layout_def *layout_def_at(size_t i)
{
	return i < ARRAY_LEN(defs) ? defs[i] : NULL;
}

const char *layout_def_id(const struct layout_def *def)
{
	return def->id;
}

const char *layout_def_summary(const struct layout_def *def)
{
	return def->summary;
}

uint8_t layout_def_phys_bits_max(const struct layout_def *def)
{
	return def->phys_bits_max;
}

uint64_t layout_def_firmware_max(const struct layout_def *def)
{
	return def->takes & TAKES_FIRMWARE ? def->firmware_bytes_max : 0;
}

const char *layout_note(const struct layout *l, const char *region)
{
	const struct layout_def *def = layout_def_find(l->id);

	for (size_t i = 0; def && i < def->n_rows; i++)
		if (!strcmp(def->row[i].name, region))
			return def->row[i].note;
	return "";
}

void layout_digest(const struct layout *l, uint8_t out[static SHA256_BYTES])
{
	struct buf b = BUF_INIT;

	state_encode(&layout_desc, l, &b);
	sha256_of(b.data, b.len, out);
	buf_free(&b);
}

const struct layout_region *layout_find(const struct layout *l, const char *name)
{
	for (uint32_t i = 0; i < l->region_n; i++)
		if (!strcmp(l->region[i].name, name))
			return &l->region[i];
	return NULL;
}

const char *layout_parent(const struct layout *l, const struct layout_region *r)
{
	return r->parent ? l->region[r->parent - 1].name : "";
}

int layout_need(const struct layout *l, const char *name, const struct layout_region **out,
		struct err *e)
{
	const struct layout_region *r = layout_find(l, name);

	if (!r)
		return err_set(e, ERR_STRUCTURE, "layout %s has no %s", l->id, name);
	*out = r;
	return 0;
}

const struct layout_region *layout_first(const struct layout *l, enum region_kind kind, size_t *i)
{
	while (*i < l->region_n) {
		const struct layout_region *r = &l->region[(*i)++];
		if (r->kind == kind)
			return r;
	}
	return NULL;
}

const struct layout_region *layout_window(const struct layout *l, bool highest)
{
	const struct layout_region *found = NULL;
	size_t i = 0;

	/* Regions ascend. */
	for (const struct layout_region *r; (r = layout_first(l, REGION_WINDOW, &i));)
		if (highest || (!found && r->size <= 4 * GIB && r->start <= 4 * GIB - r->size))
			found = r;
	return found;
}

static bool backed_kind(const struct layout_region *r)
{
	return r->kind == REGION_RAM || r->kind == REGION_RESERVED_RAM ||
	       r->kind == REGION_FIRMWARE;
}

/* What lies in memory is part of that. */
bool layout_backed(const struct layout *l, const struct layout_region *r)
{
	if (!r->size || !backed_kind(r))
		return false;
	while (r->parent) {
		r = &l->region[r->parent - 1];
		if (backed_kind(r))
			return false;
	}
	return true;
}

uint64_t layout_backed_bytes(const struct layout *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->region_n; i++)
		if (layout_backed(l, &l->region[i]))
			sum += l->region[i].size;
	return sum;
}
