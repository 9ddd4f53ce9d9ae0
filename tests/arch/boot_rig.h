/* SPDX-License-Identifier: Apache-2.0 */
/* An image put into the memory of a layout, for the tests of booting. */
#ifndef TESTS_ARCH_BOOT_RIG_H
#define TESTS_ARCH_BOOT_RIG_H

#include "arch/x86_64/boot.h"
#include "boot_images.h"

#include <linux/kvm.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct rig {
	struct image image;
	struct io_src file, initrd;
	struct kernel k;
	struct layout l;
	struct guest_mem m;
	struct boot_entry entry;
	struct err e;
};

#define INITRD_TEXT  "an initrd, odd in length"
#define INITRD_BYTES sizeof INITRD_TEXT

static inline void rig_open_on(struct rig *g, const char *layout, void (*make)(struct image *),
			       uint64_t ram, bool initrd)
{
	struct layout_params p;

	*g = (struct rig){.e = ERR_INIT};
	make(&g->image);
	io_src_mem(&g->file, g->image.b, g->image.len);
	io_src_mem(&g->initrd, INITRD_TEXT, INITRD_BYTES);
	if (kernel_open(&g->file, &g->k, &g->e))
		fail_msg("%s", g->e.msg);
	layout_params_init(&p, ram);
	p.initrd_bytes = initrd ? INITRD_BYTES : 0;
	assert_int_equal(kernel_footprint(&g->k, gpa(0x200000), &p.kernel_bytes, NULL), 0);
	if (layout_build(layout_def_find(layout), &p, &g->l, &g->e) ||
	    mem_init(&g->m, &g->l, &g->e))
		fail_msg("%s", g->e.msg);
	/* Memory as after a reboot: nothing may be taken for zero. */
	memset(g->m.host, 0x5a, 32 * MIB < ram ? 32 * MIB : ram);
}

static inline void rig_open(struct rig *g, void (*make)(struct image *), uint64_t ram, bool initrd)
{
	rig_open_on(g, "x86_64/linux@1", make, ram, initrd);
}

static inline int rig_load(struct rig *g, const char *cmdline)
{
	return boot_load(&g->k, &g->file, g->l.params.initrd_bytes ? &g->initrd : NULL, cmdline,
			 &g->l, &g->m, &g->entry, &g->e);
}

static inline void rig_loads(struct rig *g, const char *cmdline)
{
	if (rig_load(g, cmdline))
		fail_msg("%s", g->e.msg);
}

static inline const void *at(const struct rig *g, const char *name, uint64_t bytes)
{
	const struct layout_region *row = layout_find(&g->l, name);
	const void *p;

	assert_non_null(row);
	p = mem_ro(&g->m, gpa(row->start), bytes);
	assert_non_null(p);
	return p;
}

static inline uint64_t start(const struct rig *g, const char *name)
{
	const struct layout_region *row = layout_find(&g->l, name);

	assert_non_null(row);
	return row->start;
}

static inline bool all(const uint8_t *p, uint8_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* e820 and PVH's map in one shape. */
struct range {
	uint64_t start, end;
	uint32_t type;
};

/* Every row of memory is told: RAM as RAM, all else that is there as reserved, windows not. */
static inline void map_agrees(const struct layout *l, const struct range *map, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		assert_true(map[i].start < map[i].end);
		assert_true(i == 0 || map[i - 1].end <= map[i].start);
		assert_true(map[i].type == 1 || map[i].type == 2);
	}
	for (uint32_t i = 0; i < l->region_n; i++) {
		const struct layout_region *r = &l->region[i];
		bool boot = r->kind == REGION_BOOT;
		uint32_t type = boot || r->kind == REGION_RAM ? 1 : 2;
		if (r->kind == REGION_PIO || !r->size)
			continue;
		if (r->kind == REGION_WINDOW) {
			for (uint32_t k = 0; k < n; k++)
				assert_true(map[k].end <= r->start ||
					    map[k].start >= region_end(r));
			continue;
		}
		/* The first and the last byte are in a range of this type. */
		for (unsigned last = 0; last < 2; last++) {
			uint64_t a = last ? region_end(r) - 1 : r->start;
			uint32_t k = 0;
			while (k < n && !(a >= map[k].start && a < map[k].end))
				k++;
			assert_true(k < n);
			if (map[k].type != type)
				fail_msg("%s is told as type %u", r->name, map[k].type);
		}
	}
}

#endif
