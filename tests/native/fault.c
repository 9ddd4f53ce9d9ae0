/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into vmm: makes one system call of many fail.
 *
 *   FAULT_CALL   open or ioctl
 *   FAULT_MATCH  the path, or the request as a number
 *   FAULT_NTH    which of those that match, from 1 on
 *   FAULT_ERRNO  with what
 *   FAULT_LOG    a file where it says that it happened
 */
/* open() and open64() are two functions here. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);
int open64(const char *path, int flags, ...);
int close_range(unsigned first, unsigned last, int flags);

static atomic_int count;
static int log_fd = -1;
static bool log_open;

static bool is(const char *call)
{
	const char *wanted = getenv("FAULT_CALL");

	return wanted && !strcmp(wanted, call) && getenv("FAULT_MATCH");
}

/* Opened at the start: later the sandbox does not allow it. */
static __attribute__((constructor)) void start(void)
{
	const char *path = getenv("FAULT_LOG");
	int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");

	if (!path)
		return;
	int fd = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	/* vmm closes from 3 on what it inherits, and what it finds there. */
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	close(fd);
	log_open = true;
}

static bool now(void)
{
	const char *nth = getenv("FAULT_NTH"), *err = getenv("FAULT_ERRNO");

	if (atomic_fetch_add(&count, 1) + 1 != (nth ? atoi(nth) : 1))
		return false;
	if (log_open && write(log_fd, "failed\n", 7) != 7)
		abort();
	errno = err ? atoi(err) : EIO;
	return true;
}

int close_range(unsigned first, unsigned last, int flags)
{
	/* All but the log's. */
	for (unsigned fd = first; fd < 1024; fd++)
		if ((int)fd != log_fd)
			close((int)fd);
	return 0;
}

static int open_or_fail(const char *name, const char *path, int flags, mode_t mode)
{
	int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);

	if (is("open") && !strcmp(path, getenv("FAULT_MATCH")) && now())
		return -1;
	return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list a;

	va_start(a, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(a, mode_t) : 0;
	va_end(a);
	return open_or_fail("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list a;

	va_start(a, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(a, mode_t) : 0;
	va_end(a);
	return open_or_fail("open64", path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list a;

	if (!real)
		real = dlsym(RTLD_NEXT, "ioctl");
	va_start(a, request);
	void *arg = va_arg(a, void *);
	va_end(a);
	if (is("ioctl") && request == strtoul(getenv("FAULT_MATCH"), NULL, 0) && now())
		return -1;
	return real(fd, request, arg);
}
