/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CLONE_SUFFIX ".img"

static bool ends_in(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && !strcmp(text + n - m, suffix);
}

#define DIGITS 8

/* An overlay over an overlay does not get longer and longer: how much of @name is there without what the
 * last one added. */
static size_t plain_length(const char *name)
{
	size_t n = strlen(name), added = strlen(DISK_OVERLAY_SUFFIX) + DIGITS + 1;
	bool has = n > added && ends_in(name, DISK_OVERLAY_SUFFIX) && name[n - added] == '.';

	return has ? n - added : n;
}

/* "DIR/NAME.8 random digits" and @suffix: the folder of @image unless @dir is given. */
static int new_path(const char *image, const char *dir, const char *suffix,
		    char out[static DISK_PATH_MAX + 1], struct err *e)
{
	char folder[DISK_PATH_MAX + 1], name[DISK_PATH_MAX + 1], full[PATH_MAX];
	uint32_t r;

	snprintf(folder, sizeof folder, "%s", image);
	snprintf(name, sizeof name, "%s", image);
	if (dir && !realpath(dir, full))
		return err_sys(e, ERR_IO, errno, "%s", dir);
	char *base = basename(name);
	base[plain_length(base)] = '\0';
	if (getrandom(&r, sizeof r, 0) != sizeof r)
		return err_sys(e, ERR_IO, errno, "getrandom");
	int len = snprintf(out, DISK_PATH_MAX + 1, "%s/%s.%08x%s",
			   dir ? full : dirname(folder), base, r, suffix);
	if (len < 0 || len > DISK_PATH_MAX)
		return err_set(e, ERR_LIMIT, "%s: path too long", image);
	return 0;
}

bool disks_is_new_overlay(const char *name, const char *image)
{
	size_t n = plain_length(image);
	const char *digits = name + n + 1;

	return !strncmp(name, image, n) && name[n] == '.' &&
	       strspn(digits, "0123456789abcdef") == DIGITS &&
	       !strcmp(digits + DIGITS, DISK_OVERLAY_SUFFIX);
}

/* --- taking a snapshot ---------------------------------------------------------------------- */

static int new_overlay(const json_t *disk, struct disks_overlay *out, struct err *e)
{
	const char *id = json_string_value(json_object_get(disk, "id"));
	const char *path = json_string_value(json_object_get(disk, "path"));
	struct disk_chain *parent = calloc(1, sizeof *parent);
	struct disk_image_fd image;

	if (!parent)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (!id || !path || strlen(id) > DEVICE_ID_MAX) {
		free(parent);
		return err_set(e, ERR_STRUCTURE, "the VM describes a disk without id or path");
	}
	/* Where the file system shares blocks between files a raw image stays one. */
	int r = disk_chain_peek(path, parent, e);
	if (!r)
		r = new_path(path, NULL, CLONE_SUFFIX, out->path, e);
	if (!r)
		r = disk_clone_create(out->path, parent, &image, e);
	if (r == -ERR_INCOMPATIBLE) {
		r = new_path(path, NULL, DISK_OVERLAY_SUFFIX, out->path, e);
		if (!r)
			r = disk_overlay_spare(out->path, parent, &image, e);
	}
	disk_chain_close(parent);
	if (!r) {
		strcpy(out->id, id);
		snprintf(out->image, sizeof out->image, "%s", path);
		out->fd = image.fd;
	}
	free(parent);
	return r;
}

int disks_new_overlays(const json_t *status, struct disks_overlays *out, struct err *e)
{
	size_t i;
	json_t *disk;

	json_array_foreach(json_object_get(status, "disk"), i, disk) {
		if (json_is_true(json_object_get(disk, "read_only")))
			continue;
		if (out->n == VM_BACKENDS_MAX)
			break;
		int r = new_overlay(disk, &out->item[out->n], e);
		if (r) {
			disks_drop_overlays(out, NULL);
			return r;
		}
		out->n++;
	}
	return 0;
}

static bool in_use(const char *path, const json_t *status)
{
	size_t i;
	json_t *disk;

	json_array_foreach(json_object_get(status, "disk"), i, disk) {
		const char *at = json_string_value(json_object_get(disk, "path"));
		if (at && !strcmp(at, path))
			return true;
	}
	return false;
}

void disks_drop_overlays(struct disks_overlays *o, const json_t *status)
{
	for (uint32_t i = 0; i < o->n; i++) {
		close(o->item[i].fd);
		if (!in_use(o->item[i].path, status))
			unlink(o->item[i].path);
	}
	o->n = 0;
}

void disks_leave_overlays(struct disks_overlays *o)
{
	for (uint32_t i = 0; i < o->n; i++) {
		close(o->item[i].fd);
		(void)!disk_overlay_discard(o->item[i].path, o->item[i].image);
	}
	o->n = 0;
}

/* --- restoring ------------------------------------------------------------------------------ */

static const struct disk_state *saved_disk(const struct snap_manifest *m, const char *id)
{
	return snap_manifest_find(m, &disk_state_desc, id);
}

static int open_over(struct backends *b, const struct machine_device *md, struct disk_chain *frozen,
		     const char *dir, struct err *e)
{
	struct disk_chain *chain = calloc(1, sizeof *chain);
	char path[DISK_PATH_MAX + 1];
	int r = chain ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	if (!r && frozen->n == DISK_CHAIN_MAX)
		r = err_set(e, ERR_LIMIT,
			    "%s: %d images lie over each other already (vmm disk flatten)", md->id,
			    DISK_CHAIN_MAX);
	if (!r)
		r = new_path(frozen->image[0].path, dir, DISK_OVERLAY_SUFFIX, path, e);
	if (!r)
		r = disk_overlay_create(path, frozen, &chain->image[0], e);
	if (!r) {
		memcpy(&chain->image[1], frozen->image, frozen->n * sizeof frozen->image[0]);
		chain->n = frozen->n + 1;
		frozen->n = 0; /* its descriptors are the new chain's now */
		r = backends_add_disk(b, md->id, chain, false, NULL, e);
		if (r) {
			disk_chain_close(chain);
			unlink(path);
		} else {
			b->item[b->n - 1].new_overlay = true;
		}
	}
	free(chain);
	return r;
}

/* The snapshot was taken without its disks: their sizes are all that it knows of them. */
static int open_unsaved(const struct machine_device *md, const char *path, struct disk_chain *chain,
			struct findings *out, struct err *e)
{
	uint64_t bytes = md->blocks <= UINT64_MAX / 512 ? md->blocks * 512 : UINT64_MAX;
	int r = disk_chain_open(path, !md->read_only, chain, e);

	return r ? r : disk_verify_bytes(md->id, bytes, chain, out, e);
}

int disks_reopen(struct backends *b, const struct snap_manifest *m,
		 const struct machine_device *md, const char *path, const char *dir,
		 struct findings *out, struct err *e)
{
	const struct disk_state *saved = saved_disk(m, md->id);
	struct disk_chain *chain = calloc(1, sizeof *chain);
	int r;

	if (!chain)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (!saved && !path)
		r = err_set(e, ERR_USAGE,
			    "disk %s was left out of the snapshot: say which image it has now "
			    "(--disk %s=FILE)",
			    md->id, md->id);
	else if (!saved)
		r = open_unsaved(md, path, chain, out, e);
	else
		r = disk_verify_open(saved, path ? path : saved->image[0].path, chain, out, e);
	if (!r)
		r = findings_error(out, e);
	if (!r && saved && !md->read_only)
		r = open_over(b, md, chain, dir, e);
	else if (!r)
		r = backends_add_disk(b, md->id, chain, md->read_only, NULL, e);
	if (r)
		disk_chain_close(chain);
	free(chain);
	return r;
}

/* Each is the only thing that was made, and empty: the top of a writable disk that was saved. */
void disks_undo(struct backends *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (b->item[i].disk && b->item[i].new_overlay)
			unlink(disk_path(b->item[i].disk));
}

int disks_verdict(const struct snap_manifest *m, struct findings *out, struct err *e)
{
	struct disk_chain *chain = calloc(1, sizeof *chain);
	int r = chain ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint32_t i = 0; !r && i < m->n; i++) {
		const struct disk_state *saved = m->item[i].st;
		if (m->item[i].desc != &disk_state_desc)
			continue;
		chain->n = 0;
		r = disk_verify_open(saved, saved->image[0].path, chain, out, e);
		disk_chain_close(chain);
	}
	free(chain);
	return r;
}
