/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/runtime.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <fcntl.h>
#include <unistd.h>

#define SUFFIX	".sock"
#define BACKLOG 16

int runtime_check_name(const char *name, struct err *e)
{
	size_t n = strlen(name);
	bool ok = n && n <= RUNTIME_NAME_MAX && name[0] != '.' && name[0] != '-';

	for (size_t i = 0; ok && i < n; i++)
		ok = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
	return ok ? 0
		  : err_set(e, ERR_USAGE,
			    "name '%s': letters, digits, '.', '_' and '-', at most %d", name,
			    RUNTIME_NAME_MAX);
}

static int directory(char *out, size_t size, struct err *e)
{
	const char *own = getenv("VMM_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	int n = own && *own   ? snprintf(out, size, "%s", own)
		: xdg && *xdg ? snprintf(out, size, "%s/vmm", xdg)
			      : snprintf(out, size, "/run/vmm");

	if (n < 0 || (size_t)n >= size)
		return err_set(e, ERR_USAGE, "the runtime directory's name is too long");
	return 0;
}

static int address(const char *name, struct sockaddr_un *a, struct err *e)
{
	char dir[sizeof a->sun_path];
	int r = runtime_check_name(name, e);

	if (!r)
		r = directory(dir, sizeof dir, e);
	if (r)
		return r;
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(a->sun_path, sizeof a->sun_path, "%s/%s" SUFFIX, dir, name);
	if (n < 0 || (size_t)n >= sizeof a->sun_path)
		return err_set(e, ERR_USAGE, "%s/%s" SUFFIX ": longer than a socket's name may be",
			       dir, name);
	return 0;
}

/* 0 when somebody listens there, -ECONNREFUSED for a socket that was left behind, -ENOENT and
 * other negative errno. */
static int try_connect(const struct sockaddr_un *a, int *out)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)a, sizeof *a)) {
		struct stat st;
		int r = -errno;
		close(fd);
		/* Any other kind of file is not ours to remove. */
		if (r == -ECONNREFUSED && (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode)))
			r = -ENOTSOCK;
		return r;
	}
	*out = fd;
	return 0;
}

/* Held while a socket is looked at and replaced, so that two new VMs cannot both take a name. */
static int lock_directory(struct err *e)
{
	char dir[108];
	int r = directory(dir, sizeof dir, e);

	if (r)
		return r;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_sys(e, ERR_IO, errno, "cannot create %s", dir);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX)) {
		r = err_sys(e, ERR_IO, errno, "cannot use %s", dir);
		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

int runtime_listen(const char *name, int *out, struct err *e)
{
	struct sockaddr_un a;
	int other = -1, r = address(name, &a, e);

	if (r)
		return r;
	int lock = lock_directory(e);
	if (lock < 0)
		return lock;
	r = try_connect(&a, &other);
	if (r == 0) {
		close(other);
		r = err_set(e, ERR_BUSY, "a VM named %s is running: choose another --name", name);
	} else {
		if (r == -ECONNREFUSED)
			unlink(a.sun_path);
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		mode_t mask = umask(0177);
		r = 0;
		if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, BACKLOG))
			r = err_sys(e, ERR_IO, errno, "cannot listen at %s", a.sun_path);
		umask(mask);
		if (!r)
			*out = fd;
		else if (fd >= 0)
			close(fd);
	}
	close(lock);
	return r;
}

int runtime_connect(const char *name, int *fd, struct err *e)
{
	struct sockaddr_un a;
	int r = address(name, &a, e);

	if (r)
		return r;
	r = try_connect(&a, fd);
	if (r == -ECONNREFUSED) {
		/* Left behind, or of a VM that is about to listen: with the lock, only the former.
		 */
		int lock = lock_directory(e);
		if (lock < 0)
			return lock;
		r = try_connect(&a, fd);
		if (r == -ECONNREFUSED)
			unlink(a.sun_path);
		close(lock);
	}
	if (r == -ECONNREFUSED || r == -ENOENT)
		return err_set(e, ERR_NAME, "no VM named %s is running", name);
	if (r)
		return err_sys(e, ERR_IO, -r, "cannot connect to %s", a.sun_path);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int runtime_names(char ***names, size_t *n, struct err *e)
{
	char dir[108];
	struct buf list = BUF_INIT;
	int r = directory(dir, sizeof dir, e);
	DIR *d = r ? NULL : opendir(dir);

	if (r)
		return r;
	if (!d && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "cannot read %s", dir);
	for (struct dirent *ent; d && (ent = readdir(d));) {
		size_t len = strlen(ent->d_name);
		if (len <= strlen(SUFFIX) || strcmp(ent->d_name + len - strlen(SUFFIX), SUFFIX))
			continue;
		char *name = strndup(ent->d_name, len - strlen(SUFFIX));
		if (name)
			buf_put(&list, &name, sizeof name);
	}
	if (d)
		closedir(d);
	*names = (char **)list.data;
	*n = list.len / sizeof(char *);
	if (*n)
		qsort(list.data, *n, sizeof(char *), by_name);
	return 0;
}
