/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/def.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* x86-64: 36 is the fewest any 64-bit CPU has (and all of 4 GiB must fit below). */
#define PHYS_BITS_MIN	  36
#define PHYS_BITS_DEFAULT 40
#define RAM_GRANULE	  (2 * MIB)

void layout_params_init(struct layout_params *p, uint64_t ram_bytes)
{
	state_defaults(&layout_params_desc, p);
	p->ram_bytes = ram_bytes;
	p->phys_bits = PHYS_BITS_DEFAULT;
	while (p->phys_bits < 63 && ram_bytes > (1ull << p->phys_bits) / 2)
		p->phys_bits++;
}

static int check_params(const struct layout_def *def, const struct layout_params *p, struct err *e)
{
	if (p->ram_bytes < def->ram_bytes_min || p->ram_bytes % RAM_GRANULE)
		return err_set(e, ERR_RANGE,
			       "%" PRIu64 " bytes of RAM: %s needs at least %" PRIu64 " MiB, in steps of 2 MiB",
			       p->ram_bytes, def->id, def->ram_bytes_min / MIB);
	if (p->vcpus < 1 || p->vcpus > def->vcpus_max)
		return err_set(e, ERR_RANGE, "%u vCPUs: %s has 1 to %u", p->vcpus, def->id,
			       def->vcpus_max);
	if (p->phys_bits < PHYS_BITS_MIN || p->phys_bits > def->phys_bits_max)
		return err_set(e, ERR_RANGE, "%u physical address bits: %s has %u to %u",
			       p->phys_bits, def->id, PHYS_BITS_MIN, def->phys_bits_max);
	if (p->swiotlb_bytes || p->firmware_bytes || p->pvm_firmware_bytes || p->gic_version)
		return err_set(e, ERR_RANGE, "%s has no row for a given parameter", def->id);
	return 0;
}

static uint64_t param_value(const struct layout_params *p, enum row_param which)
{
	switch (which) {
	case PARAM_KERNEL: return p->kernel_bytes;
	case PARAM_INITRD: return p->initrd_bytes;
	case PARAM_NONE: break;
	}
	return 0;
}

static int place(const struct layout_row *row, const struct layout *l, struct layout_region *r,
		 struct err *e)
{
	const struct layout_params *p = &l->params;
	const struct layout_region *ref = row->ref ? layout_find(l, row->ref) : NULL;
	uint64_t start = row->start, size = row->size, end;

	/* A row after one that is absent starts at its own floor. */
	if (row->start_rule == START_AFTER && ref && region_end(ref) > start)
		start = region_end(ref);
	if (!num_align_up(start, row->align, &start))
		return err_set(e, ERR_RANGE, "%s does not fit the address space", row->name);

	switch ((enum row_size)row->size_rule) {
	case SIZE_BYTES:
		break;
	case SIZE_PARAM:
		size = param_value(p, row->param);
		break;
	case SIZE_RAM_BELOW:
		end = p->ram_bytes < row->size ? p->ram_bytes : row->size;
		size = end > start ? end - start : 0;
		break;
	case SIZE_RAM_REST:
		size = p->ram_bytes > row->size ? p->ram_bytes - row->size : 0;
		break;
	case SIZE_TO_LIMIT:
		size = layout_limit(l) > start ? layout_limit(l) - start : 0;
		break;
	}
	if (!num_add(start, size, &end))
		return err_set(e, ERR_RANGE, "%s does not fit the address space", row->name);
	r->start = start;
	r->size = size;
	return 0;
}

static int add_row(const struct layout_row *row, struct layout *l, struct err *e)
{
	struct layout_region r = {.kind = row->kind, .irq = row->irq};
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
		r = layout_check(l, e);
	}
	if (!r)
		*out = *l;
	free(l);
	return r;
}
