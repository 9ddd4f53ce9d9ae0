/* SPDX-License-Identifier: Apache-2.0 */
/* arm64 kernels: what is accepted, plain, packed by gzip or packed into an EFI program, and what is
 * refused, with code and offset. */
#include "../stride.h"
#include "arch/aarch64/boot.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#define IMAGE_BYTES 70000

struct bytes {
	uint8_t *b;
	size_t len;
};

static struct bytes image(void)
{
	struct bytes i = {calloc(1, IMAGE_BYTES), IMAGE_BYTES};

	assert_non_null(i.b);
	for (size_t n = 64; n < i.len; n++)
		i.b[n] = (uint8_t)(n * n >> 5);
	num_put_le64(i.b + 16, 0x123000); /* image_size */
	num_put_le64(i.b + 24, 0xa);	  /* 4 KiB pages, anywhere in memory */
	memcpy(i.b + 56, "ARM\x64", 4);
	return i;
}

static struct bytes gzip(struct bytes in)
{
	z_stream z = {.next_in = in.b, .avail_in = (unsigned)in.len};
	struct bytes out = {NULL, 0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	out.len = deflateBound(&z, in.len);
	out.b = malloc(out.len);
	z.next_out = out.b;
	z.avail_out = (unsigned)out.len;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.len -= z.avail_out;
	deflateEnd(&z);
	return out;
}

/* A header of 64 bytes, what was packed, and some of the program after it. */
static struct bytes zboot(struct bytes packed)
{
	struct bytes z = {calloc(1, packed.len + 100), packed.len + 100};

	memcpy(z.b, "MZ\0\0zimg", 8);
	num_put_le32(z.b + 8, 64);
	num_put_le32(z.b + 12, (uint32_t)packed.len);
	strcpy((char *)z.b + 24, "gzip");
	memcpy(z.b + 64, packed.b, packed.len);
	return z;
}

/* From a buffer of exactly its size, so that a sanitizer sees one byte too many. */
static int look(struct bytes file, size_t len, struct buf *unpacked, struct kernel *k,
		struct err *e)
{
	uint8_t *exact = malloc(len ? len : 1);
	struct io_src src;

	assert_non_null(exact);
	memcpy(exact, file.b, len);
	io_src_mem(&src, exact, len);
	*e = (struct err)ERR_INIT;
	int r = kernel_unpack(&src, unpacked, e);
	if (!r && unpacked->data)
		io_src_mem(&src, unpacked->data, unpacked->len);
	if (!r)
		r = kernel_open(&src, k, e);
	free(exact);
	return r;
}

static void refused(struct bytes file, size_t len, enum err_code code)
{
	struct buf unpacked;
	struct kernel k;
	struct err e;
	int r = look(file, len, &unpacked, &k, &e);

	if (r != -(int)code)
		fail_msg("%zu bytes: %d, not %d: %s", len, r, -(int)code, e.msg);
	buf_free(&unpacked);
}

static void opens(struct bytes file, bool packed)
{
	struct bytes plain = image();
	struct buf unpacked;
	struct kernel k;
	struct err e;

	if (look(file, file.len, &unpacked, &k, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(k.text_offset, 0);
	assert_int_equal(k.bytes, 0x123000);
	assert_int_equal(unpacked.len, packed ? plain.len : 0);
	if (packed)
		assert_memory_equal(unpacked.data, plain.b, plain.len);
	buf_free(&unpacked);
	free(plain.b);
}

static void headers(void **unused)
{
	struct bytes i = image();

	opens(i, false);
	for (size_t len = 0; len < 64; len++)
		refused(i, len, ERR_TRUNCATED);
	i.b[56] = 'B';
	refused(i, i.len, ERR_MAGIC);
	i.b[56] = 'A';
	i.b[24] |= 1; /* big-endian */
	refused(i, i.len, ERR_FEATURE);
	i.b[24] &= ~1;
	num_put_le64(i.b + 8, 2 * MIB); /* text_offset */
	refused(i, i.len, ERR_RANGE);
	num_put_le64(i.b + 8, 2 * MIB - 1);
	num_put_le64(i.b + 16, UINT64_MAX);
	refused(i, i.len, ERR_RANGE);
	num_put_le64(i.b + 16, 0);
	refused(i, i.len, ERR_FEATURE);
	free(i.b);
}

/* An old kernel's offset; and one that lies about its size needs room for the file at least. */
static void footprints(void **unused)
{
	struct bytes i = image();
	struct buf unpacked;
	struct kernel k;
	struct err e;

	num_put_le64(i.b + 8, 0x80000);
	num_put_le64(i.b + 16, 1);
	assert_int_equal(look(i, i.len, &unpacked, &k, &e), 0);
	assert_int_equal(k.text_offset, 0x80000);
	assert_int_equal(k.bytes, 0x80000 + IMAGE_BYTES);
	free(i.b);
}

static void packed_by_gzip(void **unused)
{
	struct bytes i = image(), g = gzip(i), junk = {calloc(1, 4000), 4000};

	opens(g, true);
	for (size_t len = 32; len < g.len;
	     len += len < 100 || len > g.len - 20 ? 1 : 97 * test_stride())
		refused(g, len, ERR_TRUNCATED);
	g.b[g.len / 2] ^= 0x55;
	struct buf unpacked;
	struct kernel k;
	struct err e;
	assert_true(look(g, g.len, &unpacked, &k, &e) < 0);
	buf_free(&unpacked);
	/* What comes out is looked at like any other file. */
	for (size_t n = 0; n < junk.len; n++)
		junk.b[n] = (uint8_t)(n * n * n >> 3);
	struct bytes no_kernel = gzip(junk);
	refused(no_kernel, no_kernel.len, ERR_MAGIC);
	junk.b[0] = 0x1f;
	junk.b[1] = 0x8b;
	refused(junk, junk.len, ERR_ENCODING);
	free(i.b);
	free(g.b);
	free(no_kernel.b);
	free(junk.b);
}

static void packed_into_an_efi_program(void **unused)
{
	struct bytes i = image(), g = gzip(i), z = zboot(g);

	opens(z, true);
	num_put_le32(z.b + 12, (uint32_t)g.len - 1);
	refused(z, z.len, ERR_TRUNCATED);
	num_put_le32(z.b + 12, (uint32_t)z.len);
	refused(z, z.len, ERR_TRUNCATED);
	num_put_le32(z.b + 8, UINT32_MAX);
	refused(z, z.len, ERR_TRUNCATED);
	num_put_le32(z.b + 8, 64);
	num_put_le32(z.b + 12, (uint32_t)g.len);
	strcpy((char *)z.b + 24, "zstd22");
	refused(z, z.len, ERR_FEATURE);
	memset(z.b + 24, 'g', 8); /* no NUL anywhere */
	refused(z, z.len, ERR_FEATURE);
	free(i.b);
	free(g.b);
	free(z.b);
}

/* A few KiB that would become more than any kernel is. */
static void a_bomb(void **unused)
{
	struct bytes zeros = {calloc(1, KERNEL_BYTES_MAX + 2 * MIB), KERNEL_BYTES_MAX + 2 * MIB};
	struct bytes g = gzip(zeros);

	free(zeros.b);
	assert_true(g.len < 2 * MIB);
	refused(g, g.len, ERR_LIMIT);
	free(g.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(headers),	      cmocka_unit_test(footprints),
	    cmocka_unit_test(packed_by_gzip), cmocka_unit_test(packed_into_an_efi_program),
	    cmocka_unit_test(a_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
