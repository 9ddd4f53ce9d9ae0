/* SPDX-License-Identifier: Apache-2.0 */
/* What a multiboot kernel is told, read back from guest memory; and where it may lie. */
#include "boot_rig.h"

static const uint8_t *bytes_at(const struct rig *g, uint32_t at, uint64_t n)
{
	const uint8_t *p = mem_ro(&g->m, gpa(at), n);

	assert_non_null(p);
	return p;
}

/* Offsets: Multiboot Specification 0.6.96, 3.3. */
static void multiboot_information_is_complete(void **unused)
{
	static void (*const make[])(struct image *) = {image_multiboot32, image_multiboot64,
						       image_flat};
	static const uint64_t rams[] = {64 * MIB, 64 * MIB, 6 * GIB};
	struct rig g;
	struct range map[128];

	for (size_t i = 0; i < ARRAY_LEN(make); i++) {
		rig_open_on(&g, "x86_64/linux@2", make[i], rams[i], i != 1);
		rig_loads(&g, "multi boot");
		const uint8_t *info = at(&g, "MULTIBOOT_INFO_OFFSET", 4096);
		assert_int_equal(num_le32(info), 0x24d);
		assert_int_equal(num_le32(info + 4), 640);
		assert_int_equal(num_le32(info + 8),
				 ((rams[i] < 0xd0000000 ? rams[i] : 0xd0000000) - MIB) / KIB);
		assert_int_equal(num_le32(info + 16), start(&g, "CMDLINE_OFFSET"));
		assert_string_equal(at(&g, "CMDLINE_OFFSET", 0x800), "multi boot");
		assert_string_equal(bytes_at(&g, num_le32(info + 64), 4), "vmm");
		assert_int_equal(num_le32(info + 20), i != 1);
		if (i != 1) {
			const uint8_t *mod = bytes_at(&g, num_le32(info + 24), 16);
			assert_int_equal(num_le32(mod), start(&g, "initrd_start"));
			assert_int_equal(num_le32(mod + 4), num_le32(mod) + INITRD_BYTES);
			assert_int_equal(num_le32(mod + 8), 0);
			assert_string_equal(bytes_at(&g, num_le32(mod), INITRD_BYTES), INITRD_TEXT);
		}
		uint32_t n = num_le32(info + 44) / 24;
		const uint8_t *entry = bytes_at(&g, num_le32(info + 48), 24ull * n);
		assert_in_range(n, 4, 128);
		assert_int_equal(num_le32(info + 44) % 24, 0);
		for (uint32_t k = 0; k < n; k++, entry += 24) {
			assert_int_equal(num_le32(entry), 20);
			map[k] = (struct range){num_le64(entry + 4),
						num_le64(entry + 4) + num_le64(entry + 12),
						num_le32(entry + 20)};
		}
		map_agrees(&g.l, map, n);

		struct kvm_regs regs;
		struct kvm_sregs sregs = {0};
		boot_entry_regs(&g.entry, &regs, &sregs);
		assert_int_equal(regs.rax, 0x2badb002);
		assert_int_equal(regs.rbx, start(&g, "MULTIBOOT_INFO_OFFSET"));
		assert_int_equal(regs.rip, i == 2 ? 0x100100 : 0x200010);
		assert_int_equal(regs.rflags, 2);
		assert_int_equal(sregs.cr0, 0x11);
		assert_int_equal(sregs.efer, 0);
		assert_int_equal(sregs.cs.db, 1);
		assert_int_equal(sregs.cs.limit, UINT32_MAX);
		if (i == 2) {
			const uint8_t *k = bytes_at(&g, 0x100000, 0x1001);
			assert_true(all(k, 0xcf, 0x80));
			assert_true(all(k + 0x400, 0, 0xc00));
			assert_int_equal(k[0x1000], 0x5a);
		}
		mem_fini(&g.m);
	}
}

/* Where anything else lies, or nothing: among boot structures, at the end of base memory, above
 * RAM. */
static void a_kernel_lies_in_free_ram(void **unused)
{
	static const struct {
		uint32_t load;
		int code;
	} places[] = {{0, 0},
		      {0x800, ERR_RANGE},
		      {0x5800, ERR_RANGE},
		      {0x10000, 0},
		      {0x1f800, ERR_RANGE},
		      {0x9e000, ERR_RANGE},
		      {0x9f400, ERR_RANGE},
		      {0xa0000, ERR_RANGE},
		      {0xff800, ERR_RANGE},
		      {0x100000, 0},
		      {0x1ff800, 0},
		      {0x3fff000, 0},
		      {0x4000000, ERR_STRUCTURE},
		      {0xf4000000, ERR_RANGE}};
	struct rig g;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		uint32_t by = places[i].load - 0x100000;
		rig_open_on(&g, "x86_64/linux@2", image_flat, 64 * MIB, false);
		for (unsigned field = 12; field <= 28; field += 4)
			num_put_le32(g.image.b + 0xc0 + field,
				     num_le32(g.image.b + 0xc0 + field) + by);
		assert_int_equal(kernel_open(&g.file, &g.k, &g.e), 0);
		/* As if there were room; without it the layout would not have been built. */
		((struct layout_region *)layout_find(&g.l, "KERNEL_START_OFFSET"))->size = 4 * GIB;
		int r = rig_load(&g, "");
		if (r != -places[i].code)
			fail_msg("at 0x%x: %d %s", places[i].load, r, g.e.msg);
		mem_fini(&g.m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(multiboot_information_is_complete),
	    cmocka_unit_test(a_kernel_lies_in_free_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
