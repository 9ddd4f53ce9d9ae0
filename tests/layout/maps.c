/* SPDX-License-Identifier: Apache-2.0 */
#include "maps.h"
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void maps_x86(struct layout *l, uint64_t ram_bytes)
{
	struct err e = ERR_INIT;
	struct layout_params p;

	layout_params_init(&p, ram_bytes);
	p.vcpus = 2;
	p.kernel_bytes = 0x2178000;
	p.initrd_bytes = 9 * MIB + 512;
	if (layout_build(layout_def_find("x86_64/linux@1"), &p, l, &e))
		abort();
}

static struct layout_region *add(struct layout *l, const char *name, enum region_kind kind,
				 uint64_t start, uint64_t size, const char *parent)
{
	struct layout_region *r = &l->region[l->region_n++];

	*r = (struct layout_region){
	    .kind = (uint8_t)kind, .start = start, .size = size, .irq = LAYOUT_NO_IRQ};
	snprintf(r->name, sizeof r->name, "%s", name);
	for (uint16_t i = 0; *parent && i < l->region_n - 1; i++)
		if (!strcmp(l->region[i].name, parent))
			r->parent = (uint16_t)(i + 1);
	return r;
}

void maps_arm(struct layout *l, uint64_t window_bytes)
{
	const uint64_t ram = 0x80000000, window = 0x200000000;
	uint64_t after = window + window_bytes;

	*l = (struct layout){.id = "aarch64/made-up@1"};
	l->params = (struct layout_params){
	    .ram_bytes = 4 * GIB, .vcpus = 4, .phys_bits = 40, .gic_version = 3};
	add(l, "SERIAL_ADDR[3]", REGION_MMIO, 0x2e8, 8, "")->irq = 35;
	add(l, "SERIAL_ADDR[1]", REGION_MMIO, 0x2f8, 8, "")->irq = 35;
	add(l, "SERIAL_ADDR[2]", REGION_MMIO, 0x3e8, 8, "")->irq = 36;
	add(l, "SERIAL_ADDR[0]", REGION_MMIO, 0x3f8, 8, "")->irq = 36;
	add(l, "RTC_ADDR", REGION_MMIO, 0x2000, 0x1000, "")->irq = 33;
	add(l, "PLATFORM_CAM", REGION_CAM, 0x10000, 0x1000000, "");
	add(l, "GIC_DIST", REGION_MMIO, 0x3fff0000, 0x10000, "");
	add(l, "FIRMWARE", REGION_FIRMWARE, 0x7fc00000, 0x200000, "");
	add(l, "RAM", REGION_RAM, ram, 4 * GIB - 2 * MIB, "");
	add(l, "KERNEL", REGION_BOOT, ram, 0x2400000, "RAM");
	add(l, "KERNEL_HEADER", REGION_BOOT, ram, 64, "KERNEL");
	add(l, "ENTRY_POINT", REGION_BOOT, ram + 64, 0, "KERNEL");
	add(l, "INITRD", REGION_BOOT, ram + 0x4000000, 0x900000, "RAM");
	add(l, "FDT", REGION_BOOT, ram + 4 * GIB - 4 * MIB, 2 * MIB, "RAM");
	add(l, "PLATFORM_MMIO", REGION_WINDOW, window, window_bytes, "");
	add(l, "HIGH_MMIO", REGION_WINDOW, after, layout_limit(l) - after, "");
}

static struct layout_region *find(struct layout *l, const char *name)
{
	for (uint32_t i = 0; i < l->region_n; i++)
		if (!strcmp(l->region[i].name, name))
			return &l->region[i];
	abort();
}

void maps_changed(struct layout *l)
{
	find(l, "ZERO_PAGE_OFFSET")->size = 0x800;
	find(l, "CMDLINE_OFFSET")->start -= 0x2000;
	find(l, "CMDLINE_OFFSET")->size *= 4;
	find(l, "initrd_start")->start += 64 * MIB;
	find(l, "HPET_ADDR")->kind = REGION_MMIO;
	find(l, "PCIE_CFG_MMIO_START")->irq = 10;
	find(l, "VMGENID_PAGE")->parent = 1;
	find(l, "SERIAL_ADDR[0]")->start += 0x10;
	snprintf(find(l, "PIC_ELCR")->name, LAYOUT_NAME_MAX, "PIC_OTHER");
}

static uint64_t seed;

static uint64_t below(uint64_t n)
{
	return oracle_random(&seed) % n;
}

/* @n: all bytes of the field. */
static void hostile_name(char *name, size_t n)
{
	static const char *const text[] = {
	    "</text><script>alert(1)</script>",
	    "\"'&<>]]>",
	    "&amp;&#0;",
	    "\x01\x02\x1b[31m\x7f\n\t",
	    "\xff\xfe\xc0\x80\xed\xa0\x80",
	    "\xe2\x80\xae\xd7\xa9\xd7\x9c",
	    "\xef\xb7\xbd\xef\xb7\xbd\xef\xb7\xbd",
	    "\xe5\x86\x85\xe5\xad\x98\xe5\x86\x85\xe5\xad\x98\xe5\x86\x85\xe5\xad\x98",
	    "\xf0\x9f\x98\x80\xf0\x9f",
	    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
	    "",
	    "same",
	};

	memset(name, 0, n);
	if (below(4)) {
		snprintf(name, n, "%s", text[below(ARRAY_LEN(text))]);
		return;
	}
	for (uint64_t i = below(n); i; i--)
		name[i - 1] = (char)(1 + below(255));
}

static uint64_t hostile_number(void)
{
	static const uint64_t edge[] = {0, 1, 0x1000, 1ull << 40, 1ull << 63, UINT64_MAX};

	switch (below(3)) {
	case 0:
		return edge[below(ARRAY_LEN(edge))] + below(3) - 1;
	case 1:
		return below(64) * 0x1000;
	default:
		return oracle_random(&seed) >> below(64);
	}
}

void maps_hostile(struct layout *l, uint64_t with)
{
	seed = with;
	memset(l, 0, sizeof *l);
	hostile_name(l->id, sizeof l->id);
	l->params.phys_bits = (uint8_t)(below(2) ? 32 + below(20) : below(256));
	l->params.ram_bytes = hostile_number();
	l->params.vcpus = (uint32_t)hostile_number();
	l->region_n = (uint32_t)(below(4) ? below(LAYOUT_REGIONS_MAX + 1) : LAYOUT_REGIONS_MAX);
	/* Now and then each in the one before it. */
	bool chain = !below(8);
	for (uint32_t i = 0; i < l->region_n; i++) {
		struct layout_region *r = &l->region[i];
		hostile_name(r->name, sizeof r->name);
		r->kind = (uint8_t)(below(16) ? 1 + below(REGION_RESERVED) : below(256));
		r->start = hostile_number();
		r->size = hostile_number();
		r->parent = (uint16_t)(chain	  ? i
				       : below(2) ? 0
				       : below(9) ? below(i + 1)
						  : below(65536));
		r->irq = (uint16_t)(below(2) ? LAYOUT_NO_IRQ : below(65536));
		if (chain)
			r->kind = REGION_RAM;
	}
}
