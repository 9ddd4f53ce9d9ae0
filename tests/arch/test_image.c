/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels and firmware as commands hand them over: what they need of a layout, which layouts refuse
 * them; and where firmware comes to lie. */
#include "arch/arch.h"
#include "arch/x86_64/firmware.h"
#include "boot_rig.h"

/* Through the interface that commands use. */
static void layouts_that_cannot_boot_an_image_refuse_it(void **unused)
{
	struct arch_image *image;
	struct layout_params p;
	struct image i;
	struct io_src file;
	struct arch_files kernel = {.kernel = &file, .cmdline = ""}, firmware = {.firmware = &file};
	const struct io_src *culprit;
	struct err e = ERR_INIT;

	image_flat(&i);
	io_src_mem(&file, i.b, i.len);
	assert_int_equal(arch_image_open(&kernel, &image, &culprit, &e), 0);
	layout_params_init(&p, 64 * MIB);
	assert_int_equal(arch_image_params(image, layout_def_find("x86_64/linux@1"), &p, &e),
			 -ERR_FEATURE);
	assert_non_null(strstr(e.msg, "x86_64/linux@2"));
	assert_int_equal(arch_image_params(image, layout_def_find("x86_64/linux@2"), &p, &e), 0);
	assert_int_equal(p.kernel_bytes, 1);
	arch_image_free(image);
	/* Firmware of a protected VM: there is a row for it, and nothing else. */
	kernel.pvm_firmware = &file;
	assert_int_equal(arch_image_open(&kernel, &image, &culprit, &e), -ERR_FEATURE);
	assert_ptr_equal(culprit, &file);

	assert_int_equal(arch_image_open(&firmware, &image, &culprit, &e), 0);
	layout_params_init(&p, 64 * MIB);
	assert_int_equal(arch_image_params(image, layout_def_find("x86_64/bios"), &p, &e), 0);
	assert_int_equal(p.firmware_bytes, i.len);
	arch_image_free(image);
	file.size = 15;
	assert_int_equal(arch_image_open(&firmware, &image, &culprit, &e), -ERR_LIMIT);
	/* Nothing is read of it before the map, which has room for so much, is built. */
	file.size = 16 * MIB + 1;
	assert_int_equal(arch_image_open(&firmware, &image, &culprit, &e), 0);
	layout_params_init(&p, 64 * MIB);
	assert_int_equal(arch_image_params(image, layout_def_find("x86_64/bios"), &p, &e), 0);
	static struct layout l;
	assert_int_equal(layout_build(layout_def_find("x86_64/bios"), &p, &l, &e), -ERR_RANGE);
	assert_non_null(strstr(e.msg, "16 MiB"));
	arch_image_free(image);
}

static void firmware_ends_at_4_gib_and_at_1_mib(void **unused)
{
	static const size_t sizes[] = {16, 4096, 0x3000 - 5, 0x20000, 0x20001, 16 * MIB};
	static const char *const ids[] = {"x86_64/bios@1", "x86_64/bios@2"};
	uint8_t *rom = malloc(16 * MIB);
	struct layout_params p;
	struct layout l;
	struct guest_mem m;
	struct io_src file;

	assert_non_null(rom);
	for (size_t i = 0; i < 16 * MIB; i++)
		rom[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
	for (size_t n = 0; n < ARRAY_LEN(sizes) * 2; n++) {
		size_t size = sizes[n / 2], low = size < 0x20000 ? size : 0x20000;
		size_t pad = -size & 4095;
		layout_params_init(&p, n % 2 ? 64 * MIB : 6 * GIB);
		p.firmware_bytes = size;
		io_src_mem(&file, rom, size);
		assert_int_equal(layout_build(layout_def_find(ids[n % 2]), &p, &l, NULL), 0);
		assert_int_equal(mem_init(&m, &l, NULL), 0);
		memset(mem_rw(&m, gpa(0xc0000), 0x40000), 0x5a, 0x40000);
		memset(mem_rw(&m, gpa(4 * GIB - size - pad), size + pad), 0x5a, size + pad);
		assert_int_equal(firmware_load(&file, &l, &m, NULL), 0);
		assert_memory_equal(mem_ro(&m, gpa(4 * GIB - size), size), rom, size);
		assert_true(all(mem_ro(&m, gpa(4 * GIB - size - pad), pad + 1), 0, pad));
		assert_memory_equal(mem_ro(&m, gpa(0x100000 - low), low), rom + size - low, low);
		assert_int_equal(*(const uint8_t *)mem_ro(&m, gpa(0x100000 - low - 1), 1), 0x5a);
		/* Another file than the layout was built for. */
		file.size--;
		assert_int_equal(firmware_load(&file, &l, &m, NULL), -ERR_STRUCTURE);
		mem_fini(&m);
	}
	free(rom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(layouts_that_cannot_boot_an_image_refuse_it),
	    cmocka_unit_test(firmware_ends_at_4_gib_and_at_1_mib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
