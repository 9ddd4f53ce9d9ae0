/* SPDX-License-Identifier: Apache-2.0 */
/* New images on top of others. */
#include "devices/disk_image.h"

#include "base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* @to as seen from the directory of the file @from; both absolute, without links or dots. */
static int relative(const char *from, const char *to, char out[static DISK_NAME_MAX + 1],
		    struct err *e)
{
	size_t common = 0, n = 0;

	for (size_t i = 0; from[i] && from[i] == to[i]; i++)
		if (from[i] == '/')
			common = i + 1;
	for (const char *p = from + common; (p = strchr(p, '/')); p++) {
		if (n + 3 > DISK_NAME_MAX)
			return err_set(e, ERR_LIMIT, "too far from the image under it");
		memcpy(out + n, "../", 3);
		n += 3;
	}
	if (n + strlen(to + common) > DISK_NAME_MAX)
		return err_set(e, ERR_LIMIT, "too far from the image under it");
	memcpy(out + n, to + common, strlen(to + common) + 1);
	return 0;
}

/* May be read by whom the parent may be read by. */
static int create(const char *path, const struct disk_image_fd *parent, struct disk_image_fd *img,
		  struct err *e)
{
	struct stat st;

	if (fstat(parent->fd, &st))
		return err_sys(e, ERR_IO, errno, "cannot stat the image under it");
	img->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, (st.st_mode & 0444) | 0600);
	if (img->fd < 0)
		return err_sys(e, errno == EEXIST ? ERR_WRONG_STATE : ERR_IO, errno,
			       "cannot create");
	int r = disk_path_set_(img, path, e);
	return r ? r : disk_lock_(img, F_WRLCK, e);
}

static int fail(int r, const char *path, struct disk_image_fd *img, struct err *e)
{
	err_where(e, "%s", path);
	if (img->fd >= 0) {
		unlink(path);
		close(img->fd);
	}
	return r;
}

static int create_overlay(const char *path, const struct disk_chain *parent, bool spare,
			  struct disk_image_fd *out, struct err *e)
{
	const struct disk_image_fd *below = &parent->image[0];
	struct disk_image_fd img = {.fd = -1, .format = DISK_OVERLAY};
	struct disk_header h = {.spare = spare};
	int r = 0;

	if (disk_name_format(path) != DISK_OVERLAY)
		r = err_set(e, ERR_USAGE, "the name of an overlay ends in " DISK_OVERLAY_SUFFIX);
	else if (parent->n >= DISK_CHAIN_MAX)
		r = err_set(e, ERR_LIMIT,
			    "%s lies on %u others, more may not be: flatten or commit it",
			    below->path, parent->n - 1);
	if (!r)
		r = disk_image_bytes_(below, &h.bytes, e);
	if (!r)
		r = create(path, below, &img, e);
	if (!r)
		r = relative(img.path, below->path, h.parent.name, e);
	if (!r)
		r = disk_parent_fill_(&h.parent, below, e);
	if (!r)
		r = secret_random(h.uuid, sizeof h.uuid, e);
	if (!r)
		r = secret_random(h.generation, sizeof h.generation, e);
	disk_header_layout_(&h);
	if (!r && ftruncate(img.fd, (off_t)(h.data_offset + h.bytes)))
		r = err_sys(e, ERR_IO, errno, "cannot set the size");
	if (!r)
		r = disk_header_write_(img.fd, &h, e);
	if (r)
		return fail(r, path, &img, e);
	*out = img;
	return 0;
}

int disk_overlay_create(const char *path, const struct disk_chain *parent,
			struct disk_image_fd *out, struct err *e)
{
	return create_overlay(path, parent, false, out, e);
}

int disk_overlay_spare(const char *path, const struct disk_chain *parent, struct disk_image_fd *out,
		       struct err *e)
{
	return create_overlay(path, parent, true, out, e);
}

/* A valid header means that its maker has locked it: who gets the lock then is alone with it. */
static bool is_spare(const struct disk_image_fd *img, const char *image)
{
	const char *slash = strrchr(image, '/');
	struct disk_layer l;

	if (disk_layer_open_(&l, img, NULL))
		return false;
	bool spare =
	    l.head.spare && !l.written && !strcmp(l.head.parent.name, slash ? slash + 1 : image);
	disk_layer_fini_(&l);
	return spare && !disk_lock_(img, F_WRLCK, NULL);
}

bool disk_overlay_discard(const char *path, const char *image)
{
	struct disk_image_fd img = {.format = DISK_OVERLAY};
	struct stat st, named;

	img.fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (img.fd < 0)
		return false;
	/* Looked at again when it is locked: a VM may have gone on in it until now. */
	bool done = disk_name_format(path) == DISK_OVERLAY && is_spare(&img, image) &&
		    is_spare(&img, image) && !fstat(img.fd, &st) && st.st_uid == geteuid() &&
		    st.st_nlink == 1 && st.st_mode & S_IWUSR && !lstat(path, &named) &&
		    named.st_dev == st.st_dev && named.st_ino == st.st_ino && !unlink(path);
	close(img.fd);
	return done;
}

int disk_clone_create(const char *path, const struct disk_chain *parent, struct disk_image_fd *out,
		      struct err *e)
{
	const struct disk_image_fd *below = &parent->image[0];
	struct disk_image_fd img = {.fd = -1, .format = DISK_RAW};
	int r = 0;

	if (disk_name_format(path) != DISK_RAW)
		r = err_set(e, ERR_USAGE,
			    "the name of a raw image does not end in " DISK_OVERLAY_SUFFIX);
	else if (below->format != DISK_RAW)
		r = err_set(e, ERR_INCOMPATIBLE, "only a raw image can be cloned");
	if (!r)
		r = create(path, below, &img, e);
	/* To learn whether it can be done; disk_switch() does it again. */
	if (!r && ioctl(img.fd, FICLONE, below->fd))
		r = err_sys(e, ERR_INCOMPATIBLE, errno, "cannot share blocks with %s", below->path);
	if (r)
		return fail(r, path, &img, e);
	*out = img;
	return 0;
}
