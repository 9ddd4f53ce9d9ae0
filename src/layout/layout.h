/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: the guest's physical memory map as data. Definitions (frozen tables of rows) are built
 * with parameters into a layout: ordered, nested regions with a canonical encoding and a digest.
 * Everything else places itself by asking the layout; no address stands anywhere but in a
 * definition. Guest memory itself is in layout/mem.h.
 *
 * Prefix: layout_. All functions are pure and may run in any thread.
 */
#ifndef LAYOUT_LAYOUT_H
#define LAYOUT_LAYOUT_H

#include "state/layout.h"

struct layout_def;

/** layout_def_find() - "x86_64/linux@1", or "x86_64/linux" for the newest. NULL if unknown. */
const struct layout_def *layout_def_find(const char *id);
/** layout_def_at() - the definitions in order; NULL after the last. */
const struct layout_def *layout_def_at(size_t i);
const char *layout_def_id(const struct layout_def *def);
const char *layout_def_summary(const struct layout_def *def);
/** layout_def_phys_bits_max() - most physical address bits of a machine. */
uint8_t layout_def_phys_bits_max(const struct layout_def *def);
/** layout_def_firmware_max() - most bytes of firmware; 0 for machines that start a kernel. */
uint64_t layout_def_firmware_max(const struct layout_def *def);

/** layout_note() - why the row @region is where it is, and by which source; "" when the
 * definition is not known to this build. */
const char *layout_note(const struct layout *l, const char *region);

/**
 * layout_params_init() - defaults for @ram_bytes: 1 vCPU, 40 address bits or as many as the RAM
 * needs with as much again for windows.
 */
void layout_params_init(struct layout_params *p, uint64_t ram_bytes);

/** layout_params_fit() - take from @p what @def has no row for. */
void layout_params_fit(const struct layout_def *def, struct layout_params *p);

/** layout_params_complete() - give @p what @def needs and @p lacks: a firmware of 1 MiB, a GICv3.
 */
void layout_params_complete(const struct layout_def *def, struct layout_params *p);

/**
 * layout_build() - make a layout from a definition
 * @out: written on success; it satisfies layout_check()
 *
 * Returns 0 or -ERR_RANGE with the reason: RAM too small for kernel and initrd, not a multiple of
 * 2 MiB, more than the address bits carry, too many vCPUs, a parameter that the definition has no
 * row for or one that it needs.
 */
int layout_build(const struct layout_def *def, const struct layout_params *p, struct layout *out,
		 struct err *e) MUST_CHECK;

/**
 * layout_check() - invariants of any layout, whoever made it
 * Trust: @l may come from a file. Names unique; no overlap but declared nesting; parents precede
 * children and hold them; nothing past the address limit; backed regions page-aligned, with the
 * parameter's RAM bytes in all. Returns 0 or -ERR_STRUCTURE with the rule (layout/rules.h) and the
 * region.
 */
int layout_check(const struct layout *l, struct err *e) MUST_CHECK;

/** layout_digest() - SHA-256 of the canonical encoding. */
void layout_digest(const struct layout *l, uint8_t out[static SHA256_BYTES]);

/** layout_find() - region by name, NULL if it is not present. */
const struct layout_region *layout_find(const struct layout *l, const char *name);

/** layout_parent() - name of the region that @r, one of @l, lies in; "" for none. */
const char *layout_parent(const struct layout *l, const struct layout_region *r);

/** layout_need() - as layout_find(), for a row that every layout of this kind has: a missing one
 * is -ERR_STRUCTURE. */
int layout_need(const struct layout *l, const char *name, const struct layout_region **out,
		struct err *e) MUST_CHECK;

/** layout_first() - first region of @kind at or after number @*i, which is advanced past it. */
const struct layout_region *layout_first(const struct layout *l, enum region_kind kind, size_t *i);

/** layout_window() - from which window BARs are given: the highest, or the lowest, which ends below
 * 4 GiB. NULL when there is none. */
const struct layout_region *layout_window(const struct layout *l, bool highest);

/** layout_backed() - true for a region that guest memory stands behind and that is not part of
 * another such. Those, in order, are the RAM stream of a snapshot and the memory slots of KVM. */
bool layout_backed(const struct layout *l, const struct layout_region *r);

/** layout_backed_bytes() - sum over all backed regions. */
uint64_t layout_backed_bytes(const struct layout *l);

static inline uint64_t region_end(const struct layout_region *r)
{
	return r->start + r->size;
}

/* Address limit: one past the last guest physical address. */
static inline uint64_t layout_limit(const struct layout *l)
{
	return 1ull << l->params.phys_bits;
}

#endif
