/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and making images: what a command does before it passes the descriptors on. */
#include "devices/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void image_close(struct disk_image_fd *img)
{
	if (img->fd >= 0)
		close(img->fd);
	img->fd = -1;
}

void disk_chain_close(struct disk_chain *chain)
{
	for (uint32_t i = 0; i < chain->n; i++)
		image_close(&chain->image[i]);
	chain->n = 0;
}

/* Paths go into snapshots, as text. */
static int check_text(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	struct cbor_item item;

	cbor_put_text(&b, path);
	struct cbor_in in = {.data = b.data, .len = b.len};
	int r = b.failed ? err_set(e, ERR_NOMEM, "out of memory") : cbor_next(&in, &item, NULL);
	buf_free(&b);
	return r ? err_set(e, ERR_USAGE, "the path is not printable UTF-8") : 0;
}

int disk_path_set_(struct disk_image_fd *img, const char *path, struct err *e)
{
	char *real = realpath(path, NULL);
	int r = 0;

	if (!real)
		r = err_sys(e, ERR_IO, errno, "cannot open");
	else if (strlen(real) > DISK_PATH_MAX)
		r = err_set(e, ERR_LIMIT, "path of %zu bytes, at most %d", strlen(real),
			    DISK_PATH_MAX);
	else
		r = check_text(real, e);
	if (!r)
		memcpy(img->path, real, strlen(real) + 1);
	free(real);
	return r;
}

/* Asked and not tried, because root may do everything. */
static int check_not_frozen(const struct disk_image_fd *img, struct err *e)
{
	struct stat st;

	if (fstat(img->fd, &st))
		return err_sys(e, ERR_IO, errno, "cannot stat");
	if (S_ISREG(st.st_mode) && !(st.st_mode & 0222))
		return err_set(
		    e, ERR_WRONG_STATE,
		    "frozen, it belongs to a snapshot: write to an overlay of it, or give "
		    "it write permission and lose the snapshot");
	return 0;
}

static int image_open(struct disk_image_fd *img, const char *path, bool writable, struct err *e)
{
	/* O_NONBLOCK: a FIFO in an image's place is refused, not waited for. */
	int flags = O_CLOEXEC | O_NONBLOCK;
	uint64_t bytes;
	int r = disk_path_set_(img, path, e);

	if (r)
		return r;
	img->format = disk_name_format(img->path);
	img->fd = open(img->path, flags | (writable ? O_RDWR : O_RDONLY));
	if (img->fd < 0 && errno == EACCES && writable) {
		/* It may be frozen, which is the better thing to say. */
		img->fd = open(img->path, flags | O_RDONLY);
		r = img->fd < 0 ? 0 : check_not_frozen(img, e);
		return r ? r : err_sys(e, ERR_IO, EACCES, "cannot open for writing");
	}
	if (img->fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot open");
	if (writable)
		r = check_not_frozen(img, e);
	if (!r && img->format == DISK_RAW)
		r = disk_raw_bytes_(img, &bytes, e);
	return r;
}

static int check_new(const struct disk_chain *chain, const struct disk_image_fd *img, struct err *e)
{
	struct stat a, b;

	if (fstat(img->fd, &a))
		return err_sys(e, ERR_IO, errno, "cannot stat");
	for (uint32_t i = 0; i < chain->n; i++) {
		if (fstat(chain->image[i].fd, &b))
			return err_sys(e, ERR_IO, errno, "cannot stat");
		if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return err_set(e, ERR_STRUCTURE, "lies under itself");
	}
	return 0;
}

struct walk {
	struct disk_chain *chain;
	enum disk_purpose purpose;
	char next[PATH_MAX];	 /* "" after the raw one */
	struct disk_header head; /* of the one opened last, if that is an overlay */
};

/* What the overlay @img says about the image under it. */
static int look_under(struct walk *w, const struct disk_image_fd *img, struct err *e)
{
	const char *slash = strrchr(img->path, '/');
	int r = disk_header_read_(img->fd, &w->head, e);

	if (r)
		return r;
	if (w->head.committing && w->purpose < DISK_FOR_COMMIT)
		return err_set(e, ERR_WRONG_STATE, "its commit was broken off: commit it again");
	int n = snprintf(w->next, sizeof w->next, "%.*s/%s", (int)(slash - img->path), img->path,
			 w->head.parent.name);
	if (n >= (int)sizeof w->next)
		return err_set(e, ERR_LIMIT, "path of the image under it is too long");
	return 0;
}

static int open_next(struct walk *w, struct err *e)
{
	struct disk_chain *chain = w->chain;
	struct disk_image_fd *img = &chain->image[chain->n];
	bool writable =
	    !chain->n && (w->purpose == DISK_FOR_WRITING || w->purpose == DISK_FOR_COMMIT);
	bool check = chain->n && w->purpose != DISK_FOR_LOOKING && !w->head.committing;
	struct disk_parent said = w->head.parent;

	*img = (struct disk_image_fd){.fd = -1};
	int r = image_open(img, w->next, writable, e);
	if (!r)
		r = check_new(chain, img, e);
	if (!r && w->purpose != DISK_FOR_LOOKING)
		r = disk_lock_(img, writable ? F_WRLCK : F_RDLCK, e);
	const char *name = img->path[0] ? img->path : w->next;
	if (!r && img->format == DISK_OVERLAY)
		r = look_under(w, img, e);
	else
		w->next[0] = img->path[0] ? '\0' : w->next[0];
	if (r) {
		image_close(img);
		err_where(e, "%s", name);
		return r;
	}
	chain->n++;
	return check ? disk_parent_check_(&said, img, e) : 0;
}

int disk_chain_open_(const char *path, enum disk_purpose purpose, struct disk_chain *out,
		     struct err *e)
{
	struct walk w = {.chain = calloc(1, sizeof *w.chain), .purpose = purpose};
	int r = 0;

	if (!w.chain)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (strlen(path) >= sizeof w.next)
		r = err_set(e, ERR_LIMIT, "path too long");
	else
		strcpy(w.next, path);
	while (!r && w.next[0]) {
		if (w.chain->n == DISK_CHAIN_MAX)
			r = err_set(e, ERR_LIMIT, "%s: more than %d images on top of each other",
				    path, DISK_CHAIN_MAX);
		else
			r = open_next(&w, e);
	}
	if (r && purpose != DISK_FOR_LOOKING)
		disk_chain_close(w.chain);
	if (!r || purpose == DISK_FOR_LOOKING)
		*out = *w.chain;
	free(w.chain);
	return r;
}

int disk_chain_open(const char *path, bool writable, struct disk_chain *out, struct err *e)
{
	return disk_chain_open_(path, writable ? DISK_FOR_WRITING : DISK_FOR_READING, out, e);
}

int disk_chain_peek(const char *path, struct disk_chain *out, struct err *e)
{
	struct disk_chain *chain = calloc(1, sizeof *chain);

	if (!chain)
		return err_set(e, ERR_NOMEM, "out of memory");
	int r = disk_chain_open_(path, DISK_FOR_LOOKING, chain, e);
	if (r)
		disk_chain_close(chain);
	else
		*out = *chain;
	free(chain);
	return r;
}
