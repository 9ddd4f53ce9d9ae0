/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of the aarch64 maps, with the addresses of the published table and of its second
 * version written down here a second time. */
#include "rows.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define RAM "AARCH64_PHYS_MEM_START"

/* clang-format off */

/* In every map. */
static const struct row machine[] = {
	{"SERIAL_ADDR[3]",           NULL, REGION_MMIO,         0x2e8,      0x2f0,      2},
	{"SERIAL_ADDR[1]",           NULL, REGION_MMIO,         0x2f8,      0x300,      2},
	{"SERIAL_ADDR[2]",           NULL, REGION_MMIO,         0x3e8,      0x3f0,      0},
	{"SERIAL_ADDR[0]",           NULL, REGION_MMIO,         0x3f8,      0x400,      0},
	{"AARCH64_RTC_ADDR",         NULL, REGION_MMIO,         0x2000,     0x3000,     1},
	{"AARCH64_VMWDT_ADDR",       NULL, REGION_MMIO,         0x3000,     0x4000,     15}, /* PPI */
	{"AARCH64_VIRTFREQ_BASE",    NULL, REGION_MMIO,         0x1040000,  0x1050000,  NO_LINE},
	{"VMGENID_PAGE",             NULL, REGION_RESERVED_RAM, 0x1fe0000,  0x1fe1000,  3},
	/* The end and the size of the table; its start of 1f0_0000 cannot be. */
	{"AARCH64_PVTIME_IPA_START", NULL, REGION_RESERVED_RAM, 0x1ff0000,  0x2000000,  NO_LINE},
	{"AARCH64_MMIO_BASE",        NULL, REGION_WINDOW,       0x2000000,  0x4000000,  NO_LINE},
	{"AARCH64_GIC_DIST_BASE",    NULL, REGION_MMIO,         0x3fff0000, 0x40000000, NO_LINE},
	{0},
};

static const struct row only_1[] = {
	{"AARCH64_PCI_CFG_BASE",     NULL, REGION_CAM,          0x10000,    0x20000,    4},
	{"AARCH64_AXI_BASE",         NULL, REGION_RESERVED,     0x40000000, 0x40001000, NO_LINE},
	{0},
};
static const struct row only_2[] = {
	{"AARCH64_PCI_CFG_BASE",     NULL, REGION_CAM,          0x10000,    0x1010000,  4},
	{0},
};

static const struct row gicv2[] = {
	{"AARCH64_GIC_CPUI_BASE",    NULL, REGION_MMIO,         0x3ffd0000, 0x3fff0000, NO_LINE},
	{0},
};
static const struct row its[] = {
	{"AARCH64_GIC_ITS_BASE",     NULL, REGION_MMIO,         0x40000000, 0x40020000, NO_LINE},
	{0},
};
static const struct row pvm[] = {
	{"AARCH64_PROTECTED_VM_FW_START", NULL, REGION_FIRMWARE, 0x7fc00000, 0x80000000, NO_LINE},
	{0},
};

/* Two of 64 KiB each for a vCPU. */
static const struct redist {
	uint32_t vcpus;
	struct row row[2];
} redists[] = {
	{1,  {{"AARCH64_GIC_REDIST_BASE", NULL, REGION_MMIO, 0x3ffd0000, 0x3fff0000, NO_LINE}}},
	{2,  {{"AARCH64_GIC_REDIST_BASE", NULL, REGION_MMIO, 0x3ffb0000, 0x3fff0000, NO_LINE}}},
	{8,  {{"AARCH64_GIC_REDIST_BASE", NULL, REGION_MMIO, 0x3fef0000, 0x3fff0000, NO_LINE}}},
	{16, {{"AARCH64_GIC_REDIST_BASE", NULL, REGION_MMIO, 0x3fdf0000, 0x3fff0000, NO_LINE}}},
};

static const struct row bootloader[] = {
	{"AARCH64_FDT_OFFSET_IN_BIOS_MODE", RAM, REGION_BOOT,   0x80000000, 0x80200000, NO_LINE},
	{"AARCH64_BIOS_OFFSET",             RAM, REGION_BOOT,   0x80200000, 0x80380123, NO_LINE},
	{0},
};

/* A kernel that fits in 64 MiB, with and without an initrd. */
static const struct row kernel[] = {
	{"AARCH64_KERNEL_OFFSET",    RAM, REGION_BOOT,          0x80000000, 0x81230004, NO_LINE},
	{0},
};
static const struct row initrd[] = {
	{"initrd_addr",              RAM, REGION_BOOT,          0x82000000, 0x82003039, NO_LINE},
	{0},
};

/* What depends on the size of RAM. A static swiotlb here has 16 MiB and 64 KiB: it follows RAM in
 * version 1, where plat_mmio_base is rounded up, and ends it in version 2, where the fdt stands
 * before it. */
static const struct size {
	uint64_t ram, end, limit;
	uint64_t fdt, fdt_2s;      /* starts; 2s: version 2, with a swiotlb */
	uint64_t pool_2;           /* start of the swiotlb; it ends with RAM */
	uint64_t pool_1_end;       /* it starts where RAM ends */
	uint64_t plat_1s;
	uint64_t high_1, high_1s, high_2;
} sizes[] = {
	{64 * MIB,   0x84000000,    0x10000000000, 0x83e00000,    0x82c00000,
	 0x82ff0000,    0x85010000,    0x85200000,    0x84800000,    0x85a00000,    0xc4000000},
	{2 * GIB,    0x100000000,   0x10000000000, 0xffe00000,    0xfec00000,
	 0xfeff0000,    0x101010000,   0x101200000,   0x100800000,   0x101a00000,   0x140000000},
	{0xd0000000, 0x150000000,   0x10000000000, 0x14fe00000,   0x14ec00000,
	 0x14eff0000,   0x151010000,   0x151200000,   0x150800000,   0x151a00000,   0x190000000},
	{4 * GIB,    0x180000000,   0x10000000000, 0x17fe00000,   0x17ec00000,
	 0x17eff0000,   0x181010000,   0x181200000,   0x180800000,   0x181a00000,   0x1c0000000},
	{64 * GIB,   0x1080000000,  0x10000000000, 0x107fe00000,  0x107ec00000,
	 0x107eff0000,  0x1081010000,  0x1081200000,  0x1080800000,  0x1081a00000,  0x10c0000000},
	{1 * TIB,    0x10080000000, 0x20000000000, 0x1007fe00000, 0x1007ec00000,
	 0x1007eff0000, 0x10081010000, 0x10081200000, 0x10080800000, 0x10081a00000, 0x100c0000000},
};
#define SWIOTLB_BYTES 0x1010000

static const char *const never_1[] = {"AARCH64_GIC_ITS_BASE", NULL};
static const char *const never_2[] = {"AARCH64_AXI_BASE", NULL};
static const char *const never_linux[] = {"AARCH64_FDT_OFFSET_IN_BIOS_MODE", "AARCH64_BIOS_OFFSET",
	NULL};
static const char *const never_bios[] = {"AARCH64_KERNEL_OFFSET", "initrd_addr", "fdt_address",
	NULL};
/* clang-format on */

/* One machine of many. */
struct choice {
	int version;
	bool bios, swiotlb, pvm, its, kernel, initrd;
	const struct redist *redist; /* NULL: GICv2 with 8 vCPUs */
	const struct size *size;
};

static void params(const struct choice *c, struct layout_params *p)
{
	layout_params_init(p, c->size->ram);
	assert_int_equal(1ull << p->phys_bits, c->size->limit);
	p->vcpus = c->redist ? c->redist->vcpus : 8;
	p->gic_version = c->redist ? 3 : 2;
	p->gic_its = c->its;
	p->swiotlb_bytes = c->swiotlb ? SWIOTLB_BYTES : 0;
	p->pvm_firmware_bytes = c->pvm ? 0x123456 : 0; /* its place is as large as ever */
	p->firmware_bytes = c->bios ? 0x180123 : 0;
	p->kernel_bytes = c->kernel ? 0x1230004 : 0;
	p->initrd_bytes = c->initrd ? 12345 : 0;
}

/* RAM, what lies at its end, and what follows it. */
static void ram_rows(const struct choice *c, struct row *out)
{
	const struct size *s = c->size;
	bool first = c->version == 1, pool = c->swiotlb;
	uint64_t fdt = !first && pool ? s->fdt_2s : s->fdt;
	uint64_t plat = first && pool ? s->plat_1s : s->end;
	uint64_t high = !first ? s->high_2 : pool ? s->high_1s : s->high_1;

	*out++ = (struct row){RAM, NULL, REGION_RAM, 0x80000000, s->end, NO_LINE};
	if (!c->bios)
		*out++ =
		    (struct row){"fdt_address", RAM, REGION_BOOT, fdt, fdt + 0x200000, NO_LINE};
	if (pool && first)
		*out++ = (struct row){"get_swiotlb_addr", NULL,	  REGION_RESERVED_RAM, s->end,
				      s->pool_1_end,	  NO_LINE};
	if (pool && !first)
		*out++ = (struct row){"get_swiotlb_addr", RAM,	  REGION_RESERVED_RAM,
				      s->pool_2,	  s->end, NO_LINE};
	*out++ = (struct row){"plat_mmio_base", NULL, REGION_MMIO, plat, high, NO_LINE};
	*out++ = (struct row){"high_mmio_base", NULL, REGION_WINDOW, high, s->limit, NO_LINE};
	*out = (struct row){0};
}

static void expect_backed(const struct choice *c, const struct layout *l)
{
	const struct size *s = c->size;
	uint64_t piece[5][2] = {{0x1fe0000, 0x1fe1000}, {0x1ff0000, 0x2000000}};
	size_t n = 2;

	if (c->pvm)
		memcpy(piece[n++], (uint64_t[]){0x7fc00000, 0x80000000}, sizeof piece[0]);
	memcpy(piece[n++], (uint64_t[]){0x80000000, s->end}, sizeof piece[0]);
	if (c->swiotlb && c->version == 1)
		memcpy(piece[n++], (uint64_t[]){s->end, s->pool_1_end}, sizeof piece[0]);
	rows_backed(l, (const uint64_t(*)[2])piece, n);
}

static void expect_map(const struct choice *c)
{
	static const struct row none[] = {{0}};
	static const char *const id[2][2] = {{"aarch64/linux@1", "aarch64/linux@2"},
					     {"aarch64/bios@1", "aarch64/bios@2"}};
	struct row varying[8];
	struct layout_params p;
	struct layout l;
	const struct row *tables[] = {
	    machine,
	    c->version == 1 ? only_1 : only_2,
	    c->redist ? c->redist->row : gicv2,
	    c->its ? its : none,
	    c->pvm ? pvm : none,
	    c->bios ? bootloader : none,
	    c->kernel ? kernel : none,
	    c->initrd ? initrd : none,
	    varying,
	};

	params(c, &p);
	ram_rows(c, varying);
	rows_build(id[c->bios][c->version - 1], &p, &l);
	rows_expect(&l, tables, ARRAY_LEN(tables));
	rows_absent(&l, c->version == 1 ? never_1 : never_2);
	rows_absent(&l, c->bios ? never_bios : never_linux);
	expect_backed(c, &l);
}

/* Everything that can be chosen, with everything else. */
static void every_choice(struct choice c)
{
	for (unsigned with = 0; with < 8; with++) {
		c.swiotlb = with & 1;
		c.pvm = with & 2;
		c.its = with & 4;
		if (c.its && (c.version == 1 || !c.redist))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			c.size = &sizes[i];
			expect_map(&c);
		}
	}
}

static void every_interrupt_controller(struct choice c)
{
	for (c.version = 1; c.version <= 2; c.version++) {
		c.redist = NULL;
		every_choice(c);
		for (size_t i = 0; i < ARRAY_LEN(redists); i++) {
			c.redist = &redists[i];
			every_choice(c);
		}
	}
}

static void rows_of_a_kernel(void **state)
{
	every_interrupt_controller((struct choice){.kernel = true, .initrd = true});
	every_interrupt_controller((struct choice){.kernel = true});
	every_interrupt_controller((struct choice){0});
}

static void rows_of_a_bootloader(void **state)
{
	every_interrupt_controller((struct choice){.bios = true});
}

/* Without a kernel the initrd stands where that would. */
static void an_initrd_alone(void **state)
{
	static const char *const id[] = {"aarch64/linux@1", "aarch64/linux@2"};

	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		struct layout_params p;
		struct layout l;
		layout_params_init(&p, 64 * MIB);
		layout_params_complete(layout_def_find(id[i]), &p);
		p.initrd_bytes = 12345;
		rows_build(id[i], &p, &l);
		const struct layout_region *r = layout_find(&l, "initrd_addr");
		assert_non_null(r);
		assert_int_equal(r->start, 0x80000000);
		assert_int_equal(region_end(r), 0x80003039);
	}
}

/* The case to remember: RAM is the same in both versions, and the guest's high BARs are not. */
static void same_ram_and_another_high_window(void **state)
{
	struct layout_params p;
	struct layout a, b;

	layout_params_init(&p, 2 * GIB);
	p.gic_version = 3;
	rows_build("aarch64/linux@1", &p, &a);
	rows_build("aarch64/linux@2", &p, &b);
	for (size_t i = 0; i < 2; i++)
		rows_backed(i ? &b : &a,
			    (const uint64_t[][2]){{0x1fe0000, 0x1fe1000},
						  {0x1ff0000, 0x2000000},
						  {0x80000000, 0x100000000}},
			    3);
	assert_int_equal(layout_find(&a, "high_mmio_base")->start, 0x100800000);
	assert_int_equal(layout_find(&b, "high_mmio_base")->start, 0x140000000);
}

static void the_newest_is_the_second(void **state)
{
	assert_string_equal(layout_def_id(layout_def_find("aarch64/linux")), "aarch64/linux@2");
	assert_string_equal(layout_def_id(layout_def_find("aarch64/bios")), "aarch64/bios@2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_of_a_kernel),
	    cmocka_unit_test(rows_of_a_bootloader),
	    cmocka_unit_test(an_initrd_alone),
	    cmocka_unit_test(same_ram_and_another_high_window),
	    cmocka_unit_test(the_newest_is_the_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
