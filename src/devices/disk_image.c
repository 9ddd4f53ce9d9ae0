/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum disk_format disk_name_format(const char *path)
{
	const size_t suffix = sizeof DISK_OVERLAY_SUFFIX - 1;
	size_t n = strlen(path);

	return n >= suffix && !strcmp(path + n - suffix, DISK_OVERLAY_SUFFIX) ? DISK_OVERLAY
									      : DISK_RAW;
}

int disk_lock_(const struct disk_image_fd *img, short type, struct err *e)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

	if (!fcntl(img->fd, F_OFD_SETLK, &lock))
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_sys(e, ERR_IO, errno, "cannot lock");
	return err_set(e, ERR_BUSY,
		       type == F_WRLCK ? "in use by another process"
				       : "being written by another process");
}

void disk_unlock_and_close_(const struct disk_image_fd *img)
{
	struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	/* If it fails, closing does it, only later. */
	fcntl(img->fd, F_OFD_SETLK, &lock);
	close(img->fd);
}

int disk_raw_bytes_(const struct disk_image_fd *img, uint64_t *out, struct err *e)
{
	struct io_src src;
	int r = io_src_fd(&src, img->fd, e);

	if (r)
		return r;
	if (!src.size || src.size % DISK_SECTOR || src.size > DISK_BYTES_MAX)
		return err_set(e, ERR_RANGE,
			       "%llu bytes: a disk has a multiple of 512, and at most 8 TiB",
			       (unsigned long long)src.size);
	*out = src.size;
	return 0;
}

/* Only what is really in the file is read, and zeros are not copied, so that the bitmap of a huge
 * and empty disk takes no memory. */
static int bitmap_load(struct disk_layer *l, struct err *e)
{
	static const uint8_t zero[DISK_BITMAP_PAGE];
	const uint64_t end = l->data_offset;
	uint8_t page[DISK_BITMAP_PAGE];

	for (uint64_t at = DISK_HEADER_BYTES; at < end;) {
		off_t data = lseek(l->img.fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			return err_sys(e, ERR_IO, errno, "cannot find the bitmap's data");
		at = (uint64_t)data / DISK_BITMAP_PAGE * DISK_BITMAP_PAGE;
		if (at >= end)
			break;
		struct io_src src = {.size = end, .fd = l->img.fd};
		int r = io_read_at(&src, page, sizeof page, at, e);
		if (r)
			return r;
		if (memcmp(page, zero, sizeof page) != 0) {
			memcpy(l->bitmap + (at - DISK_HEADER_BYTES), page, sizeof page);
			l->written = true;
		}
		at += DISK_BITMAP_PAGE;
	}
	return 0;
}

/* The bits after the last cluster mean nothing, so they are zero. */
static int bitmap_check(const struct disk_layer *l, struct err *e)
{
	uint64_t clusters = (l->bytes + DISK_CLUSTER - 1) / DISK_CLUSTER;

	for (uint64_t i = clusters / 8; i < l->head.bitmap_bytes; i++) {
		uint8_t allowed = i == clusters / 8 ? (uint8_t)((1u << clusters % 8) - 1) : 0;
		if (l->bitmap[i] & ~allowed)
			return err_at(e, ERR_RANGE, DISK_HEADER_BYTES + i,
				      "bitmap names clusters after the last");
	}
	return 0;
}

static int overlay_open(struct disk_layer *l, struct err *e)
{
	int r = disk_header_read_(l->img.fd, &l->head, e);

	if (r)
		return r;
	l->bytes = l->head.bytes;
	l->data_offset = l->head.data_offset;
	/* Mapped: only pages in use may cost memory, whatever the allocator does. */
	void *bitmap = mmap(NULL, l->head.bitmap_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	l->bitmap = bitmap == MAP_FAILED ? NULL : bitmap;
	/* Where huge pages are always given, each bit set would cost 2 MiB. Kernels without them refuse. */
	if (l->bitmap)
		madvise(l->bitmap, l->head.bitmap_bytes, MADV_NOHUGEPAGE);
	l->dirty = calloc(1, l->head.bitmap_bytes / DISK_BITMAP_PAGE);
	if (!l->bitmap || !l->dirty)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = bitmap_load(l, e);
	return r ? r : bitmap_check(l, e);
}

int disk_layer_open_(struct disk_layer *l, const struct disk_image_fd *img, struct err *e)
{
	*l = (struct disk_layer){.img = *img};
	int r =
	    img->format == DISK_OVERLAY ? overlay_open(l, e) : disk_raw_bytes_(img, &l->bytes, e);
	if (r) {
		disk_layer_fini_(l);
		err_where(e, "%s", img->path);
	}
	return r;
}

void disk_layer_fini_(struct disk_layer *l)
{
	if (l->bitmap)
		munmap(l->bitmap, l->head.bitmap_bytes);
	free(l->dirty);
	l->bitmap = l->dirty = NULL;
}

void disk_layer_set_(struct disk_layer *l, uint64_t first, uint64_t last)
{
	for (uint64_t c = first; c <= last; c++) {
		uint8_t bit = (uint8_t)(1u << c % 8);
		if (c % 8 == 0 && last - c >= 7)
			bit = 0xff;
		if ((l->bitmap[c / 8] & bit) != bit) {
			l->bitmap[c / 8] |= bit;
			l->dirty[c / 8 / DISK_BITMAP_PAGE] = 1;
		}
		if (bit == 0xff)
			c += 7;
	}
}

uint64_t disk_layer_count_(const struct disk_layer *l)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < l->head.bitmap_bytes; i += sizeof n)
		n += (uint64_t)__builtin_popcountll(num_le64(l->bitmap + i));
	return n;
}

static struct disk_layer *find_one(struct disk_layer *l, uint32_t n, uint64_t cluster)
{
	/* The raw image at the end has everything. */
	while (--n && !disk_layer_has_(l, cluster))
		l++;
	return l;
}

struct disk_layer *disk_layers_find_(struct disk_layer *l, uint32_t n, uint64_t offset,
				     uint64_t max, uint64_t *run)
{
	uint64_t cluster = offset / DISK_CLUSTER;
	struct disk_layer *found = find_one(l, n, cluster);
	uint64_t len = n == 1 ? max : DISK_CLUSTER - offset % DISK_CLUSTER;

	while (len < max && find_one(l, n, ++cluster) == found)
		len += DISK_CLUSTER;
	*run = len < max ? len : max;
	return found;
}

int disk_layers_read_(struct disk_layer *l, uint32_t n, void *out, size_t bytes, uint64_t offset,
		      struct err *e)
{
	char *p = out;

	while (bytes) {
		uint64_t run;
		struct disk_layer *from = disk_layers_find_(l, n, offset, bytes, &run);
		struct io_src src = {.size = from->data_offset + from->bytes, .fd = from->img.fd};
		int r = io_read_at(&src, p, run, from->data_offset + offset, e);
		if (r) {
			err_where(e, "%s", from->img.path);
			return r;
		}
		p += run;
		offset += run;
		bytes -= run;
	}
	return 0;
}

int disk_image_facts_(const struct disk_image_fd *img, struct disk_image_state *out, struct err *e)
{
	struct disk_image_state v = {.format = img->format};
	struct disk_header h;
	struct io_src src;
	struct stat st;
	int r = io_src_fd(&src, img->fd, e);

	if (!r && fstat(img->fd, &st))
		r = err_sys(e, ERR_IO, errno, "cannot stat");
	if (!r && img->format == DISK_OVERLAY) {
		r = disk_header_read_(img->fd, &h, e);
		if (!r) {
			memcpy(v.uuid, h.uuid, sizeof v.uuid);
			memcpy(v.generation, h.generation, sizeof v.generation);
		}
	}
	if (r) {
		err_where(e, "%s", img->path);
		return r;
	}
	memcpy(v.path, img->path, sizeof v.path);
	v.file_bytes = src.size;
	v.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	v.frozen = !(st.st_mode & 0222);
	*out = v;
	return 0;
}

int disk_parent_fill_(struct disk_parent *parent, const struct disk_image_fd *below, struct err *e)
{
	struct disk_image_state now;
	int r = disk_image_facts_(below, &now, e);

	if (r)
		return r;
	parent->format = now.format;
	parent->file_bytes = now.file_bytes;
	parent->mtime_ns = now.mtime_ns;
	memcpy(parent->uuid, now.uuid, sizeof parent->uuid);
	memcpy(parent->generation, now.generation, sizeof parent->generation);
	return 0;
}

int disk_parent_check_(const struct disk_parent *parent, const struct disk_image_fd *below,
		       struct err *e)
{
	struct disk_image_state now;
	int r = disk_image_facts_(below, &now, e);

	if (r)
		return r;
	if (now.file_bytes != parent->file_bytes)
		r = err_set(e, ERR_INCOMPATIBLE, "has %llu bytes, and %llu when it was overlaid",
			    (unsigned long long)now.file_bytes,
			    (unsigned long long)parent->file_bytes);
	else if (memcmp(now.uuid, parent->uuid, sizeof now.uuid) != 0)
		r = err_set(e, ERR_INCOMPATIBLE,
			    "is another overlay than the one that was overlaid");
	else if (memcmp(now.generation, parent->generation, sizeof now.generation) != 0)
		r = err_set(e, ERR_INCOMPATIBLE, "was written since it was overlaid");
	else if (now.mtime_ns != parent->mtime_ns)
		r = err_set(e, ERR_INCOMPATIBLE,
			    "was written since it was overlaid (if it is only a copy that lost its "
			    "time: touch -d @%llu.%09llu)",
			    (unsigned long long)(parent->mtime_ns / 1000000000u),
			    (unsigned long long)(parent->mtime_ns % 1000000000u));
	if (r)
		err_where(e, "%s", below->path);
	return r;
}

int disk_image_bytes_(const struct disk_image_fd *img, uint64_t *bytes, struct err *e)
{
	struct disk_header h;

	if (img->format == DISK_RAW)
		return disk_raw_bytes_(img, bytes, e);
	int r = disk_header_read_(img->fd, &h, e);
	if (!r)
		*bytes = h.bytes;
	return r;
}
