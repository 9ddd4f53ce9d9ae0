/* SPDX-License-Identifier: Apache-2.0 */
/* L rules: the saved map against this build's definition. */
#include "layout/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe(const struct layout *l, const struct layout_region *r, char *buf, size_t size)
{
	char line[24] = "";

	if (!r) {
		snprintf(buf, size, "absent");
		return;
	}
	if (r->irq != LAYOUT_NO_IRQ)
		snprintf(line, sizeof line, ", line %u", r->irq);
	snprintf(buf, size, "%s 0x%" PRIx64 ", 0x%" PRIx64 " bytes%s%s%s",
		 region_kind_names.name[r->kind], r->start, r->size, line, r->parent ? ", in " : "",
		 layout_parent(l, r));
}

/* Numbers of parents differ where a region is missing: what counts is the name. */
static bool same(const struct layout *a, const struct layout_region *r, const struct layout *b,
		 const struct layout_region *q)
{
	return r->kind == q->kind && r->start == q->start && r->size == q->size &&
	       r->irq == q->irq && !strcmp(layout_parent(a, r), layout_parent(b, q));
}

/* Every region that is in one and not, or otherwise, in the other. */
static void drift(const struct layout *saved, const struct layout *built, struct findings *out)
{
	char a[160], b[160];

	for (uint32_t i = 0; i < saved->region_n; i++) {
		const struct layout_region *r = &saved->region[i], *q = layout_find(built, r->name);
		if (q && same(saved, r, built, q))
			continue;
		describe(saved, r, a, sizeof a);
		describe(built, q, b, sizeof b);
		findings_add(out, RULE_L002, r->name, a, b);
	}
	for (uint32_t i = 0; i < built->region_n; i++) {
		if (layout_find(saved, built->region[i].name))
			continue;
		describe(built, &built->region[i], b, sizeof b);
		findings_add(out, RULE_L002, built->region[i].name, "absent", b);
	}
}

void compat_layout(const struct layout *saved, struct findings *out)
{
	const struct layout_def *def = layout_def_find(saved->id);
	struct err e = ERR_INIT;

	layout_violations(saved, out);
	if (!def || strcmp(layout_def_id(def), saved->id)) {
		findings_add(out, RULE_L001, "definition", saved->id, "unknown");
		return;
	}
	struct layout *built = calloc(1, sizeof *built);
	uint32_t before = out->n + out->dropped;
	if (!built || layout_build(def, &saved->params, built, &e)) {
		findings_add(out, RULE_L003, "definition", saved->id,
			     built ? e.msg : "out of memory");
	} else if (!state_equal(&layout_desc, saved, built)) {
		drift(saved, built, out);
		/* The same regions in another order. */
		if (out->n + out->dropped == before)
			findings_add(out, RULE_L002, "regions", "in this order", "in another");
	}
	free(built);
}
