/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/layout.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static void build(struct layout *l, uint64_t ram)
{
	struct layout_params p;
	struct err e = ERR_INIT;

	layout_params_init(&p, ram);
	p.vcpus = 2;
	p.kernel_bytes = 0x4178000;
	p.initrd_bytes = 12345;
	if (layout_build(layout_def_find("x86_64/linux"), &p, l, &e))
		fail_msg("%s", e.msg);
}

struct row {
	const char *name;
	uint64_t start, end;
};

/* The published table, row by row, by its own names. */
static const struct row x86_rows[] = {
	{"ZERO_PAGE_OFFSET", 0x7000, 0x8000},
	{"BOOT_STACK_POINTER", 0x8000, 0x8000},
	{"boot_pml4_addr", 0x9000, 0xa000},
	{"boot_pdpte_addr", 0xa000, 0xb000},
	{"boot_pde_addr", 0xb000, 0xc000},
	{"CMDLINE_OFFSET", 0x20000, 0x20800},
	{"SETUP_DATA_START", 0x20800, 0xe0000},
	{"ACPI_HI_RSDP_WINDOW_BASE", 0xe0000, 0x100000},
	{"KERNEL_START_OFFSET", 0x200000, 0x4378000},
	{"initrd_start", 0x4378000, 0x4378000 + 12345},
	{"END_ADDR_BEFORE_32BITS", 0xd0000000, 0xf4000000},
	{"PCIE_CFG_MMIO_START", 0xf4000000, 0xf8000000},
	{"RESERVED_MEM_SIZE", 0xf8000000, 0x100000000},
	{"IDENTITY_MAP_ADDR", 0xfeffc000, 0xfeffd000},
	{"TSS_ADDR", 0xfeffd000, 0xff000000},
};

static void expect(const struct layout *l, const char *name, uint64_t start, uint64_t end)
{
	const struct layout_region *r = layout_find(l, name);

	assert_non_null(r);
	assert_int_equal(r->start, start);
	assert_int_equal(region_end(r), end);
}

static void every_x86_row_is_where_the_table_says(void **unused)
{
	static const struct {
		uint64_t ram, low_end, high_end;
	} sizes[] = {
		{128 * MIB, 0x8000000, 0},
		{2 * GIB, 0x80000000, 0},
		{0xd0000000, 0xd0000000, 0},
		{0xd0000000 + 2 * MIB, 0xd0000000, 0x100200000},
		{4 * GIB, 0xd0000000, 0x130000000},
		{64 * GIB, 0xd0000000, 0x1030000000},
		{1 * TIB, 0xd0000000, 0x10030000000},
	};
	struct layout l;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		build(&l, sizes[i].ram);
		for (size_t j = 0; j < ARRAY_LEN(x86_rows); j++)
			expect(&l, x86_rows[j].name, x86_rows[j].start, x86_rows[j].end);
		expect(&l, "START_OF_RAM_32BITS", 0, sizes[i].low_end);
		if (sizes[i].high_end)
			expect(&l, "RAM_ABOVE_4G", 0x100000000, sizes[i].high_end);
		else
			assert_null(layout_find(&l, "RAM_ABOVE_4G"));
		expect(&l, "HIGH_MMIO", sizes[i].high_end ? sizes[i].high_end : 0x100000000,
		       1ull << l.params.phys_bits);
		assert_int_equal(layout_backed_bytes(&l), sizes[i].ram);
	}
}

static void encoding_is_a_bijection(void **unused)
{
	struct layout l, back;
	struct buf a = BUF_INIT;
	struct err e = ERR_INIT;

	build(&l, 6 * GIB);
	state_encode(&layout_desc, &l, &a);
	struct cbor_in in = {.data = a.data, .len = a.len};
	assert_int_equal(state_decode(&layout_desc, &in, &back, &e), 0);
	assert_int_equal(cbor_finish(&in, &e), 0);
	assert_true(state_equal(&layout_desc, &l, &back));
	assert_int_equal(layout_check(&back, &e), 0);
	for (size_t n = 0; n < a.len; n++) {
		in = (struct cbor_in){.data = a.data, .len = n};
		assert_int_not_equal(state_decode(&layout_desc, &in, &back, &e), 0);
	}
	buf_free(&a);
}

static void too_little_ram_is_refused_with_a_reason(void **unused)
{
	struct layout_params p;
	struct layout l;
	struct err e = ERR_INIT;

	layout_params_init(&p, 64 * MIB);
	p.kernel_bytes = 0x4178000;
	assert_int_equal(layout_build(layout_def_find("x86_64/linux@1"), &p, &l, &e), -ERR_RANGE);
	assert_non_null(strstr(e.msg, "KERNEL_START_OFFSET"));
	assert_non_null(strstr(e.msg, "more RAM"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_x86_row_is_where_the_table_says),
		cmocka_unit_test(encoding_is_a_bijection),
		cmocka_unit_test(too_little_ram_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
