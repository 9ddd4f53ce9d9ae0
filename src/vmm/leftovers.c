/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/leftovers.h"

#include "snapshot/snapshot.h"
#include "vmm/disks.h"
#include "vmm/output.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Split as dirname() and basename() do. */
struct place {
	char dir[PATH_MAX], base[PATH_MAX];
	const char *folder, *name;
};

static void split(const char *path, struct place *p)
{
	snprintf(p->dir, sizeof p->dir, "%s", path);
	snprintf(p->base, sizeof p->base, "%s", path);
	p->folder = dirname(p->dir);
	p->name = basename(p->base);
}

static void removed(struct leftovers *l, const char *name)
{
	if (!l->n++)
		snprintf(l->first, sizeof l->first, "%s", name);
}

/* --- unfinished files ------------------------------------------------------------------------ */

/* Whether mkostemp() of output_open() made it: nobody but us has it, and under no other name. */
static bool made_by_us(int fd, struct stat *st)
{
	return !fstat(fd, st) && S_ISREG(st->st_mode) && (st->st_mode & 07777) == 0600 &&
	       st->st_uid == geteuid() && st->st_nlink == 1;
}

/* Who was killed before snap_mark() has left an empty one, which tells nothing but its name: that
 * must be @own. */
static bool abandoned(int dir_fd, int fd, const char *name, bool own)
{
	struct stat st, named;

	return made_by_us(fd, &st) && !flock(fd, LOCK_EX | LOCK_NB) && made_by_us(fd, &st) &&
	       (st.st_size ? snap_begins(fd) : own) &&
	       !fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) && named.st_dev == st.st_dev &&
	       named.st_ino == st.st_ino;
}

void leftovers_beside(const char *output, struct leftovers *l)
{
	struct place p;
	struct dirent *d;

	split(output, &p);
	DIR *dir = opendir(p.folder);
	while (dir && (d = readdir(dir))) {
		if (!output_is_temporary(d->d_name, NULL))
			continue;
		int fd =
		    openat(dirfd(dir), d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (abandoned(dirfd(dir), fd, d->d_name, output_is_temporary(d->d_name, p.name)) &&
		    !unlinkat(dirfd(dir), d->d_name, 0))
			removed(l, d->d_name);
		close(fd);
	}
	if (dir)
		closedir(dir);
}

/* --- overlays -------------------------------------------------------------------------------- */

void leftovers_over(const char *image, struct leftovers *l)
{
	char path[2 * PATH_MAX];
	struct place p;
	struct dirent *d;

	split(image, &p);
	DIR *dir = opendir(p.folder);
	while (dir && (d = readdir(dir))) {
		snprintf(path, sizeof path, "%s/%s", p.folder, d->d_name);
		if (disks_is_new_overlay(d->d_name, p.name) && disk_overlay_discard(path, image))
			removed(l, d->d_name);
	}
	if (dir)
		closedir(dir);
}

void leftovers_tell(const struct leftovers *l)
{
	if (l->n == 1)
		fprintf(stderr, "vmm: removed %s, which a save that was killed had left\n",
			l->first);
	else if (l->n)
		fprintf(stderr,
			"vmm: removed %s and %u more, which saves that were killed had left\n",
			l->first, l->n - 1);
}
