/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that change files, each of which can fail; and time that goes by faster. See fault.c. */
#undef _FILE_OFFSET_BITS
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

ssize_t pwrite64(int fd, const void *data, size_t n, int64_t at);
int ftruncate64(int fd, int64_t n);
int fallocate64(int fd, int mode, int64_t at, int64_t n);
int mkostemp64(char *path, int flags);
int fcntl64(int fd, int what, ...);

/* --- calls that change files --------------------------------------------------------------- */

int fault_step(void)
{
	if (!gate)
		return 0;
	uint32_t n = ++gate->steps, meant = gate->step & ~FAULT_STEP_ALL;
	if (!meant || (gate->step & FAULT_STEP_ALL ? n < meant : n != meant))
		return 0;
	if (gate->fate == FATE_KILLED) {
		raise(SIGKILL);
		abort();
	}
	return (int)gate->fate;
}

/* As fault_step() for @fd, if it is a file or a pipe: others tell threads of each other. */
static int fault_step_fd(int fd)
{
	struct stat st;

	return gate && fd > 2 && fd != log_fd && !fstat(fd, &st) &&
		       (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode))
		   ? fault_step()
		   : 0;
}

bool fault_fails(int fate)
{
	errno = fate;
	return fate && fate != FATE_SHORT;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t n)
{
	static ssize_t (*real)(int, const void *, size_t);
	int fate = fault_step_fd(fd);

	fault_tell(fd);

	if (!real)
		real = REAL(write, ssize_t(*)(int, const void *, size_t));
	return fault_fails(fate) ? -1 : real(fd, data, fate && n > 1 ? n / 2 : n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	int fate = fault_step_fd(fd);

	if (fate == FATE_SHORT)
		return write(fd, v->iov_base, v->iov_len);
	return fault_fails(fate)
		   ? -1
		   : REAL(writev, ssize_t(*)(int, const struct iovec *, int))(fd, v, n);
}

ssize_t pwrite64(int fd, const void *data, size_t n, int64_t at)
{
	int fate = fault_step_fd(fd);

	return fault_fails(fate) ? -1
				 : REAL(pwrite64, ssize_t(*)(int, const void *, size_t, int64_t))(
				       fd, data, fate && n > 1 ? n / 2 : n, at);
}

/* Those that take a descriptor and have no half. */
#define STEP_FD(name, params, ...)                                                                 \
	int name params                                                                            \
	{                                                                                          \
		return fault_fails(fault_step_fd(fd)) ? -1                                         \
						      : REAL(name, int(*) params)(__VA_ARGS__);    \
	}

STEP_FD(fsync, (int fd), fd)
STEP_FD(fdatasync, (int fd), fd)
STEP_FD(fchmod, (int fd, mode_t mode), fd, mode)
STEP_FD(ftruncate64, (int fd, int64_t n), fd, n)
STEP_FD(fallocate64, (int fd, int mode, int64_t at, int64_t n), fd, mode, at, n)
STEP_FD(futimens, (int fd, const struct timespec t[2]), fd, t)
STEP_FD(flock, (int fd, int what), fd, what)

#define STEP(name, params, ...)                                                                    \
	int name params                                                                            \
	{                                                                                          \
		return fault_fails(fault_step()) ? -1 : REAL(name, int(*) params)(__VA_ARGS__);    \
	}

STEP(rename, (const char *from, const char *to), from, to)
STEP(unlink, (const char *path), path)
STEP(mkostemp64, (char *path, int flags), path, flags)

int fcntl64(int fd, int what, ...)
{
	va_list a;

	va_start(a, what);
	void *arg = va_arg(a, void *);
	va_end(a);
	if (what == F_OFD_SETLK && fault_fails(fault_step_fd(fd)))
		return -1;
	return REAL(fcntl64, int (*)(int, int, ...))(fd, what, arg);
}

/* --- time ------------------------------------------------------------------------------------ */

static unsigned speed(void)
{
	static unsigned value;

	if (!value)
		value = getenv("FAULT_SPEED") ? (unsigned)atoi(getenv("FAULT_SPEED")) : 1;
	return value;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = REAL(clock_gettime, int (*)(clockid_t, struct timespec *))(id, t);

	if (!r && id == CLOCK_MONOTONIC && speed() > 1) {
		uint64_t ns = ((uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec) * speed();
		t->tv_sec = (time_t)(ns / 1000000000);
		t->tv_nsec = (long)(ns % 1000000000);
	}
	return r;
}

/* Not while it waits, but just before. */
static void interrupt(void)
{
	static atomic_int count;
	const char *nth = getenv("FAULT_INTERRUPT");

	if (nth && ++count == atoi(nth))
		raise(SIGINT);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	int faster = ms > (int)speed() ? ms / (int)speed() : ms;

	interrupt();
	return REAL(poll, int (*)(struct pollfd *, nfds_t, int))(fds, n, faster);
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask)
{
	interrupt();
	return REAL(ppoll, int (*)(struct pollfd *, nfds_t, const struct timespec *,
				   const sigset_t *))(fds, n, t, mask);
}
