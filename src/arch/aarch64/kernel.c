/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/aarch64/boot.h"

#include <string.h>
#include <zlib.h>

/* Documentation/arch/arm64/booting.rst, "Call the kernel image" */
enum {
	TEXT_OFFSET = 8,
	IMAGE_SIZE = 16,
	FLAGS = 24,
	MAGIC_AT = 56,
	HEADER_BYTES = 64,

	FLAG_BIG_ENDIAN = 1,
};
#define MAGIC	  0x644d5241 /* "ARM\x64" */
#define ALIGNMENT (2 * MIB)

#define GZIP_WINDOW (15 + 16) /* zlib: largest window, with a gzip header */
#define PIECE	    (1u << 20)

/* drivers/firmware/efi/libstub/zboot-header.S of Linux */
enum { ZBOOT_MAGIC_AT = 4, ZBOOT_OFFSET = 8, ZBOOT_SIZE = 12, ZBOOT_TYPE = 24, ZBOOT_BYTES = 32 };
#define ZBOOT_MAGIC 0x676d697a /* "zimg" */

int kernel_open(const struct io_src *file, struct kernel *out, struct err *e)
{
	uint8_t h[HEADER_BYTES];
	int r = io_read_at(file, h, sizeof h, 0, e);

	if (r)
		return r;
	if (num_le32(h + MAGIC_AT) != MAGIC)
		return err_set(e, ERR_MAGIC, "no arm64 Image");
	if (num_le64(h + FLAGS) & FLAG_BIG_ENDIAN)
		return err_at(e, ERR_FEATURE, FLAGS, "a big-endian kernel");
	struct kernel k = {.text_offset = num_le64(h + TEXT_OFFSET)};
	uint64_t size = num_le64(h + IMAGE_SIZE);
	if (!size)
		return err_at(
		    e, ERR_FEATURE, IMAGE_SIZE,
		    "image_size is 0 (a kernel before 3.17), the room it needs is unknown");
	if (k.text_offset >= ALIGNMENT)
		return err_at(e, ERR_RANGE, TEXT_OFFSET, "text_offset is not below 2 MiB");
	if (!num_add(k.text_offset, size > file->size ? size : file->size, &k.bytes))
		return err_at(e, ERR_RANGE, IMAGE_SIZE, "image_size is beyond any memory");
	*out = k;
	return 0;
}

/* --- wrapped kernels ------------------------------------------------------------------------- */

static int refill(const struct io_src *file, uint64_t *at, uint64_t end, z_stream *z, uint8_t *in,
		  struct err *e)
{
	uint64_t n = end - *at < PIECE ? end - *at : PIECE;

	if (z->avail_in)
		return 0;
	if (!n)
		return err_at(e, ERR_TRUNCATED, end, "the packed kernel ends early");
	int r = io_read_at(file, in, n, *at, e);
	z->next_in = in;
	z->avail_in = (unsigned)n;
	*at += n;
	return r;
}

static int inflate_all(const struct io_src *file, uint64_t at, uint64_t end, z_stream *z,
		       uint8_t *in, struct buf *out, struct err *e)
{
	int status = Z_OK;

	while (status != Z_STREAM_END) {
		int r = refill(file, &at, end, z, in, e);
		if (r)
			return r;
		if (out->len >= KERNEL_BYTES_MAX)
			return err_set(e, ERR_LIMIT, "the packed kernel is larger than %llu MiB",
				       (unsigned long long)(KERNEL_BYTES_MAX / MIB));
		uint8_t *room = buf_grow(out, PIECE);
		if (!room)
			return err_set(e, ERR_NOMEM, "out of memory");
		z->next_out = room;
		z->avail_out = PIECE;
		status = inflate(z, Z_NO_FLUSH);
		out->len -= z->avail_out;
		if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			return err_set(e, ERR_ENCODING, "the packed kernel is damaged (%s)",
				       z->msg ? z->msg : "zlib");
	}
	return 0;
}

static int gunzip(const struct io_src *file, uint64_t at, uint64_t end, struct buf *out,
		  struct err *e)
{
	z_stream z = {0};
	struct buf in = BUF_INIT;

	if (!buf_grow(&in, PIECE))
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = inflateInit2(&z, GZIP_WINDOW) == Z_OK
		    ? inflate_all(file, at, end, &z, in.data, out, e)
		    : err_set(e, ERR_NOMEM, "out of memory");
	inflateEnd(&z);
	buf_free(&in);
	if (r)
		buf_free(out);
	return r;
}

static int unpack_zboot(const struct io_src *file, const uint8_t *h, struct buf *out, struct err *e)
{
	uint64_t at = num_le32(h + ZBOOT_OFFSET), n = num_le32(h + ZBOOT_SIZE);

	if (strncmp((const char *)h + ZBOOT_TYPE, "gzip", ZBOOT_BYTES - ZBOOT_TYPE) != 0)
		return err_at(e, ERR_FEATURE, ZBOOT_TYPE,
			      "an EFI kernel that is not packed by gzip");
	if (!num_inside(at, n, 0, file->size))
		return err_at(e, ERR_TRUNCATED, ZBOOT_OFFSET,
			      "the packed kernel lies outside of the file");
	return gunzip(file, at, at + n, out, e);
}

int kernel_unpack(const struct io_src *file, struct buf *out, struct err *e)
{
	uint8_t h[ZBOOT_BYTES];
	int r = io_read_at(file, h, sizeof h, 0, e);

	*out = (struct buf)BUF_INIT;
	if (r)
		return r;
	if (num_le32(h + ZBOOT_MAGIC_AT) == ZBOOT_MAGIC)
		return unpack_zboot(file, h, out, e);
	return h[0] == 0x1f && h[1] == 0x8b ? gunzip(file, 0, file->size, out, e) : 0;
}
