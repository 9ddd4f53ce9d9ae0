/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into vmm: makes one system call of many fail, or holds up the reading of a file.
 *
 *   FAULT_CALL   open or ioctl
 *   FAULT_MATCH  the path, or the request as a number
 *   FAULT_NTH    which of those that match, from 1 on; 0 for all of them
 *   FAULT_ERRNO  with what
 *   FAULT_LOG    a file where it says that it happened
 *
 *   FAULT_READS  the path of a file, whose pread() in threads but the main one is looked after
 *   FAULT_GATE   a file with a struct gate, mapped: whoever has it too says what happens to them
 *                FAULT_LOG gets a line for each: offset and length
 *   FAULT_TELLS  beside FAULT_GATE: what is held up is that threads but the main one tell it
 * something
 *
 * With a gate, calls that change files are counted too (those of fault_steps.c), and one of them
 * can fail, write less, or be the last thing that the process does: see struct gate.
 *
 *   FAULT_INTERRUPT  before which wait in poll() or ppoll(), from 1 on, there is a SIGINT
 *   FAULT_SPEED  how many times as fast time goes by for those who look at the clock or wait in
 * poll()
 */
/* open() and open64() are two functions here. */
#undef _FILE_OFFSET_BITS
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t pread64(int fd, void *buf, size_t n, int64_t offset);
int ioctl(int fd, unsigned long request, ...);
int open64(const char *path, int flags, ...);
int close_range(unsigned first, unsigned last, int flags);

static atomic_int count;
static bool log_open;
int log_fd = -1;
struct gate *gate;
static atomic_int watched_fd = -1;

static bool is(const char *call)
{
	const char *wanted = getenv("FAULT_CALL");

	return wanted && !strcmp(wanted, call) && getenv("FAULT_MATCH");
}

static void map_gate(int fd)
{
	gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (gate == MAP_FAILED)
		abort();
}

/* Opened at the start: later the sandbox does not allow it. */
static __attribute__((constructor)) void start(void)
{
	const char *path = getenv("FAULT_LOG"), *shared = getenv("FAULT_GATE");
	int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");

	if (shared)
		map_gate(real(shared, O_RDWR | O_CLOEXEC));
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

	int wanted = nth ? atoi(nth) : 1;

	if (atomic_fetch_add(&count, 1) + 1 != wanted && wanted)
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
	if (flags & (O_CREAT | __O_TMPFILE) && fault_fails(fault_step()))
		return -1;
	int fd = real(path, flags, mode);
	const char *watched = getenv("FAULT_READS");
	if (gate && watched && !strcmp(path, watched))
		watched_fd = fd;
	return fd;
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

/* False when it is to fail. */
static bool pass(uint32_t number)
{
	if (number < gate->allow)
		return true;
	usleep(gate->delay_us);
	gate->waiting++;
	while (gate->wait && number >= gate->allow)
		usleep(1000);
	gate->waiting--;
	errno = (int)gate->error;
	return !gate->error || number < gate->allow;
}

void fault_tell(int fd)
{
	struct stat st;

	if (gate && getenv("FAULT_TELLS") && gettid() != getpid() && !fstat(fd, &st) &&
	    !(st.st_mode & S_IFMT))
		pass(gate->reads++);
}

ssize_t pread64(int fd, void *buf, size_t n, int64_t offset)
{
	ssize_t (*real)(int, void *, size_t, int64_t) = dlsym(RTLD_NEXT, "pread64");
	char line[64];

	if (gate && fd == watched_fd && gettid() != getpid()) {
		int length = snprintf(line, sizeof line, "%lld %zu\n", (long long)offset, n);
		if (log_open && write(log_fd, line, (size_t)length) != length)
			abort();
		if (!pass(gate->reads++))
			return -1;
	}
	return real(fd, buf, n, offset);
}
