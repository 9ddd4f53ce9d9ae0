/* SPDX-License-Identifier: Apache-2.0 */
/* What a multiboot kernel is told: Multiboot Specification, version 0.6.96, 3.3. */
#include "arch/x86_64/boot_priv.h"

#include <string.h>

/* Flags: which members are there. */
#define TOLD_MEMORY  (1u << 0)
#define TOLD_CMDLINE (1u << 2)
#define TOLD_MODULES (1u << 3)
#define TOLD_MAP     (1u << 6)
#define TOLD_LOADER  (1u << 9)

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4], mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table, boot_loader_name, apm_table;
};

struct module {
	uint32_t start, end, string, reserved;
};

/* @size is that of what follows it. Not aligned to the 64 bits of its fields. */
struct entry {
	uint32_t size, base[2], length[2], type;
};

struct page {
	struct info info;
	struct module initrd;
	char loader[8];
	struct entry map[BOOT_RANGES_MAX];
};

_Static_assert(offsetof(struct info, mmap_length) == 44, "3.3");
_Static_assert(offsetof(struct info, boot_loader_name) == 64, "3.3");
_Static_assert(sizeof(struct entry) == 24, "3.3");

static void put64(uint32_t to[static 2], uint64_t v)
{
	to[0] = (uint32_t)v;
	to[1] = (uint32_t)(v >> 32);
}

/* KiB of RAM from @start up to the first hole, and to @end at most. */
static uint32_t ram_kib(const struct boot_map *map, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < map->n; i++) {
		const struct boot_range *r = &map->range[i];
		uint64_t last = r->start + r->size < end ? r->start + r->size : end;
		if (r->type == BOOT_RANGE_RAM && r->start <= start && last > start)
			return (uint32_t)((last - start) / KIB);
	}
	return 0;
}

int boot_multiboot_(const struct boot_job *j, struct gpa *at, struct err *e)
{
	struct page *p;
	void *host;
	int r = boot_row_(j, "MULTIBOOT_INFO_OFFSET", sizeof *p, at, &host, e);

	if (r)
		return r;
	uint32_t page = (uint32_t)at->v;
	p = host;
	p->info = (struct info){
	    .flags = TOLD_MEMORY | TOLD_CMDLINE | TOLD_MODULES | TOLD_MAP | TOLD_LOADER,
	    .mem_lower = ram_kib(&j->map, 0, 640 * KIB),
	    .mem_upper = ram_kib(&j->map, MIB, 4 * GIB),
	    .cmdline = (uint32_t)j->cmdline.v,
	    .mods_count = j->initrd_bytes ? 1 : 0,
	    .mods_addr = page + (uint32_t)offsetof(struct page, initrd),
	    .mmap_length = j->map.n * (uint32_t)sizeof p->map[0],
	    .mmap_addr = page + (uint32_t)offsetof(struct page, map),
	    .boot_loader_name = page + (uint32_t)offsetof(struct page, loader),
	};
	if (j->initrd_bytes)
		p->initrd = (struct module){.start = (uint32_t)j->initrd.v,
					    .end = (uint32_t)(j->initrd.v + j->initrd_bytes)};
	strcpy(p->loader, "vmm");
	for (uint32_t i = 0; i < j->map.n; i++) {
		const struct boot_range *from = &j->map.range[i];
		p->map[i].size = sizeof p->map[i] - sizeof p->map[i].size;
		put64(p->map[i].base, from->start);
		put64(p->map[i].length, from->size);
		p->map[i].type = from->type;
	}
	return 0;
}
