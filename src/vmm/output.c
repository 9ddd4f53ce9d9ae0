/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	int n = snprintf(o->temporary, sizeof o->temporary, "%s/.%s.partial-XXXXXX", d, b);
	if (n < 0 || (size_t)n >= sizeof o->temporary)
		return err_set(e, ERR_USAGE, "%s: name too long", path);
	o->dir_fd = open(d, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	o->fd = o->dir_fd < 0 ? -1 : mkostemp(o->temporary, O_CLOEXEC);
	if (o->fd < 0) {
		o->temporary[0] = '\0';
		return err_sys(e, ERR_IO, errno, "cannot write to %s", d);
	}
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
