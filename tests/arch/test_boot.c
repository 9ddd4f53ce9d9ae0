/* SPDX-License-Identifier: Apache-2.0 */
/* What boot_load() leaves in guest memory, read back at the places that the layout names. */
#include "boot_rig.h"

#include <asm/bootparam.h>

static uint32_t e820(const struct boot_params *p, struct range *map)
{
	for (uint32_t i = 0; i < p->e820_entries; i++) {
		struct boot_e820_entry x = p->e820_table[i];
		map[i] = (struct range){x.addr, x.addr + x.size, x.type};
	}
	return p->e820_entries;
}

static void page_tables_map(struct rig *g, unsigned gib)
{
	const uint64_t *l4 = at(g, "boot_pml4_addr", 4096);
	const uint64_t *l3 = at(g, "boot_pdpte_addr", 4096);
	const uint64_t *l2 = at(g, "boot_pde_addr", 4096ull * gib);

	assert_int_equal(g->entry.cr3, start(g, "boot_pml4_addr"));
	assert_int_equal(l4[0], start(g, "boot_pdpte_addr") | 3);
	assert_true(all((const uint8_t *)(l4 + 1), 0, 4088));
	for (uint64_t i = 0; i < gib; i++)
		assert_int_equal(l3[i], (start(g, "boot_pde_addr") + 4096 * i) | 3);
	assert_true(all((const uint8_t *)(l3 + gib), 0, 4096 - 8 * gib));
	for (uint64_t i = 0; i < 512 * gib; i++)
		assert_int_equal(l2[i], i << 21 | 0x83);
}

static void a_bzimage_is_ready_to_run(void **unused)
{
	struct rig g;
	struct range map[128];

	rig_open(&g, image_bzimage, 6 * GIB, true);
	rig_loads(&g, "console=ttyS0 quiet");
	assert_true(all(at(&g, "KERNEL_START_OFFSET", 0x1230), 0xab, 0x1230));
	assert_string_equal(at(&g, "initrd_start", INITRD_BYTES), INITRD_TEXT);
	assert_string_equal(at(&g, "CMDLINE_OFFSET", 0x800), "console=ttyS0 quiet");

	const struct boot_params *p = at(&g, "ZERO_PAGE_OFFSET", sizeof *p);
	/* The header is the image's but for what a loader fills in, and nothing but the header. */
	assert_memory_equal(&p->hdr.setup_sects, g.image.b + 0x1f1, 1);
	assert_int_equal(p->hdr.init_size, 0x3378000);
	assert_int_equal(p->hdr.version, 0x20f);
	assert_int_equal(p->hdr.type_of_loader, 0xff);
	assert_int_equal(p->hdr.loadflags, LOADED_HIGH);
	assert_int_equal(p->hdr.cmd_line_ptr, start(&g, "CMDLINE_OFFSET"));
	assert_int_equal(p->hdr.ramdisk_image, start(&g, "initrd_start"));
	assert_int_equal(p->hdr.ramdisk_size, INITRD_BYTES);
	assert_int_equal(p->hdr.setup_data, 0);
	assert_int_equal(p->sentinel, 0);
	assert_true(all((const uint8_t *)p, 0, 0x70));
	assert_true(all((const uint8_t *)p + 0x26c, 0, 0x2d0 - 0x26c));
	assert_int_equal(p->acpi_rsdp_addr, start(&g, "ACPI_HI_RSDP_WINDOW_BASE"));
	map_agrees(&g.l, map, e820(p, map));
	page_tables_map(&g, 1);

	assert_int_equal(g.entry.mode, BOOT_LONG64);
	assert_int_equal(g.entry.rip, start(&g, "KERNEL_START_OFFSET") + 0x200);
	assert_int_equal(g.entry.rsp, start(&g, "BOOT_STACK_POINTER"));
	assert_int_equal(g.entry.rsi, start(&g, "ZERO_PAGE_OFFSET"));
	mem_fini(&g.m);
}

static void e820_of_every_ram_size(void **unused)
{
	static const uint64_t sizes[] = {64 * MIB, 1 * GIB, 0xd0000000, 0xd0000000 + 2 * MIB,
					 4 * GIB,  64 * GIB};
	struct rig g;
	struct range map[128];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t ram = 0;
		rig_open(&g, image_elf64, sizes[i], false);
		rig_loads(&g, "");
		uint32_t n = e820(at(&g, "ZERO_PAGE_OFFSET", sizeof(struct boot_params)), map);
		map_agrees(&g.l, map, n);
		for (uint32_t k = 0; k < n; k++)
			ram += map[k].type == 1 ? map[k].end - map[k].start : 0;
		/* All RAM but the ACPI window, the page of the generation id included. */
		assert_int_equal(ram, sizes[i] - 0x20000);
		mem_fini(&g.m);
	}
}

static void the_descriptor_table_says_what_the_registers_say(void **unused)
{
	struct rig g;
	struct kvm_regs regs;
	struct kvm_sregs sregs = {.apic_base = 0xfee00900};

	rig_open(&g, image_elf64, 64 * MIB, false);
	rig_loads(&g, "");
	const uint64_t *gdt = at(&g, "boot_gdt_addr", 32);
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[1], 0x00008b0000000067); /* busy TSS */
	assert_int_equal(gdt[2], 0x00af9b000000ffff); /* __BOOT_CS: 64-bit code */
	assert_int_equal(gdt[3], 0x00cf93000000ffff); /* __BOOT_DS: flat data */
	assert_int_equal(g.entry.gdt_base, start(&g, "boot_gdt_addr"));
	assert_int_equal(g.entry.gdt_limit, 31);
	assert_int_equal(g.entry.idt_base, start(&g, "boot_idt_addr"));
	assert_int_equal(g.entry.idt_limit, 7);
	assert_int_equal(*(const uint64_t *)at(&g, "boot_idt_addr", 8), 0);

	boot_entry_regs(&g.entry, &regs, &sregs);
	assert_int_equal(regs.rip, 0x200010);
	assert_int_equal(regs.rsi, start(&g, "ZERO_PAGE_OFFSET"));
	assert_int_equal(regs.rflags, 2);
	assert_int_equal(sregs.apic_base, 0xfee00900);
	assert_int_equal(sregs.cr0, 0x80000011);
	assert_int_equal(sregs.cr4, 0x20);
	assert_int_equal(sregs.efer, 0x500);
	assert_int_equal(sregs.cr3, start(&g, "boot_pml4_addr"));
	assert_int_equal(sregs.cs.selector, 0x10);
	assert_int_equal(sregs.cs.l, 1);
	assert_int_equal(sregs.cs.db, 0);
	assert_int_equal(sregs.ss.selector, 0x18);
	assert_int_equal(sregs.ss.limit, UINT32_MAX);
	assert_int_equal(sregs.tr.type, 11);
	assert_int_equal(sregs.tr.s, 0);
	mem_fini(&g.m);
}

static void elf_segments_lie_where_they_say(void **unused)
{
	struct rig g;

	rig_open(&g, image_elf64, 64 * MIB, true);
	rig_loads(&g, "x");
	const uint8_t *first = mem_ro(&g.m, gpa(0x200000), 0x3001);
	assert_true(all(first, 0xcd, 0x100));
	assert_true(all(first + 0x100, 0, 0x2f00)); /* .bss, whatever was there */
	assert_int_equal(first[0x3000], 0x5a);
	assert_true(all(mem_ro(&g.m, gpa(0x400000), 0x80), 0xce, 0x80));
	assert_int_equal(g.entry.rip, 0x200010);
	assert_int_equal(start(&g, "initrd_start"), 0x401000);
	assert_string_equal(at(&g, "initrd_start", INITRD_BYTES), INITRD_TEXT);
	/* A vmlinux has no header to copy; the protocol's magic is there all the same. */
	const struct boot_params *p = at(&g, "ZERO_PAGE_OFFSET", sizeof *p);
	assert_int_equal(p->hdr.header, 0x53726448);
	assert_int_equal(p->hdr.boot_flag, 0xaa55);
	mem_fini(&g.m);
}

static void pvh_start_info_is_complete(void **unused)
{
	static void (*const make[])(struct image *) = {image_pvh, image_pvh32};
	struct rig g;

	for (size_t i = 0; i < ARRAY_LEN(make); i++) {
		rig_open(&g, make[i], 5 * GIB, true);
		rig_loads(&g, "pvh yes");
		const uint8_t *info = at(&g, "PVH_START_INFO", 4096);
		assert_int_equal(g.entry.rbx, start(&g, "PVH_START_INFO"));
		assert_int_equal(num_le32(info), 0x336ec578);
		assert_int_equal(num_le32(info + 4), 1);
		assert_int_equal(num_le32(info + 12), 1); /* modules */
		assert_int_equal(num_le64(info + 24), start(&g, "CMDLINE_OFFSET"));
		assert_int_equal(num_le64(info + 32), start(&g, "ACPI_HI_RSDP_WINDOW_BASE"));
		const uint8_t *mod = mem_ro(&g.m, gpa(num_le64(info + 16)), 32);
		assert_int_equal(num_le64(mod), start(&g, "initrd_start"));
		assert_int_equal(num_le64(mod + 8), INITRD_BYTES);
		uint32_t n = num_le32(info + 48);
		const uint8_t *entry = mem_ro(&g.m, gpa(num_le64(info + 40)), 24ull * n);
		struct range map[128];
		assert_non_null(entry);
		assert_in_range(n, 4, 128);
		for (uint32_t k = 0; k < n; k++, entry += 24)
			map[k] =
			    (struct range){num_le64(entry), num_le64(entry) + num_le64(entry + 8),
					   num_le32(entry + 16)};
		map_agrees(&g.l, map, n);

		struct kvm_regs regs;
		struct kvm_sregs sregs = {0};
		boot_entry_regs(&g.entry, &regs, &sregs);
		assert_int_equal(g.entry.mode, BOOT_FLAT32);
		assert_int_equal(regs.rip, 0x200020);
		assert_int_equal(regs.rbx, start(&g, "PVH_START_INFO"));
		assert_int_equal(sregs.cr0, 0x11);
		assert_int_equal(sregs.cr4, 0);
		assert_int_equal(sregs.efer, 0);
		assert_int_equal(sregs.cs.l, 0);
		assert_int_equal(sregs.cs.db, 1);
		assert_int_equal(sregs.tr.limit, 0x67);
		mem_fini(&g.m);
	}
}

static void what_does_not_fit_is_refused(void **unused)
{
	struct rig g;
	char line[0x801];

	memset(line, 'a', sizeof line);
	line[0x800] = 0;
	rig_open(&g, image_elf64, 64 * MIB, true);
	assert_int_equal(rig_load(&g, line), -ERR_LIMIT); /* no room for the NUL */
	line[0x7ff] = 0;
	rig_loads(&g, line);
	assert_string_equal(at(&g, "CMDLINE_OFFSET", 0x800), line);
	/* An initrd larger than the layout was built for. */
	g.l.params.initrd_bytes = 1;
	((struct layout_region *)layout_find(&g.l, "initrd_start"))->size = 4;
	assert_int_equal(rig_load(&g, ""), -ERR_STRUCTURE);
	mem_fini(&g.m);

	rig_open(&g, image_bzimage, 128 * MIB, true);
	g.k.cmdline_max = 10;
	assert_int_equal(rig_load(&g, "12345678901"), -ERR_LIMIT);
	assert_int_equal(rig_load(&g, "1234567890"), 0);
	g.k.initrd_max = (uint32_t)start(&g, "initrd_start") + INITRD_BYTES - 2;
	assert_int_equal(rig_load(&g, ""), -ERR_LIMIT);
	g.k.initrd_max++;
	assert_int_equal(rig_load(&g, ""), 0);
	/* Another kernel than the layout was built for. */
	g.k.init_bytes++;
	assert_int_equal(rig_load(&g, ""), -ERR_STRUCTURE);
	g.k.init_bytes--;
	/* A file that has shrunk since. */
	g.file.size--;
	assert_int_equal(rig_load(&g, ""), -ERR_TRUNCATED);
	mem_fini(&g.m);

	/* The boot page tables reach 1 GiB: a kernel that works above could not start. */
	rig_open(&g, image_bzimage, 128 * MIB, false);
	mem_fini(&g.m);
	struct layout_params p = g.l.params;
	p.ram_bytes = 2 * GIB;
	num_put_le64(g.image.b + 0x258, 1 * GIB - 0x3377000);
	assert_int_equal(kernel_open(&g.file, &g.k, NULL), 0);
	assert_int_equal(kernel_footprint(&g.k, gpa(0x200000), &p.kernel_bytes, NULL), 0);
	assert_int_equal(layout_build(layout_def_find("x86_64/linux@1"), &p, &g.l, NULL), 0);
	assert_int_equal(mem_init(&g.m, &g.l, NULL), 0);
	assert_int_equal(rig_load(&g, ""), -ERR_LIMIT);
	mem_fini(&g.m);
	/* In version 2 they reach 4 GiB. */
	assert_int_equal(layout_build(layout_def_find("x86_64/linux@2"), &p, &g.l, NULL), 0);
	assert_int_equal(mem_init(&g.m, &g.l, NULL), 0);
	rig_loads(&g, "");
	page_tables_map(&g, 4);
	mem_fini(&g.m);
}

/* An ELF kernel that lies above 1 GiB, all of it. */
static void image_high(struct image *i)
{
	image_elf64(i);
	for (unsigned n = 0; n < 2; n++)
		num_put_le64(i->b + 64 + 56 * n + 24, GIB + 0x200000 * (n + 1));
	num_put_le64(i->b + 24, GIB + 0x200010);
}

static void a_kernel_above_1_gib_boots_with_version_2(void **unused)
{
	struct rig g;

	rig_open_on(&g, "x86_64/linux@1", image_high, 2 * GIB, false);
	assert_int_equal(rig_load(&g, ""), -ERR_LIMIT);
	mem_fini(&g.m);
	rig_open_on(&g, "x86_64/linux@2", image_high, 2 * GIB, false);
	rig_loads(&g, "");
	assert_int_equal(g.entry.rip, GIB + 0x200010);
	assert_true(all(mem_ro(&g.m, gpa(GIB + 0x200000), 0x100), 0xcd, 0x100));
	mem_fini(&g.m);
}

static void version_2_has_a_hole_below_1_mib(void **unused)
{
	static const uint64_t sizes[] = {64 * MIB, 0xd0000000 + 2 * MIB, 6 * GIB};
	struct rig g;
	struct range map[128];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t ram = 0;
		rig_open_on(&g, "x86_64/linux@2", image_elf64, sizes[i], false);
		rig_loads(&g, "");
		uint32_t n = e820(at(&g, "ZERO_PAGE_OFFSET", sizeof(struct boot_params)), map);
		map_agrees(&g.l, map, n);
		for (uint32_t k = 0; k < n; k++)
			ram += map[k].type == 1 ? map[k].end - map[k].start : 0;
		assert_int_equal(ram, sizes[i] - 0x60000);
		mem_fini(&g.m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bzimage_is_ready_to_run),
	    cmocka_unit_test(e820_of_every_ram_size),
	    cmocka_unit_test(the_descriptor_table_says_what_the_registers_say),
	    cmocka_unit_test(elf_segments_lie_where_they_say),
	    cmocka_unit_test(pvh_start_info_is_complete),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	    cmocka_unit_test(a_kernel_above_1_gib_boots_with_version_2),
	    cmocka_unit_test(version_2_has_a_hole_below_1_mib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
