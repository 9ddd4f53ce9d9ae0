/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int io_src_fd(struct io_src *src, int fd, struct err *e)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st))
		return err_sys(e, ERR_IO, errno, "cannot stat");
	if (S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		return err_set(e, ERR_IO, "not a regular file or block device");
	else if (ioctl(fd, BLKGETSIZE64, &size))
		return err_sys(e, ERR_IO, errno, "cannot get size");
	*src = (struct io_src){.size = size, .fd = fd};
	return 0;
}

void io_src_mem(struct io_src *src, const void *data, size_t size)
{
	*src = (struct io_src){.size = size, .fd = -1, .data = data};
}

int io_read_at(const struct io_src *src, void *out, size_t n, uint64_t offset, struct err *e)
{
	if (!num_inside(offset, n, 0, src->size))
		return err_at(e, ERR_TRUNCATED, offset, "ends at 0x%llx, %zu bytes wanted",
			      (unsigned long long)src->size, n);
	if (src->fd < 0) {
		if (n)
			memcpy(out, src->data + offset, n);
		return 0;
	}
	for (size_t done = 0; done < n;) {
		ssize_t r = pread(src->fd, (char *)out + done, n - done, (off_t)(offset + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			int code = err_sys(e, ERR_IO, errno, "cannot read");
			if (e)
				e->offset = offset + done;
			return code;
		}
		if (r == 0)
			return err_at(e, ERR_TRUNCATED, offset + done, "became shorter while read");
		done += (size_t)r;
	}
	return 0;
}

uint64_t io_next_data(const struct io_src *src, uint64_t offset)
{
	off_t at = src->fd < 0 ? (off_t)offset : lseek(src->fd, (off_t)offset, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? src->size : offset;
	return (uint64_t)at;
}

int io_write_all(int fd, const void *data, size_t n, struct err *e)
{
	const char *p = data;

	while (n) {
		ssize_t r = write(fd, p, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, ERR_IO, errno, "cannot write");
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

int io_write_all_at(int fd, const void *data, size_t n, uint64_t offset, struct err *e)
{
	const char *p = data;

	while (n) {
		ssize_t r = pwrite(fd, p, n, (off_t)offset);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, ERR_IO, errno, "cannot write");
		p += r;
		n -= (size_t)r;
		offset += (uint64_t)r;
	}
	return 0;
}

int io_read_file(const char *path, size_t max, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot open");
	for (;;) {
		const size_t step = 64 * KIB;
		void *at = buf_grow(out, step);
		if (!at) {
			r = err_set(e, ERR_NOMEM, "out of memory");
			break;
		}
		ssize_t n = read(fd, at, step);
		out->len -= step - (n > 0 ? (size_t)n : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = err_sys(e, ERR_IO, errno, "cannot read");
		if (n <= 0)
			break;
		if (out->len > max) {
			r = err_set(e, ERR_LIMIT, "larger than %zu bytes", max);
			break;
		}
	}
	close(fd);
	return r;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t io_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t io_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
