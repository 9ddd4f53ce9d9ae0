/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of the x86-64 maps, with the addresses of the published table and of its second version
 * written down here a second time. */
#include "rows.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define LOW  "START_OF_RAM_32BITS"
#define HIGH "RAM_ABOVE_1M"
#define HOLE "RESERVED_BELOW_1M"
#define RSVD "RESERVED_MEM_SIZE"
#define ACPI "ACPI_HI_RSDP_WINDOW_BASE"

/* clang-format off */

/* In every map. */
static const struct row machine[] = {
	{"END_ADDR_BEFORE_32BITS", NULL, REGION_WINDOW,     0xd0000000, 0xf4000000,  NO_LINE},
	{"PCIE_CFG_MMIO_START",    NULL, REGION_ECAM,       0xf4000000, 0xf8000000,  9},
	{"RESERVED_MEM_SIZE",      NULL, REGION_RESERVED,   0xf8000000, 0x100000000, NO_LINE},
	{"IOAPIC_ADDR",            RSVD, REGION_MMIO,       0xfec00000, 0xfec01000,  NO_LINE},
	{"HPET_ADDR",              RSVD, REGION_RESERVED,   0xfed00000, 0xfed01000,  NO_LINE},
	{"LAPIC_ADDR",             RSVD, REGION_MMIO,       0xfee00000, 0xfee01000,  NO_LINE},
	{"IDENTITY_MAP_ADDR",      RSVD, REGION_HYPERVISOR, 0xfeffc000, 0xfeffd000,  NO_LINE},
	{"TSS_ADDR",               RSVD, REGION_HYPERVISOR, 0xfeffd000, 0xff000000,  NO_LINE},
	{"SERIAL_ADDR[0]",         NULL, REGION_PIO,        0x3f8,      0x400,       4},
	{"SERIAL_ADDR[1]",         NULL, REGION_PIO,        0x2f8,      0x300,       3},
	{"SERIAL_ADDR[2]",         NULL, REGION_PIO,        0x3e8,      0x3f0,       4},
	{"SERIAL_ADDR[3]",         NULL, REGION_PIO,        0x2e8,      0x2f0,       3},
	{"PIC_MASTER",             NULL, REGION_PIO,        0x20,       0x22,        NO_LINE},
	{"PIC_SLAVE",              NULL, REGION_PIO,        0xa0,       0xa2,        NO_LINE},
	{"PIC_ELCR",               NULL, REGION_PIO,        0x4d0,      0x4d2,       NO_LINE},
	{"PIT",                    NULL, REGION_PIO,        0x40,       0x44,        NO_LINE},
	{"PIT_SPEAKER",            NULL, REGION_PIO,        0x61,       0x62,        NO_LINE},
	{"I8042_DATA",             NULL, REGION_PIO,        0x60,       0x61,        NO_LINE},
	{"I8042_COMMAND",          NULL, REGION_PIO,        0x64,       0x65,        NO_LINE},
	{"CMOS_RTC",               NULL, REGION_PIO,        0x70,       0x72,        8},
	{"DEBUG_EXIT",             NULL, REGION_PIO,        0xf4,       0xf8,        NO_LINE},
	{"ACPI_PM",                NULL, REGION_PIO,        0x600,      0x610,       5},
	{"PCI_CFG_PORTS",          NULL, REGION_PIO,        0xcf8,      0xd00,       NO_LINE},
	{0},
};

/* Where a kernel is booted without firmware. */
static const struct row boot[] = {
	{"boot_gdt_addr",      LOW, REGION_BOOT, 0x1500,  0x1520,  NO_LINE},
	{"boot_idt_addr",      LOW, REGION_BOOT, 0x1520,  0x1528,  NO_LINE},
	{"ZERO_PAGE_OFFSET",   LOW, REGION_BOOT, 0x7000,  0x8000,  NO_LINE},
	{"BOOT_STACK_POINTER", LOW, REGION_BOOT, 0x8000,  0x8000,  NO_LINE}, /* a point */
	{"boot_pml4_addr",     LOW, REGION_BOOT, 0x9000,  0xa000,  NO_LINE},
	{"boot_pdpte_addr",    LOW, REGION_BOOT, 0xa000,  0xb000,  NO_LINE},
	{"CMDLINE_OFFSET",     LOW, REGION_BOOT, 0x20000, 0x20800, NO_LINE},
	{0},
};
static const struct row boot_1[] = {
	{"PVH_START_INFO",   LOW,  REGION_BOOT,         0x6000,  0x7000,   NO_LINE},
	{"boot_pde_addr",    LOW,  REGION_BOOT,         0xb000,  0xc000,   NO_LINE},
	{"SETUP_DATA_START", LOW,  REGION_BOOT,         0x20800, 0xe0000,  NO_LINE},
	{ACPI,               LOW,  REGION_RESERVED_RAM, 0xe0000, 0x100000, NO_LINE},
	{"VMGENID_PAGE",     ACPI, REGION_RESERVED_RAM, 0xff000, 0x100000, NO_LINE},
	{0},
};
static const struct row boot_2[] = {
	{"MULTIBOOT_INFO_OFFSET", LOW,  REGION_BOOT,    0x6000,  0x7000,   NO_LINE},
	{"PVH_START_INFO", "MULTIBOOT_INFO_OFFSET", REGION_BOOT, 0x6000, 0x7000, NO_LINE},
	{"boot_pde_addr",    LOW,  REGION_BOOT,         0xb000,  0xf000,   NO_LINE},
	{"SETUP_DATA_START", LOW,  REGION_BOOT,         0x20800, 0x9e800,  NO_LINE},
	{"MPTABLE_START",    LOW,  REGION_BOOT,         0x9e800, 0xa0000,  NO_LINE},
	{ACPI,               HOLE, REGION_RESERVED_RAM, 0xe0000, 0x100000, NO_LINE},
	{"VMGENID_PAGE",     ACPI, REGION_RESERVED_RAM, 0xff000, 0x100000, NO_LINE},
	{0},
};

static const struct row low_2[] = {
	{LOW,  NULL, REGION_RAM,          0,       0xa0000,  NO_LINE},
	{HOLE, NULL, REGION_RESERVED_RAM, 0xa0000, 0x100000, NO_LINE},
	{0},
};
static const struct row pvm_2[] = {
	{"PROTECTED_VM_FW_START", HIGH, REGION_FIRMWARE, 0x7fc00000, 0x80000000, NO_LINE},
	{0},
};

/* What depends on the size of RAM. The first kernel is a small one that ends within a page; the
 * others are Debian's: 0x1000000 + 0x3378000 is where its footprint ends. */
static const struct size {
	uint64_t ram, low_end, high_end, window, limit;
	uint64_t kernel_bytes, kernel_end, initrd, initrd_end;
} sizes[] = {
	{64 * MIB,   0x4000000,  0,             0x100000000,   0x10000000000,
	 0x1000234,  0x1200234,  0x1201000,     0x1204039},
	{2 * GIB,    0x80000000, 0,             0x100000000,   0x10000000000,
	 0x4178000,  0x4378000,  0x4378000,     0x437b039},
	{0xd0000000, 0xd0000000, 0,             0x100000000,   0x10000000000,
	 0x4178000,  0x4378000,  0x4378000,     0x437b039},
	{0xd0200000, 0xd0000000, 0x100200000,   0x100200000,   0x10000000000,
	 0x4178000,  0x4378000,  0x4378000,     0x437b039},
	{4 * GIB,    0xd0000000, 0x130000000,   0x130000000,   0x10000000000,
	 0x4178000,  0x4378000,  0x4378000,     0x437b039},
	{64 * GIB,   0xd0000000, 0x1030000000,  0x1030000000,  0x10000000000,
	 0x4178000,  0x4378000,  0x4378000,     0x437b039},
	{1 * TIB,    0xd0000000, 0x10030000000, 0x10030000000, 0x20000000000,
	 0x4178000,  0x4378000,  0x4378000,     0x437b039},
};

/* Images end at 4 GiB; a whole number of pages is set aside. */
static const struct rom {
	uint64_t bytes, start, shadow;
} roms[] = {
	{0x1,       0xfffff000, 0xfffff},
	{0x10000,   0xffff0000, 0xf0000},
	{0x10001,   0xfffef000, 0xeffff},
	{0x20000,   0xfffe0000, 0xe0000},
	{0x100000,  0xfff00000, 0xe0000},
	{0x200000,  0xffe00000, 0xe0000},
	{0x1000000, 0xff000000, 0xe0000}, /* up to TSS_ADDR */
};

static const char *const only_2[] = {HOLE, HIGH, "MULTIBOOT_INFO_OFFSET", "MPTABLE_START",
	"PROTECTED_VM_FW_START", NULL};
static const char *const only_linux[] = {"boot_gdt_addr", "boot_idt_addr", "PVH_START_INFO",
	"MULTIBOOT_INFO_OFFSET", "ZERO_PAGE_OFFSET", "BOOT_STACK_POINTER", "boot_pml4_addr",
	"boot_pdpte_addr", "boot_pde_addr", "CMDLINE_OFFSET", "SETUP_DATA_START", "MPTABLE_START",
	ACPI, "VMGENID_PAGE", "KERNEL_START_OFFSET", "initrd_start", NULL};
static const char *const only_bios[] = {"BIOS_START", "BIOS_SHADOW", NULL};
/* clang-format on */

/* RAM and the high window; returns the number of rows. */
static size_t ram_rows(int version, const struct size *s, struct row *out)
{
	size_t n = 0;

	if (version == 1)
		out[n++] = (struct row){LOW, NULL, REGION_RAM, 0, s->low_end, NO_LINE};
	else
		out[n++] = (struct row){HIGH, NULL, REGION_RAM, 0x100000, s->low_end, NO_LINE};
	if (s->high_end)
		out[n++] = (struct row){"RAM_ABOVE_4G", NULL,	     REGION_RAM,
					0x100000000,	s->high_end, NO_LINE};
	out[n++] = (struct row){"HIGH_MMIO", NULL, REGION_WINDOW, s->window, s->limit, NO_LINE};
	return n;
}

/* @rom: 0 or the start of the image. */
static void expect_backed(const struct layout *l, int version, const struct size *s, uint64_t rom)
{
	uint64_t piece[5][2];
	size_t n = 0;

	if (version == 2) {
		memcpy(piece[n++], (uint64_t[]){0, 0xa0000}, sizeof piece[0]);
		memcpy(piece[n++], (uint64_t[]){0xa0000, 0x100000}, sizeof piece[0]);
		memcpy(piece[n++], (uint64_t[]){0x100000, s->low_end}, sizeof piece[0]);
	} else {
		memcpy(piece[n++], (uint64_t[]){0, s->low_end}, sizeof piece[0]);
	}
	if (rom)
		memcpy(piece[n++], (uint64_t[]){rom, 0x100000000}, sizeof piece[0]);
	if (s->high_end)
		memcpy(piece[n++], (uint64_t[]){0x100000000, s->high_end}, sizeof piece[0]);
	rows_backed(l, (const uint64_t(*)[2])piece, n);
	assert_int_equal(layout_backed_bytes(l), s->ram + (rom ? 0x100000000 - rom : 0));
}

static void params(struct layout_params *p, const struct size *s, bool pvm)
{
	layout_params_init(p, s->ram);
	p->vcpus = 16;
	p->pvm_firmware_bytes = pvm ? 0x123456 : 0; /* its place is as large as ever */
	assert_int_equal(1ull << p->phys_bits, s->limit);
}

static void linux_map(int version, const struct size *s, bool kernel, bool initrd, bool pvm)
{
	struct row varying[8] = {{0}};
	size_t n = ram_rows(version, s, varying);
	const char *in = version == 1 ? LOW : HIGH;
	struct layout_params p;
	struct layout l;

	params(&p, s, pvm);
	if (kernel) {
		p.kernel_bytes = s->kernel_bytes;
		varying[n++] = (struct row){"KERNEL_START_OFFSET", in,	   REGION_BOOT, 0x200000,
					    s->kernel_end,	   NO_LINE};
	}
	if (initrd) {
		p.initrd_bytes = 12345;
		varying[n++] = (struct row){
		    "initrd_start",
		    in,
		    REGION_BOOT,
		    kernel ? s->initrd : 0x200000,
		    kernel ? s->initrd_end : 0x203039,
		    NO_LINE,
		};
	}
	const struct row *tables[] = {
	    machine,
	    boot,
	    version == 1 ? boot_1 : boot_2,
	    varying,
	    version == 1 ? varying + n : low_2,
	    pvm ? pvm_2 : varying + n,
	};
	rows_build(version == 1 ? "x86_64/linux@1" : "x86_64/linux@2", &p, &l);
	rows_expect(&l, tables, ARRAY_LEN(tables));
	rows_absent(&l, only_bios);
	if (version == 1)
		rows_absent(&l, only_2);
	expect_backed(&l, version, s, 0);
}

static void rows_of_a_kernel(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (int with = 0; with < 4; with++) {
			bool kernel = with & 1, initrd = with & 2;
			linux_map(1, &sizes[i], kernel, initrd, false);
			linux_map(2, &sizes[i], kernel, initrd, false);
			if (sizes[i].ram >= 2 * GIB)
				linux_map(2, &sizes[i], kernel, initrd, true);
		}
}

static void bios_map(int version, const struct size *s, const struct rom *rom, bool pvm)
{
	struct row varying[8] = {{0}};
	size_t n = ram_rows(version, s, varying);
	const char *in = version == 1 ? LOW : HOLE;
	struct layout_params p;
	struct layout l;

	params(&p, s, pvm);
	p.firmware_bytes = rom->bytes;
	varying[n++] =
	    (struct row){"BIOS_SHADOW", in, REGION_FIRMWARE, rom->shadow, 0x100000, NO_LINE};
	varying[n++] =
	    (struct row){"BIOS_START", RSVD, REGION_FIRMWARE, rom->start, 0x100000000, NO_LINE};
	const struct row *tables[] = {
	    machine,
	    varying,
	    version == 1 ? varying + n : low_2,
	    pvm ? pvm_2 : varying + n,
	};
	rows_build(version == 1 ? "x86_64/bios@1" : "x86_64/bios@2", &p, &l);
	rows_expect(&l, tables, ARRAY_LEN(tables));
	rows_absent(&l, only_linux);
	if (version == 1)
		rows_absent(&l, only_2);
	expect_backed(&l, version, s, rom->start);
}

static void rows_of_firmware(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (size_t j = 0; j < ARRAY_LEN(roms); j++) {
			bios_map(1, &sizes[i], &roms[j], false);
			bios_map(2, &sizes[i], &roms[j], false);
			if (sizes[i].ram >= 2 * GIB)
				bios_map(2, &sizes[i], &roms[j], true);
		}
}

/* The address limit is a parameter, and nothing but the high window follows it. */
static void address_bits(void **state)
{
	static const struct {
		uint8_t bits;
		uint64_t limit;
	} rows[] = {
	    {36, 0x1000000000},
	    {39, 0x8000000000},
	    {40, 0x10000000000},
	    {46, 0x400000000000},
	};
	const char *const id[] = {"x86_64/linux@1", "x86_64/linux@2", "x86_64/bios@1",
				  "x86_64/bios@2"};
	struct layout_params p;
	struct layout l;

	for (size_t d = 0; d < ARRAY_LEN(id); d++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			layout_params_init(&p, 4 * GIB);
			p.phys_bits = rows[i].bits;
			layout_params_complete(layout_def_find(id[d]), &p);
			rows_build(id[d], &p, &l);
			const struct layout_region *r = layout_find(&l, "HIGH_MMIO");
			assert_non_null(r);
			assert_int_equal(r->start, 0x130000000);
			assert_int_equal(region_end(r), rows[i].limit);
			assert_int_equal(layout_limit(&l), rows[i].limit);
		}
}

static void the_newest_is_the_second(void **state)
{
	assert_string_equal(layout_def_id(layout_def_find("x86_64/linux")), "x86_64/linux@2");
	assert_string_equal(layout_def_id(layout_def_find("x86_64/bios")), "x86_64/bios@2");
	assert_null(layout_def_find("x86_64/linux@3"));
	assert_null(layout_def_find("x86_64/linux@"));
	assert_null(layout_def_find("x86_64/linu"));
	assert_null(layout_def_find("x86_64"));
	assert_null(layout_def_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_of_a_kernel),
	    cmocka_unit_test(rows_of_firmware),
	    cmocka_unit_test(address_bits),
	    cmocka_unit_test(the_newest_is_the_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
