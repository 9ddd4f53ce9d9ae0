/* SPDX-License-Identifier: Apache-2.0 */
/* What kernel_open() accepts, what it says of it, and what it refuses, with code and offset. */
#include "arch/x86_64/boot.h"
#include "boot_images.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

/* Opened from a buffer of exactly its size, so that a sanitizer sees one byte too many. */
static int open_image(const struct image *i, size_t len, struct kernel *k, struct err *e)
{
	uint8_t *exact = malloc(len ? len : 1);
	struct io_src src;
	int r;

	assert_non_null(exact);
	memcpy(exact, i->b, len);
	io_src_mem(&src, exact, len);
	*e = (struct err)ERR_INIT;
	r = kernel_open(&src, k, e);
	free(exact);
	return r;
}

static void opens(const struct image *i, struct kernel *k)
{
	struct err e;

	if (open_image(i, i->len, k, &e))
		fail_msg("%s", e.msg);
}

static void a_bzimage_tells_its_needs(void **unused)
{
	struct image i;
	struct kernel k;
	uint64_t bytes;

	image_bzimage(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_BZIMAGE);
	assert_int_equal(k.segment_n, 1);
	assert_int_equal(k.segment[0].offset, 0x600);
	assert_int_equal(k.segment[0].file_bytes, 0x1230);
	assert_int_equal(k.entry, 0x200);
	assert_int_equal(k.cmdline_max, 0x7ff);
	assert_int_equal(k.initrd_max, 0x7fffffff);
	assert_int_equal(k.header_len, 0x26c - 0x1f1);

	/* Runs at pref_address when loaded below it, else where it is loaded, aligned up. */
	assert_int_equal(kernel_footprint(&k, gpa(0x200000), &bytes, NULL), 0);
	assert_int_equal(bytes, 0x1000000 + 0x3378000 - 0x200000);
	assert_int_equal(kernel_footprint(&k, gpa(0x1100000), &bytes, NULL), 0);
	assert_int_equal(bytes, 0x1200000 + 0x3378000 - 0x1100000);
	/* Never less than the file itself. */
	num_put_le32(i.b + 0x260, 0x10);
	num_put_le64(i.b + 0x258, 0);
	opens(&i, &k);
	assert_int_equal(kernel_footprint(&k, gpa(0x200000), &bytes, NULL), 0);
	assert_int_equal(bytes, 0x1230);
	num_put_le64(i.b + 0x258, UINT64_MAX - 5);
	opens(&i, &k);
	assert_int_equal(kernel_footprint(&k, gpa(0x200000), &bytes, NULL), -ERR_RANGE);
}

static void elf_kernels_are_told_apart_by_their_notes(void **unused)
{
	struct image i;
	struct kernel k;
	uint64_t bytes;

	image_elf64(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_ELF64);
	assert_int_equal(k.entry, 0x200010);
	assert_int_equal(k.segment_n, 2);
	assert_int_equal(k.segment[1].at, 0x400000);
	assert_int_equal(k.segment[1].file_bytes, 0x80);
	assert_int_equal(kernel_footprint(&k, gpa(0x200000), &bytes, NULL), 0);
	assert_int_equal(bytes, 0x200080);
	assert_int_equal(kernel_footprint(&k, gpa(0x200001), &bytes, NULL), -ERR_RANGE);

	image_pvh(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_PVH);
	assert_int_equal(k.entry, 0x200020);

	image_pvh32(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_PVH);
	assert_int_equal(k.entry, 0x200020);
	assert_int_equal(k.segment_n, 1);
	assert_int_equal(k.segment[0].mem_bytes, 0x180);
}

static void multiboot_is_for_kernels_with_nothing_better(void **unused)
{
	struct image i;
	struct kernel k;
	uint64_t bytes;

	image_multiboot64(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_MULTIBOOT);
	assert_int_equal(k.entry, 0x200010);
	assert_int_equal(k.segment_n, 2);
	image_multiboot32(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_MULTIBOOT);
	assert_int_equal(k.segment_n, 1);
	/* Not its last byte behind the part that is searched. */
	image_pvh32(&i);
	i.b[0x820] = 'Y';
	i.len = sizeof i.b;
	image_multiboot_header(&i, 8192 - 12, 3);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_MULTIBOOT);

	image_pvh(&i);
	image_multiboot_header(&i, 0x900, 3);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_PVH);
	image_bzimage(&i);
	image_multiboot_header(&i, 0x800, 3);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_BZIMAGE);
	/* Neither aligned nor with the right sum: no header. */
	image_elf64(&i);
	image_multiboot_header(&i, 0x902, 3);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_ELF64);
	image_multiboot_header(&i, 0x900, 3);
	i.b[0x909]++;
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_ELF64);
	assert_int_equal(kernel_footprint(&k, gpa(0x200001), &bytes, NULL), -ERR_RANGE);
}

static void a_flat_kernel_says_where_it_lies(void **unused)
{
	struct image i;
	struct kernel k;
	uint64_t bytes;

	image_flat(&i);
	opens(&i, &k);
	assert_int_equal(k.kind, KERNEL_MULTIBOOT);
	assert_int_equal(k.entry, 0x100100);
	assert_int_equal(k.segment_n, 1);
	assert_int_equal(k.segment[0].offset, 0x40);
	assert_int_equal(k.segment[0].at, 0x100000);
	assert_int_equal(k.segment[0].file_bytes, 0x400);
	assert_int_equal(k.segment[0].mem_bytes, 0x1000);
	/* All of it below where kernels are loaded: the row is there all the same. */
	assert_int_equal(kernel_footprint(&k, gpa(0x200000), &bytes, NULL), 0);
	assert_int_equal(bytes, 1);
	/* 0: all of the file, and no more than that in memory. */
	num_put_le32(i.b + 0xc0 + 20, 0);
	num_put_le32(i.b + 0xc0 + 24, 0);
	opens(&i, &k);
	assert_int_equal(k.segment[0].file_bytes, 0x500 - 0x40);
	assert_int_equal(k.segment[0].mem_bytes, 0x500 - 0x40);
	/* An ELF file that has addresses too: they count. */
	struct image elf;
	image_flat(&i);
	image_elf64(&elf);
	memcpy(elf.b + 0x900, i.b + 0xc0, 32);
	num_put_le32(elf.b + 0x900 + 12, 0x100900);
	opens(&elf, &k);
	assert_int_equal(k.kind, KERNEL_MULTIBOOT);
	assert_int_equal(k.segment_n, 1);
	assert_int_equal(k.segment[0].offset, 0);
	assert_int_equal(k.segment[0].at, 0x100000);
}

struct bad {
	const char *what;
	void (*image)(struct image *);
	size_t at;	/* where a value is changed, */
	unsigned bytes; /* of so many bytes, */
	uint64_t value;
	int code; /* and the refusal */
	uint64_t offset;
};

/* clang-format off */
static const struct bad bad[] = {
	{"old protocol", image_bzimage, 0x206, 2, 0x020b, ERR_VERSION, 0x206},
	{"32-bit only", image_bzimage, 0x236, 2, 0, ERR_FEATURE, 0x236},
	{"zImage", image_bzimage, 0x211, 1, 0, ERR_FEATURE, 0x211},
	{"no HdrS", image_bzimage, 0x203, 1, 'x', ERR_MAGIC, 0x202},
	{"alignment 0", image_bzimage, 0x230, 4, 0, ERR_RANGE, 0x230},
	{"odd alignment", image_bzimage, 0x230, 4, 0x300000, ERR_RANGE, 0x230},
	{"needs no memory", image_bzimage, 0x260, 4, 0, ERR_RANGE, 0x260},
	{"setup past the file", image_bzimage, 0x1f1, 1, 200, ERR_TRUNCATED, 0x1f1},
	{"more than the file", image_bzimage, 0x1f4, 4, 0x125, ERR_TRUNCATED, 0x1f4},
	{"most there can be", image_bzimage, 0x1f4, 4, UINT32_MAX, ERR_TRUNCATED, 0x1f4},
	{"short header", image_bzimage, 0x201, 1, 0x40, ERR_STRUCTURE, 0x201},
	{"long header", image_bzimage, 0x201, 1, 0x90, ERR_STRUCTURE, 0x201},
	{"big endian", image_elf64, 5, 1, 2, ERR_FEATURE, 5},
	{"class 3", image_elf64, 4, 1, 3, ERR_RANGE, 4},
	{"arm64", image_elf64, 18, 2, 183, ERR_MAGIC, 18},
	{"64-bit i386", image_elf64, 18, 2, 3, ERR_MAGIC, 18},
	{"position-independent", image_elf64, 16, 2, 3, ERR_FEATURE, 16},
	{"headers of 32 bytes", image_elf64, 54, 2, 32, ERR_STRUCTURE, 54},
	{"no headers", image_elf64, 56, 2, 0, ERR_LIMIT, 56},
	{"too many headers", image_elf64, 56, 2, 65, ERR_LIMIT, 56},
	{"headers past the file", image_elf64, 32, 8, 0x11f0, ERR_TRUNCATED, 0x11f0},
	{"headers at the end of numbers", image_elf64, 32, 8, UINT64_MAX - 60, ERR_TRUNCATED,
	 UINT64_MAX - 60},
	{"segment past the file", image_elf64, 64 + 8, 8, 0x1101, ERR_TRUNCATED, 64},
	{"segment wraps the file", image_elf64, 64 + 8, 8, UINT64_MAX, ERR_TRUNCATED, 64},
	{"more in file than memory", image_elf64, 64 + 32, 8, 0x3001, ERR_STRUCTURE, 64},
	{"segment wraps memory", image_elf64, 64 + 24, 8, UINT64_MAX - 0x2000, ERR_RANGE, 64},
	{"entry before segments", image_elf64, 24, 8, 0x1fffff, ERR_STRUCTURE, 24},
	{"entry after segments", image_elf64, 24, 8, 0x203000, ERR_STRUCTURE, 24},
	{"note ends late", image_pvh, 0x818, 4, 5, ERR_STRUCTURE, 0x814},
	{"note wraps", image_pvh, 0x814, 4, UINT32_MAX, ERR_STRUCTURE, 0x814},
	{"odd PVH entry", image_pvh, 0x818, 4, 3, ERR_STRUCTURE, 0x814},
	{"notes past the file", image_pvh, 64 + 112 + 8, 8, 0x11f0, ERR_TRUNCATED, 0x11f0},
	{"a lot of notes", image_pvh, 64 + 112 + 32, 8, 0x10001, ERR_LIMIT, 0x800},
	{"PVH entry elsewhere", image_pvh, 0x824, 4, 0x600000, ERR_STRUCTURE, 24},
	{"32-bit without PVH", image_pvh32, 0x820, 1, 'Y', ERR_FEATURE, 4},
	{"multiboot segment past 4 GiB", image_multiboot64, 64 + 24, 8, 0xffffe000, ERR_RANGE, 0x1000},
	{"multiboot entry elsewhere", image_multiboot64, 24, 8, 0x203000, ERR_STRUCTURE, 24},
	{"multiboot without checksum", image_multiboot32, 0x908, 1, 0, ERR_FEATURE, 4},
	{"flat without magic", image_flat, 0xc0, 1, 0, ERR_MAGIC, 0x202},
	{"flat without checksum", image_flat, 0xc8, 1, 0, ERR_MAGIC, 0x202},
	{"flat before its header", image_flat, 0xc0 + 16, 4, 0x100081, ERR_STRUCTURE, 0xc0 + 16},
	{"flat from before the file", image_flat, 0xc0 + 12, 4, 0x1000c1, ERR_STRUCTURE, 0xc0 + 12},
	{"flat from far before the file", image_flat, 0xc0 + 16, 4, 0, ERR_STRUCTURE, 0xc0 + 12},
	{"flat ends before it starts", image_flat, 0xc0 + 20, 4, 0x100000, ERR_STRUCTURE, 0xc0 + 20},
	{"flat past the file", image_flat, 0xc0 + 20, 4, 0x1004c1, ERR_TRUNCATED, 0xc0 + 20},
	{"flat of all addresses", image_flat, 0xc0 + 20, 4, UINT32_MAX, ERR_TRUNCATED, 0xc0 + 20},
	{"flat with less than nothing", image_flat, 0xc0 + 24, 4, 0x1003ff, ERR_STRUCTURE, 0xc0 + 24},
	{"flat entry before", image_flat, 0xc0 + 28, 4, 0xfffff, ERR_STRUCTURE, 0xc0 + 28},
	{"flat entry after", image_flat, 0xc0 + 28, 4, 0x100400, ERR_STRUCTURE, 0xc0 + 28},
};
/* clang-format on */

static void bad_images_are_refused_where_they_are_bad(void **unused)
{
	struct image i;
	struct kernel k;
	struct err e;

	for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
		uint8_t value[8];
		bad[n].image(&i);
		num_put_le64(value, bad[n].value);
		memcpy(i.b + bad[n].at, value, bad[n].bytes);
		int r = open_image(&i, i.len, &k, &e);
		if (r != -(int)bad[n].code || e.offset != bad[n].offset || !e.msg[0])
			fail_msg("%s: %s at 0x%llx: %s", bad[n].what, err_code_name(e.code),
				 (unsigned long long)e.offset, e.msg);
	}
}

/* The lower half must be given or refused; of the upper half one bit has a meaning. */
static void multiboot_wishes_must_be_known(void **unused)
{
	struct image i;
	struct kernel k;
	struct err e;

	for (unsigned bit = 0; bit < 32; bit++) {
		image_multiboot64(&i);
		image_multiboot_header(&i, 0x900, 1u << bit);
		int r = open_image(&i, i.len, &k, &e);
		if (bit < 2 || bit >= 16) { /* what may be ignored is */
			assert_int_equal(r, 0);
			assert_int_equal(k.segment[0].at, bit == 16 ? 0 : 0x200000);
		} else {
			assert_int_equal(r, -ERR_FEATURE);
			assert_int_equal(e.offset, 0x904);
		}
	}
	/* No ELF file, and no word of where it lies. */
	image_flat(&i);
	image_multiboot_header(&i, 0xc0, 3);
	assert_int_equal(open_image(&i, i.len, &k, &e), -ERR_STRUCTURE);
	assert_int_equal(e.offset, 0xc4);
	/* Addresses after the end of the file, or of what is searched. */
	image_flat(&i);
	assert_int_equal(open_image(&i, 0xc0 + 31, &k, &e), -ERR_TRUNCATED);
	memcpy(i.b + 8192 - 28, i.b + 0xc0, 32);
	memset(i.b + 0xc0, 0, 32);
	i.len = sizeof i.b;
	assert_int_equal(open_image(&i, i.len, &k, &e), -ERR_TRUNCATED);
	assert_int_equal(e.offset, 8192 - 28);
	/* The end of the address space. */
	image_flat(&i);
	for (unsigned field = 12; field <= 28; field += 4)
		num_put_le32(i.b + 0xc0 + field, num_le32(i.b + 0xc0 + field) + 0xffeffc00);
	num_put_le32(i.b + 0xc0 + 20, 0);
	num_put_le32(i.b + 0xc0 + 24, 0);
	assert_int_equal(open_image(&i, i.len, &k, &e), -ERR_RANGE);
	assert_int_equal(e.offset, 0xc0 + 16);
}

static void prefixes_are_refused(void **unused)
{
	static void (*const make[])(struct image *) = {image_bzimage, image_pvh, image_pvh32,
							      image_multiboot32, image_flat};
	struct image i;
	struct kernel k;
	struct err e;

	for (size_t n = 0; n < ARRAY_LEN(make); n++) {
		/* Segments of the ELF images end before the file does; bzImages may lack less
		 * than the paragraph that syssize counts in. */
		make[n](&i);
		size_t needed = make[n] == image_bzimage ? i.len - 15
				: make[n] == image_pvh	 ? 0x1180
				: make[n] == image_flat	 ? 0x440
							 : 0x1100;
		for (size_t len = 0; len < needed; len++)
			if (!open_image(&i, len, &k, &e))
				fail_msg("image %zu opens with %zu bytes", n, len);
		assert_int_equal(open_image(&i, needed, &k, &e), 0);
	}
}

static void any_byte_may_be_wrong(void **unused)
{
	static void (*const make[])(struct image *) = {image_bzimage,	  image_pvh,
							      image_pvh32,	  image_multiboot64,
							      image_multiboot32, image_flat};
	struct image i;
	struct kernel k;
	struct err e;
	uint64_t bytes;

	for (size_t n = 0; n < ARRAY_LEN(make); n++) {
		make[n](&i);
		for (size_t at = 0; at < 0x900; at++) {
			uint8_t was = i.b[at];
			for (unsigned v = 0; v < 3; v++) {
				i.b[at] = v == 0 ? 0 : v == 1 ? 0xff : was ^ 0x81;
				if (!open_image(&i, i.len, &k, &e) &&
				    !kernel_footprint(&k, gpa(0x200000), &bytes, &e))
					assert_true(bytes < UINT64_MAX - 0x200000);
				for (uint32_t s = 0; !e.code && s < k.segment_n; s++)
					assert_true(k.segment[s].file_bytes <=
						    k.segment[s].mem_bytes);
			}
			i.b[at] = was;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bzimage_tells_its_needs),
	    cmocka_unit_test(elf_kernels_are_told_apart_by_their_notes),
	    cmocka_unit_test(multiboot_is_for_kernels_with_nothing_better),
	    cmocka_unit_test(a_flat_kernel_says_where_it_lies),
	    cmocka_unit_test(multiboot_wishes_must_be_known),
	    cmocka_unit_test(bad_images_are_refused_where_they_are_bad),
	    cmocka_unit_test(prefixes_are_refused),
	    cmocka_unit_test(any_byte_may_be_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
