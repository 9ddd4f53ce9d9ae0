/* SPDX-License-Identifier: Apache-2.0 */
/* What no map can be made of, and why; that a map and its bytes are the same thing. */
#include "layout/layout.h"

#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

/* --- refusals ------------------------------------------------------------------------------- */

#define DEBIAN 0x4178000 /* footprint of Debian's kernel from where it is loaded */

/* RAM is 1 GiB, vCPUs are 1, address bits and what else a definition needs are the defaults, but
 * for what is said. */
struct refusal {
	const char *id;
	struct layout_params p; /* 0: the default; UINT8_MAX for bits and GIC, UINT32_MAX: 0 */
	const char *why[2];	/* both are in the reason */
};

#define P(...)                                                                                     \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

/* clang-format off */
static const struct refusal refusals[] = {
	/* too little RAM */
	{"x86_64/linux@1", P(.ram_bytes = 64 * MIB, .kernel_bytes = DEBIAN), {"KERNEL_START_OFFSET", "more RAM is needed"}},
	{"x86_64/linux@2", P(.ram_bytes = 64 * MIB, .kernel_bytes = DEBIAN), {"KERNEL_START_OFFSET", "more RAM is needed"}},
	{"x86_64/linux@1", P(.ram_bytes = 68 * MIB, .kernel_bytes = DEBIAN, .initrd_bytes = MIB), {"initrd_start", "more RAM is needed"}},
	{"x86_64/linux@2", P(.ram_bytes = 68 * MIB, .kernel_bytes = DEBIAN, .initrd_bytes = MIB), {"initrd_start", "more RAM is needed"}},
	/* RAM above 4 GiB is no help: an initrd ends below END_ADDR_BEFORE_32BITS. */
	{"x86_64/linux@1", P(.ram_bytes = 64 * GIB, .initrd_bytes = 4 * GIB), {"initrd_start", "more RAM is needed"}},
	{"aarch64/linux@1", P(.ram_bytes = 32 * MIB, .kernel_bytes = 33 * MIB), {"AARCH64_KERNEL_OFFSET", "more RAM is needed"}},
	{"aarch64/bios@1", P(.ram_bytes = 4 * MIB, .firmware_bytes = 2 * MIB + 1), {"AARCH64_BIOS_OFFSET", "more RAM is needed"}},
	{"aarch64/bios@2", P(.ram_bytes = 4 * MIB, .firmware_bytes = 2 * MIB + 1), {"AARCH64_BIOS_OFFSET", "more RAM is needed"}},
	{"x86_64/linux@1", P(.ram_bytes = MIB), {"1048576 bytes of RAM", "at least 2 MiB"}},
	{"aarch64/linux@1", P(.ram_bytes = 2 * MIB), {"2097152 bytes of RAM", "at least 4 MiB"}},
	{"x86_64/linux@1", P(.ram_bytes = 64 * MIB + 4096), {"67112960 bytes of RAM", "in steps of 2 MiB"}},
	{"aarch64/linux@2", P(.ram_bytes = 65 * MIB), {"bytes of RAM", "in steps of 2 MiB"}},
	{"x86_64/linux@1", P(.ram_bytes = UINT64_MAX - (2 * MIB - 1)), {"address bits", ""}},
	/* in each other's way */
	{"aarch64/linux@1", P(.ram_bytes = 64 * MIB, .kernel_bytes = MIB, .initrd_bytes = 46 * MIB + 1), {"fdt_address overlaps", "initrd_addr"}},
	{"aarch64/linux@2", P(.ram_bytes = 64 * MIB, .kernel_bytes = MIB, .initrd_bytes = 46 * MIB + 1), {"fdt_address overlaps", "initrd_addr"}},
	{"aarch64/linux@2", P(.ram_bytes = 64 * MIB, .kernel_bytes = MIB, .initrd_bytes = 30 * MIB + 1, .swiotlb_bytes = 16 * MIB), {"fdt_address overlaps", "initrd_addr"}},
	{"aarch64/linux@1", P(.ram_bytes = 64 * MIB, .kernel_bytes = 62 * MIB + 1), {"fdt_address overlaps", "AARCH64_KERNEL_OFFSET"}},
	{"aarch64/bios@2", P(.ram_bytes = 8 * MIB, .firmware_bytes = 4 * MIB + 1, .swiotlb_bytes = 2 * MIB), {"get_swiotlb_addr overlaps", "AARCH64_BIOS_OFFSET"}},
	{"x86_64/linux@2", P(.ram_bytes = 3 * GIB, .kernel_bytes = 2 * GIB, .pvm_firmware_bytes = 1), {"PROTECTED_VM_FW_START overlaps", "KERNEL_START_OFFSET"}},
	/* swiotlb */
	{"aarch64/linux@2", P(.ram_bytes = 64 * MIB, .swiotlb_bytes = 64 * MIB + 64 * KIB), {"get_swiotlb_addr", "does not fit in AARCH64_PHYS_MEM_START"}},
	{"aarch64/linux@2", P(.ram_bytes = 64 * MIB, .swiotlb_bytes = 64 * MIB), {"fdt_address", "does not fit in AARCH64_PHYS_MEM_START"}},
	{"aarch64/linux@2", P(.ram_bytes = 64 * MIB, .swiotlb_bytes = 1ull << 62), {"get_swiotlb_addr", "address space"}},
	{"aarch64/linux@1", P(.swiotlb_bytes = 1ull << 62), {"get_swiotlb_addr", "address limit"}},
	{"aarch64/linux@1", P(.swiotlb_bytes = 4096), {"4096 bytes of swiotlb", "64 KiB"}},
	{"x86_64/linux@1", P(.swiotlb_bytes = 64 * KIB), {"x86_64/linux@1 has no row", "swiotlb"}},
	{"x86_64/bios@2", P(.swiotlb_bytes = 64 * KIB), {"x86_64/bios@2 has no row", "swiotlb"}},
	/* firmware */
	{"x86_64/bios@1", P(.firmware_bytes = 16 * MIB + 1), {"16777217 bytes of firmware", "16 MiB"}},
	{"x86_64/bios@2", P(.firmware_bytes = 16 * MIB + 1), {"16777217 bytes of firmware", "16 MiB"}},
	{"x86_64/bios@1", P(.firmware_bytes = 128 * MIB + 1), {"bytes of firmware", "16 MiB"}},
	{"x86_64/bios@1", P(.firmware_bytes = UINT64_MAX), {"bytes of firmware", "16 MiB"}},
	{"x86_64/linux@1", P(.firmware_bytes = MIB), {"has no row", "firmware"}},
	{"aarch64/linux@2", P(.firmware_bytes = MIB), {"has no row", "firmware"}},
	{"x86_64/bios@1", P(.kernel_bytes = MIB), {"has no row", "kernel"}},
	{"x86_64/bios@2", P(.initrd_bytes = MIB), {"has no row", "initrd"}},
	{"aarch64/bios@1", P(.kernel_bytes = MIB), {"has no row", "kernel"}},
	{"aarch64/bios@2", P(.initrd_bytes = MIB), {"has no row", "initrd"}},
	{"x86_64/linux@1", P(.pvm_firmware_bytes = 1), {"has no row", "pVM firmware"}},
	{"x86_64/bios@1", P(.pvm_firmware_bytes = 1), {"has no row", "pVM firmware"}},
	{"aarch64/linux@1", P(.pvm_firmware_bytes = 4 * MIB + 1), {"4194305 bytes of pVM firmware", "4 MiB"}},
	{"x86_64/linux@2", P(.ram_bytes = 4 * GIB, .pvm_firmware_bytes = 4 * MIB + 1), {"pVM firmware", "4 MiB"}},
	{"x86_64/linux@2", P(.ram_bytes = 2 * GIB - 2 * MIB, .pvm_firmware_bytes = 1), {"PROTECTED_VM_FW_START", "more RAM is needed"}},
	/* processors and interrupt controllers */
	{"aarch64/linux@1", P(.vcpus = 9, .gic_version = 2), {"9 vCPUs", "a GICv2 has at most 8"}},
	{"aarch64/bios@2", P(.vcpus = 9, .gic_version = 2), {"9 vCPUs", "a GICv2 has at most 8"}},
	{"aarch64/linux@1", P(.vcpus = 17), {"17 vCPUs", "1 to 16"}},
	{"x86_64/linux@1", P(.vcpus = 17), {"17 vCPUs", "1 to 16"}},
	{"x86_64/linux@1", P(.vcpus = UINT32_MAX), {"0 vCPUs", "1 to 16"}},
	{"aarch64/linux@1", P(.gic_version = UINT8_MAX), {"GIC version 0", "2 or 3"}},
	{"aarch64/linux@2", P(.gic_version = 4), {"GIC version 4", "2 or 3"}},
	{"x86_64/linux@2", P(.gic_version = 3), {"has no row", "GIC"}},
	{"aarch64/linux@1", P(.gic_its = true), {"has no row", "ITS"}},
	{"aarch64/bios@1", P(.gic_its = true), {"has no row", "ITS"}},
	{"x86_64/linux@2", P(.gic_its = true), {"has no row", "ITS"}},
	{"aarch64/linux@2", P(.gic_version = 2, .gic_its = true), {"a GICv2", "no ITS"}},
	/* address bits */
	{"x86_64/linux@1", P(.phys_bits = 35), {"35 physical address bits", "36 to 46"}},
	{"x86_64/bios@2", P(.phys_bits = 47), {"47 physical address bits", "36 to 46"}},
	{"x86_64/linux@1", P(.phys_bits = UINT8_MAX), {"0 physical address bits", "36 to 46"}},
	{"aarch64/linux@1", P(.phys_bits = 35), {"35 physical address bits", "36 to 52"}},
	{"aarch64/bios@2", P(.phys_bits = 53), {"53 physical address bits", "36 to 52"}},
	{"x86_64/linux@1", P(.ram_bytes = 64 * GIB, .phys_bits = 36), {"RAM_ABOVE_4G", "address limit 0x1000000000"}},
	{"aarch64/linux@1", P(.ram_bytes = 64 * GIB, .phys_bits = 36), {"AARCH64_PHYS_MEM_START", "address limit 0x1000000000"}},
	{"aarch64/linux@1", P(.ram_bytes = 62 * GIB, .phys_bits = 36), {"plat_mmio_base", "address limit 0x1000000000"}},
	{"aarch64/linux@2", P(.ram_bytes = 61 * GIB + 2 * MIB, .phys_bits = 36), {"plat_mmio_base", "address limit 0x1000000000"}},
	{"x86_64/linux@1", P(.kernel_bytes = UINT64_MAX), {"KERNEL_START_OFFSET", "address space"}},
	{"aarch64/linux@1", P(.kernel_bytes = MIB, .initrd_bytes = UINT64_MAX), {"initrd_addr", "address space"}},
};

/* The same, but just enough. */
static const struct refusal enough[] = {
	{"x86_64/linux@1", P(.ram_bytes = 68 * MIB, .kernel_bytes = DEBIAN), {0}},
	{"x86_64/linux@1", P(.ram_bytes = 68 * MIB, .kernel_bytes = DEBIAN, .initrd_bytes = 0x88000), {0}},
	{"x86_64/linux@2", P(.ram_bytes = 2 * MIB), {0}},
	{"x86_64/linux@2", P(.ram_bytes = 2 * GIB, .pvm_firmware_bytes = 4 * MIB), {0}},
	{"x86_64/bios@1", P(.firmware_bytes = 16 * MIB), {0}},
	{"x86_64/bios@2", P(.ram_bytes = 2 * MIB), {0}},
	{"x86_64/linux@1", P(.ram_bytes = 60 * GIB, .phys_bits = 36), {0}},
	{"aarch64/linux@1", P(.ram_bytes = 64 * MIB, .kernel_bytes = MIB, .initrd_bytes = 46 * MIB), {0}},
	{"aarch64/linux@2", P(.ram_bytes = 64 * MIB, .kernel_bytes = MIB, .initrd_bytes = 30 * MIB, .swiotlb_bytes = 16 * MIB), {0}},
	{"aarch64/linux@1", P(.ram_bytes = 64 * MIB, .kernel_bytes = 62 * MIB), {0}},
	{"aarch64/linux@2", P(.ram_bytes = 4 * MIB, .swiotlb_bytes = 2 * MIB), {0}},
	{"aarch64/linux@1", P(.vcpus = 8, .gic_version = 2), {0}},
	{"aarch64/linux@2", P(.vcpus = 16, .gic_its = true), {0}},
	{"aarch64/bios@1", P(.ram_bytes = 4 * MIB, .firmware_bytes = 2 * MIB), {0}},
	{"aarch64/linux@1", P(.ram_bytes = 61 * GIB, .phys_bits = 36), {0}},
	{"aarch64/linux@2", P(.ram_bytes = 60 * GIB, .phys_bits = 36), {0}},
	{"aarch64/linux@1", P(.phys_bits = 52), {0}},
	/* Up to the last address: no room for a window, and no such row. */
	{"aarch64/linux@2", P(.ram_bytes = 61 * GIB, .phys_bits = 36), {0}},
	{"x86_64/linux@1", P(.ram_bytes = 63 * GIB + 256 * MIB, .phys_bits = 36), {0}},
};
/* clang-format on */

static int try(const struct refusal *r, struct layout *l, struct err *e)
{
	const struct layout_def *def = layout_def_find(r->id);
	struct layout_params p = r->p, given;

	assert_non_null(def);
	layout_params_init(&given, p.ram_bytes ? p.ram_bytes : GIB);
	p.ram_bytes = given.ram_bytes;
	p.vcpus = p.vcpus == UINT32_MAX ? 0 : p.vcpus ? p.vcpus : given.vcpus;
	p.phys_bits = p.phys_bits == UINT8_MAX ? 0 : p.phys_bits ? p.phys_bits : given.phys_bits;
	bool no_gic = p.gic_version == UINT8_MAX;
	layout_params_complete(def, &p);
	if (no_gic)
		p.gic_version = 0;
	return layout_build(def, &p, l, e);
}

static void refused_with_a_reason(void **state)
{
	static struct layout l, untouched;

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct err e = ERR_INIT;
		int code = try(r, &l, &e);
		if (!code)
			fail_msg("refusal %zu (%s: %s) was built", i, r->id, r->why[0]);
		assert_int_equal(code, -ERR_RANGE);
		assert_int_equal(e.code, ERR_RANGE);
		for (size_t j = 0; j < 2; j++)
			if (!strstr(e.msg, r->why[j]))
				fail_msg("%s: '%s' does not say '%s'", r->id, e.msg, r->why[j]);
		assert_memory_equal(&l, &untouched, sizeof l);
		assert_int_equal(try(r, &l, NULL), -ERR_RANGE);
	}
}

static void just_enough(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(enough); i++) {
		struct err e = ERR_INIT;
		struct layout l;
		if (try(&enough[i], &l, &e))
			fail_msg("%zu, %s: %s", i, enough[i].id, e.msg);
	}
}

static void firmware_is_needed(void **state)
{
	static const char *const id[] = {"x86_64/bios@1", "x86_64/bios@2", "aarch64/bios@1",
					 "aarch64/bios@2"};

	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		struct layout_params p;
		struct layout l;
		struct err e = ERR_INIT;
		layout_params_init(&p, GIB);
		layout_params_complete(layout_def_find(id[i]), &p);
		p.firmware_bytes = 0;
		assert_int_equal(layout_build(layout_def_find(id[i]), &p, &l, &e), -ERR_RANGE);
		assert_non_null(strstr(e.msg, "needs a firmware image"));
	}
}

/* --- parameters ----------------------------------------------------------------------------- */

static void defaults(void **state)
{
	static const struct {
		uint64_t ram;
		uint8_t bits;
	} rows[] = {
	    {2 * MIB, 40}, {512 * GIB, 40},  {512 * GIB + 1, 41}, {1 * TIB, 41},
	    {3 * TIB, 43}, {1ull << 51, 52}, {UINT64_MAX, 63},
	};
	struct layout_params p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		layout_params_init(&p, rows[i].ram);
		assert_int_equal(p.ram_bytes, rows[i].ram);
		assert_int_equal(p.phys_bits, rows[i].bits);
		assert_int_equal(p.vcpus, 1);
	}
}

static void fit_takes_what_complete_does_not_give(void **state)
{
	const struct layout_def *def;

	for (size_t i = 0; (def = layout_def_at(i)); i++) {
		struct layout_params p;
		struct layout l;
		struct err e = ERR_INIT;
		layout_params_init(&p, 4 * GIB);
		p.kernel_bytes = p.initrd_bytes = p.firmware_bytes = MIB;
		p.swiotlb_bytes = p.pvm_firmware_bytes = MIB;
		p.gic_version = 3;
		p.gic_its = true;
		layout_params_fit(def, &p);
		if (layout_build(def, &p, &l, &e))
			fail_msg("%s", e.msg);
		layout_params_init(&p, 4 * GIB);
		layout_params_complete(def, &p);
		if (layout_build(def, &p, &l, &e))
			fail_msg("%s", e.msg);
	}
}

/* --- bytes ---------------------------------------------------------------------------------- */

static void encoding_is_a_bijection(void **state)
{
	struct layout_params p;
	struct layout l, back;
	struct buf a = BUF_INIT;
	struct err e = ERR_INIT;

	layout_params_init(&p, 6 * GIB);
	p.vcpus = 2;
	p.kernel_bytes = DEBIAN;
	p.initrd_bytes = 12345;
	assert_int_equal(layout_build(layout_def_find("x86_64/linux"), &p, &l, &e), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refused_with_a_reason),
	    cmocka_unit_test(just_enough),
	    cmocka_unit_test(firmware_is_needed),
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(fit_takes_what_complete_does_not_give),
	    cmocka_unit_test(encoding_is_a_bijection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
