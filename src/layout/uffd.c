/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <linux/userfaultfd.h> of Linux 6.1 has it; older ones do not. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

static int open_fd(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), fd = -1;

	if (device >= 0) {
		fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(device);
	}
	return fd >= 0 ? fd : (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

static int handshake(int fd, uint64_t wanted, uint64_t *features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = wanted};

	if (ioctl(fd, UFFDIO_API, &api))
		return -1;
	*features = api.features;
	return 0;
}

/* What is asked for must be there. A kernel that lacks some of it refuses, and the descriptor is as
 * new; another one, which is good for nothing else, tells what there is. */
static int agree(int fd, uint64_t useful, uint64_t *features)
{
	uint64_t there = 0;

	if (!handshake(fd, useful, features))
		return 0;
	int probe = open_fd();
	int r = probe < 0 ? -1 : handshake(probe, 0, &there);
	if (probe >= 0)
		close(probe);
	return r ? r : handshake(fd, there & useful, features);
}

int uffd_open(struct uffd *u, const struct guest_mem *mem, struct err *e)
{
	const uint64_t useful = UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MISSING_SHMEM |
				UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
				UFFD_FEATURE_MINOR_HUGETLBFS;

	*u = (struct uffd){.fd = open_fd(), .mem = mem};
	if (u->fd < 0)
		return err_sys(e, ERR_IO, errno,
			       "userfaultfd: give access to /dev/userfaultfd, or the capability "
			       "CAP_SYS_PTRACE");
	if (agree(u->fd, useful, &u->features)) {
		int r = err_sys(e, ERR_IO, errno, "userfaultfd");
		uffd_close(u);
		return r;
	}
	u->features &= useful;
	return 0;
}

void uffd_close(struct uffd *u)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

/* The whole pages that hold these bytes of the mapping. */
static struct uffdio_range pages(const struct uffd *u, uint64_t offset, uint64_t bytes)
{
	uint64_t page = u->mem->page_bytes, start = (uint64_t)(uintptr_t)u->mem->host + offset,
		 end = (start + bytes + page - 1) / page * page;

	start = start / page * page;
	return (struct uffdio_range){start, end - start};
}

static uint64_t address(const struct uffd *u, uint64_t offset)
{
	return (uint64_t)(uintptr_t)u->mem->host + offset;
}

int uffd_register(struct uffd *u, uint64_t offset, uint64_t bytes, unsigned modes, struct err *e)
{
	struct uffdio_register arg = {
	    .range = pages(u, offset, bytes),
	    .mode = (modes & UFFD_MISSING ? UFFDIO_REGISTER_MODE_MISSING : 0) |
		    (modes & UFFD_PROTECT ? UFFDIO_REGISTER_MODE_WP : 0) |
		    (modes & UFFD_MAPPING ? UFFDIO_REGISTER_MODE_MINOR : 0),
	};

	if (ioctl(u->fd, UFFDIO_REGISTER, &arg))
		return err_sys(e, ERR_IO, errno, "UFFDIO_REGISTER");
	return 0;
}

int uffd_unregister(struct uffd *u, uint64_t offset, uint64_t bytes, struct err *e)
{
	struct uffdio_range range = pages(u, offset, bytes);

	if (ioctl(u->fd, UFFDIO_UNREGISTER, &range))
		return err_sys(e, ERR_IO, errno, "UFFDIO_UNREGISTER");
	/* Linux wakes those who wait for missing pages, but not for protected ones
	 * (userfaultfd_unregister() in fs/userfaultfd.c). New ones cannot come any more. */
	return ioctl(u->fd, UFFDIO_WAKE, &range) ? err_sys(e, ERR_IO, errno, "UFFDIO_WAKE") : 0;
}

bool uffd_next(struct uffd *u, struct uffd_fault *out)
{
	struct uffd_msg msg;

	while (read(u->fd, &msg, sizeof msg) == sizeof msg) {
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		/* The first huge page begins before the mapping does. */
		uint64_t page = msg.arg.pagefault.address,
			 host = (uint64_t)(uintptr_t)u->mem->host;
		out->offset = page > host ? page - host : 0;
		out->write = msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE;
		out->protected = msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP;
		return true;
	}
	return false;
}

/* Whoever came to a page while it was being filled. */
static int wake(struct uffd *u, uint64_t offset, uint64_t bytes, struct err *e)
{
	struct uffdio_range range = {address(u, offset), bytes};

	return ioctl(u->fd, UFFDIO_WAKE, &range) ? err_sys(e, ERR_IO, errno, "UFFDIO_WAKE") : 0;
}

/* What to do after an ioctl that made @done bytes present of those it should. */
static int after(struct uffd *u, int64_t done, const char *what, uint64_t *offset, uint64_t *bytes,
		 struct err *e)
{
	int error = errno;
	uint64_t step = done > 0 ? (uint64_t)done : 0;

	/* A page that is there already: it stays, the next ones follow. */
	if (!step && error == EEXIST) {
		step = u->mem->page_bytes;
		int r = wake(u, *offset, step, e);
		if (r)
			return r;
	} else if (!step && error != EAGAIN) { /* the address space is changing */
		return err_sys(e, error == ENOMEM ? ERR_NOMEM : ERR_IO, error, "%s", what);
	}
	*offset += step;
	*bytes -= step;
	return 0;
}

int uffd_fill(struct uffd *u, uint64_t offset, const void *src, uint64_t bytes, struct err *e)
{
	const uint8_t *from = src;

	for (uint64_t left = bytes; left;) {
		struct uffdio_copy arg = {
		    .dst = address(u, offset),
		    .src = (uint64_t)(uintptr_t)from,
		    .len = left,
		};
		uint64_t before = left;
		if (!ioctl(u->fd, UFFDIO_COPY, &arg))
			return 0;
		if (arg.copy < 0)
			errno = (int)-arg.copy;
		int r = after(u, arg.copy, "UFFDIO_COPY", &offset, &left, e);
		if (r)
			return r;
		from += before - left;
	}
	return 0;
}

int uffd_zero(struct uffd *u, uint64_t offset, uint64_t bytes, struct err *e)
{
	while (bytes) {
		struct uffdio_zeropage arg = {.range = {address(u, offset), bytes}};
		if (!ioctl(u->fd, UFFDIO_ZEROPAGE, &arg))
			return 0;
		if (arg.zeropage < 0)
			errno = (int)-arg.zeropage;
		int r = after(u, arg.zeropage, "UFFDIO_ZEROPAGE", &offset, &bytes, e);
		if (r)
			return r;
	}
	return 0;
}

int uffd_can_protect(const struct uffd *u, struct err *e)
{
	const uint64_t need = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

	/* A write there makes another page, of which the kernel knows nothing before. */
	if (u->mem->is_private && !u->mem->is_shmem)
		return err_set(
		    e, ERR_FEATURE,
		    "guest memory is mapped from a raw snapshot, which this kernel cannot "
		    "protect against writes");
	return (u->features & need) == need
		   ? 0
		   : err_set(e, ERR_FEATURE,
			     "this kernel cannot protect guest memory against writes");
}

static int protect(struct uffd *u, struct uffdio_range range, bool on, struct err *e)
{
	struct uffdio_writeprotect arg = {
	    .range = range,
	    .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	while (ioctl(u->fd, UFFDIO_WRITEPROTECT, &arg))
		if (errno != EAGAIN)
			return err_sys(e, ERR_IO, errno, "UFFDIO_WRITEPROTECT");
	return 0;
}

/* Older kernels, as 6.1, take no range that is in more than one mapping. */
int uffd_protect(struct uffd *u, uint64_t offset, uint64_t bytes, bool on, struct err *e)
{
	uint64_t end;
	int r = 0;

	/* Behind the end of memory there is no mapping to come to. */
	if (!num_add(offset, bytes, &end) || end > u->mem->size)
		end = u->mem->size;
	while (!r && offset < end) {
		uint64_t mapping = mem_mapping_end(u->mem, offset),
			 step = (mapping < end ? mapping : end) - offset;
		r = protect(u, pages(u, offset, step), on, e);
		offset += step;
	}
	return r;
}

int uffd_continue(struct uffd *u, uint64_t offset, struct err *e)
{
	struct uffdio_continue arg = {.range = pages(u, offset, 1)};

	while (ioctl(u->fd, UFFDIO_CONTINUE, &arg)) {
		if (errno == EEXIST) /* it is mapped, and somebody came just before */
			return ioctl(u->fd, UFFDIO_WAKE, &arg.range)
				   ? err_sys(e, ERR_IO, errno, "UFFDIO_WAKE")
				   : 0;
		if (errno != EAGAIN)
			return err_sys(e, errno == ENOMEM ? ERR_NOMEM : ERR_IO, errno,
				       "UFFDIO_CONTINUE");
	}
	return 0;
}
