/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts that no definition gives: edited by hand, and by chance. */
#include "oracle.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static struct layout good, l;
static struct err e;

static int setup(void **state)
{
	struct layout_params p;

	layout_params_init(&p, 6 * GIB);
	p.vcpus = 2;
	p.kernel_bytes = 0x4178000;
	p.initrd_bytes = 12345;
	e = (struct err)ERR_INIT;
	int r = layout_build(layout_def_find("x86_64/linux@1"), &p, &good, &e);
	l = good;
	return r;
}

static struct layout_region *row(const char *name)
{
	for (uint32_t i = 0; i < l.region_n; i++)
		if (!strcmp(l.region[i].name, name))
			return &l.region[i];
	fail_msg("no %s", name);
	return NULL;
}

/* @l, which was made from @good by one edit, is refused with a word about @about. */
static void refused(const char *about)
{
	assert_int_equal(layout_check(&good, &e), 0);
	assert_int_equal(layout_check(&l, &e), -ERR_STRUCTURE);
	assert_int_equal(e.code, ERR_STRUCTURE);
	if (!strstr(e.msg, about))
		fail_msg("'%s' does not name %s", e.msg, about);
	assert_false(oracle_valid(&l));
	l = good;
}

static void remove_row(struct layout_region *r)
{
	size_t i = (size_t)(r - l.region);

	memmove(r, r + 1, (l.region_n - i - 1) * sizeof *r);
	l.region_n--;
	for (uint32_t j = 0; j < l.region_n; j++)
		if (l.region[j].parent > i + 1)
			l.region[j].parent--;
}

static void moved(void **state)
{
	row("END_ADDR_BEFORE_32BITS")->start -= 4096; /* onto RAM */
	refused("L010 END_ADDR_BEFORE_32BITS overlaps START_OF_RAM_32BITS");
	row("END_ADDR_BEFORE_32BITS")->start += 4096; /* onto the ECAM */
	refused("PCIE_CFG_MMIO_START overlaps END_ADDR_BEFORE_32BITS");
	row("RAM_ABOVE_4G")->start += 4096;
	refused("HIGH_MMIO overlaps RAM_ABOVE_4G");
	row("RAM_ABOVE_4G")->start += 1;
	refused("L012 RAM_ABOVE_4G is backed but not page-aligned");
	row("LAPIC_ADDR")->start = 0xf7fff000; /* out of what it lies in */
	refused("LAPIC_ADDR");
	row("boot_pml4_addr")->start += 4096; /* onto the next page table */
	refused("boot_pdpte_addr overlaps boot_pml4_addr");
	row("SERIAL_ADDR[1]")->start = 0x3ec; /* half onto another */
	refused("SERIAL_ADDR");
	row("HIGH_MMIO")->start += 0x200000;
	refused("L011 HIGH_MMIO reaches past the address limit");
	row("PCI_CFG_PORTS")->start = 0xfff9;
	refused("PCI_CFG_PORTS");
}

static void resized(void **state)
{
	row("START_OF_RAM_32BITS")->size += 4096;
	refused("overlaps START_OF_RAM_32BITS");
	row("START_OF_RAM_32BITS")->size -= 4096;
	refused("L016 RAM RAM regions hold");
	row("RAM_ABOVE_4G")->size -= 1;
	refused("L012 RAM_ABOVE_4G is backed but not page-aligned");
	row("RAM_ABOVE_4G")->size = 1ull << 63;
	refused("RAM_ABOVE_4G");
	row("HIGH_MMIO")->size = UINT64_MAX;
	refused("HIGH_MMIO");
	row("LAPIC_ADDR")->size = UINT64_MAX - 0xfee00000 + 2; /* ends at 1 */
	refused("LAPIC_ADDR");
	row("CMDLINE_OFFSET")->size = 0x801;
	refused("SETUP_DATA_START overlaps CMDLINE_OFFSET");
	row("initrd_start")->size = 0xd0000000;
	refused("L013 initrd_start does not lie in START_OF_RAM_32BITS");
	row("PCI_CFG_PORTS")->size = 0x10000;
	refused("PCI_CFG_PORTS");
}

static void renamed(void **state)
{
	strcpy(row("LAPIC_ADDR")->name, "IOAPIC_ADDR");
	refused("L014 IOAPIC_ADDR stands there twice");
	row("PIT")->name[0] = '\0';
	refused("without a name");
	/* A layout is not bound to the names of a definition. */
	strcpy(row("LAPIC_ADDR")->name, "another");
	assert_int_equal(layout_check(&l, &e), 0);
}

static void removed(void **state)
{
	remove_row(row("RAM_ABOVE_4G"));
	refused("L016 RAM RAM regions hold");
	l.region_n = 0;
	refused("no regions");
}

static void other_kinds(void **state)
{
	row("RAM_ABOVE_4G")->kind = REGION_WINDOW;
	refused("L016 RAM RAM regions hold");
	row("HIGH_MMIO")->kind = REGION_RAM;
	refused("L016 RAM RAM regions hold");
	row("LAPIC_ADDR")->kind = REGION_PIO;
	refused("LAPIC_ADDR");
	row("PIC_MASTER")->kind = REGION_MMIO;
	refused("PIC_MASTER");
	row("boot_gdt_addr")->kind = REGION_PIO; /* ports in RAM */
	refused("boot_gdt_addr");
}

static void out_of_order(void **state)
{
	struct layout_region *a = row("END_ADDR_BEFORE_32BITS"), tmp = *a;

	a[0] = a[1];
	a[1] = tmp;
	refused("not in order");
	/* Ports before memory. */
	uint32_t last = l.region_n - 1;
	tmp = l.region[last];
	memmove(&l.region[1], &l.region[0], last * sizeof tmp);
	for (uint32_t i = 1; i <= last; i++)
		l.region[i].parent += l.region[i].parent != 0;
	l.region[0] = tmp;
	refused("not in order");
}

static void other_parents(void **state)
{
	row("LAPIC_ADDR")->parent = 0; /* claims to stand by itself */
	refused("overlaps RESERVED_MEM_SIZE");
	row("LAPIC_ADDR")->parent = 1;
	refused("LAPIC_ADDR does not lie in START_OF_RAM_32BITS");
	struct layout_region *r = row("LAPIC_ADDR");
	r->parent = (uint16_t)(r - l.region + 1); /* itself */
	refused("LAPIC_ADDR stands before the region it lies in");
	row("LAPIC_ADDR")->parent = UINT16_MAX;
	refused("LAPIC_ADDR stands before the region it lies in");
	row("RAM_ABOVE_4G")->parent = (uint16_t)(row("RESERVED_MEM_SIZE") - l.region + 1);
	refused("RAM_ABOVE_4G does not lie in RESERVED_MEM_SIZE");
	row("PIC_MASTER")->parent = 1; /* ports 20h, 21h lie in no RAM */
	refused("PIC_MASTER does not lie in START_OF_RAM_32BITS");
}

static void other_parameters(void **state)
{
	l.params.phys_bits = 53;
	refused("physical address bits: 32 to 52");
	l.params.phys_bits = 0;
	refused("physical address bits: 32 to 52");
	l.params.phys_bits = 39;
	refused("HIGH_MMIO");
	l.params.ram_bytes += 4096;
	refused("L016 RAM RAM regions hold");
	l.params.ram_bytes -= 4096;
	refused("L016 RAM RAM regions hold");
}

/* The least and the most that a map may have, on a map that fits into the least. */
static void address_bits(void **state)
{
	static const struct {
		uint8_t bits;
		const char *about; /* NULL: sound */
	} rows[] = {
	    {31, "L017"},
	    {32, NULL},
	    {52, NULL},
	    {53, "L017"},
	    {63, "L017"},
	    {64, "64 physical address bits"},
	    {255, "255 physical address bits"},
	};

	state_defaults(&layout_desc, &l);
	l.region_n = 1;
	state_defaults(&layout_region_desc, &l.region[0]);
	strcpy(l.region[0].name, "RAM");
	l.region[0].kind = REGION_RAM;
	l.region[0].size = l.params.ram_bytes = 1ull << 32; /* up to the last address of 32 bits */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		l.params.phys_bits = rows[i].bits;
		assert_int_equal(layout_check(&l, &e), rows[i].about ? -ERR_STRUCTURE : 0);
		assert_true(oracle_valid(&l) == !rows[i].about);
		if (rows[i].about && !strstr(e.msg, rows[i].about))
			fail_msg("%u bits: %s", rows[i].bits, e.msg);
	}
	l.params.phys_bits = 32; /* and one page more: the first region is looked at too */
	l.region[0].size += 4096;
	l.params.ram_bytes += 4096;
	assert_int_equal(layout_check(&l, &e), -ERR_STRUCTURE);
	assert_non_null(strstr(e.msg, "L011 RAM reaches past the address limit 0x100000000"));
}

/* A number that is near to others in the layout, or far from all. */
static uint64_t some_number(uint64_t *seed, uint64_t old)
{
	const struct layout_region *r = &good.region[oracle_random(seed) % good.region_n];

	switch (oracle_random(seed) % 8) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old + 4096;
	case 3:
		return old - 4096;
	case 4:
		return r->start;
	case 5:
		return region_end(r);
	case 6:
		return r->size;
	}
	return oracle_random(seed) >> oracle_random(seed) % 64;
}

static void edit(uint64_t *seed)
{
	struct layout_region *r = &l.region[oracle_random(seed) % l.region_n];

	switch (oracle_random(seed) % 8) {
	case 0:
	case 1:
		r->start = some_number(seed, r->start);
		break;
	case 2:
	case 3:
		r->size = some_number(seed, r->size);
		break;
	case 4:
		r->parent = (uint16_t)(oracle_random(seed) % (l.region_n + 2));
		break;
	case 5:
		r->kind = (uint8_t)(1 + oracle_random(seed) % REGION_RESERVED);
		break;
	case 6:
		remove_row(r);
		break;
	case 7:
		*r = l.region[oracle_random(seed) % l.region_n];
		break;
	}
}

static void chance_agrees_with_a_second_opinion(void **state)
{
	unsigned valid = 0;

	for (uint64_t i = 0; i < 40000; i++) {
		uint64_t seed = i;
		l = good;
		for (uint64_t n = 1 + oracle_random(&seed) % 3; n; n--)
			edit(&seed);
		int r = layout_check(&l, &e);
		if (!r != oracle_valid(&l))
			fail_msg("edit %llu: %s", (unsigned long long)i, r ? e.msg : "accepted");
		if (r)
			assert_int_equal(r, -ERR_STRUCTURE);
		valid += !r;
	}
	assert_true(valid > 200); /* both answers occurred */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(moved),	 TEST(resized),
	    TEST(renamed),	 TEST(removed),
	    TEST(other_kinds),	 TEST(out_of_order),
	    TEST(other_parents), TEST(other_parameters),
	    TEST(address_bits),	 TEST(chance_agrees_with_a_second_opinion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
