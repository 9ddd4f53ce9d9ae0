/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK   ".partial-"
#define RANDOM "XXXXXX"

bool output_is_temporary(const char *name, const char *of)
{
	const size_t mark = strlen(MARK), random = strlen(RANDOM), least = 1 + mark + random;
	size_t n = strlen(name), base = n > least ? n - least : 0;

	if (!base || name[0] != '.' || strncmp(name + 1 + base, MARK, mark) != 0)
		return false;
	for (const char *p = name + n - random; *p; p++)
		if (!(*p >= '0' && *p <= '9') && !(*p >= 'A' && *p <= 'Z') &&
		    !(*p >= 'a' && *p <= 'z'))
			return false;
	return !of || (strlen(of) == base && !strncmp(name + 1, of, base));
}

/* 0, or 1 when somebody took it for abandoned before it was locked. Where nothing can be locked
 * nobody takes anything for abandoned. */
static int lock(int fd)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) && errno != EOPNOTSUPP && errno != ENOSYS)
		return errno == EWOULDBLOCK ? 1 : -1;
	return fstat(fd, &st) || st.st_nlink ? 0 : 1;
}

static int create(struct output *o)
{
	char *random = o->temporary + strlen(o->temporary) - strlen(RANDOM);

	for (;;) {
		int fd = mkostemp(o->temporary, O_CLOEXEC), busy = fd < 0 ? 0 : lock(fd);
		if (!busy)
			return fd;
		int sys = errno;
		close(fd);
		if (busy < 0) {
			unlink(o->temporary);
			errno = sys;
			return -1;
		}
		strcpy(random, RANDOM);
	}
}

int output_open(const char *path, struct output *o, struct err *e)
{
	char dir[PATH_MAX], base[PATH_MAX];
	struct stat st;

	if (!strcmp(path, "-")) {
		o->fd = 1;
		return 0;
	}
	/* Or /dev/null would become a file. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "%s: not a regular file (- is standard output)", path);
	if (strlen(path) >= sizeof dir - 32)
		return err_set(e, ERR_USAGE, "%s: name too long", path);
	strcpy(dir, path);
	strcpy(base, path);
	const char *d = dirname(dir), *b = basename(base);
	int n = snprintf(o->temporary, sizeof o->temporary, "%s/.%s" MARK RANDOM, d, b);
	if (n < 0 || (size_t)n >= sizeof o->temporary)
		return err_set(e, ERR_USAGE, "%s: name too long", path);
	o->dir_fd = open(d, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	o->fd = o->dir_fd < 0 ? -1 : create(o);
	if (o->fd < 0) {
		o->temporary[0] = '\0';
		return err_sys(e, ERR_IO, errno, "cannot write to %s", d);
	}
	return 0;
}

int output_scratch(const char *path, int *fd, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	char name[PATH_MAX], copy[PATH_MAX];

	snprintf(copy, sizeof copy, "%s", path);
	const char *dir = strcmp(path, "-") ? dirname(copy) : tmp ? tmp : "/var/tmp";
	*fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	/* A file system without O_TMPFILE. */
	snprintf(name, sizeof name, "%s/.vmm-scratch-XXXXXX", dir);
	*fd = mkostemp(name, O_CLOEXEC);
	if (*fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot write to %s", dir);
	unlink(name);
	return 0;
}

int output_publish(const char *path, struct output *o, struct err *e)
{
	if (!o->temporary[0])
		return 0;
	if (fsync(o->fd))
		return err_sys(e, ERR_IO, errno, "%s: cannot sync", path);
	if (rename(o->temporary, path))
		return err_sys(e, ERR_IO, errno, "cannot rename to %s", path);
	o->temporary[0] = '\0';
	if (fsync(o->dir_fd))
		return err_sys(e, ERR_IO, errno, "%s: cannot sync its folder", path);
	return 0;
}

void output_close(struct output *o)
{
	if (o->temporary[0])
		unlink(o->temporary);
	if (o->fd > 2)
		close(o->fd);
	if (o->dir_fd >= 0)
		close(o->dir_fd);
}
