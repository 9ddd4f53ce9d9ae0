/* SPDX-License-Identifier: Apache-2.0 */
/* Two layouts region by region. */
#include "layout/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_place(const struct layout_region *r, char *buf, size_t size)
{
	snprintf(buf, size, "%s 0x%" PRIx64 " to 0x%" PRIx64, region_kind_names.name[r->kind],
		 r->start, region_end(r));
}

static void compare_numbers(const struct layout *a, const struct layout *b, struct findings *out)
{
	const struct {
		enum rule_id rule;
		const char *name;
		uint64_t a, b;
	} numbers[] = {
#define NUMBER(RULE, FIELD, NAME) {RULE_##RULE, NAME, a->params.FIELD, b->params.FIELD}
	    NUMBER(L031, ram_bytes, "RAM in bytes"),
	    NUMBER(L031, phys_bits, "physical address bits"),
	    NUMBER(L039, vcpus, "vCPUs"),
	    NUMBER(L039, kernel_bytes, "kernel in bytes"),
	    NUMBER(L039, initrd_bytes, "initrd in bytes"),
	    NUMBER(L039, swiotlb_bytes, "static swiotlb in bytes"),
	    NUMBER(L039, firmware_bytes, "firmware in bytes"),
	    NUMBER(L039, pvm_firmware_bytes, "pVM firmware in bytes"),
	    NUMBER(L039, gic_version, "GIC version"),
	    NUMBER(L039, gic_its, "ITS"),
#undef NUMBER
	};

	if (strcmp(a->id, b->id))
		findings_add(out, RULE_L030, "definition", a->id, b->id);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].a != numbers[i].b)
			findings_add_u64(out, numbers[i].rule, numbers[i].name, numbers[i].a,
					 numbers[i].b);
}

/* Not used by a guest that runs. */
static bool is_past(const struct layout_region *r)
{
	return r->kind == REGION_BOOT || r->kind == REGION_RESERVED;
}

static void compare_region(const struct layout *a, const struct layout_region *r,
			   const struct layout *b, const struct layout_region *q,
			   struct findings *out)
{
	char saved[96], found[96];
	bool past = is_past(r) && is_past(q);

	put_place(r, saved, sizeof saved);
	put_place(q, found, sizeof found);
	if (r->kind != q->kind)
		findings_add(out, past ? RULE_L038 : RULE_L035, r->name, saved, found);
	else if (r->start != q->start)
		findings_add(out, past ? RULE_L038 : RULE_L033, r->name, saved, found);
	else if (r->size != q->size)
		findings_add(out, past ? RULE_L038 : RULE_L034, r->name, saved, found);
	const char *in = layout_parent(a, r), *other = layout_parent(b, q);
	if (strcmp(in, other))
		findings_add(out, RULE_L036, r->name, *in ? in : "nothing",
			     *other ? other : "nothing");
	if (r->irq != q->irq)
		findings_add_u64(out, RULE_L037, r->name, r->irq, q->irq);
}

/* A reserved or boot region, wherever it is, holds nothing that a running guest would miss. */
static void only_one(const struct layout_region *r, bool saved, struct findings *out)
{
	char place[96];

	put_place(r, place, sizeof place);
	findings_add(out, is_past(r) ? RULE_L038 : RULE_L032, r->name, saved ? place : "absent",
		     saved ? "absent" : place);
}

void layout_compare(const struct layout *saved, const struct layout *wanted, struct findings *out)
{
	compare_numbers(saved, wanted, out);
	for (uint32_t i = 0; i < saved->region_n; i++) {
		const struct layout_region *r = &saved->region[i],
					   *q = layout_find(wanted, r->name);
		if (q)
			compare_region(saved, r, wanted, q, out);
		else
			only_one(r, true, out);
	}
	for (uint32_t i = 0; i < wanted->region_n; i++)
		if (!layout_find(saved, wanted->region[i].name))
			only_one(&wanted->region[i], false, out);
}
