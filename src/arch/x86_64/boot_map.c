/* SPDX-License-Identifier: Apache-2.0 */
/* The layout as e820 and PVH tell it: what is RAM, and what nothing may be placed on. */
#include "arch/x86_64/boot_priv.h"

static int add(struct boot_map *map, uint64_t start, uint64_t end, enum boot_range_type type,
	       struct err *e)
{
	struct boot_range *last = map->n ? &map->range[map->n - 1] : NULL;

	if (start >= end)
		return 0;
	if (last && last->type == type && last->start + last->size == start) {
		last->size += end - start;
		return 0;
	}
	if (map->n == BOOT_RANGES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d address ranges", BOOT_RANGES_MAX);
	map->range[map->n++] = (struct boot_range){start, end - start, type};
	return 0;
}

static bool reserved(const struct layout_region *r)
{
	switch ((enum region_kind)r->kind) {
	case REGION_RESERVED_RAM:
	case REGION_FIRMWARE:
	case REGION_ECAM:
	case REGION_CAM:
	case REGION_HYPERVISOR:
	case REGION_RESERVED:
		return true;
	case REGION_RAM:
	case REGION_BOOT:   /* RAM again once the kernel has read it */
	case REGION_MMIO:   /* devices are found by ACPI and PCI, */
	case REGION_WINDOW: /* which may not be reserved here */
	case REGION_PIO:
		break;
	}
	return false;
}

/* Regions come in ascending order, each after the one it lies in. */
int boot_map_(const struct layout *l, struct boot_map *map, struct err *e)
{
	int r = 0;

	map->n = 0;
	for (uint32_t i = 0; !r && i < l->region_n; i++) {
		const struct layout_region *top = &l->region[i];
		uint64_t at = top->start;
		if (top->parent)
			continue;
		if (reserved(top))
			r = add(map, at, region_end(top), BOOT_RANGE_RESERVED, e);
		if (top->kind != REGION_RAM)
			continue;
		for (uint32_t j = i + 1; !r && j < l->region_n; j++) {
			const struct layout_region *in = &l->region[j];
			if (in->parent != i + 1 || !reserved(in))
				continue;
			r = add(map, at, in->start, BOOT_RANGE_RAM, e);
			if (!r)
				r = add(map, in->start, region_end(in), BOOT_RANGE_RESERVED, e);
			at = region_end(in);
		}
		if (!r)
			r = add(map, at, region_end(top), BOOT_RANGE_RAM, e);
	}
	return r;
}
