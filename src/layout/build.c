/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/def.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PHYS_BITS_DEFAULT 40
#define RAM_GRANULE	  (2 * MIB)
#define SWIOTLB_GRANULE	  (64 * KIB) /* the largest pages that a host may have */
#define GICV2_VCPUS_MAX	  8
#define FIRMWARE_DEFAULT  MIB
#define PVM_FIRMWARE_MAX  (4 * MIB)

void layout_params_init(struct layout_params *p, uint64_t ram_bytes)
{
	state_defaults(&layout_params_desc, p);
	p->ram_bytes = ram_bytes;
	p->phys_bits = PHYS_BITS_DEFAULT;
	while (p->phys_bits < 63 && ram_bytes > (1ull << p->phys_bits) / 2)
		p->phys_bits++;
}

void layout_params_complete(const struct layout_def *def, struct layout_params *p)
{
	if (def->takes & TAKES_FIRMWARE && !p->firmware_bytes)
		p->firmware_bytes = FIRMWARE_DEFAULT;
	if (def->takes & TAKES_GIC && !p->gic_version)
		p->gic_version = 3;
}

/* Which parameters a definition may have no row for. */
static const struct {
	enum layout_takes what;
	const char *name;
	size_t offset, size;
} optional[] = {
#define OPTIONAL(WHAT, FIELD, NAME)                                                                \
	{                                                                                          \
		TAKES_##WHAT, NAME, offsetof(struct layout_params, FIELD),                         \
		    sizeof((struct layout_params){0}.FIELD)                                        \
	}
    OPTIONAL(KERNEL, kernel_bytes, "a kernel or initrd"),
    OPTIONAL(KERNEL, initrd_bytes, "a kernel or initrd"),
    OPTIONAL(FIRMWARE, firmware_bytes, "firmware"),
    OPTIONAL(SWIOTLB, swiotlb_bytes, "a static swiotlb"),
    OPTIONAL(PVM_FIRMWARE, pvm_firmware_bytes, "pVM firmware"),
    OPTIONAL(GIC, gic_version, "a GIC"),
    OPTIONAL(ITS, gic_its, "an ITS"),
#undef OPTIONAL
};

void layout_params_fit(const struct layout_def *def, struct layout_params *p)
{
	for (size_t i = 0; i < ARRAY_LEN(optional); i++)
		if (!(def->takes & optional[i].what))
			memset((uint8_t *)p + optional[i].offset, 0, optional[i].size);
}

/* A parameter that a definition has no row for would be lost without a word. */
static int check_taken(const struct layout_def *def, const struct layout_params *p, struct err *e)
{
	static const uint8_t none[sizeof(uint64_t)];

	for (size_t i = 0; i < ARRAY_LEN(optional); i++)
		if (!(def->takes & optional[i].what) &&
		    memcmp((const uint8_t *)p + optional[i].offset, none, optional[i].size) != 0)
			return err_set(e, ERR_RANGE, "%s has no row for %s", def->id,
				       optional[i].name);
	if (def->takes & TAKES_FIRMWARE && !p->firmware_bytes)
		return err_set(e, ERR_RANGE, "%s needs a firmware image", def->id);
	if (p->firmware_bytes > def->firmware_bytes_max)
		return err_set(e, ERR_RANGE,
			       "%" PRIu64 " bytes of firmware: %s has room for %" PRIu64 " MiB",
			       p->firmware_bytes, def->id, def->firmware_bytes_max / MIB);
	return 0;
}

static int check_gic(const struct layout_def *def, const struct layout_params *p, struct err *e)
{
	if (!(def->takes & TAKES_GIC))
		return 0;
	if (p->gic_version != 2 && p->gic_version != 3)
		return err_set(e, ERR_RANGE, "GIC version %u: %s has 2 or 3", p->gic_version,
			       def->id);
	if (p->gic_version == 2 && p->vcpus > GICV2_VCPUS_MAX)
		return err_set(e, ERR_RANGE, "%u vCPUs: a GICv2 has at most %u", p->vcpus,
			       GICV2_VCPUS_MAX);
	if (p->gic_version == 2 && p->gic_its)
		return err_set(e, ERR_RANGE, "a GICv2 has no ITS");
	return 0;
}

static int check_params(const struct layout_def *def, const struct layout_params *p, struct err *e)
{
	if (p->ram_bytes < def->ram_bytes_min || p->ram_bytes % RAM_GRANULE)
		return err_set(e, ERR_RANGE,
			       "%" PRIu64 " bytes of RAM: %s needs at least %" PRIu64
			       " MiB, in steps of 2 MiB",
			       p->ram_bytes, def->id, def->ram_bytes_min / MIB);
	if (p->vcpus < 1 || p->vcpus > def->vcpus_max)
		return err_set(e, ERR_RANGE, "%u vCPUs: %s has 1 to %u", p->vcpus, def->id,
			       def->vcpus_max);
	if (p->phys_bits < def->phys_bits_min || p->phys_bits > def->phys_bits_max)
		return err_set(e, ERR_RANGE, "%u physical address bits: %s has %u to %u",
			       p->phys_bits, def->id, def->phys_bits_min, def->phys_bits_max);
	if (p->swiotlb_bytes % SWIOTLB_GRANULE)
		return err_set(e, ERR_RANGE, "%" PRIu64 " bytes of swiotlb: steps of 64 KiB",
			       p->swiotlb_bytes);
	if (p->pvm_firmware_bytes > PVM_FIRMWARE_MAX)
		return err_set(e, ERR_RANGE, "%" PRIu64 " bytes of pVM firmware: 4 MiB at most",
			       p->pvm_firmware_bytes);
	int r = check_taken(def, p, e);
	return r ? r : check_gic(def, p, e);
}

static uint64_t param_value(const struct layout_params *p, enum row_param which)
{
	switch (which) {
	case PARAM_KERNEL:
		return p->kernel_bytes;
	case PARAM_INITRD:
		return p->initrd_bytes;
	case PARAM_SWIOTLB:
		return p->swiotlb_bytes;
	case PARAM_FIRMWARE:
		return p->firmware_bytes;
	case PARAM_PVM_FIRMWARE:
		return p->pvm_firmware_bytes;
	case PARAM_GICV2:
		return p->gic_version == 2;
	case PARAM_GICV3:
		return p->gic_version == 3;
	case PARAM_ITS:
		return p->gic_its;
	case PARAM_NONE:
		break;
	}
	return 0;
}

static int no_place(const struct layout_row *row, struct err *e)
{
	return err_set(e, ERR_RANGE, "%s does not fit the address space", row->name);
}

static int find_size(const struct layout_row *row, const struct layout_params *p, uint64_t *size,
		     struct err *e)
{
	uint64_t value = param_value(p, row->param), end;

	*size = row->size;
	switch ((enum row_size)row->size_rule) {
	case SIZE_BYTES:
	case SIZE_TO_LIMIT:
		break;
	case SIZE_PARAM:
		if (!num_align_up(value, row->size ? row->size : 1, size))
			return no_place(row, e);
		break;
	case SIZE_PARAM_MOST:
		*size = value < row->size ? value : row->size;
		break;
	case SIZE_PER_VCPU:
		*size = row->size * p->vcpus; /* 32 bits each */
		break;
	case SIZE_RAM:
		*size = p->ram_bytes;
		break;
	case SIZE_RAM_BELOW:
		end = p->ram_bytes < row->size ? p->ram_bytes : row->size;
		*size = end > row->start ? end - row->start : 0;
		break;
	case SIZE_RAM_REST:
		*size = p->ram_bytes > row->size ? p->ram_bytes - row->size : 0;
		break;
	}
	return 0;
}

static int start_before(const struct layout_row *row, const struct layout *l, uint64_t size,
			uint64_t *start, struct err *e)
{
	const struct layout_region *ref = row->ref ? layout_find(l, row->ref) : NULL;
	const struct layout_region *in = row->in ? layout_find(l, row->in) : NULL;
	uint64_t end = ref ? ref->start : row->start ? row->start : in ? region_end(in) : 0;

	if (size > end)
		return no_place(row, e);
	*start = end - size;
	if (row->align)
		*start &= ~(row->align - 1);
	return 0;
}

static int start_after(const struct layout_row *row, const struct layout *l, uint64_t *start,
		       struct err *e)
{
	const struct layout_region *ref = row->ref ? layout_find(l, row->ref) : NULL;

	if (!ref && row->otherwise)
		ref = layout_find(l, row->otherwise);
	*start = ref && region_end(ref) > row->start ? region_end(ref) : row->start;
	return num_align_up(*start, row->align ? row->align : 1, start) ? 0 : no_place(row, e);
}

static int place(const struct layout_row *row, const struct layout *l, struct layout_region *r,
		 struct err *e)
{
	uint64_t end;
	int err = find_size(row, &l->params, &r->size, e);

	r->start = row->start;
	if (!err && row->start_rule == START_AFTER)
		err = start_after(row, l, &r->start, e);
	if (!err && row->start_rule == START_BEFORE)
		err = start_before(row, l, r->size, &r->start, e);
	if (err)
		return err;
	if (row->size_rule == SIZE_TO_LIMIT)
		r->size = layout_limit(l) > r->start ? layout_limit(l) - r->start : 0;
	return num_add(r->start, r->size, &end) ? 0 : no_place(row, e);
}

static int add_row(const struct layout_row *row, struct layout *l, struct err *e)
{
	struct layout_region r = {.kind = row->kind, .irq = row->irq};

	if (row->when && !param_value(&l->params, row->when))
		return 0;
	int err = place(row, l, &r, e);
	if (err)
		return err;
	if (!r.size && row->size_rule != SIZE_BYTES)
		return 0;
	strcpy(r.name, row->name);
	if (row->in) {
		const struct layout_region *in = layout_find(l, row->in);
		if (!in || !num_inside(r.start, r.size, in->start, in->size))
			return err_set(e, ERR_RANGE,
				       "%s (0x%" PRIx64 " to 0x%" PRIx64 ") does not fit in %s%s",
				       r.name, r.start, region_end(&r), row->in,
				       in && in->kind == REGION_RAM ? ": more RAM is needed" : "");
		r.parent = (uint16_t)(in - l->region + 1);
	}
	if (l->region_n == LAYOUT_REGIONS_MAX)
		return err_set(e, ERR_BUG, "%s has more than %d rows", l->id, LAYOUT_REGIONS_MAX);
	l->region[l->region_n++] = r;
	return 0;
}

/* Definitions are written in ascending order but for rows whose place depends on parameters. */
static void sort_regions(struct layout *l)
{
	struct layout_region sorted[LAYOUT_REGIONS_MAX];
	uint16_t order[LAYOUT_REGIONS_MAX], where[LAYOUT_REGIONS_MAX];
	uint32_t n = l->region_n;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = i;
		const struct layout_region *r = &l->region[i];
		for (; j > 0; j--) {
			const struct layout_region *before = &l->region[order[j - 1]];
			bool r_pio = r->kind == REGION_PIO, before_pio = before->kind == REGION_PIO;
			if (before_pio != r_pio ? r_pio : before->start <= r->start)
				break;
			order[j] = order[j - 1];
		}
		order[j] = (uint16_t)i;
	}
	for (uint32_t i = 0; i < n; i++)
		where[order[i]] = (uint16_t)i;
	for (uint32_t i = 0; i < n; i++) {
		sorted[i] = l->region[order[i]];
		if (sorted[i].parent)
			sorted[i].parent = (uint16_t)(where[sorted[i].parent - 1] + 1);
	}
	memcpy(l->region, sorted, n * sizeof sorted[0]);
}

int layout_build(const struct layout_def *def, const struct layout_params *p, struct layout *out,
		 struct err *e)
{
	int r = check_params(def, p, e);
	if (r)
		return r;

	struct layout *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(e, ERR_NOMEM, "out of memory");
	state_defaults(&layout_desc, l);
	strcpy(l->id, def->id);
	l->params = *p;
	for (size_t i = 0; !r && i < def->n_rows; i++)
		r = add_row(&def->row[i], l, e);
	if (!r) {
		sort_regions(l);
		/* What was asked for does not fit beside the rest. */
		r = layout_check(l, e) ? -ERR_RANGE : 0;
		if (r && e)
			e->code = ERR_RANGE;
	}
	if (!r)
		*out = *l;
	free(l);
	return r;
}
