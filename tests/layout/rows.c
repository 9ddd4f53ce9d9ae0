/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

void rows_build(const char *id, const struct layout_params *p, struct layout *l)
{
	const struct layout_def *def = layout_def_find(id);
	struct err e = ERR_INIT;

	assert_non_null(def);
	if (layout_build(def, p, l, &e))
		fail_msg("%s, %" PRIu64 " bytes of RAM: %s", id, p->ram_bytes, e.msg);
	assert_string_equal(l->id, id);
}

static void expect(const struct layout *l, const struct row *row)
{
	const struct layout_region *r = layout_find(l, row->name);

	if (!r)
		fail_msg("%s has no %s", l->id, row->name);
	const char *in = r->parent ? l->region[r->parent - 1].name : "nothing";
	if (r->start != row->start || region_end(r) != row->end)
		fail_msg("%s: %s from 0x%" PRIx64 " to 0x%" PRIx64 " instead of 0x%" PRIx64
			 " to 0x%" PRIx64,
			 l->id, row->name, r->start, region_end(r), row->start, row->end);
	if (r->kind != row->kind)
		fail_msg("%s: %s is %s instead of %s", l->id, row->name,
			 region_kind_names.name[r->kind], region_kind_names.name[row->kind]);
	if (strcmp(in, row->in ? row->in : "nothing") != 0)
		fail_msg("%s: %s lies in %s instead of %s", l->id, row->name, in,
			 row->in ? row->in : "nothing");
	if (r->irq != row->line)
		fail_msg("%s: %s has line %u instead of %u", l->id, row->name, r->irq, row->line);
}

void rows_expect(const struct layout *l, const struct row *const *tables, size_t n)
{
	bool said[LAYOUT_REGIONS_MAX] = {false};

	for (size_t i = 0; i < n; i++)
		for (const struct row *row = tables[i]; row->name; row++) {
			expect(l, row);
			size_t at = (size_t)(layout_find(l, row->name) - l->region);
			if (said[at])
				fail_msg("%s is expected twice", row->name);
			said[at] = true;
		}
	for (uint32_t i = 0; i < l->region_n; i++)
		if (!said[i])
			fail_msg("%s has %s, which nobody asked for", l->id, l->region[i].name);
}

void rows_absent(const struct layout *l, const char *const *names)
{
	for (; *names; names++)
		if (layout_find(l, *names))
			fail_msg("%s has %s", l->id, *names);
}

void rows_backed(const struct layout *l, const uint64_t (*piece)[2], size_t n)
{
	uint64_t sum = 0;
	size_t found = 0;

	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		if (!layout_backed(l, r))
			continue;
		if (found == n)
			fail_msg("%s: %s is backed too", l->id, r->name);
		if (r->start != piece[found][0] || region_end(r) != piece[found][1])
			fail_msg("%s: piece %zu of the RAM stream is %s, 0x%" PRIx64
				 " to 0x%" PRIx64,
				 l->id, found, r->name, r->start, region_end(r));
		sum += r->size;
		found++;
	}
	assert_int_equal(found, n);
	assert_int_equal(layout_backed_bytes(l), sum);
}
