/* SPDX-License-Identifier: Apache-2.0 */
/* Writing images without the ring, for tools. */
#include "devices/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

static const uint8_t zero[64 * KIB];

int disk_sync_(int fd, struct err *e)
{
	if (fdatasync(fd))
		return err_sys(e, ERR_IO, errno, "cannot sync");
	return 0;
}

int disk_zero_(int fd, uint64_t at, uint64_t bytes, struct err *e)
{
	int r = 0;

	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes))
		return 0;
	if (errno != EOPNOTSUPP && errno != EINVAL)
		return err_sys(e, ERR_IO, errno, "cannot make a hole");
	while (bytes && !r) {
		size_t n = bytes < sizeof zero ? bytes : sizeof zero;
		r = io_write_all_at(fd, zero, n, at, e);
		at += n;
		bytes -= n;
	}
	return r;
}

/* How much of @data from its start on is zeros, or is not, in steps of a cluster. */
static size_t run_length(const uint8_t *data, size_t bytes, bool *zeros)
{
	size_t n = 0;

	while (n < bytes) {
		size_t step = bytes - n < DISK_CLUSTER ? bytes - n : DISK_CLUSTER;
		bool z = !memcmp(data + n, zero, step);
		if (!n)
			*zeros = z;
		else if (z != *zeros)
			break;
		n += step;
	}
	return n;
}

int disk_write_sparse_(int fd, const uint8_t *data, size_t bytes, uint64_t at, struct err *e)
{
	while (bytes) {
		bool zeros;
		size_t n = run_length(data, bytes, &zeros);
		int r = zeros ? disk_zero_(fd, at, n, e) : io_write_all_at(fd, data, n, at, e);
		if (r)
			return r;
		data += n;
		at += n;
		bytes -= n;
	}
	return 0;
}

int disk_layer_flush_(struct disk_layer *l, struct err *e)
{
	int r = disk_sync_(l->img.fd, e);

	if (!l->dirty)
		return r;
	for (uint64_t i = 0; !r && i < l->head.bitmap_bytes / DISK_BITMAP_PAGE; i++) {
		uint64_t at = i * DISK_BITMAP_PAGE;
		if (!l->dirty[i])
			continue;
		r = io_write_all_at(l->img.fd, l->bitmap + at, DISK_BITMAP_PAGE,
				    DISK_HEADER_BYTES + at, e);
		if (!r)
			l->dirty[i] = 0;
	}
	return r ? r : disk_sync_(l->img.fd, e);
}
