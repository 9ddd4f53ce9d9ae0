/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/disk_image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Offsets in the header; the table of formats/disk.md. All that changes after creation, and the
 * digest, lie in the first 512 bytes: a medium writes those whole or not at all. */
enum {
	AT_MAGIC = 0x000,
	AT_VERSION = 0x008,
	AT_FEATURES = 0x00c,
	AT_DIGEST = 0x010,
	AT_UUID = 0x030,
	AT_GENERATION = 0x040,
	AT_BYTES = 0x050,
	AT_CLUSTER = 0x058,
	AT_PARENT_FORMAT = 0x05c,
	AT_BITMAP_OFFSET = 0x060,
	AT_BITMAP_BYTES = 0x068,
	AT_DATA_OFFSET = 0x070,
	AT_PARENT_BYTES = 0x078,
	AT_PARENT_MTIME = 0x080,
	AT_PARENT_UUID = 0x088,
	AT_PARENT_GENERATION = 0x098,
	AT_STATE = 0x0a8,
	AT_RESERVED = 0x0ac,
	AT_NAME = 0x200,
	AT_NAME_END = AT_NAME + DISK_NAME_MAX + 1,
};

static const uint8_t magic[8] = {0x89, 'V', 'M', 'D', 'I', 'S', 'K', '\n'};

#define VERSION	       1
#define FORMAT_RAW     1
#define FORMAT_OVERLAY 2

enum { STATE_NONE, STATE_COMMITTING, STATE_SPARE };

static void digest(const uint8_t header[static DISK_HEADER_BYTES], uint8_t out[static SHA256_BYTES])
{
	uint8_t copy[DISK_HEADER_BYTES];

	memcpy(copy, header, sizeof copy);
	memset(copy + AT_DIGEST, 0, SHA256_BYTES);
	sha256_of(copy, sizeof copy, out);
}

void disk_header_layout_(struct disk_header *h)
{
	uint64_t clusters = (h->bytes + DISK_CLUSTER - 1) / DISK_CLUSTER;

	h->bitmap_bytes =
	    (clusters + 8 * DISK_BITMAP_PAGE - 1) / (8 * DISK_BITMAP_PAGE) * DISK_BITMAP_PAGE;
	h->data_offset = DISK_HEADER_BYTES + h->bitmap_bytes;
}

void disk_header_encode_(const struct disk_header *h, uint8_t out[static DISK_HEADER_BYTES])
{
	memset(out, 0, DISK_HEADER_BYTES);
	memcpy(out + AT_MAGIC, magic, sizeof magic);
	num_put_le32(out + AT_VERSION, VERSION);
	memcpy(out + AT_UUID, h->uuid, sizeof h->uuid);
	memcpy(out + AT_GENERATION, h->generation, sizeof h->generation);
	num_put_le64(out + AT_BYTES, h->bytes);
	num_put_le32(out + AT_CLUSTER, DISK_CLUSTER);
	num_put_le64(out + AT_BITMAP_OFFSET, DISK_HEADER_BYTES);
	num_put_le64(out + AT_BITMAP_BYTES, h->bitmap_bytes);
	num_put_le64(out + AT_DATA_OFFSET, h->data_offset);
	num_put_le32(out + AT_PARENT_FORMAT,
		     h->parent.format == DISK_RAW ? FORMAT_RAW : FORMAT_OVERLAY);
	num_put_le64(out + AT_PARENT_BYTES, h->parent.file_bytes);
	num_put_le64(out + AT_PARENT_MTIME, h->parent.mtime_ns);
	memcpy(out + AT_PARENT_UUID, h->parent.uuid, sizeof h->parent.uuid);
	memcpy(out + AT_PARENT_GENERATION, h->parent.generation, sizeof h->parent.generation);
	num_put_le32(out + AT_STATE, h->committing ? STATE_COMMITTING
				     : h->spare	   ? STATE_SPARE
						   : STATE_NONE);
	memcpy(out + AT_NAME, h->parent.name, strlen(h->parent.name));
	digest(out, out + AT_DIGEST);
}

static int check_zero(const uint8_t *in, size_t from, size_t to, const char *what, struct err *e)
{
	for (size_t i = from; i < to; i++)
		if (in[i])
			return err_at(e, ERR_RANGE, i, "%s is not zero", what);
	return 0;
}

static int check_u64(const uint8_t *in, size_t at, uint64_t want, const char *what, struct err *e)
{
	if (num_le64(in + at) == want)
		return 0;
	return err_at(e, ERR_RANGE, at, "%s 0x%llx, 0x%llx expected", what,
		      (unsigned long long)num_le64(in + at), (unsigned long long)want);
}

static int decode_parent(const uint8_t *in, struct disk_parent *p, struct err *e)
{
	uint32_t format = num_le32(in + AT_PARENT_FORMAT);
	const uint8_t *name = in + AT_NAME;
	size_t len = strnlen((const char *)name, DISK_NAME_MAX + 1);
	int r;

	if (format != FORMAT_RAW && format != FORMAT_OVERLAY)
		return err_at(e, ERR_RANGE, AT_PARENT_FORMAT, "parent format %u", format);
	p->format = format == FORMAT_RAW ? DISK_RAW : DISK_OVERLAY;
	p->file_bytes = num_le64(in + AT_PARENT_BYTES);
	p->mtime_ns = num_le64(in + AT_PARENT_MTIME);
	memcpy(p->uuid, in + AT_PARENT_UUID, sizeof p->uuid);
	memcpy(p->generation, in + AT_PARENT_GENERATION, sizeof p->generation);
	if (format == FORMAT_RAW) {
		r = check_zero(in, AT_PARENT_UUID, AT_STATE, "uuid of a raw parent", e);
		if (r)
			return r;
	}
	if (!len || len > DISK_NAME_MAX)
		return err_at(e, ERR_RANGE, AT_NAME, "parent name of %zu bytes", len);
	if (name[0] == '/')
		return err_at(e, ERR_RANGE, AT_NAME, "parent name is absolute");
	for (size_t i = 0; i < len; i++)
		if (name[i] < 0x20 || name[i] == 0x7f)
			return err_at(e, ERR_RANGE, AT_NAME + i,
				      "control character in parent name");
	r = check_zero(in, AT_NAME + len, AT_NAME_END, "parent name's padding", e);
	if (r)
		return r;
	memcpy(p->name, name, len + 1);
	if (disk_name_format(p->name) != p->format)
		return err_at(e, ERR_STRUCTURE, AT_NAME, "parent name does not fit its format");
	return 0;
}

int disk_header_decode_(const uint8_t in[static DISK_HEADER_BYTES], struct disk_header *h,
			struct err *e)
{
	struct disk_header v = {.bytes = num_le64(in + AT_BYTES)};
	uint8_t sum[SHA256_BYTES];
	int r;

	if (memcmp(in, magic, sizeof magic) != 0)
		return err_at(e, ERR_MAGIC, AT_MAGIC, "not a disk overlay");
	if (num_le32(in + AT_VERSION) != VERSION)
		return err_at(e, ERR_VERSION, AT_VERSION,
			      "overlay format version %u, this reads %u", num_le32(in + AT_VERSION),
			      VERSION);
	digest(in, sum);
	if (memcmp(sum, in + AT_DIGEST, sizeof sum) != 0)
		return err_at(e, ERR_CHECKSUM, AT_DIGEST, "header damaged: its digest differs");
	if (num_le32(in + AT_FEATURES))
		return err_at(e, ERR_FEATURE, AT_FEATURES, "needs features 0x%x",
			      num_le32(in + AT_FEATURES));
	memcpy(v.uuid, in + AT_UUID, sizeof v.uuid);
	memcpy(v.generation, in + AT_GENERATION, sizeof v.generation);
	if (!v.bytes || v.bytes % DISK_SECTOR || v.bytes > DISK_BYTES_MAX)
		return err_at(e, ERR_RANGE, AT_BYTES, "disk of %llu bytes",
			      (unsigned long long)v.bytes);
	if (num_le32(in + AT_CLUSTER) != DISK_CLUSTER)
		return err_at(e, ERR_RANGE, AT_CLUSTER, "clusters of %u bytes",
			      num_le32(in + AT_CLUSTER));
	disk_header_layout_(&v);
	r = check_u64(in, AT_BITMAP_OFFSET, DISK_HEADER_BYTES, "bitmap offset", e);
	if (!r)
		r = check_u64(in, AT_BITMAP_BYTES, v.bitmap_bytes, "bitmap size", e);
	if (!r)
		r = check_u64(in, AT_DATA_OFFSET, v.data_offset, "data offset", e);
	if (!r && num_le32(in + AT_STATE) > STATE_SPARE)
		r = err_at(e, ERR_RANGE, AT_STATE, "state %u", num_le32(in + AT_STATE));
	v.committing = num_le32(in + AT_STATE) == STATE_COMMITTING;
	v.spare = num_le32(in + AT_STATE) == STATE_SPARE;
	if (!r)
		r = check_zero(in, AT_RESERVED, AT_NAME, "reserved byte", e);
	if (!r)
		r = decode_parent(in, &v.parent, e);
	if (!r)
		r = check_zero(in, AT_NAME_END, DISK_HEADER_BYTES, "reserved byte", e);
	if (!r)
		*h = v;
	return r;
}

int disk_header_read_(int fd, struct disk_header *h, struct err *e)
{
	uint8_t bytes[DISK_HEADER_BYTES];
	struct io_src src;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return err_sys(e, ERR_IO, errno, "cannot stat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "an overlay is a regular file");
	r = io_src_fd(&src, fd, e);
	if (!r && src.size < sizeof bytes)
		r = err_at(e, ERR_TRUNCATED, src.size, "ends inside the header");
	if (!r)
		r = io_read_at(&src, bytes, sizeof bytes, 0, e);
	if (!r)
		r = disk_header_decode_(bytes, h, e);
	if (r)
		return r;
	/* What was never written is a hole, but the file reaches to the end of the disk. */
	if (src.size < h->data_offset + h->bytes)
		return err_at(e, ERR_TRUNCATED, src.size, "ends before the disk does");
	return 0;
}

int disk_header_write_(int fd, const struct disk_header *h, struct err *e)
{
	uint8_t bytes[DISK_HEADER_BYTES];

	disk_header_encode_(h, bytes);
	return io_write_all_at(fd, bytes, sizeof bytes, 0, e);
}
