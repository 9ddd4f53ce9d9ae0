/* SPDX-License-Identifier: Apache-2.0 */
/* Freezing: the contents of this moment stay as they are, the disk goes on in a new image. */
#include "devices/disk_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_BITS 0222u

static int check_possible(const struct disk *d, const struct disk_image_fd *next, struct stat *st,
			  struct err *e)
{
	const struct disk_image_fd *img = &d->layer[0].img;

	if (d->read_only)
		return err_set(e, ERR_WRONG_STATE, "%s: is read-only", img->path);
	if (disk_busy_(d))
		return err_set(e, ERR_WRONG_STATE, "%s: requests are in flight", img->path);
	if (next->format == DISK_RAW && d->n > 1)
		return err_set(e, ERR_WRONG_STATE, "%s: only a raw image can be cloned", img->path);
	if (next->format == DISK_OVERLAY && d->n == DISK_CHAIN_MAX)
		return err_set(e, ERR_LIMIT, "%s: lies on %u others, more may not be", img->path,
			       d->n - 1);
	if (fstat(img->fd, st))
		return err_sys(e, ERR_IO, errno, "%s: cannot stat", img->path);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_WRONG_STATE, "%s: a block device cannot be frozen",
			       img->path);
	return 0;
}

static int freeze(const struct disk_image_fd *img, const struct stat *st, struct err *e)
{
	/* Whole seconds survive cp -p, tar, scp -p and rsync -a on any file system. */
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = st->st_mtim.tv_sec}};

	if (fchmod(img->fd, st->st_mode & 07777 & ~WRITE_BITS) || futimens(img->fd, t))
		return err_sys(e, ERR_IO, errno, "%s: cannot freeze", img->path);
	return 0;
}

/* As well as it goes: what it is for has failed already. */
static void thaw(const struct disk_image_fd *img, const struct stat *st)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

	if (fchmod(img->fd, st->st_mode & 07777) || futimens(img->fd, t))
		return;
}

static int record(const struct disk *d, struct disk_state *rec, struct err *e)
{
	*rec =
	    (struct disk_state){.read_only = d->read_only, .bytes = disk_bytes(d), .image_n = d->n};
	for (uint32_t i = 0; i < d->n; i++) {
		int r = disk_image_facts_(&d->layer[i].img, &rec->image[i], e);
		if (r)
			return r;
	}
	return 0;
}

int disk_record(const struct disk *d, struct disk_state *rec, struct err *e)
{
	if (!d->read_only)
		return err_set(e, ERR_WRONG_STATE, "%s: is being written", disk_path(d));
	return record(d, rec, e);
}

/* @next becomes an overlay of the frozen top, or a clone of it. */
static int prepare(struct disk *d, struct disk_layer *next, struct err *e)
{
	const struct disk_image_fd *img = &d->layer[0].img;
	int r = 0;

	if (next->img.format == DISK_RAW) {
		if (ioctl(next->img.fd, FICLONE, img->fd))
			r = err_sys(e, ERR_IO, errno, "cannot clone %s", img->path);
		next->bytes = disk_bytes(d);
	} else if (next->bytes != disk_bytes(d) || next->written ||
		   memcmp(next->head.parent.uuid, d->layer[0].head.uuid, 16) != 0) {
		r = err_set(e, ERR_STRUCTURE, "not a new overlay of %s", img->path);
	} else {
		next->head.spare = false;
		r = disk_parent_fill_(&next->head.parent, img, e);
		if (!r)
			r = disk_header_write_(next->img.fd, &next->head, e);
	}
	/* Held since it was made: this makes sure. */
	if (!r)
		r = disk_lock_(&next->img, F_WRLCK, e);
	if (r)
		err_where(e, "%s", next->img.path);
	return r;
}

static void push(struct disk *d, const struct disk_layer *next, uint64_t frozen_ns)
{
	memmove(&d->layer[1], &d->layer[0], d->n * sizeof d->layer[0]);
	memmove(&d->frozen_ns[2], &d->frozen_ns[1], (DISK_CHAIN_MAX - 2) * sizeof d->frozen_ns[0]);
	d->frozen_ns[1] = frozen_ns;
	d->unsettled++;
	d->n++;
	d->layer[0] = *next;
}

void disk_old_free_(struct disk *d)
{
	if (!d->old)
		return;
	disk_unlock_and_close_(&d->old->img);
	free(d->old);
	d->old = NULL;
	d->can_go_back = false;
}

int disk_switch(struct disk *d, const struct disk_image_fd *next, struct disk_state *rec,
		struct err *e)
{
	struct disk_layer layer = {.img = *next}, *old = NULL;
	struct stat st;
	int r = check_possible(d, next, &st, e);

	if (!r && d->old)
		r = disk_settle(d, e);
	if (r)
		return r;
	if (next->format == DISK_OVERLAY)
		r = disk_layer_open_(&layer, next, e);
	else if (!(old = malloc(sizeof *old)))
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (r)
		return r;
	r = freeze(&d->layer[0].img, &st, e);
	if (!r)
		r = record(d, rec, e);
	if (!r)
		r = prepare(d, &layer, e);
	if (!r)
		r = disk_lock_(&d->layer[0].img, F_RDLCK, e);
	if (r) {
		thaw(&d->layer[0].img, &st);
		disk_layer_fini_(&layer);
		free(old);
		return r;
	}
	if (old) {
		*old = d->layer[0];
		d->old = old;
		d->old_ns = rec->image[0].mtime_ns;
		d->layer[0] = layer;
	} else {
		push(d, &layer, rec->image[0].mtime_ns);
	}
	d->old_mode = st.st_mode & 07777;
	d->can_go_back = true;
	return 0;
}

static void pop(struct disk *d)
{
	d->layer[0].head.spare = true;
	if (d->layer[0].img.format == DISK_OVERLAY)
		(void)!disk_header_write_(d->layer[0].img.fd, &d->layer[0].head, NULL);
	disk_layer_fini_(&d->layer[0]);
	close(d->layer[0].img.fd);
	if (d->old) {
		d->layer[0] = *d->old;
		free(d->old);
		d->old = NULL;
		return;
	}
	d->n--;
	memmove(&d->layer[0], &d->layer[1], d->n * sizeof d->layer[0]);
	memmove(&d->frozen_ns[1], &d->frozen_ns[2], (DISK_CHAIN_MAX - 2) * sizeof d->frozen_ns[0]);
	if (d->unsettled)
		d->unsettled--;
}

int disk_switch_back(struct disk *d, struct err *e)
{
	if (!d->can_go_back || d->layer[0].written || disk_busy_(d))
		return err_set(e, ERR_WRONG_STATE, "%s: has been written to", disk_path(d));
	struct disk_image_fd *img = d->old ? &d->old->img : &d->layer[1].img;
	int r = disk_lock_(img, F_WRLCK, e);
	if (!r && fchmod(img->fd, d->old_mode)) {
		r = err_sys(e, ERR_IO, errno, "cannot give back write permission");
		if (disk_lock_(img, F_RDLCK, NULL))
			return r; /* the stronger lock does no harm */
	}
	if (r) {
		err_where(e, "%s", img->path);
		return r;
	}
	pop(d);
	d->can_go_back = false;
	return 0;
}
