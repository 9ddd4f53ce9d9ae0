/* SPDX-License-Identifier: Apache-2.0 */
/* PVH start info, version 1: xen/include/public/arch-x86/hvm/start_info.h. */
#include "arch/x86_64/boot_priv.h"

#include <string.h>

#define START_INFO_MAGIC 0x336ec578
#define START_INFO_V1	 1

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct page {
	struct start_info info;
	uint64_t pad;
	struct module initrd;
	struct memmap_entry map[BOOT_RANGES_MAX];
};

_Static_assert(sizeof(struct start_info) == 56, "start_info.h");
_Static_assert(sizeof(struct module) == 32, "start_info.h");
_Static_assert(sizeof(struct memmap_entry) == 24, "start_info.h");

int boot_pvh_(const struct boot_job *j, struct gpa *at, struct err *e)
{
	struct page *p;
	void *host;
	int r = boot_row_(j, "PVH_START_INFO", sizeof *p, at, &host, e);

	if (r)
		return r;
	p = host;
	p->info = (struct start_info){
	    .magic = START_INFO_MAGIC,
	    .version = START_INFO_V1,
	    .cmdline_paddr = j->cmdline.v,
	    .rsdp_paddr = j->rsdp.v,
	    .memmap_paddr = at->v + offsetof(struct page, map),
	    .memmap_entries = j->map.n,
	};
	if (j->initrd_bytes) {
		p->info.nr_modules = 1;
		p->info.modlist_paddr = at->v + offsetof(struct page, initrd);
		p->initrd = (struct module){.paddr = j->initrd.v, .size = j->initrd_bytes};
	}
	for (uint32_t i = 0; i < j->map.n; i++) {
		const struct boot_range *from = &j->map.range[i];
		p->map[i] = (struct memmap_entry){from->start, from->size, from->type, 0};
	}
	return 0;
}
